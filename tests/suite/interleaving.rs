//! Collectors that run side by side while the database is exchanged under them: no document of the database
//! before is counted with those of the one after, whatever was going on at that moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use prometheus::IntCounter;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use tokio::task::JoinSet;
use usage_exporter::connect::uri::Uri;
use usage_exporter::engine::clock::Clock;
use usage_exporter::engine::collector::{Collector, Refresh};
use usage_exporter::engine::settings::General;
use usage_exporter::engine::source::{Context, Watched};
use usage_exporter::engine::state::StateFile;
use usage_exporter::sources::librechat::groups::Groups;

use crate::exporter::{Exporter, SETTLING_TIME, general, settings};
use crate::fixtures;
use crate::mongod::Mongod;
use crate::oracle::Oracle;
use crate::proxy::{Mode, Proxy};
use crate::samples::{self, Samples};
use crate::seen::{Seen, stored};

const ROUNDS: u32 = 16;

const LONG_AGO: TimeDelta = TimeDelta::days(-500);

const PASS: Mode = Mode::Pass(Duration::ZERO);

fn port(mongod: &Mongod) -> u16 {
    mongod.uri.rsplit_once(':').expect("a port").1.parse().expect("a number")
}

async fn fill(database: &Database, version: &str, shift: TimeDelta, copies: u8) {
    fixtures::load(database, version, shift).await;
    for copy in 1..copies {
        fixtures::load_messages(database, version, shift, copy).await;
    }
}

/// Asks a collector again and again until the others have seen enough.
async fn ask(
    mut collector: Box<dyn Collector>,
    exchanged: Arc<AtomicBool>,
    done: Arc<tokio::sync::Barrier>,
) -> Box<dyn Collector> {
    // Twice after the exchange, since the answer that was on its way then is not of what came after.
    let mut answered_since = 0;
    while answered_since < 2 {
        let since = exchanged.load(Ordering::Acquire);
        let counter = IntCounter::new("documents", "read").expect("a name");
        let refresh = Refresh::new(Duration::from_secs(20), counter);
        let answer = collector.refresh(&refresh).await;
        answered_since += u32::from(since && answer.is_ok());
        tokio::task::yield_now().await;
    }
    done.wait().await;
    collector
}

/// Every sample, after each collector has been asked until its answer is complete.
async fn settle(collectors: &mut [Box<dyn Collector>]) -> Samples {
    let mut found = Samples::new();
    // What one collector has read, another shows: the second time, all of it is there.
    for _ in 0..2 {
        found.clear();
        for collector in &mut *collectors {
            loop {
                let counter = IntCounter::new("documents", "read").expect("a name");
                let refresh = Refresh::new(Duration::from_secs(20), counter);
                let answer = collector.refresh(&refresh).await.expect("a refresh");
                if !answer.next.goes_on() {
                    found.extend(samples::of_families(&answer.families));
                    break;
                }
            }
        }
    }
    found
}

/// An exporter that compares the database at each refresh.
fn comparing(database: &Database, now: chrono::DateTime<chrono::Utc>) -> Exporter {
    let settings = settings(database, Groups::all());
    let general = General { interval: Duration::ZERO, ..general(Tz::UTC) };
    Exporter::with_settings(&settings, &general, now).with_state()
}

async fn drop_and_fill(database: &Database, name: &str, documents: &[Document]) {
    let collection = database.collection::<Document>(name);
    collection.drop().await.expect("a deletion");
    collection.insert_many(documents).await.expect("an insert");
}

const COUNTED: [(&str, &str); 3] = [
    ("messages", "librechat_messages_total"),
    ("conversations", "librechat_conversations_total"),
    ("transactions", "usage_exporter_audit_late_documents_total{collection=\"transactions\"}"),
];

