//! The collectors of what is only counted: conversations, users and files ever stored.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;

use super::object_id::at;
use super::store::{Store, documents, read_all};
use crate::collector::{Answer, Collector, Failure, Refresh, Schedule};
use crate::exposition::{Description, Families};
use crate::mongo::failure;

/// Counts the documents of a collection: those stored at the start once, then those that come.
///
/// Documents after the watermark are kept by their `_id` until they have settled, so that one which is
/// deleted the moment after it was seen stays counted.
pub struct Growth {
    store: Store,
    collection: &'static str,
    family: &'static Description,
    settling_time: Duration,
    interval: Duration,
    settled: Option<Settled>,
    young: HashSet<ObjectId>,
}

/// The documents before the watermark.
#[derive(Debug, Clone, Copy)]
struct Settled {
    watermark: ObjectId,
    count: u64,
}

impl Growth {
    /// A counter `family` of the documents of `collection`.
    pub fn new(
        store: Store,
        collection: &'static str,
        family: &'static Description,
        settling_time: Duration,
        interval: Duration,
    ) -> Growth {
        Growth {
            store,
            collection,
            family,
            settling_time,
            interval,
            settled: None,
            young: HashSet::new(),
        }
    }

    async fn settled(&mut self, now: DateTime<Utc>, refresh: &Refresh) -> Result<Settled, Failure> {
        if let Some(settled) = self.settled {
            return Ok(settled);
        }
        let watermark = at(now - self.settling_time);
        let collection = self.store.mongo().collection(self.collection).await?;
        let filter = self.store.of_tenant(doc! { "_id": { "$lt": watermark } });
        let count = collection
            .count_documents(filter)
            .max_time(refresh.time_left())
            .await
            .map_err(failure)?;
        Ok(*self.settled.insert(Settled { watermark, count }))
    }

    /// Moves the watermark to `next`, past documents that have settled.
    fn settle(&mut self, settled: Settled, next: ObjectId) {
        let before = self.young.len();
        self.young.retain(|id| *id >= next);
        let passed = before - self.young.len();
        self.settled = Some(Settled {
            watermark: settled.watermark.max(next),
            count: settled.count + passed as u64,
        });
    }
}

#[async_trait]
impl Collector for Growth {
    fn name(&self) -> &'static str {
        self.collection
    }

    fn schedule(&self) -> Schedule {
        Schedule::every(self.interval)
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let now = self.store.earliest_now().await?;
        let settled = self.settled(now, refresh).await?;
        let id = doc! { "$gte": settled.watermark };
        let cursor = self.store.find_by_id(self.collection, id, doc! { "_id": 1 }, refresh).await?;
        let batches = read_all(cursor, refresh).await?;
        let ids = batches.iter().flat_map(documents).map(|document| document.get_object_id("_id"));
        self.young.extend(ids.flatten());
        let count = settled.count + self.young.len() as u64;
        self.settle(settled, at(now - self.settling_time));
        let mut families = Families::default();
        families.value(self.family, count as f64);
        Ok(families.into())
    }
}
