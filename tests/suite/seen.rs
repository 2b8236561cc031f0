//! Every document that an exporter has had a chance to see: what its counters are about.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use mongodb::{Cursor, Database};

use crate::oracle::{by_user, minted, text, time};

const COLLECTIONS: [&str; 5] = ["messages", "conversations", "users", "files", "transactions"];

/// Documents as they were when last looked at, deleted or not.
#[derive(Debug, Default)]
pub struct Seen {
    documents: BTreeMap<&'static str, BTreeMap<ObjectId, Document>>,
    /// The messages that were unfinished when they were looked at, or had been written again when their
    /// question was corrected.
    completed: BTreeSet<ObjectId>,
    /// The questions whose first reply was unfinished when they were more than a day old.
    given_up: BTreeSet<ObjectId>,
}

impl Seen {
    /// Looks at everything stored.
    pub async fn look(&mut self, database: &Database, now: DateTime<Utc>) {
        for name in COLLECTIONS {
            let seen = self.documents.entry(name).or_default();
            for document in stored(database, name).await {
                let id = document.get_object_id("_id").expect("an _id");
                if document.get_bool("unfinished").ok() == Some(true) {
                    self.completed.insert(id);
                }
                seen.insert(id, document);
            }
        }
        self.look_at_replies(now);
    }

    fn look_at_replies(&mut self, now: DateTime<Utc>) {
        let messages = self.of("messages");
        let replies = Replies::of(&messages);
        for question in messages.iter().filter(|message| by_user(message)) {
            let old = minted(question) < now.timestamp() - 86_400;
            let reply = replies.first(question).filter(|_| old);
            if let Some(reply) = replies.first(question)
                && let (Some(corrected), Some(written)) =
                    (time(question, "updatedAt"), time(reply, "updatedAt"))
                && time(reply, "createdAt").is_some_and(|created| written > created)
                && (corrected - written).abs() <= TimeDelta::seconds(5)
            {
                self.completed.insert(reply.get_object_id("_id").expect("an _id"));
            }
            if reply.is_some_and(|reply| reply.get_bool("unfinished").ok() == Some(true)) {
                self.given_up.insert(question.get_object_id("_id").expect("an _id"));
            }
        }
    }

    /// Whether the reply to a question was not finished in time.
    pub fn was_given_up(&self, question: &Document) -> bool {
        self.given_up.contains(&question.get_object_id("_id").expect("an _id"))
    }

    /// The documents of a collection in the order of `_id`.
    pub fn of(&self, collection: &str) -> Vec<Document> {
        self.documents.get(collection).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Whether a reply was completed after it was inserted.
    pub fn was_completed(&self, message: &Document) -> bool {
        self.completed.contains(&message.get_object_id("_id").expect("an _id"))
    }
}

/// The replies to each `messageId`, in the order of `_id`.
pub struct Replies<'a>(BTreeMap<String, Vec<&'a Document>>);

impl<'a> Replies<'a> {
    pub fn of(messages: &'a [Document]) -> Replies<'a> {
        let mut replies = BTreeMap::<String, Vec<&Document>>::new();
        for message in messages.iter().filter(|message| !by_user(message)) {
            if let Some(parent) = text(message, "parentMessageId") {
                replies.entry(parent).or_default().push(message);
            }
        }
        for replies in replies.values_mut() {
            replies.sort_by_key(|reply| reply.get_object_id("_id").expect("an _id"));
        }
        Replies(replies)
    }

    /// The first reply to a question that came within a day.
    pub fn first(&self, question: &Document) -> Option<&'a Document> {
        let replies = text(question, "messageId").and_then(|id| self.0.get(&id));
        let mut replies = replies.into_iter().flatten();
        replies.find(|reply| minted(reply) - minted(question) <= 86_400).copied()
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
