//! Every document that an exporter has had a chance to see: what its counters are about.

use std::collections::BTreeMap;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use mongodb::{Cursor, Database};

const COLLECTIONS: [&str; 4] = ["messages", "conversations", "users", "files"];

/// Documents as they were when last looked at, deleted or not.
#[derive(Debug, Default)]
pub struct Seen(BTreeMap<&'static str, BTreeMap<ObjectId, Document>>);

impl Seen {
    /// Looks at everything stored.
    pub async fn look(&mut self, database: &Database) {
        for name in COLLECTIONS {
            let seen = self.0.entry(name).or_default();
            for document in stored(database, name).await {
                seen.insert(document.get_object_id("_id").expect("an _id"), document);
            }
        }
    }

    /// The documents of a collection in the order of `_id`.
    pub fn of(&self, collection: &str) -> Vec<Document> {
        self.0.get(collection).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }
}

/// The documents that a collection has now, in the order of `_id`.
pub async fn stored(database: &Database, collection: &str) -> Vec<Document> {
    let mut cursor: Cursor<Document> =
        database.collection(collection).find(doc! {}).sort(doc! { "_id": 1 }).await.expect("find");
    let mut documents = Vec::new();
    while cursor.advance().await.expect("a batch") {
        documents.push(cursor.deserialize_current().expect("a document"));
    }
    documents
}