#[tokio::test(flavor = "multi_thread")]
async fn collections_that_are_dropped_and_restored_under_a_running_server_stay_counted() {
    let database = Mongod::shared().database().await;
    fill(&database, "current", LONG_AGO, 2).await;
    let now = fixtures::ends("current") + LONG_AGO;
    let [messages, conversations, transactions] = [
        stored(&database, "messages"),
        stored(&database, "conversations"),
        stored(&database, "transactions"),
    ];
    let (messages, conversations, transactions) =
        (messages.await, conversations.await, transactions.await);
    // What is stored only after the restoration is older than what was there before.
    let parts = [&messages, &conversations, &transactions].map(|all| all.split_at(all.len() / 4));
    for ((name, _), (_, kept)) in COUNTED.into_iter().zip(parts) {
        drop_and_fill(&database, name, kept).await;
    }
    let mut exporter = comparing(&database, now);
    exporter.refresh().await.expect("a refresh");
    let before = exporter.refresh().await.expect("a refresh");
    assert_eq!(before[COUNTED[0].1], parts[0].1.len() as f64);

    for ((name, _), all) in COUNTED.into_iter().zip([&messages, &conversations, &transactions]) {
        drop_and_fill(&database, name, all).await;
        // Once to notice it, once for the audit, and once to show what it found.
        for _ in 0..3 {
            exporter.refresh().await.expect("a refresh");
        }
    }
    let found = exporter.refresh().await.expect("a refresh");
    for ((name, counter), (late, kept)) in COUNTED.into_iter().zip(parts) {
        let expected = if name == "transactions" { late.len() } else { late.len() + kept.len() };
        assert_eq!(found[counter], expected as f64, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_under_a_running_server_is_begun_anew() {
    let database = Mongod::shared().database().await;
    fill(&database, "current", LONG_AGO, 3).await;
    let other = Mongod::shared().database().await;
    // No document has the `_id` of one there.
    fill(&other, "old", LONG_AGO - TimeDelta::seconds(17), 1).await;
    let now = fixtures::ends("current") + LONG_AGO;
    let mut exporter = comparing(&database, now);
    exporter.refresh().await.expect("a refresh");
    // Something is read after the database was last compared, and is in the other one too.
    let young = doc! { "_id": mongodb::bson::oid::ObjectId::new(), "isCreatedByUser": false };
    for database in [&database, &other] {
        let messages = database.collection::<Document>("messages");
        messages.insert_one(&young).await.expect("an insert");
    }
    exporter.refresh_only(|name| name == "messages").await.expect("a refresh");
    let mut documents = Vec::new();
    for name in other.list_collection_names().await.expect("names") {
        documents.push((name.clone(), stored(&other, &name).await));
    }
    database.drop().await.expect("a deletion");
    let gone = exporter.refresh().await.expect_err("nothing is there");
    assert!(gone.message.contains("has no collection `messages` any more"), "{}", gone.message);
    database.create_collection("messages").await.expect("a collection");
    let empty = exporter.refresh().await.expect_err("nothing is known of it");
    assert!(empty.message.contains("has no message so far"), "{}", empty.message);
    for (name, documents) in &documents {
        if documents.is_empty() && name != "messages" {
            database.create_collection(name).await.expect("a collection");
        } else {
            let collection = database.collection::<Document>(name);
            collection.insert_many(documents).await.expect("an insert");
        }
    }
    exporter.forget();
    exporter.refresh().await.expect("a refresh");
    exporter.assert_equals_oracle(&other, "the other database").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_is_renamed_away_and_back_is_missed_meanwhile() {
    let database = Mongod::shared().database().await;
    fill(&database, "current", LONG_AGO, 1).await;
    let now = fixtures::ends("current") + LONG_AGO;
    let mut exporter = comparing(&database, now);
    exporter.assert_equals_oracle(&database, "before").await;
    let admin = Mongod::shared().client().await.database("admin");
    let name = |collection| format!("{}.{collection}", database.name());
    for (from, to) in [("messages", "away"), ("away", "messages")] {
        let rename = doc! { "renameCollection": name(from), "to": name(to) };
        admin.run_command(rename).await.expect("another name");
        if to == "away" {
            let gone = exporter.refresh().await.expect_err("it is not there");
            assert!(gone.message.contains("has no collection `messages` any more"));
        }
    }
    exporter.assert_equals_oracle(&database, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_is_exchanged_at_any_moment_leaves_nothing_behind() {
    let (one, other) = (Mongod::shared(), Mongod::start(&[]));
    let name = one.database().await.name().to_owned();
    let before = one.client().await.database(&name);
    let after = other.client().await.database(&name);
    fill(&before, "current", LONG_AGO, 40).await;
    // No document has the `_id` of one there: it would be the same database, restored.
    fill(&after, "old", LONG_AGO - TimeDelta::seconds(17), 25).await;
    let now = fixtures::ends("old") + LONG_AGO;
    let oracle = Oracle { now, timezone: Tz::UTC, settling_time: SETTLING_TIME };
    let mut seen = Seen::default();
    seen.look(&after, now).await;
    let expected = oracle.compute(&after, &seen).await;

    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for round in 0..ROUNDS {
        let proxy = Proxy::start(port(one), PASS).await;
        let mut settings = settings(&before, Groups::all());
        let uri = format!("mongodb://127.0.0.1:{}/?directConnection=true", proxy.port());
        settings.uri = Uri::parse(&uri).expect("a URI");
        // An audit is always due.
        settings.audit_interval = Duration::ZERO;
        let clock: Clock = Arc::new(move || now);
        let source =
            settings.open(Context { general: general(Tz::UTC), clock, state: StateFile::off() });
        let collectors = source.collectors();
        let exchanged = Arc::new(AtomicBool::new(false));
        let done = Arc::new(tokio::sync::Barrier::new(collectors.len()));
        let mut tasks = JoinSet::new();
        let names: Vec<String> = collectors.iter().map(|c| c.name().to_owned()).collect();
        for collector in collectors {
            tasks.spawn(ask(collector, Arc::clone(&exchanged), Arc::clone(&done)));
        }
        // The moment is what the test is about: anywhere from the first pass to well after it.
        let moment = random.next_u32() % if round % 2 == 0 { 40_000 } else { 400_000 };
        tokio::time::sleep(Duration::from_micros(moment.into())).await;
        proxy.exchange(port(&other)).await;
        exchanged.store(true, Ordering::Release);
        let mut collectors = tasks.join_all().await;
        collectors.sort_by_key(|c| names.iter().position(|name| name == c.name()));
        let mut found = settle(&mut collectors).await;
        found.remove("usage_exporter_baseline_progress_ratio");
        let context = format!("round {round}, exchanged after {moment} microseconds");
        samples::assert_equal(&found, &expected, &context);
    }
}
