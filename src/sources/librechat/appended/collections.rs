//! What was counted of one collection, as collectors, the audit and the state file share it.

use std::sync::Arc;

use mongodb::bson::Document;
use mongodb::bson::oid::ObjectId;
use mongodb::raw_batch_cursor::RawBatch;
use tracing::error;

use crate::engine::collector::Failure;
use crate::engine::state::{Section, StateFile, Unusable, encode};
use crate::sources::librechat::appended::spending::Spending;
use crate::sources::librechat::appended::spending_of_users::SpendingOfUsers;
use crate::sources::librechat::appended::sums::{Appended, Sums};
use crate::sources::librechat::database::store::documents;
use crate::sources::librechat::edition::{Edition, Known, OfEdition};

/// What was counted of a collection, and where it is kept.
pub struct Collection<S: Sums> {
    collection: &'static str,
    section: &'static str,
    counted: OfEdition<Appended<S>>,
}

impl<S: Sums> Collection<S> {
    /// A collection of which nothing was counted, kept in a section of the state file.
    pub fn new(collection: &'static str, section: &'static str) -> Collection<S> {
        Collection { collection, section, counted: OfEdition::default() }
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
            conversations: Collection::new("conversations", "librechat.conversations").into(),
            users: Collection::new("users", "librechat.users").into(),
            files: Collection::new("files", "librechat.files").into(),
            transactions: Collection::new("transactions", "librechat.transactions").into(),
            transactions_of_users: Collection::new(
                "transactions",
                "librechat.transactions_of_users",
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

    /// Takes what `state` knows of it, where it knows anything.
    ///
    /// # Errors
    ///
    /// If its section does not hold what this version expects.
    fn load(&self, state: &StateFile) -> Result<(), Unusable>;

    /// Begins anew with another edition of the database.
    fn begin(&self, edition: Edition);

    /// Its section of the state file, where something has changed since this was last asked.
    fn changed_section(&self) -> Option<Section>;

    /// Notes that a save failed.
    fn not_saved(&self);

    /// The first day of which a document is known, and the watermark; `None` where days are not kept.
    fn days(&self) -> Option<(u32, ObjectId)>;

    /// How many documents of a day are known before the watermark.
    ///
    /// # Errors
    ///
    /// If the database was exchanged since `edition`.
    fn known(&self, day: u32, edition: Edition) -> Result<u64, Failure>;

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

    fn load(&self, state: &StateFile) -> Result<(), Unusable> {
        *self.now() = state.section(self.section)?.unwrap_or_default();
        Ok(())
    }

    fn begin(&self, edition: Edition) {
        self.counted.begin(edition, Appended::default());
    }

    fn changed_section(&self) -> Option<Section> {
        let mut counted = self.now();
        let section = counted.take_changed().then(|| encode(self.section, &*counted))?;
        section
            .inspect_err(|error| error!(self.section, "the state cannot be encoded: {error}"))
            .ok()
    }

    fn not_saved(&self) {
        self.now().not_saved();
    }

    fn days(&self) -> Option<(u32, ObjectId)> {
        let counted = self.now();
        counted.first_day().map(|first| (first, counted.watermark()))
    }

    fn known(&self, day: u32, edition: Edition) -> Result<u64, Failure> {
        Ok(self.at(edition)?.known(day))
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
