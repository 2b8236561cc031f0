//! The audit: what it counts, what it leaves alone, and what it costs.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use prometheus::IntCounter;
use usage_exporter::connect::mongo::Mongo;
use usage_exporter::engine::collector::{Collector, Next, Refresh};
use usage_exporter::engine::state::StateFile;
use usage_exporter::sources::librechat::collectors::audit::Audit;
use usage_exporter::sources::librechat::collectors::baseline::Baseline;
use usage_exporter::sources::librechat::database::store::{OTHER_TYPES, Store};
use usage_exporter::sources::librechat::groups::Groups;
use usage_exporter::sources::librechat::memory::Memory;

use crate::exporter::{Exporter, SETTLING_TIME, general, settings, state_file};
use crate::fixtures;
use crate::mongod::Mongod;
use crate::oracle::Oracle;
use crate::process::{Server, run};
use crate::samples::{self, of_page};
use crate::seen::Seen;

const LONG_AGO: TimeDelta = TimeDelta::days(-500);

async fn librechat() -> (Database, DateTime<Utc>) {
    let database = Mongod::shared().database().await;
    fixtures::load(&database, "current", LONG_AGO).await;
    (database, fixtures::ends("current") + LONG_AGO)
}

fn refresh(documents: &IntCounter) -> Refresh {
    Refresh::new(Duration::from_secs(60), documents.clone())
}

fn counter() -> IntCounter {
    IntCounter::new("documents", "read").expect("a name")
}

/// A message that was stored so long before `now`, and created then.
fn message(now: DateTime<Utc>, before: TimeDelta, number: u8) -> Document {
    let then = now - before;
    let seconds = u32::try_from(then.timestamp()).expect("a time");
    let id = ObjectId::from_parts(seconds, [9; 5], [0, 0, number]);
    doc! {
        "_id": id, "messageId": id.to_hex(), "conversationId": "c", "user": "somebody else",
        "isCreatedByUser": false, "sender": "AI", "model": "late", "tokenCount": 5,
        "createdAt": mongodb::bson::DateTime::from_millis(then.timestamp_millis()),
    }
}

