//! Half an hour of chats, odd documents, deletions, faults of MongoDB and kills, for `make soak`.
//!
//! Two exporters look on: one is killed again and again, the other lives all the time. After every fault
//! the counters of both equal the oracle's, and in the end the survivor has hardly more memory and open
//! files than after a minute.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use chrono_tz::Tz;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::exporter::{is_counter, state_file};
use crate::mongod::{Mongod, free_port};
use crate::odd_values::{FIELDS, odd_values, put};
use crate::oracle::Oracle;
use crate::process::Server;
use crate::proxy::{Mode, Proxy};
use crate::samples::{self, Samples, of_page};
use crate::seen::Seen;

const MINUTES: u64 = 30;

/// How long chats go on between two looks at the counters.
const ROUND: Duration = Duration::from_secs(8);

/// From one chat to the next.
const PAUSE: Duration = Duration::from_millis(60);

/// What chats store, with the time for looking at the counters.
const MESSAGES_A_SECOND: i64 = 22;

const MODELS: [&str; 4] = ["gpt-4o", "claude-3-7-sonnet-latest", "agent_ab12", ""];

/// People who chat.
struct Chats {
    database: Database,
    random: TestRng,
    odd: Vec<(&'static str, Bson)>,
    unfinished: Option<ObjectId>,
    /// Messages that were stored since the counters were last looked at, and those before.
    unseen: Vec<ObjectId>,
    seen: Vec<ObjectId>,
    stored: u64,
}

impl Chats {
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.random.next_u32()).expect("it fits") % limit
    }

    async fn insert(&mut self, message: Document) {
        let id = message.get_object_id("_id").expect("an _id");
        self.database.collection("messages").insert_one(message).await.expect("an insert");
        self.unseen.push(id);
        self.stored += 1;
    }

    fn message(&mut self, fields: Document) -> Document {
        let id = ObjectId::new();
        let call = doc! { "name": "search", "output": "please fix your mistakes" };
        let mut message = doc! {
            "_id": id, "messageId": id.to_hex(), "conversationId": "c1", "sender": "AI",
            "user": format!("u{}", self.below(50)), "endpoint": "agents",
            "createdAt": DateTime::now(), "updatedAt": DateTime::now(), "unfinished": false,
            "feedback": { "rating": "thumbsUp", "tag": "good" },
            "content": [{ "type": "tool_call", "tool_call": call }],
        };
        message.extend(fields);
        message
    }

    /// A question, its reply, and something odd.
    async fn chat(&mut self) {
        if let Some(id) = self.unfinished.take() {
            let end = doc! { "$set": { "unfinished": false }, "$inc": { "tokenCount": 5 } };
            let messages = self.database.collection::<Document>("messages");
            messages.update_one(doc! { "_id": id }, end).await.expect("an update");
        }
        let tokens = i32::try_from(self.below(1_000)).expect("it fits");
        let question = self.message(doc! { "isCreatedByUser": true, "tokenCount": tokens });
        let asked = question.get_str("messageId").expect("an id").to_owned();
        self.insert(question).await;
        let model = MODELS[self.below(MODELS.len())];
        let unfinished = self.below(10) == 0;
        let reply = self.message(doc! {
            "isCreatedByUser": false, "parentMessageId": asked, "model": model, "tokenCount": tokens,
            "unfinished": unfinished,
        });
        self.unfinished = unfinished.then(|| reply.get_object_id("_id").expect("an _id"));
        self.insert(reply).await;
        let (field, value) = (self.below(FIELDS.len()), self.below(self.odd.len()));
        let odd = self.odd_message(field, value);
        self.insert(odd).await;
        if self.below(10) == 0 {
            let file = doc! { "_id": ObjectId::new() };
            self.database.collection("files").insert_one(file).await.expect("an insert");
        }
    }

    /// As many messages as five minutes of chats leave, stored in the last five minutes: the windows are as
    /// full at the beginning as in the end.
    async fn five_minutes(&mut self) {
        let now = Utc::now().timestamp();
        let messages: Vec<Document> = (0..300 * MESSAGES_A_SECOND)
            .map(|number| {
                let seconds = u32::try_from(now - number / MESSAGES_A_SECOND).expect("it fits");
                let mut message = self
                    .message(doc! { "isCreatedByUser": false, "tokenCount": 1, "model": "gpt-4o" });
                let rest = message.get_object_id("_id").expect("an _id").bytes();
                let (process, counter) = rest[4..].split_at(5);
                let process = process.try_into().expect("five bytes");
                let counter = counter.try_into().expect("three bytes");
                message.insert("_id", ObjectId::from_parts(seconds, process, counter));
                message.insert("createdAt", DateTime::from_millis(i64::from(seconds) * 1_000));
                message
            })
            .collect();
        self.database.collection("messages").insert_many(messages).await.expect("an insert");
    }

    /// Every odd value in every field once, so that every label has been seen.
    async fn everything_odd(&mut self) {
        for field in 0..FIELDS.len() {
            for value in 0..self.odd.len() {
                let odd = self.odd_message(field, value);
                self.insert(odd).await;
            }
        }
    }

    fn odd_message(&mut self, field: usize, value: usize) -> Document {
        let mut message = self.message(doc! { "isCreatedByUser": false, "tokenCount": 1 });
        let (path, _) = FIELDS[field];
        let (_, value) = self.odd[value].clone();
        // Two messages with the same id, or a reply that never ends, are not what this is about.
        let id = path.ends_with("essageId") && matches!(value, Bson::String(_));
        if !id && path != "unfinished" {
            put(&mut message, path, value);
        }
        message
    }

    async fn chat_for(&mut self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            self.chat().await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Half of the messages that the exporters have seen are deleted.
    async fn delete(&mut self) {
        let half = self.seen.len() / 2;
        let ids: Vec<ObjectId> = self.seen.drain(..half).collect();
        let messages = self.database.collection::<Document>("messages");
        messages.delete_many(doc! { "_id": { "$in": ids } }).await.expect("a deletion");
        self.seen.append(&mut self.unseen);
    }
}

