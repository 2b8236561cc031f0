//! The databases that LibreChat's own data layer wrote.

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

/// The versions of LibreChat's data layer: the newest, and one of the time before.
pub const VERSIONS: [&str; 2] = ["current", "old"];

/// How many messages each of them has.
pub const MESSAGES: f64 = 27.0;

pub const COLLECTIONS: [&str; 10] = [
    "messages",
    "conversations",
    "users",
    "files",
    "transactions",
    "balances",
    "sessions",
    "agents",
    "sharedlinks",
    "banners",
];

fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/librechat").join(version)
}

fn lines(version: &str, name: &str) -> Vec<Document> {
    let path = folder(version).join(format!("{name}.jsonl"));
    let text = std::fs::read_to_string(&path).expect("a fixture");
    text.lines()
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            match Bson::try_from(value).expect("Extended JSON") {
                Bson::Document(document) => document,
                other => panic!("{other:?} is no document"),
            }
        })
        .collect()
}

/// When the story of a fixture ends.
pub fn ends(version: &str) -> DateTime<Utc> {
    let text = std::fs::read_to_string(folder(version).join("now.json")).expect("a fixture");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    value["now"].as_str().and_then(|now| now.parse().ok()).expect("a time")
}

/// Stores a fixture with its indexes, all of its times moved by `shift`.
pub async fn load(database: &Database, version: &str, shift: TimeDelta) {
    for name in COLLECTIONS {
        let documents: Vec<Document> = lines(version, name)
            .into_iter()
            .map(|document| match shifted(document.into(), shift) {
                Bson::Document(document) => document,
                other => panic!("{other:?} is no document"),
            })
            .collect();
        if !documents.is_empty() {
            database.collection(name).insert_many(documents).await.expect("an insert");
        }
    }
    for line in lines(version, "indexes") {
        let name = line.get_str("collection").expect("a collection");
        let mut index = line.get_document("index").expect("an index").clone();
        index.remove("v");
        index.remove("background");
        let command = doc! { "createIndexes": name, "indexes": [index] };
        database.run_command(command).await.expect("an index");
    }
}

/// Stores the messages of a fixture once more, under other ids; each copy is a day older.
pub async fn load_messages(database: &Database, version: &str, shift: TimeDelta, copy: u8) {
    let shift = shift - TimeDelta::days(copy.into());
    let messages = lines(version, "messages").into_iter().map(|message| {
        let Bson::Document(mut message) = shifted(message.into(), shift) else {
            panic!("a document stays one");
        };
        for field in ["messageId", "parentMessageId"] {
            let id = format!("{}-{copy}", message.get_str(field).expect("an id"));
            message.insert(field, id);
        }
        message
    });
    database.collection("messages").insert_many(messages).await.expect("an insert");
}

/// Stores the transactions of a fixture, each copy of which is a day older.
pub async fn load_transactions(database: &Database, version: &str, shift: TimeDelta, copy: u8) {
    let shift = shift - TimeDelta::days(copy.into());
    let transactions = lines(version, "transactions");
    let transactions = transactions.into_iter().map(|document| shifted(document.into(), shift));
    database.collection::<Bson>("transactions").insert_many(transactions).await.expect("an insert");
}

fn shifted(value: Bson, shift: TimeDelta) -> Bson {
    match value {
        Bson::DateTime(time) => {
            mongodb::bson::DateTime::from_millis(time.timestamp_millis() + shift.num_milliseconds())
                .into()
        }
        Bson::ObjectId(id) => {
            let mut bytes = id.bytes();
            let seconds = id.timestamp().timestamp_millis() / 1000 + shift.num_seconds();
            bytes[..4].copy_from_slice(&u32::try_from(seconds).expect("a time").to_be_bytes());
            ObjectId::from_bytes(bytes).into()
        }
        Bson::Array(values) => {
            Bson::Array(values.into_iter().map(|value| shifted(value, shift)).collect())
        }
        Bson::Document(document) => Bson::Document(
            document.into_iter().map(|(key, value)| (key, shifted(value, shift))).collect(),
        ),
        other => other,
    }
}
