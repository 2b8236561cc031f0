//! What was counted of one collection, as collectors, the audit and the state file share it.

use std::sync::Arc;

use mongodb::bson::Document;
use mongodb::bson::oid::ObjectId;
use mongodb::raw_batch_cursor::RawBatch;
use tracing::error;

use crate::engine::collector::Failure;
use crate::engine::state::{Part, Section, StateFile, encode};
use crate::sources::librechat::appended::spending::Spending;
use crate::sources::librechat::appended::spending_of_users::SpendingOfUsers;
use crate::sources::librechat::appended::sums::{Appended, Sums};
use crate::sources::librechat::database::store::documents;
use crate::sources::librechat::documents::object_id::day_of;
use crate::sources::librechat::edition::{Edition, Known, OfEdition};
use crate::sources::librechat::sections;

/// What was counted of a collection, and where it is kept.
pub struct Collection<S: Sums> {
    collection: &'static str,
    part: &'static Part,
    counted: OfEdition<Appended<S>>,
}

impl<S: Sums> Collection<S> {
    /// A collection of which nothing was counted, kept in a section of the state file.
    pub fn new(collection: &'static str, part: &'static Part) -> Collection<S> {
        Collection { collection, part, counted: OfEdition::default() }
    }

    /// What was counted of an edition of the database.
    ///
    /// # Errors
    ///
    /// If the database was exchanged since.
    pub fn at(&self, edition: Edition) -> Result<Known<'_, Appended<S>>, Failure> {
        self.counted.at(edition)
    }

    /// What was counted of the database as it is now.
    pub fn now(&self) -> Known<'_, Appended<S>> {
        self.counted.now()
    }
}

/// What was counted of collections other than messages.
pub struct Collections {
    /// Conversations ever stored.
    pub conversations: Arc<Collection<u64>>,
    /// Users ever stored.
    pub users: Arc<Collection<u64>>,
    /// Files ever stored.
    pub files: Arc<Collection<u64>>,
    /// Transactions.
    pub transactions: Arc<Collection<Spending>>,
    /// Transactions of single people.
    pub transactions_of_users: Arc<Collection<SpendingOfUsers>>,
}

impl Default for Collections {
    /// Memory in which nothing was counted.
    fn default() -> Collections {
        Collections {
            conversations: Collection::new("conversations", &sections::CONVERSATIONS).into(),
            users: Collection::new("users", &sections::USERS).into(),
            files: Collection::new("files", &sections::FILES).into(),
            transactions: Collection::new("transactions", &sections::TRANSACTIONS).into(),
            transactions_of_users: Collection::new(
                "transactions",
                &sections::TRANSACTIONS_OF_USERS,
            )
            .into(),
        }
    }
}

impl Collections {
    /// All of them. Of two about the same collection, the first is the one that an audit compares.
    pub fn all(&self) -> [&dyn AnyCollection; 5] {
        [
            &*self.conversations,
            &*self.users,
            &*self.files,
            &*self.transactions,
            &*self.transactions_of_users,
        ]
    }
}

/// What was counted of a collection, whatever its documents add up to.
pub trait AnyCollection: Send + Sync {
    /// The name of the collection.
    fn name(&self) -> &'static str;

    /// The name of its section of the state file.
    fn section_name(&self) -> &'static str;

    /// Takes what `state` knows of it, where it knows anything that can be used.
    fn load(&self, state: &StateFile);

    /// Begins anew with another edition of the database.
    fn begin(&self, edition: Edition);

    /// Its section of the state file, where something has changed since this was last asked. Encoding it
    /// may take long, so that no task may ask.
    fn changed_section(&self) -> Option<Section>;

    /// The first day of which a document is known, or that of the watermark, and the watermark; `None` where
    /// days are not kept, or before all was read once.
    fn days(&self) -> Option<(u32, ObjectId)>;

    /// How many documents of a day are known before the watermark; `None` where that cannot be told yet.
    ///
    /// # Errors
    ///
    /// If the database was exchanged since `edition`.
    fn known(&self, day: u32, edition: Edition) -> Result<Option<u64>, Failure>;

    /// Whether nothing was ever counted.
    fn is_empty(&self) -> bool;

    /// Notes what MongoDB calls the collection. Whether it was made anew since it was last noted.
    fn name_collection(&self, name: &Option<String>) -> bool;

    /// The fields of documents that it needs.
    fn projection(&self) -> Document;

    /// Sums of the stored documents of one day.
    fn day(&self, edition: Edition) -> Box<dyn StoredDay + '_>;
}

/// The documents that are stored of one day.
pub trait StoredDay: Send {
    /// Adds documents.
    ///
    /// # Errors
    ///
    /// If the database was exchanged since.
    fn add(&mut self, batch: &RawBatch) -> Result<(), Failure>;

    /// Counts what is beyond what was known of the day, and returns how many documents that is.
    ///
    /// # Errors
    ///
    /// If the database was exchanged since.
    fn enter(self: Box<Self>, day: u32) -> Result<u64, Failure>;
}

impl<S: Sums> AnyCollection for Collection<S> {
    fn name(&self) -> &'static str {
        self.collection
    }

    fn section_name(&self) -> &'static str {
        self.part.name
    }

    fn load(&self, state: &StateFile) {
        *self.now() = state.section_or_set_aside(self.part).unwrap_or_default();
    }

    fn begin(&self, edition: Edition) {
        self.counted.begin(edition, Appended::default());
    }

    fn changed_section(&self) -> Option<Section> {
        // A copy, because whoever enters documents would wait until all of it is encoded.
        let counted = {
            let mut counted = self.now();
            counted.take_changed().then(|| counted.clone())?
        };
        encode(self.part, &counted)
            .inspect_err(|error| error!(self.part.name, "the state cannot be encoded: {error}"))
            .ok()
    }

    fn days(&self) -> Option<(u32, ObjectId)> {
        let counted = self.now();
        let watermark = counted.watermark();
        let first = counted.first_day().unwrap_or(day_of(watermark));
        (S::BY_DAY && counted.is_complete()).then_some((first, watermark))
    }

    fn known(&self, day: u32, edition: Edition) -> Result<Option<u64>, Failure> {
        Ok(self.at(edition)?.known(day))
    }

    fn is_empty(&self) -> bool {
        self.now().begins().is_none()
    }

    fn name_collection(&self, name: &Option<String>) -> bool {
        self.now().name_collection(name)
    }

    fn projection(&self) -> Document {
        S::projection()
    }

    fn day(&self, edition: Edition) -> Box<dyn StoredDay + '_> {
        Box::new(Stored { collection: self, edition, sums: S::default() })
    }
}

struct Stored<'a, S: Sums> {
    collection: &'a Collection<S>,
    edition: Edition,
    sums: S,
}

impl<S: Sums> StoredDay for Stored<'_, S> {
    fn add(&mut self, batch: &RawBatch) -> Result<(), Failure> {
        let mut counted = self.collection.at(self.edition)?;
        for document in documents(batch) {
            self.sums.add(&S::read(document, &mut counted.labels));
        }
        Ok(())
    }

    fn enter(self: Box<Self>, day: u32) -> Result<u64, Failure> {
        Ok(self.collection.at(self.edition)?.add_late(day, &self.sums))
    }
}
