//! The binary killed at random moments while people chat: nothing is counted twice, nothing is lost, and
//! no counter falls.

use std::process::Stdio;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use chrono_tz::Tz;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::exporter::{is_counter, state_file};
use crate::fixtures;
use crate::mongod::Mongod;
use crate::oracle::Oracle;
use crate::process::{Server, command};
use crate::samples::{self, Samples, of_page};
use crate::seen::Seen;

/// Rounds with two kills each.
const ROUNDS: usize = 100;

const MODELS: [&str; 3] = ["gpt-4o", "claude-3-7-sonnet-latest", "agent_ab12"];

/// People who chat, and what is known of their messages.
struct Chats {
    database: Database,
    random: TestRng,
    /// Messages that changed since the exporter has certainly seen all of them.
    unseen: Vec<ObjectId>,
    /// Messages that it has seen as they are.
    confirmed: Vec<ObjectId>,
    /// Questions without a reply, with their `messageId`.
    unanswered: Vec<(ObjectId, String)>,
    unfinished: Vec<ObjectId>,
}

impl Chats {
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.random.next_u32()).expect("it fits") % limit
    }

    async fn insert(&mut self, fields: Document) -> (ObjectId, String) {
        // LibreChat lets mongod mint `_id`, on the same machine in this test.
        let id = ObjectId::new();
        let mut message = doc! {
            "_id": id, "messageId": id.to_hex(), "user": "u1", "createdAt": mongodb::bson::DateTime::now(),
            "unfinished": false,
        };
        message.extend(fields);
        self.database.collection("messages").insert_one(message).await.expect("an insert");
        self.unseen.push(id);
        (id, id.to_hex())
    }

    /// A person asks, a model answers, a long answer ends.
    async fn chat(&mut self) {
        let tokens = i32::try_from(self.below(100)).expect("it fits");
        match self.below(4) {
            0 | 1 => {
                let question = doc! { "isCreatedByUser": true, "tokenCount": tokens };
                let question = self.insert(question).await;
                self.unanswered.push(question);
            }
            2 if !self.unanswered.is_empty() => {
                let place = self.below(self.unanswered.len());
                let (_, parent) = self.unanswered.swap_remove(place);
                let model = MODELS[self.below(MODELS.len())];
                let unfinished = self.below(3) == 0;
                let call = doc! { "name": "search", "output": "please fix your mistakes" };
                let reply = doc! {
                    "isCreatedByUser": false, "tokenCount": tokens, "model": model,
                    "parentMessageId": parent, "unfinished": unfinished,
                    "content": [{ "type": "tool_call", "tool_call": call }],
                };
                let (id, _) = self.insert(reply).await;
                if unfinished {
                    self.unfinished.push(id);
                }
            }
            3 if !self.unfinished.is_empty() => {
                let place = self.below(self.unfinished.len());
                let id = self.unfinished.swap_remove(place);
                let end =
                    doc! { "$set": { "unfinished": false }, "$inc": { "tokenCount": tokens } };
                let messages = self.database.collection::<Document>("messages");
                messages.update_one(doc! { "_id": id }, end).await.expect("an update");
                self.confirmed.retain(|confirmed| *confirmed != id);
                self.unseen.push(id);
            }
            _ => {
                let file = doc! { "_id": ObjectId::new() };
                self.database.collection("files").insert_one(file).await.expect("an insert");
            }
        }
    }

    /// Somebody deletes a message that has been seen as it is.
    async fn delete(&mut self) {
        if self.confirmed.is_empty() {
            return;
        }
        let place = self.below(self.confirmed.len());
        let id = self.confirmed.swap_remove(place);
        let messages = self.database.collection::<Document>("messages");
        messages.delete_one(doc! { "_id": id }).await.expect("a deletion");
        self.unanswered.retain(|(question, _)| *question != id);
        self.unfinished.retain(|reply| *reply != id);
    }
}

/// What the counters must show, if nothing shown before was wrong.
struct Book {
    seen: Seen,
    shown: Samples,
}

