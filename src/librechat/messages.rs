//! The collector of everything that is about messages: it reads the tail.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mongodb::bson::{Document, doc};
use mongodb::raw_batch_cursor::RawBatch;
use tokio::sync::Notify;

use super::document::{Message, projection};
use super::groups::Groups;
use super::ledger::Ledger;
use super::page::Page;
use super::store::{Store, documents, read_all};
use crate::collector::{Answer, Collector, Failure, Refresh, Schedule};
use crate::exposition::Families;

/// The ledger as the collectors share it.
#[derive(Clone)]
pub struct SharedLedger {
    ledger: Arc<Mutex<Ledger>>,
    /// Notified when something other than the tail has changed the ledger.
    pub changed: Arc<Notify>,
}

impl SharedLedger {
    /// Shares a ledger.
    pub fn new(ledger: Ledger) -> SharedLedger {
        SharedLedger { ledger: Arc::new(Mutex::new(ledger)), changed: Arc::default() }
    }

    /// The ledger. Nobody keeps it across an await point, and no scrape needs it.
    pub fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the tail and the open messages at every refresh.
pub struct Messages {
    store: Store,
    ledger: SharedLedger,
    projection: Document,
    interval: Duration,
    page: Page,
}

impl Messages {
    /// The name of the collection.
    pub const COLLECTION: &str = "messages";

    /// A collector that enters messages in `ledger` and shows families of `groups`, each with at most
    /// `max_series` label sets.
    pub fn new(
        store: Store,
        ledger: SharedLedger,
        groups: &Groups,
        interval: Duration,
        max_series: usize,
    ) -> Messages {
        Messages {
            store,
            ledger,
            projection: projection(groups),
            interval,
            page: Page::new(groups.clone(), max_series),
        }
    }

    async fn read(&self, id: Document, refresh: &Refresh) -> Result<Vec<RawBatch>, Failure> {
        let projection = self.projection.clone();
        let cursor = self.store.find_by_id(Self::COLLECTION, id, projection, refresh).await?;
        read_all(cursor, refresh).await
    }

    fn enter(&mut self, batches: &[RawBatch], settled_now: DateTime<Utc>) -> Families {
        let mut ledger = self.ledger.lock();
        ledger.enter_read(batches.iter().flat_map(documents).filter_map(Message::read));
        ledger.advance(settled_now);
        self.page.families(&ledger, self.store.now())
    }
}

#[async_trait]
impl Collector for Messages {
    fn name(&self) -> &'static str {
        "messages"
    }

    fn schedule(&self) -> Schedule {
        Schedule { wake: Arc::clone(&self.ledger.changed), ..Schedule::every(self.interval) }
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let now = self.store.earliest_now().await?;
        let (watermark, open) = {
            let mut ledger = self.ledger.lock();
            (ledger.watermark(now), ledger.open())
        };
        let mut batches = Vec::new();
        if !open.is_empty() {
            batches = self.read(doc! { "$in": open }, refresh).await?;
        }
        batches.extend(self.read(doc! { "$gte": watermark }, refresh).await?);
        Ok(self.enter(&batches, now).into())
    }
}