/// An exporter, and what its counters have shown.
struct Watched {
    name: &'static str,
    server: Option<Server>,
    uri: String,
    state: PathBuf,
    shown: Samples,
}

impl Watched {
    fn start(name: &'static str, uri: &str) -> Watched {
        let state = state_file();
        let mut watched =
            Watched { name, server: None, uri: uri.to_owned(), state, shown: Samples::new() };
        watched.restart();
        watched
    }

    fn restart(&mut self) {
        self.server = Some(Server::start(&[
            ("MONGODB_URI", &self.uri),
            ("STATE_FILE", self.state.to_str().expect("text")),
            ("SETTLING_TIME", "10"),
            ("FEEDBACK_INTERVAL", "5"),
        ]));
    }

    fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("it runs")
    }

    fn kill(&mut self) {
        self.server.take().expect("it runs").end("KILL");
    }

    /// Waits for two refreshes, of which the second began after this was called, and compares.
    fn assert_equal(&mut self, expected: &Samples, round: u64) {
        let name = self.name;
        let server = self.server();
        server.skip_what_was_logged();
        for collector in ["messages", "messages", "files", "files"] {
            server.wait_for(&["refreshed", &format!("collector=\"{collector}\"")]);
        }
        let mut page = of_page(&server.get("/metrics"));
        page.retain(|key, _| is_counter(key) && key.starts_with("librechat_"));
        for (key, value) in &page {
            let shown = self.shown.entry(key.clone()).or_insert(*value);
            assert!(*value >= *shown, "{name}: {key} fell from {shown} to {value}");
            *shown = *value;
        }
        samples::assert_equal(&page, expected, &format!("{name}, round {round}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half an hour long, for `make soak`"]
async fn half_an_hour_of_everything() {
    let minutes =
        std::env::var("SOAK_MINUTES").map_or(MINUTES, |text| text.parse().expect("minutes"));
    let port = free_port();
    let mongod = Mongod::start_on(port, &["--setParameter", "enableTestCommands=1"]);
    let client = mongod.client().await;
    let database = client.database("LibreChat");
    let proxy = Proxy::start(port, Mode::Pass(Duration::ZERO)).await;
    let uri = format!("mongodb://127.0.0.1:{}", proxy.port());
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut chats = Chats {
        database: database.clone(),
        random,
        odd: odd_values(),
        unfinished: None,
        unseen: Vec::new(),
        seen: Vec::new(),
        stored: 0,
    };
    chats.five_minutes().await;
    chats.everything_odd().await;
    let mut seen = Seen::default();
    let mut survivor = Watched::start("the survivor", &uri);
    let mut killed = Watched::start("the killed one", &uri);
    let began = Instant::now();
    let (mut round, mut kills, mut after_a_minute) = (0, 0, None);
    let mut faults = [0; 4];
    while began.elapsed() < Duration::from_secs(60 * minutes) {
        let fault = chats.below(faults.len());
        faults[fault] += 1;
        match fault {
            0 => proxy.set(Mode::Freeze),
            1 => proxy.set(Mode::Cut),
            2 => proxy.set(Mode::Pass(Duration::from_millis(200))),
            _ => {}
        }
        chats.chat_for(ROUND / 2).await;
        killed.kill();
        kills += 1;
        chats.chat_for(ROUND / 4).await;
        killed.restart();
        proxy.set(Mode::Pass(Duration::ZERO));
        chats.chat_for(ROUND / 4).await;

        seen.look(&database, Utc::now()).await;
        let oracle =
            Oracle { now: Utc::now(), timezone: Tz::UTC, settling_time: TimeDelta::seconds(10) };
        let mut expected = oracle.compute(&database, &seen).await;
        expected.retain(|key, _| is_counter(key) && key.starts_with("librechat_"));
        survivor.assert_equal(&expected, round);
        killed.assert_equal(&expected, round);
        chats.delete().await;
        round += 1;
        if after_a_minute.is_none() && began.elapsed() > Duration::from_secs(60) {
            after_a_minute = Some(held(&mut survivor));
        }
        if round % 10 == 0 {
            println!("{round} rounds, {} messages, {:?}", chats.stored, held(&mut survivor));
        }
    }
    let (before, after) = (after_a_minute.expect("a minute"), held(&mut survivor));
    println!(
        "{minutes} minutes: {} messages, {round} rounds (frozen {}, cut {}, slow {}, undisturbed {}), \
         {kills} kills; after a minute {} KiB and {} open files, in the end {} KiB and {}",
        chats.stored,
        faults[0],
        faults[1],
        faults[2],
        faults[3],
        before.0 >> 10,
        before.1,
        after.0 >> 10,
        after.1,
    );
    // Memory comes and goes in steps of a megabyte; what leaks grows without end.
    assert!(after.0 <= before.0 + (4 << 20), "memory grew");
    assert!(after.1 <= before.1 + 4, "open files grew");
}

/// The resident memory and the open files of an exporter.
fn held(watched: &mut Watched) -> (u64, usize) {
    let server = watched.server();
    (server.resident_bytes(), server.open_files())
}
