//! LibreChat's collections, asked for what a collector needs.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use mongodb::action::{Action, CountDocuments, Find, FindOne};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, RawDocument, RawDocumentBuf, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{Collation, Hint};
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};

use crate::connect::mongo::{Mongo, failure};
use crate::engine::clock::Clock;
use crate::engine::collector::{Failure, Reason, Refresh};

/// How many documents come with one answer of MongoDB at most. Large enough that asking costs little,
/// small enough that an answer costs little memory.
pub const BATCH_SIZE: u32 = 2_000;

/// What an `_id` can be that is no ObjectId, as MongoDB calls it.
pub const OTHER_TYPES: [&str; 13] = [
    "double",
    "string",
    "object",
    "binData",
    "undefined",
    "bool",
    "date",
    "null",
    "int",
    "timestamp",
    "long",
    "decimal",
    "minKey",
];

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
        let find = || {
            let find = self.find_in(&collection, doc! { "_id": id.clone() }, refresh);
            find.projection(projection.clone()).sort(doc! { "_id": 1 }).batch_size(batch_size)
        };
        if self.tenant.is_none() {
            return find().batch().await.map_err(failure);
        }
        let with = |hint| find().optional(hint, Find::hint);
        with_hint(|hint| with(hint).batch().into_future()).await
    }

    /// A question for documents of the tenant that match.
    fn find_in<'a>(
        &self,
        collection: &'a mongodb::Collection<RawDocumentBuf>,
        filter: Document,
        refresh: &Refresh,
    ) -> Find<'a, RawDocumentBuf> {
        let find = collection.find(self.of_tenant(filter)).max_time(refresh.time_left());
        find.optional(self.collation(), Find::collation)
    }

    /// What texts are compared by where the tenant decides: a collection may take other letters for the same.
    fn collation(&self) -> Option<Collation> {
        self.tenant.as_ref().map(|_| Collation::builder().locale("simple").build())
    }

    /// How many documents of a collection have an `_id` that matches.
    ///
    /// # Errors
    ///
    /// If the server does not answer or refuses.
    pub async fn count_by_id(
        &self,
        collection: &str,
        id: Document,
        refresh: &Refresh,
    ) -> Result<u64, Failure> {
        let documents = self.mongo.collection(collection).await?;
        let filter = self.of_tenant(doc! { "_id": id });
        with_hint(|hint| {
            let count = documents.count_documents(filter.clone()).max_time(refresh.time_left());
            let count = count.optional(self.collation(), CountDocuments::collation);
            count.optional(hint, CountDocuments::hint).into_future()
        })
        .await
    }

    /// How many documents of a collection have an `_id` that is no ObjectId. Where there is none, no key of the
    /// index is looked at.
    ///
    /// # Errors
    ///
    /// If the server does not answer or refuses.
    pub async fn count_odd_ids(&self, collection: &str, refresh: &Refresh) -> Result<u64, Failure> {
        self.count_by_id(collection, doc! { "$type": OTHER_TYPES.as_slice() }, refresh).await
    }

    /// The first `_id` of a collection that is an ObjectId, if there is any.
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
        let filter = self.of_tenant(doc! { "_id": { "$gte": ObjectId::from_bytes([0; 12]) } });
        let first = with_hint(|hint| {
            let first = documents.find_one(filter.clone()).max_time(refresh.time_left());
            let first = first.projection(doc! { "_id": 1 }).sort(doc! { "_id": 1 });
            let first = first.optional(self.collation(), FindOne::collation);
            first.optional(hint, FindOne::hint).into_future()
        })
        .await?;
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
            let count = documents.count_documents(filter).max_time(refresh.time_left());
            count.optional(self.collation(), CountDocuments::collation).await
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
        let find = || {
            let find = self.find_in(&collection, filter.clone(), refresh);
            find.projection(projection.clone()).batch_size(BATCH_SIZE)
        };
        match find().batch().await {
            // Under --notablescan, an index must lead to all documents.
            Err(error) if is_without_plan(&error) => find().hint(by_id()).batch().await,
            answer => answer,
        }
        .map_err(failure)
    }
}

/// What `ask` gives with a hint to the index on `_id`, or without, where the server refuses that.
async fn with_hint<T, F: Future<Output = Result<T, Error>>>(
    ask: impl Fn(Option<Hint>) -> F,
) -> Result<T, Failure> {
    match ask(Some(by_id())).await {
        Err(error) if refuses_hint(&error) => ask(None).await,
        answer => answer,
    }
    .map_err(failure)
}

/// Whether an error can come of a hint to an index that the collection does not have, or of any hint.
fn refuses_hint(error: &Error) -> bool {
    let ErrorKind::Command(command) = error.kind.as_ref() else { return false };
    // An unknown field, a bad value, what cannot be parsed and what is not supported; no plan.
    let codes = [2, 9, 14, 27, 72, 115, 238, 291, 40_415];
    command.message.contains("hint") || codes.contains(&command.code)
}

/// Whether an error says that no index leads to what was asked for.
fn is_without_plan(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(command) if command.code == 291)
}

/// The index on `_id`. One on the tenant would lead through the whole history.
fn by_id() -> Hint {
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

/// The documents of one answer of a cursor.
pub fn documents(batch: &RawBatch) -> impl Iterator<Item = &RawDocument> {
    let values = batch.doc_slices().ok().into_iter().flatten();
    values.flatten().filter_map(|value| value.as_document())
}
