//! Histories and live chats.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use chrono::Utc;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};

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
        .stdin(Stdio::null())
        .spawn()
        .expect("python runs");
    Live(child)
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
