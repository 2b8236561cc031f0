//! LibreChat's collections, asked for what a collector needs.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, RawDocument, doc};
use mongodb::options::Hint;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};

use crate::connect::mongo::{Mongo, failure};
use crate::engine::clock::Clock;
use crate::engine::collector::{Failure, Reason, Refresh};

/// How many documents come with one answer of MongoDB at most. Large enough that asking costs little,
/// small enough that an answer costs little memory.
pub const BATCH_SIZE: u32 = 2_000;

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
        self.find_by_id_in(BATCH_SIZE, collection, id, projection, refresh).await
    }

    /// The same with answers of at most `batch_size` documents.
    ///
    /// # Errors
    ///
    /// If the server does not answer or refuses.
    pub async fn find_by_id_in(
        &self,
        batch_size: u32,
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
            .batch_size(batch_size)
            .max_time(refresh.time_left());
        if self.tenant.is_some() {
            find = find.hint(by_id());
        }
        find.batch().await.map_err(failure)
    }

    /// The first `_id` of a collection, if it has any document.
    ///
    /// # Errors
    ///
    /// If the server does not answer or refuses.
    pub async fn first_id(
        &self,
        collection: &str,
        refresh: &Refresh,
    ) -> Result<Option<ObjectId>, Failure> {
        let documents = self.mongo.collection(collection).await?;
        let first = documents
            .find_one(self.of_tenant(Document::new()))
            .projection(doc! { "_id": 1 })
            .sort(doc! { "_id": 1 })
            .hint(by_id())
            .max_time(refresh.time_left())
            .await
            .map_err(failure)?;
        Ok(first.and_then(|document| document.get_object_id("_id").ok()))
    }

    /// How many documents a collection has, roughly.
    ///
    /// # Errors
    ///
    /// If the server does not answer or refuses.
    pub async fn count(&self, collection: &str, refresh: &Refresh) -> Result<u64, Failure> {
        let documents = self.mongo.collection(collection).await?;
        let count = if self.tenant.is_some() {
            let filter = self.of_tenant(Document::new());
            documents.count_documents(filter).max_time(refresh.time_left()).await
        } else {
            documents.estimated_document_count().max_time(refresh.time_left()).await
        };
        count.map_err(failure)
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

/// The index on `_id`. One on the tenant would lead through the whole history.
pub fn by_id() -> Hint {
    Hint::Keys(doc! { "_id": 1 })
}

/// The time until which the member of a replica set that gave this answer had everything; `None` where
/// there is no replica set.
pub fn horizon(batch: &RawBatch) -> Option<DateTime<Utc>> {
    let time = batch.as_raw_document().get_timestamp("operationTime").ok()?;
    DateTime::from_timestamp(time.time.into(), 0)
}

/// Fails if the answer comes from a member of a replica set that does not have everything up to `end`.
///
/// # Errors
///
/// See above.
pub fn must_reach(end: DateTime<Utc>, batch: &RawBatch) -> Result<(), Failure> {
    match horizon(batch) {
        Some(time) if time < end => Err(Failure {
            reason: Reason::Timeout,
            answered: true,
            message: format!(
                "the member of the replica set that answered lags {} s behind the end of what is read",
                (end - time).num_seconds()
            ),
        }),
        _ => Ok(()),
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
