//! Histories and live chats.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use chrono::Utc;
use futures_util::TryStreamExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::{Database, IndexModel};

/// How many messages a second the live load is.
const MESSAGES_A_SECOND: i64 = 50;

/// How long a message may still change, by default.
const SETTLING_SECONDS: i64 = 15 * 60;

/// A live load, which ends when it is dropped.
pub struct Live(Child);

impl Drop for Live {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn generate() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("demo/python.sh"));
    command.arg(root.join("demo/generate.py"));
    command
}

/// Fills a mongod with a history that ended an hour ago.
pub fn fill(uri: &str, messages: &str) {
    let an_hour_ago = Utc::now() - chrono::TimeDelta::hours(1);
    let status = generate()
        .args(["--uri", uri, "--messages", messages])
        .args(["--now", &an_hour_ago.format("%Y-%m-%dT%H:%M:%S").to_string()])
        .status()
        .expect("python runs");
    assert!(status.success());
}

/// Stores the messages again in the order of `_id`, as a LibreChat stores them one after the other.
/// `demo/generate.py` makes the conversations of all days in no order.
pub async fn order(database: &Database) {
    let messages = database.collection::<Document>("messages");
    let indexes: Vec<IndexModel> =
        messages.list_indexes().await.expect("indexes").try_collect().await.expect("indexes");
    let by_id = doc! { "$sort": { "_id": 1 } };
    messages.aggregate([by_id, doc! { "$out": "ordered" }]).await.expect("a copy");
    messages.drop().await.expect("a deletion");
    let (from, to) = ("ordered", "messages");
    let name = database.name();
    let rename = doc! {
        "renameCollection": format!("{name}.{from}"), "to": format!("{name}.{to}"),
    };
    database.client().database("admin").run_command(rename).await.expect("another name");
    let indexes = indexes.into_iter().filter(|index| !index.keys.contains_key("_id"));
    messages.create_indexes(indexes).await.expect("indexes");
}

/// Stores what a live load would have left in the settling time, and goes on with it.
pub async fn live(uri: &str, database: &Database) -> Live {
    let began = Utc::now().timestamp() - SETTLING_SECONDS;
    let messages: Vec<Document> = (0..SETTLING_SECONDS * MESSAGES_A_SECOND)
        .map(|number| message(began + number / MESSAGES_A_SECOND, number))
        .collect();
    database.collection("messages").insert_many(messages).await.expect("an insert");
    let child = generate()
        .args(["--uri", uri, "--messages", "0", "--seconds", "600"])
        .args(["--live", &MESSAGES_A_SECOND.to_string()])
        // Other chats than those of an earlier run.
        .args(["--seed", &began.to_string()])
        .stdin(Stdio::null())
        .spawn()
        .expect("python runs");
    Live(child)
}

/// The first `_id` of the settling time, in which the filled histories have no messages.
pub fn settling() -> ObjectId {
    let seconds = Utc::now().timestamp() - 2 * SETTLING_SECONDS;
    ObjectId::from_parts(u32::try_from(seconds).expect("a time"), [0; 5], [0; 3])
}

fn message(seconds: i64, number: i64) -> Document {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&u32::try_from(seconds).expect("a time").to_be_bytes());
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    let question = number % 2 == 0;
    doc! {
        "_id": ObjectId::from_bytes(bytes),
        "messageId": format!("live-{seconds}-{number}"),
        "parentMessageId": format!("live-{}-{}", seconds, number - 1),
        "conversationId": format!("live-{}", number / 2),
        "user": format!("live-{}", number % 5_000 / 2),
        "isCreatedByUser": question,
        "model": if question { "" } else { "gpt-4o" },
        "endpoint": "openAI",
        "text": "x".repeat(1_000),
        "tokenCount": 100,
        "createdAt": DateTime::from_millis(seconds * 1_000),
        "updatedAt": DateTime::from_millis(seconds * 1_000),
    }
}
