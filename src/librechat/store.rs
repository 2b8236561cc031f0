//! LibreChat's collections, asked for what a collector needs.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, RawDocument, doc};
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};

use crate::collector::{Failure, Refresh};
use crate::mongo::{Mongo, failure};

/// Tells the time; the tests have clocks of their own.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// How many documents come with one answer of MongoDB. Large enough that asking costs little, small
/// enough that an answer costs little memory.
const BATCH_SIZE: u32 = 4_000;

/// The documents of a LibreChat.
#[derive(Clone)]
pub struct Store {
    mongo: Arc<Mongo>,
    tenant: Option<String>,
    clock: Clock,
}

impl Store {
    /// The documents of `tenant`, or all of them.
    pub fn new(mongo: Arc<Mongo>, tenant: Option<String>, clock: Clock) -> Store {
        Store { mongo, tenant, clock }
    }

    /// The connection.
    pub fn mongo(&self) -> &Mongo {
        &self.mongo
    }

    /// The tenant whose documents are read; `None`: all.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The present here.
    pub fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    /// The present here or on the server, whichever is earlier. `_id` is minted by the server's clock,
    /// and a watermark ahead of it would pass messages that are not stored yet.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub async fn earliest_now(&self) -> Result<DateTime<Utc>, Failure> {
        let server = self.mongo.server_time().await?;
        let now = self.now();
        Ok(server.map_or(now, |server| server.min(now)))
    }

    /// `filter`, for the documents of the tenant.
    pub fn of_tenant(&self, mut filter: Document) -> Document {
        if let Some(tenant) = &self.tenant {
            filter.insert("tenantId", tenant);
        }
        filter
    }

    /// Documents of a collection whose `_id` matches, in the order of `_id`.
    ///
    /// # Errors
    ///
    /// If the server does not answer or refuses.
    pub async fn find_by_id(
        &self,
        collection: &str,
        id: Document,
        projection: Document,
        refresh: &Refresh,
    ) -> Result<RawBatchCursor, Failure> {
        let collection = self.mongo.collection(collection).await?;
        let mut find = collection
            .find(self.of_tenant(doc! { "_id": id }))
            .projection(projection)
            .sort(doc! { "_id": 1 })
            .batch_size(BATCH_SIZE)
            .max_time(refresh.time_left());
        if self.tenant.is_some() {
            // An index on the tenant would lead through the whole history.
            find = find.hint(mongodb::options::Hint::Keys(doc! { "_id": 1 }));
        }
        find.batch().await.map_err(failure)
    }

    /// Documents of a collection that match, in no order.
    ///
    /// # Errors
    ///
    /// If the server does not answer or refuses.
    pub async fn find(
        &self,
        collection: &str,
        filter: Document,
        projection: Document,
        refresh: &Refresh,
    ) -> Result<RawBatchCursor, Failure> {
        let collection = self.mongo.collection(collection).await?;
        let find = collection
            .find(self.of_tenant(filter))
            .projection(projection)
            .batch_size(BATCH_SIZE)
            .max_time(refresh.time_left());
        find.batch().await.map_err(failure)
    }
}

/// All answers of a cursor; their documents are counted in `refresh`.
///
/// # Errors
///
/// If the server does not answer.
pub async fn read_all(cursor: RawBatchCursor, refresh: &Refresh) -> Result<Vec<RawBatch>, Failure> {
    let batches: Vec<RawBatch> = cursor.try_collect().await.map_err(failure)?;
    refresh.count_documents(batches.iter().flat_map(documents).count());
    Ok(batches)
}

/// The documents of one answer of a cursor.
pub fn documents(batch: &RawBatch) -> impl Iterator<Item = &RawDocument> {
    let values = batch.doc_slices().ok().into_iter().flatten();
    values.flatten().filter_map(|value| value.as_document())
}