impl Book {
    fn note(&mut self, page: &str, context: &str) {
        for (key, value) in of_page(page) {
            if is_counter(&key) && key.starts_with("librechat_") {
                let shown = self.shown.entry(key.clone()).or_insert(value);
                assert!(value >= *shown, "{context}: {key} fell from {shown} to {value}");
                *shown = value;
            }
        }
    }

    async fn assert_equal(&mut self, page: &str, database: &Database, context: &str) {
        let oracle =
            Oracle { now: Utc::now(), timezone: Tz::UTC, settling_time: TimeDelta::seconds(2) };
        let counters = |mut samples: Samples| {
            samples.retain(|key, _| is_counter(key) && key.starts_with("librechat_"));
            samples
        };
        let expected = counters(oracle.compute(database, &self.seen).await);
        samples::assert_equal(&counters(of_page(page)), &expected, context);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_kills_leave_every_counter_right() {
    let database = Mongod::shared().database().await;
    let state = state_file();
    let settings = [
        ("MONGODB_URI", Mongod::shared().uri.as_str()),
        ("MONGODB_DATABASE", database.name()),
        ("STATE_FILE", state.to_str().expect("text")),
        ("SETTLING_TIME", "2"),
        ("METRICS_CACHE_ENABLED", "false"),
    ];
    let mut chats = Chats {
        database: database.clone(),
        random: TestRng::deterministic_rng(RngAlgorithm::ChaCha),
        unseen: Vec::new(),
        confirmed: Vec::new(),
        unanswered: Vec::new(),
        unfinished: Vec::new(),
    };
    let mut book = Book { seen: Seen::default(), shown: Samples::new() };
    chats.chat().await;
    for round in 0..ROUNDS {
        let context = format!("round {round}");
        // Killed anywhere between its start and its first refreshes, and people chat meanwhile.
        let mut killed = command(&settings)
            .env("METRICS_PORT", "0")
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        for _ in 0..chats.below(12) {
            chats.chat().await;
        }
        let moment = Duration::from_micros(chats.below(60_000) as u64);
        tokio::time::sleep(moment).await;
        killed.kill().expect("it lives");
        killed.wait().expect("it ends");
        chats.delete().await;

        let mut server = Server::start(&settings);
        server.wait_until_complete();
        book.seen.look(&database, Utc::now()).await;
        let page = server.get("/metrics");
        book.note(&page, &context);
        book.assert_equal(&page, &database, &context).await;
        let seen = std::mem::take(&mut chats.unseen);
        chats.confirmed.extend(seen);

        // Killed in the middle of a refresh that a scrape has asked for.
        for _ in 0..chats.below(6) {
            chats.chat().await;
        }
        let scrape = server.begin_scrape();
        tokio::time::sleep(Duration::from_micros(chats.below(30_000) as u64)).await;
        server.end("KILL");
        if let Some(page) = scrape.join().expect("a thread") {
            book.note(&page, &context);
        }
        chats.delete().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_in_the_first_pass_leave_every_counter_right() {
    let database = Mongod::shared().database().await;
    let shift = Utc::now() - fixtures::ends("current") - TimeDelta::days(60);
    for copy in 0..40 {
        fixtures::load_messages(&database, "current", shift, copy).await;
    }
    let state = state_file();
    let settings = [
        ("MONGODB_URI", Mongod::shared().uri.as_str()),
        ("MONGODB_DATABASE", database.name()),
        ("STATE_FILE", state.to_str().expect("text")),
        ("BASELINE_MAX_MESSAGES_PER_SECOND", "40"),
    ];
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for _ in 0..4 {
        let mut server = Server::start(&settings);
        server.wait_for(&["reading the history", "per_second"]);
        tokio::time::sleep(Duration::from_micros((random.next_u32() % 50_000).into())).await;
        server.end("KILL");
        let read = database.collection::<Bson>("messages").estimated_document_count().await;
        assert_eq!(read.expect("a count") as f64, 40.0 * fixtures::MESSAGES);
    }
    let mut book = Book { seen: Seen::default(), shown: Samples::new() };
    book.seen.look(&database, Utc::now()).await;
    let mut server = Server::start(&settings[..3]);
    server.wait_until_complete();
    book.assert_equal(&server.get("/metrics"), &database, "after the first pass").await;
}
