//! What survives a restart, and what happens to a state file that cannot be used.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use crate::collectors::counters;
use crate::exporter::{Exporter, is_counter, state_file};
use crate::fixtures;
use crate::mongod::{Mongod, free_port};
use crate::process::{Server, run};
use crate::samples::{self, of_page};
use crate::seen::stored;

const LONG_AGO: TimeDelta = TimeDelta::days(-500);

async fn librechat(shift: TimeDelta) -> (Database, DateTime<Utc>) {
    let database = Mongod::shared().database().await;
    fixtures::load(&database, "current", shift).await;
    (database, fixtures::ends("current") + shift)
}

/// The settings of the binary for a database of the shared mongod and a state file.
fn settings(database: &Database, state: &Path) -> [(String, String); 3] {
    [
        ("MONGODB_URI".to_owned(), Mongod::shared().uri.clone()),
        ("MONGODB_DATABASE".to_owned(), database.name().to_owned()),
        ("STATE_FILE".to_owned(), state.to_str().expect("text").to_owned()),
    ]
}

fn start(settings: &[(String, String)]) -> Server {
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Server::start(&settings)
}

/// The number of messages that the page shows once the messages have been asked.
fn messages(server: &mut Server) -> f64 {
    server.wait_until_complete();
    of_page(&server.get("/metrics"))["librechat_messages_total"]
}

