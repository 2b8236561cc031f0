//! The collector of how many documents are stored now, by collection.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use mongodb::bson::RawDocumentBuf;
use tracing::warn;

use crate::connect::mongo::failure;
use crate::engine::collector::{Answer, Collector, Failure, Refresh, Schedule};
use crate::exposition::Families;
use crate::exposition::own::MALFORMED_FIELDS;
use crate::sources::librechat::catalogue::STORED_DOCUMENTS;
use crate::sources::librechat::database::store::Store;

/// LibreChat's collections that tell how it is used.
const COLLECTIONS: [&str; 21] = [
    "actions",
    "agents",
    "assistants",
    "balances",
    "banners",
    "conversations",
    "conversationtags",
    "files",
    "keys",
    "memoryentries",
    "messages",
    "pluginauths",
    "presets",
    "promptgroups",
    "prompts",
    "sessions",
    "sharedlinks",
    "tokens",
    "toolcalls",
    "transactions",
    "users",
];

/// How many intervals pass from one inventory to the next.
const INTERVALS: u32 = 5;

/// Those that are read in the order of `_id`.
const BY_ID: [&str; 5] = ["conversations", "files", "messages", "transactions", "users"];

/// The collections that every LibreChat has.
const CERTAIN: [&str; 2] = ["messages", "conversations"];

/// Counts the documents of LibreChat's collections by their metadata, which costs the same however
/// many there are.
pub struct Inventory {
    store: Store,
    interval: Duration,
    /// Whether the database was checked for being LibreChat's.
    checked: bool,
    /// The most documents of each collection whose `_id` was found to be no ObjectId.
    odd_ids: BTreeMap<&'static str, u64>,
}

impl Inventory {
    /// An inventory every few times that `interval` passes: each collection costs a command.
    pub fn new(store: Store, interval: Duration) -> Inventory {
        Inventory {
            store,
            interval: interval * INTERVALS,
            checked: false,
            odd_ids: BTreeMap::new(),
        }
    }

    async fn collections(&self) -> Result<Vec<&'static str>, Failure> {
        let database = self.store.mongo().database().await?;
        let stored = database.list_collection_names().await.map_err(failure)?;
        Ok(COLLECTIONS.into_iter().filter(|name| stored.iter().any(|s| s == name)).collect())
    }

    /// Warns once if the database is not LibreChat's, and names one on the server that is.
    async fn check(&mut self, collections: &[&str]) {
        if std::mem::replace(&mut self.checked, true)
            || collections.iter().any(|c| CERTAIN.contains(c))
        {
            return;
        }
        let configured = self.store.mongo().database_name();
        match self.find_librechat().await {
            Some(database) => warn!(
                "the database {configured:?} has none of LibreChat's collections, but {database:?} \
                 has; set MONGODB_DATABASE={database}"
            ),
            None => warn!(
                "the database {configured:?} has none of LibreChat's collections yet; if LibreChat \
                 is in use, check MONGODB_URI and MONGODB_DATABASE"
            ),
        }
    }

    /// Counts the documents whose `_id` is no ObjectId, which no other collector sees, and warns of them once.
    async fn look_for_odd_ids(
        &mut self,
        collections: &[&'static str],
        refresh: &Refresh,
    ) -> Result<(), Failure> {
        for collection in BY_ID.into_iter().filter(|name| collections.contains(name)) {
            let count = self.store.count_odd_ids(collection, refresh).await?;
            let known = self.odd_ids.entry(collection).or_default();
            if *known == 0 && count > 0 {
                warn!(
                    collection,
                    documents = count,
                    "documents of `{collection}` have an `_id` that is no ObjectId: they are not counted, \
                     because nothing tells which of them are new"
                );
            }
            *known = count.max(*known);
        }
        Ok(())
    }

    /// A database on the server that has LibreChat's collections, if the user may see it.
    async fn find_librechat(&self) -> Option<String> {
        let client = self.store.mongo().database().await.ok()?.client();
        for name in client.list_database_names().await.ok()? {
            let collections = client.database(&name).list_collection_names().await;
            let collections = collections.unwrap_or_default();
            if CERTAIN.iter().all(|certain| collections.iter().any(|c| c == certain)) {
                return Some(name);
            }
        }
        None
    }
}

#[async_trait]
impl Collector for Inventory {
    fn name(&self) -> &str {
        "inventory"
    }

    fn is_critical(&self) -> bool {
        false
    }

    fn schedule(&self) -> Schedule {
        Schedule { on_scrape: false, ..Schedule::every(self.interval) }
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let collections = self.collections().await?;
        self.check(&collections).await;
        let mut families = Families::default();
        self.look_for_odd_ids(&collections, refresh).await?;
        let odd = self.odd_ids.iter().filter(|(_, count)| **count > 0);
        families
            .series(&MALFORMED_FIELDS, odd.map(|(name, count)| ([*name, "_id"], *count as f64)));
        if self.store.tenant().is_some() {
            // The metadata counts the documents of all tenants.
            return Ok(families.into());
        }
        let database = self.store.mongo().database().await?;
        let counts = try_join_all(collections.into_iter().map(async |name| {
            let collection = database.collection::<RawDocumentBuf>(name);
            let count = collection.estimated_document_count().max_time(refresh.time_left()).await;
            count.map(|count| ([name], count as f64))
        }));
        families.series(&STORED_DOCUMENTS, counts.await.map_err(failure)?);
        Ok(families.into())
    }
}