/// A history of which the first pass has read some, when it was killed; and the settings of the binary for it.
async fn half_read() -> (Database, Vec<(&'static str, String)>) {
    let database = Mongod::shared().database().await;
    let shift = Utc::now() - fixtures::ends("current") - TimeDelta::days(60);
    for copy in 0..40 {
        fixtures::load_messages(&database, "current", shift, copy).await;
    }
    let settings = vec![
        ("MONGODB_URI", Mongod::shared().uri.clone()),
        ("MONGODB_DATABASE", database.name().to_owned()),
        ("STATE_FILE", state_file().to_str().expect("text").to_owned()),
    ];
    let slowly = [borrowed(&settings), vec![("BASELINE_MAX_MESSAGES_PER_SECOND", "100")]].concat();
    let mut server = Server::start(&slowly);
    server.wait_for(&["reading the history", "per_second"]);
    server.end("KILL");
    (database, settings)
}

fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// What an audit by hand says of its finds, and the messages that are counted after the first pass.
fn audited(settings: &[(&'static str, String)]) -> (String, f64) {
    let settings = borrowed(settings);
    let output = run(&settings, &["audit"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).expect("text");
    let mut server = Server::start(&settings);
    server.wait_until_complete();
    let page = of_page(&server.get("/metrics"));
    (told.lines().last().unwrap_or_default().to_owned(), page["librechat_messages_total"])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_in_the_middle_of_the_first_pass_does_not_count_the_unread_history() {
    let (_database, settings) = half_read().await;
    let (told, messages) = audited(&settings);
    assert_eq!(told, "0 documents were stored behind the watermark and are counted now");
    assert_eq!(messages, 40.0 * fixtures::MESSAGES);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_restored_before_the_point_that_the_first_pass_has_reached_is_found() {
    let (database, settings) = half_read().await;
    let restored = message(Utc::now(), TimeDelta::days(400), 1);
    database.collection("messages").insert_one(restored).await.expect("an insert");
    let (told, messages) = audited(&settings);
    assert_eq!(told, "1 documents were stored behind the watermark and are counted now");
    assert_eq!(messages, 40.0 * fixtures::MESSAGES + 1.0);
}

/// An audit and what it shares with others, after the history was read.
async fn audit(database: &Database, now: DateTime<Utc>) -> (Audit, Memory) {
    let mut settings = settings(database, Groups::all());
    settings.audit_interval = Duration::from_secs(86_400);
    let mongo = Mongo::new(settings.uri.clone(), settings.database.clone(), None);
    let store = Store::new(Arc::new(mongo), None, Arc::new(move || now));
    let memory = Memory::open(StateFile::off(), &settings, &general(Tz::UTC), true);
    let hour = Duration::from_secs(3_600);
    let mut first_pass = Baseline::new(store.clone(), memory.clone(), &settings.groups, None, hour);
    loop {
        let answer = first_pass.refresh(&refresh(&counter())).await.expect("a refresh");
        if answer.next == Next::WhenWoken {
            break;
        }
    }
    (Audit::new(store, memory.clone(), &settings, Tz::UTC, true), memory)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_rests_between_its_refreshes_and_one_asked_for_meanwhile_follows() {
    let (database, now) = librechat().await;
    for copy in 1..5 {
        fixtures::load_messages(&database, "current", LONG_AGO, copy).await;
    }
    let (mut audit, memory) = audit(&database, now).await;
    memory.want_audit();
    let mut comparisons = 0;
    let first = loop {
        let answer = audit.refresh(&refresh(&counter())).await.expect("a refresh");
        comparisons += 1;
        if comparisons == 1 {
            assert!(!memory.is_audit_wanted(), "it has begun");
            // Something else may lie behind the watermark, where this one has already been.
            memory.want_audit();
        }
        match answer.next {
            Next::ContinueAfter(rest) => assert!(!rest.is_zero()),
            Next::In(pause) => break pause,
            other => panic!("{other:?}"),
        }
    };
    assert!(comparisons > 1, "each refresh makes one comparison");
    assert_eq!(first, Duration::ZERO, "the one that was asked for is due");
    audit.refresh(&refresh(&counter())).await.expect("a refresh");
    assert!(!memory.is_audit_wanted());
}

/// Documents of LibreChat's clock: one for each second from `first` on.
async fn add_by_librechat(database: &Database, first: DateTime<Utc>, count: u8) {
    for number in 0..count {
        let second = u32::try_from(first.timestamp()).expect("a time") + u32::from(number);
        let id = ObjectId::from_parts(second, [9; 5], [0, 0, number]);
        let user = doc! { "_id": id, "provider": "local" };
        database.collection("users").insert_one(user).await.expect("an insert");
        let transaction = doc! {
            "_id": id, "tokenType": "prompt", "model": "m", "rawAmount": -1, "tokenValue": -1,
        };
        database.collection("transactions").insert_one(transaction).await.expect("an insert");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_librechat_whose_clock_is_wrong_loses_no_document() {
    let now = DateTime::from_timestamp(1_770_000_000, 0).expect("a time");
    let spent = "librechat_transaction_tokens_total{model=\"m\",token_type=\"prompt\"}";
    for minutes in [-120, -20, 20] {
        let database = Mongod::shared().database().await;
        let wrong = TimeDelta::minutes(minutes);
        let mut exporter = Exporter::new(&database, Tz::UTC, now).with_state();
        for quarter in 0..6_i32 {
            let then = now + TimeDelta::minutes(15) * quarter;
            exporter.set_now(then);
            add_by_librechat(&database, then + wrong - TimeDelta::minutes(3), 10).await;
            let found = exporter.refresh_only(|name| name != "audit").await.expect("a refresh");
            let expected = f64::from(quarter + 1) * 10.0;
            let told = (found["librechat_registered_users_total"], found[spent]);
            assert_eq!(told, (expected, expected), "{minutes} minutes, {then}");
            exporter.restart();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_second_librechat_adds_whose_clock_is_behind_is_found_within_minutes() {
    let database = Mongod::shared().database().await;
    let now = DateTime::from_timestamp(1_770_000_000, 0).expect("a time");
    add_by_librechat(&database, now - TimeDelta::seconds(60), 10).await;
    let mut exporter = Exporter::new(&database, Tz::UTC, now);
    exporter.refresh().await.expect("a refresh");
    add_by_librechat(&database, now - TimeDelta::hours(2), 10).await;
    exporter.set_now(now + TimeDelta::minutes(11));
    exporter.refresh().await.expect("a refresh");
    let found = exporter.refresh().await.expect("a refresh");
    assert_eq!(found["librechat_registered_users_total"], 20.0);
    let late = "usage_exporter_audit_late_documents_total{collection=\"users\"}";
    assert_eq!(found[late], 10.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_no_object_id_neither_stops_an_audit_nor_goes_untold() {
    let (database, now) = librechat().await;
    let messages = database.collection::<Document>("messages");
    let zero = doc! { "_id": ObjectId::from_bytes([0; 12]), "messageId": "0" };
    messages.insert_one(zero).await.expect("an insert");
    for id in ["text", "another"] {
        messages.insert_one(doc! { "_id": id, "messageId": id }).await.expect("an insert");
    }
    messages.insert_one(doc! { "_id": 5, "messageId": "5" }).await.expect("an insert");
    let mut exporter = Exporter::new(&database, Tz::UTC, now);
    let found = exporter.refresh().await.expect("a refresh");
    assert_eq!(found["librechat_messages_total"], fixtures::MESSAGES + 1.0);
    let labels = [("collection", "messages"), ("field", "_id")];
    assert_eq!(found[&samples::key("usage_exporter_malformed_fields_total", &labels)], 3.0);

    let restored = message(now, TimeDelta::days(400), 1);
    messages.insert_one(restored).await.expect("an insert");
    exporter.set_now(now + TimeDelta::hours(25));
    exporter.refresh().await.expect("a refresh");
    let found = exporter.refresh().await.expect("a refresh");
    assert_eq!(found["librechat_messages_total"], fixtures::MESSAGES + 2.0);
    let late = "usage_exporter_audit_late_documents_total{collection=\"messages\"}";
    assert_eq!(found[late], 1.0);

    // Looking for them costs nothing where there are none.
    let types = doc! { "_id": { "$type": OTHER_TYPES.as_slice() } };
    let find = doc! { "find": "users", "filter": types, "hint": { "_id": 1 } };
    let explain = doc! { "explain": find, "verbosity": "executionStats" };
    let explained = database.run_command(explain).await.expect("a plan");
    let statistics = explained.get_document("executionStats").expect("statistics");
    // Between the types it may step on a key of an ObjectId.
    assert!(statistics.get_i32("totalKeysExamined").expect("a number") <= 2, "{statistics}");
    assert_eq!(statistics.get_i32("totalDocsExamined").expect("a number"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_late_message_makes_only_its_own_day_be_read_again() {
    let (database, now) = librechat().await;
    let messages = database.collection::<Document>("messages");
    let old = (1..60).map(|days| message(now, TimeDelta::days(days), 1));
    messages.insert_many(old).await.expect("an insert");
    let mut exporter = Exporter::new(&database, Tz::Europe__Berlin, now).with_state();
    exporter.assert_equals_oracle(&database, "before").await;

    messages
        .insert_one(message(now, TimeDelta::days(20) - TimeDelta::hours(1), 2))
        .await
        .expect("an insert");
    let later = now + TimeDelta::days(2);
    exporter.set_now(later);
    let before = exporter.documents_read("days");
    let late = "usage_exporter_audit_late_documents_total{collection=\"messages\"}";
    let audited = exporter.refresh_only(|name| name == "audit").await.expect("a refresh");
    assert_eq!(audited[late], 1.0);
    let mut found = exporter.refresh().await.expect("a refresh");
    let read = exporter.documents_read("days") - before;
    assert!((2..=4).contains(&read), "{read} documents of local days were read again");

    let timezone = Tz::Europe__Berlin;
    let oracle = Oracle { now: later, timezone, settling_time: SETTLING_TIME };
    let mut seen = Seen::default();
    seen.look(&database, later).await;
    let mut expected = oracle.compute(&database, &seen).await;
    assert_eq!(found.remove(late), Some(1.0));
    expected.remove(late);
    found.remove("usage_exporter_baseline_progress_ratio");
    samples::assert_equal(&found, &expected, "after the audit");
}