fn insert_old(days: i64) -> Document {
    let id = ObjectId::from_parts(
        u32::try_from((Utc::now() - TimeDelta::days(days)).timestamp()).expect("a time"),
        [7; 5],
        [7; 3],
    );
    doc! { "_id": id, "messageId": id.to_hex(), "isCreatedByUser": false, "model": "late", "tokenCount": 5 }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_family_equals_the_oracle_after_a_restart_in_another_time_zone() {
    for version in fixtures::VERSIONS {
        let database = Mongod::shared().database().await;
        fixtures::load(&database, version, LONG_AGO).await;
        let end = fixtures::ends(version) + LONG_AGO;
        let mut exporter = Exporter::new(&database, Tz::Europe__Berlin, end).with_state();
        for (later, timezone) in [
            (0, Tz::Asia__Kathmandu),
            (290, Tz::America__New_York),
            (3_600, Tz::UTC),
            (86_400, Tz::Pacific__Kiritimati),
            (40 * 86_400, Tz::Europe__Berlin),
        ] {
            exporter.set_now(end + TimeDelta::seconds(later));
            let context = format!("fixture {version}, {later} seconds later");
            exporter.assert_equals_oracle(&database, &context).await;
            exporter.move_to(timezone);
            exporter.assert_equals_oracle(&database, &format!("{context}, {timezone}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_reads_the_tail_and_not_the_history() {
    let mongod = Mongod::start(&[]);
    let database = mongod.client().await.database("LibreChat");
    let end = fixtures::ends("current");
    let days_ago = |days| end - Utc::now() + TimeDelta::days(days);
    for copy in 0..20 {
        fixtures::load_messages(&database, "current", -days_ago(90), copy).await;
    }
    let by_time = mongodb::IndexModel::builder().keys(doc! { "createdAt": 1 }).build();
    database.collection::<Document>("messages").create_index(by_time).await.expect("an index");
    let state = state_file();
    let state = state.to_str().expect("text");
    let settings = [
        ("MONGODB_URI", mongod.uri.as_str()),
        ("STATE_FILE", state),
        ("ENABLE_RATING_METRICS", "false"),
    ];
    let admin = database.client().database("admin");
    let examined = async || {
        let before = counters(&admin).await.0;
        let output = run(&settings, &["--once"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let page = of_page(&String::from_utf8(output.stdout).expect("text"));
        (counters(&admin).await.0 - before, page["librechat_messages_total"])
    };
    let (first, counted) = examined().await;
    assert!(first >= 500, "{first} documents examined by the first pass over 500 messages");
    assert_eq!(counted, 20.0 * fixtures::MESSAGES);
    // Away for long enough that all of it would be history, had there been no state.
    for days in [40, 30, 1] {
        let mut message = insert_old(days);
        message.insert("createdAt", mongodb::bson::DateTime::now());
        let id = ObjectId::new();
        message.insert("_id", id);
        message.insert("messageId", id.to_hex());
        database.collection("messages").insert_one(message).await.expect("an insert");
    }
    let (again, counted) = examined().await;
    assert_eq!(counted, 20.0 * fixtures::MESSAGES + 3.0);
    assert!(again <= 10, "{again} documents examined after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_while_the_exporter_is_away_stays_counted() {
    let (database, _) = librechat(TimeDelta::days(-3)).await;
    let settings = settings(&database, &state_file());
    let mut server = start(&settings);
    assert_eq!(messages(&mut server), fixtures::MESSAGES);
    server.end("KILL");
    database.collection::<Document>("messages").delete_many(doc! {}).await.expect("a deletion");
    let mut server = start(&settings);
    assert_eq!(messages(&mut server), fixtures::MESSAGES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_used_is_moved_aside() {
    let (database, _) = librechat(TimeDelta::days(-3)).await;
    let state = state_file();
    let with_state = settings(&database, &state);
    let mut server = start(&with_state);
    messages(&mut server);
    server.end("TERM");
    let whole = std::fs::read_to_string(&state).expect("a state file");
    assert!(whole.starts_with("{\"format\":2}\n"), "{whole}");

    let other = (database.name().to_owned(), format!("{}x", database.name()));
    let break_messages = |section: &mut Value| section["content"]["watermark"] = json!(7);
    let without_basic = whole.replace("\"basic\",", "");
    let cases = [
        (String::new(), "", "cut short"),
        (whole[..whole.len() / 2].to_owned(), "", "cut short"),
        (whole.replace("sealed", "SEALED"), "", "checksum"),
        (whole.replace("\"format\":2}", "\"format\":3}"), "", "later version"),
        ("PK\x03\x04 something\nelse".to_owned(), "", "not written by usage-exporter"),
        (
            with_checksum(&whole.replace(&format!("{:?}", other.0), &format!("{:?}", other.1))),
            "librechat.",
            "is about the database",
        ),
        (
            with_section(&whole, "librechat/messages", break_messages),
            "librechat-messages.",
            "cannot be read",
        ),
        (with_checksum(&without_basic), "librechat-messages.", "groups basic were switched off"),
    ];
    for (text, what, why) in cases {
        let before = files_beside(&state);
        std::fs::write(&state, &text).expect("a write");
        let mut server = start(&with_state);
        assert_eq!(messages(&mut server), fixtures::MESSAGES, "{why}");
        let log = server.log.join("\n");
        assert!(log.contains("ERROR") && log.contains(why), "{why}:\n{log}");
        server.end("TERM");
        let aside = new_file_beside(&state, &before);
        assert!(aside.starts_with(&format!("state.{what}20")), "{why}: {aside}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_section_that_cannot_be_used_leaves_only_itself() {
    let (database, _) = librechat(TimeDelta::days(-3)).await;
    let state = state_file();
    let settings = settings(&database, &state);
    let mut server = start(&settings);
    messages(&mut server);
    let page = of_page(&server.get("/metrics"));
    server.end("TERM");
    // What is counted anew is seen to be so, and what is not is too.
    for collection in ["messages", "users", "conversations", "files", "transactions"] {
        let collection = database.collection::<Document>(collection);
        collection.delete_many(doc! {}).await.expect("a deletion");
        collection.insert_one(doc! { "a": 1 }).await.expect("an insert");
    }
    let whole = std::fs::read_to_string(&state).expect("a state file");
    let of_later = |section: &mut Value| section["version"] = json!(1_000);
    let text = with_section(&whole, "librechat/transactions", of_later);
    let before = files_beside(&state);
    std::fs::write(&state, text).expect("a write");

    let mut server = start(&settings);
    assert_eq!(messages(&mut server), page["librechat_messages_total"] + 1.0);
    server.wait_for(&["refreshed", "\"transactions\""]);
    let now = of_page(&server.get("/metrics"));
    for family in ["registered_users", "conversations", "uploaded_files"] {
        let family = format!("librechat_{family}_total");
        assert_eq!(now[&family], page[&family] + 1.0, "{family}");
    }
    let spent = "librechat_transaction_cost_usd_total";
    assert!(page.keys().any(|key| samples::family(key) == spent), "{page:?}");
    assert!(!now.keys().any(|key| samples::family(key) == spent), "they are counted anew");
    let told = server.log.iter().find(|line| line.contains("ERROR")).expect("an error");
    assert!(told.contains("librechat/transactions") && told.contains("a later exporter"), "{told}");
    server.end("TERM");
    let aside = new_file_beside(&state, &before);
    assert!(aside.starts_with("state.librechat-transactions.20"), "{aside}");
    let aside = std::fs::read_to_string(state.with_file_name(aside)).expect("a file");
    assert!(aside.contains("\"version\":1000"), "it holds what was set aside: {aside}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_switched_on_later_lets_no_counter_fall() {
    let (database, _) = librechat(TimeDelta::days(-3)).await;
    let state = state_file();
    let settings = settings(&database, &state);
    let mut without_tools: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    without_tools.extend([("ENABLE_TOOL_METRICS", "false"), ("ENABLE_AGENT_METRICS", "false")]);
    let mut server = Server::start(&without_tools);
    messages(&mut server);
    let before = of_page(&server.get("/metrics"));
    server.end("TERM");
    let files = files_beside(&state);
    for collection in ["messages", "users", "transactions"] {
        let collection = database.collection::<Document>(collection);
        let first = collection.find_one(doc! {}).await.expect("an answer").expect("a document");
        collection.delete_one(doc! { "_id": first["_id"].clone() }).await.expect("a deletion");
    }

    let mut server = start(&settings);
    messages(&mut server);
    let after = of_page(&server.get("/metrics"));
    for (key, value) in before.iter().filter(|(key, _)| key.starts_with("librechat_")) {
        if is_counter(key) {
            assert_eq!(after.get(key), Some(value), "{key}");
        }
    }
    assert!(after.contains_key("librechat_mcp_tool_calls_total{server=\"wiki\",tool=\"search\"}"));
    server.end("TERM");
    let aside = new_file_beside(&state, &files);
    assert!(aside.starts_with("state.librechat-messages.20"), "{aside}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_can_be_switched_on_later_without_losing_counters() {
    let (database, _) = librechat(TimeDelta::days(-3)).await;
    let state = state_file();
    let settings = settings(&database, &state);
    let mut without_files: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    without_files.push(("ENABLE_FILE_METRICS", "false"));
    let mut server = Server::start(&without_files);
    server.wait_for(&["history read"]);
    server.wait_for(&["refreshed", "\"messages\""]);
    server.end("TERM");
    database.collection::<Document>("messages").delete_many(doc! {}).await.expect("a deletion");
    database.collection("messages").insert_one(doc! { "a": 1 }).await.expect("an insert");

    let mut server = start(&settings);
    assert_eq!(messages(&mut server), fixtures::MESSAGES + 1.0);
    let files = stored(&database, "files").await.len() as f64;
    assert_eq!(of_page(&server.get("/metrics"))["librechat_uploaded_files_total"], files);
}

/// The state file with a last line that fits its second.
fn with_checksum(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let checksum = crc32fast::hash(lines[1].as_bytes());
    format!("{}\n{}\n{checksum:08x}\n", lines[0], lines[1])
}

/// The state file with another section of this name.
fn with_section(text: &str, name: &str, change: impl FnOnce(&mut Value)) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut sections: Value = serde_json::from_str(lines[1]).expect("JSON");
    change(&mut sections[name]);
    with_checksum(&format!("{}\n{sections}\n", lines[0]))
}

/// The names of the files in the folder of the state file.
fn files_beside(state: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(state.parent().expect("a folder")).expect("a folder");
    files.map(|file| file.expect("a file").file_name().into_string().expect("text")).collect()
}

/// The one file that is beside the state file now and was not before.
fn new_file_beside(state: &Path, before: &BTreeSet<String>) -> String {
    let new: Vec<String> = files_beside(state).difference(before).cloned().collect();
    assert_eq!(new.len(), 1, "{new:?}");
    new.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_exporter_on_the_same_state_file_refuses_to_start() {
    let (database, _) = librechat(TimeDelta::days(-3)).await;
    let settings = settings(&database, &state_file());
    let mut server = start(&settings);
    let both: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let output = run(&both, &["--metrics-port", "0"]);
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).expect("text");
    assert!(log.contains("is in use by another usage-exporter"), "{log}");
    assert_eq!(messages(&mut server), fixtures::MESSAGES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_is_told_and_the_service_goes_on() {
    let (database, _) = librechat(TimeDelta::days(-3)).await;
    let state = state_file();
    let beside = state.with_file_name("state.new");
    std::fs::create_dir(&beside).expect("a folder");
    let mut server = start(&settings(&database, &state));
    assert_eq!(messages(&mut server), fixtures::MESSAGES);
    let page = of_page(&server.get("/metrics"));
    assert!(page["usage_exporter_state_failures_total"] >= 1.0);
    assert_eq!(page["usage_exporter_state_saved_timestamp_seconds"], 0.0);
    assert!(server.log.iter().any(|line| line.contains("the state cannot be saved")));

    std::fs::remove_dir(&beside).expect("a folder");
    server.wait_for(&["the state can be saved again"]);
    // Answers make the page anew; without one it may be a second old.
    server.wait_for(&["refreshed"]);
    let page = of_page(&server.get("/metrics"));
    assert!(page["usage_exporter_state_saved_timestamp_seconds"] > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_is_told_and_the_service_goes_on() {
    let (database, _) = librechat(TimeDelta::days(-3)).await;
    let mut server = start(&settings(&database, Path::new("/proc/nowhere/state")));
    assert_eq!(messages(&mut server), fixtures::MESSAGES);
    assert!(of_page(&server.get("/metrics"))["usage_exporter_state_failures_total"] >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_person_and_no_text_is_in_the_state_file() {
    let (database, now) = librechat(LONG_AGO).await;
    let mut settings = crate::exporter::settings(
        &database,
        usage_exporter::sources::librechat::groups::Groups::all(),
    );
    settings.per_user = None;
    let general = crate::exporter::general(Tz::UTC);
    let mut exporter = Exporter::with_settings(&settings, &general, now).with_state();
    exporter.refresh().await.expect("a refresh");
    let state = std::fs::read_to_string(exporter.state()).expect("a state file");
    let mut checked = 0;
    for message in stored(&database, "messages").await {
        for field in ["user", "conversationId", "text"] {
            let secret = message.get_str(field).unwrap_or_default();
            if secret.len() > 5 {
                assert!(!state.contains(secret), "{field} {secret}");
                checked += 1;
            }
        }
    }
    for user in stored(&database, "users").await {
        assert!(!state.contains(&user.get_object_id("_id").expect("an _id").to_hex()));
        for field in ["name", "email", "username"] {
            // In quotes, as some of them are digits of hexadecimal numbers too.
            let text = format!("{:?}", user.get_str(field).expect("a text"));
            assert!(!state.contains(&text), "{field}");
        }
    }
    assert!(checked > 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_pass_goes_on_where_it_was_killed() {
    let database = Mongod::shared().database().await;
    let end = fixtures::ends("current");
    for copy in 0..40 {
        let shift = Utc::now() - end - TimeDelta::days(60);
        fixtures::load_messages(&database, "current", shift, copy).await;
    }
    let state = state_file();
    let mut settings = settings(&database, &state).to_vec();
    let rate = ("BASELINE_MAX_MESSAGES_PER_SECOND".to_owned(), "100".to_owned());
    settings.push(rate);
    let mut server = start(&settings);
    let line = server.wait_for(&["reading the history", "per_second"]);
    let read: u64 = line
        .split_once("messages=")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
        .expect("a number");
    assert!(read < 1_000, "{line}");
    server.end("KILL");

    settings.pop();
    let mut server = start(&settings);
    let line = server.wait_for(&["going on to read the history"]);
    assert!(line.contains("entered="), "{line}");
    assert_eq!(messages(&mut server), 40.0 * fixtures::MESSAGES);
    let page = of_page(&server.get("/metrics"));
    let read_now = page["usage_exporter_documents_read_total{collector=\"baseline\"}"];
    // The few that may still change are read again.
    assert!(read_now <= (1_130 - read) as f64, "{read_now} read after {read}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_counts_what_was_stored_behind_the_watermark() {
    let (database, _) = librechat(TimeDelta::days(-3)).await;
    let settings = settings(&database, &state_file());
    let both: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let once = |argument: &str| {
        let output = run(&both, &[argument]);
        let log = String::from_utf8(output.stderr).expect("text");
        assert!(output.status.success(), "{log}");
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(of_page(&once("--once"))["librechat_messages_total"], fixtures::MESSAGES);
    assert!(once("audit").starts_with("0 documents"));

    let messages = database.collection::<Document>("messages");
    for days in [2, 3, 300] {
        messages.insert_one(insert_old(days)).await.expect("an insert");
    }
    // The last two days of users are compared more often.
    let user = doc! { "_id": insert_old(30)["_id"].clone(), "email": "late@example.org" };
    database.collection::<Document>("users").insert_one(user).await.expect("an insert");
    let before = of_page(&once("--once"));
    assert_eq!(
        before["librechat_messages_total"],
        fixtures::MESSAGES,
        "refreshes do not look there"
    );
    let told = once("audit");
    assert!(told.contains("4 documents") && told.lines().count() == 5, "{told}");
    assert!(once("audit").starts_with("0 documents"), "they are counted once");

    let after = of_page(&once("--once"));
    assert_eq!(after["librechat_messages_total"], fixtures::MESSAGES + 3.0);
    assert_eq!(after["librechat_messages_per_model_total{model=\"late\"}"], 3.0);
    assert_eq!(after["librechat_output_tokens_per_model_total{model=\"late\"}"], 15.0);
    assert_eq!(
        after["librechat_registered_users_total"],
        before["librechat_registered_users_total"] + 1.0
    );
    let late = "usage_exporter_audit_late_documents_total{collection=\"messages\"}";
    assert_eq!(after[late], 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_comes_by_itself_at_its_interval_and_its_counter_survives_a_restart() {
    let (database, now) = librechat(LONG_AGO).await;
    let mut exporter = Exporter::new(&database, Tz::UTC, now).with_state();
    exporter.refresh().await.expect("a refresh");
    let seconds = u32::try_from((now - TimeDelta::days(2)).timestamp()).expect("a time");
    let id = ObjectId::from_parts(seconds, [9; 5], [9; 3]);
    let message = doc! { "_id": id, "isCreatedByUser": false, "model": "late", "tokenCount": 2 };
    database.collection("messages").insert_one(message).await.expect("an insert");
    let late = "usage_exporter_audit_late_documents_total{collection=\"messages\"}";
    for (hours, found) in [(1, 0.0), (23, 0.0), (25, 1.0)] {
        exporter.set_now(now + TimeDelta::hours(hours));
        let samples = exporter.refresh().await.expect("a refresh");
        assert_eq!(samples[late], found, "after {hours} hours");
    }
    exporter.restart();
    let samples = exporter.refresh().await.expect("a refresh");
    assert_eq!(
        (samples[late], samples["librechat_messages_total"]),
        (1.0, fixtures::MESSAGES + 1.0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_clock_that_stepped_back_an_audit_counts_what_was_stored_meanwhile() {
    let (database, now) = librechat(LONG_AGO).await;
    let mut exporter = Exporter::new(&database, Tz::UTC, now).with_state();
    exporter.refresh().await.expect("a refresh");
    let back = now - TimeDelta::hours(2);
    exporter.set_now(back);
    exporter.refresh().await.expect("a refresh");
    let seconds = u32::try_from(back.timestamp()).expect("a time");
    let id = ObjectId::from_parts(seconds, [9; 5], [9; 3]);
    let message = doc! { "_id": id, "isCreatedByUser": false, "model": "back", "tokenCount": 2 };
    database.collection("messages").insert_one(message).await.expect("an insert");
    for minutes in [0, 60, 119, 121, 122] {
        exporter.set_now(back + TimeDelta::minutes(minutes));
        exporter.refresh().await.expect("a refresh");
    }
    let found = exporter.refresh().await.expect("a refresh");
    assert_eq!(found["librechat_messages_per_model_total{model=\"back\"}"], 1.0);
    assert_eq!(found["librechat_messages_total"], fixtures::MESSAGES + 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_sealed_at_once_beyond_the_limit_of_the_tail() {
    let database = Mongod::shared().database().await;
    let now = Utc::now() - TimeDelta::days(100);
    let mut settings = crate::exporter::settings(
        &database,
        usage_exporter::sources::librechat::groups::Groups::all(),
    );
    settings.tail_limit = 1_000;
    let general = usage_exporter::engine::settings::General {
        interval: std::time::Duration::from_secs(60),
        timezone: Tz::UTC,
        max_series: 1000,
        stale_after: 5,
    };
    let mut exporter = Exporter::with_settings(&settings, &general, now).with_state();
    exporter.refresh().await.expect("a refresh");
    let seconds = u32::try_from(now.timestamp()).expect("a time") + 60;
    let imported: Vec<Document> = (0..4_000_u32)
        .map(|number| {
            let [_, a, b, c] = number.to_be_bytes();
            let id = ObjectId::from_parts(seconds + number / 100, [1; 5], [a, b, c]);
            let parent = format!("m{}", number.saturating_sub(1));
            doc! {
                "_id": id, "messageId": format!("m{number}"), "parentMessageId": parent,
                "isCreatedByUser": number.is_multiple_of(2), "model": "imported", "tokenCount": 1, "user": "u",
            }
        })
        .collect();
    database.collection("messages").insert_many(imported).await.expect("an insert");
    exporter.set_now(now + TimeDelta::minutes(5));
    exporter.assert_equals_oracle(&database, "with all of the import in the settling time").await;
    let state = std::fs::read_to_string(exporter.state()).expect("a state file");
    let kept = state.matches("\"contribution\"").count();
    assert!(kept <= 1_000, "{kept} messages are kept one by one");
    exporter.restart();
    exporter.set_now(now + TimeDelta::minutes(30));
    exporter.assert_equals_oracle(&database, "after it has settled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_on_the_same_server_address_is_noticed() {
    let port = free_port();
    let mongod = Mongod::start_on(port, &[]);
    fixtures::load(&mongod.client().await.database("LibreChat"), "current", TimeDelta::days(-3))
        .await;
    let state = state_file();
    let mut server = start(&[
        ("MONGODB_URI".to_owned(), format!("{}/LibreChat", mongod.uri)),
        ("STATE_FILE".to_owned(), state.to_str().expect("text").to_owned()),
    ]);
    assert_eq!(messages(&mut server), fixtures::MESSAGES);

    drop(mongod);
    let empty = Mongod::start_on(port, &[]);
    empty.client().await;
    server.wait_for(&["has no collection `messages` any more"]);
    drop(empty);

    let other = Mongod::start_on(port, &[]);
    let database = other.client().await.database("LibreChat");
    let message = doc! { "_id": ObjectId::new(), "isCreatedByUser": true, "tokenCount": 3 };
    database.collection("messages").insert_one(message).await.expect("an insert");
    server.wait_for(&["so it is another database"]);
    server.wait_for(&["refreshed", "collector=\"baseline\""]);
    // The answer of the messages may have been on its way when the baseline was read.
    while !server.get("/metrics").contains("\nlibrechat_messages_total ") {
        server.wait_for(&["refreshed", "collector=\"messages\""]);
    }
    let page = of_page(&server.get("/metrics"));
    assert_eq!(page["librechat_messages_total"], 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_restored_goes_on() {
    let (database, _) = librechat(TimeDelta::days(-3)).await;
    let settings = settings(&database, &state_file());
    let mut server = start(&settings);
    assert_eq!(messages(&mut server), fixtures::MESSAGES);
    server.end("KILL");
    let backup = stored(&database, "messages").await;
    let collection = database.collection::<Document>("messages");
    collection.drop().await.expect("a deletion");
    collection.insert_many(&backup[..20]).await.expect("an insert");
    let mut server = start(&settings);
    assert_eq!(messages(&mut server), fixtures::MESSAGES);
    assert!(server.log.iter().any(|line| line.contains("it was probably restored")));
}

/// A path in a folder of its own, as text.
fn beside(state: &Path, name: &str) -> String {
    state.with_file_name(name).to_str().expect("text").to_owned()
}

#[test]
fn a_state_file_that_is_none_is_refused_and_left_where_it_is() {
    let state = state_file();
    let folder = beside(&state, "var-lib-app");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(format!("{folder}/other-file"), "theirs").expect("a file");
    let pipe = beside(&state, "pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let link = beside(&state, "link");
    std::os::unix::fs::symlink(&folder, &link).expect("a link");
    let circle = beside(&state, "circle");
    std::os::unix::fs::symlink(&circle, &circle).expect("a link");
    let below = format!("{folder}/other-file/state");
    let missing = beside(&state, "missing/");
    for path in [folder.as_str(), &pipe, &link, &circle, &below, &missing, "/dev/null"] {
        for task in ["--once", "audit"] {
            let output = run(&[("STATE_FILE", path)], &[task]);
            assert_eq!(output.status.code(), Some(2), "{path}");
            let told = String::from_utf8(output.stderr).expect("text");
            assert!(told.contains(&format!("STATE_FILE={path:?}: expected ")), "{told}");
        }
    }
    assert_eq!(std::fs::read_to_string(format!("{folder}/other-file")).expect("a file"), "theirs");
    assert_eq!(files_beside(&state).len(), 4);
    // Whoever does not use the file does not look at it.
    let port = free_port().to_string();
    let told = run(&[("STATE_FILE", &folder), ("METRICS_PORT", &port)], &["healthcheck"]);
    assert_eq!(told.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn once_beside_a_running_exporter_goes_on_from_its_state_and_leaves_it() {
    let (database, _) = librechat(TimeDelta::days(-3)).await;
    let state = state_file();
    let mut settings = settings(&database, &state).to_vec();
    settings.push(("METRICS_CACHE_TTL".to_owned(), "1h".to_owned()));
    let mut server = start(&settings);
    server.wait_until_complete();
    let before = std::fs::read(&state).expect("a state file");
    let both: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let output = run(&both, &["--once"]);
    let log = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{log}");
    assert!(log.contains("which is read and not written"), "{log}");
    let page = of_page(&String::from_utf8(output.stdout).expect("text"));
    assert_eq!(page["librechat_messages_total"], fixtures::MESSAGES);
    assert_eq!(std::fs::read(&state).expect("a state file"), before);
    assert!(server.end("TERM").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_the_size_of_files_is_told_and_ends_nothing() {
    let (database, _) = librechat(TimeDelta::days(-3)).await;
    let mut server = start(&settings(&database, &state_file()));
    let process = server.pid().try_into().expect("a number");
    let limit = |soft| {
        let set =
            rlimit::prlimit(process, rlimit::Resource::FSIZE, Some((soft, rlimit::INFINITY)), None);
        set.expect("a limit");
    };
    limit(64);
    insert_now(&database).await;
    server.wait_for(&["the state cannot be saved", "ulimit -f"]);
    limit(rlimit::INFINITY);
    server.wait_for(&["the state can be saved again"]);
}

async fn insert_now(database: &mongodb::Database) {
    let message = doc! { "isCreatedByUser": false, "model": "new", "tokenCount": 2 };
    database.collection("messages").insert_one(message).await.expect("an insert");
}
