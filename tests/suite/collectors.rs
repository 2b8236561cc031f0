//! What the collectors ask of MongoDB, and what they do where it is not as they would like.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use mongodb::bson::{Document, doc};
use mongodb::options::{Collation, CollationStrength, TimeseriesOptions};
use mongodb::{Database, IndexModel};
use usage_exporter::connect::uri::Uri;
use usage_exporter::engine::settings::General;
use usage_exporter::exposition::Kind;
use usage_exporter::sources::librechat::groups::Groups;
use usage_exporter::sources::librechat::{self, groups};

use crate::exporter::{Exporter, settings};
use crate::fixtures;
use crate::mongod::{Mongod, free_port};
use crate::process::{Server, run};
use crate::samples::{family, of_page};

const LONG_AGO: TimeDelta = TimeDelta::days(-100);

async fn librechat() -> (Database, DateTime<Utc>) {
    let database = Mongod::shared().database().await;
    fixtures::load(&database, "current", LONG_AGO).await;
    (database, fixtures::ends("current") + LONG_AGO)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_off_takes_exactly_its_families_away() {
    let (database, now) = librechat().await;
    let all = Exporter::new(&database, Tz::UTC, now).refresh().await.expect("a refresh");
    let every = [
        groups::BASIC,
        groups::TOKEN,
        groups::USER,
        groups::MODEL,
        groups::TIME_WINDOW,
        groups::RATING,
        groups::TOOL,
        groups::FILE,
        groups::COST,
        groups::RESPONSE,
        groups::AGENT,
        groups::ACCOUNT,
        groups::EMAIL_DOMAIN,
        groups::PER_USER,
    ];
    for off in every {
        let on: Vec<&'static str> = every.into_iter().filter(|group| *group != off).collect();
        let mut exporter = Exporter::with_groups(&database, Tz::UTC, now, Groups::only(&on));
        let found = exporter.refresh().await.expect("a refresh");
        let mut expected = all.clone();
        expected.retain(|key, _| {
            let described = librechat::families().find(|d| d.name == family(key));
            described.is_none_or(|description| !description.groups.contains(&off))
        });
        assert_eq!(found, expected, "without {off}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_history_is_read_only_what_needs_it_is_absent() {
    let (database, now) = librechat().await;
    let mut exporter = Exporter::new(&database, Tz::UTC, now);
    let early = exporter.refresh_only(|name| name != "baseline").await.expect("a refresh");
    for absent in
        ["librechat_messages_total", "librechat_daily_unique_users", "librechat_thumbs_up_total"]
    {
        assert!(!early.contains_key(absent), "{absent} is known before the history");
    }
    let late = exporter.refresh().await.expect("a refresh");
    assert_eq!(late["usage_exporter_baseline_progress_ratio"], 1.0);
    for present in ["librechat_messages_5m", "librechat_conversations_total"] {
        assert_eq!(early[present], late[present], "{present}");
    }
    assert_eq!(late["librechat_messages_total"], fixtures::MESSAGES);
}

#[tokio::test(flavor = "multi_thread")]
pub async fn counters_stay_and_windows_empty_when_everything_is_deleted() {
    let (database, now) = librechat().await;
    let mut exporter = Exporter::new(&database, Tz::UTC, now);
    let before = exporter.refresh().await.expect("a refresh");
    assert!(before["librechat_messages_5m"] > 0.0);
    for name in ["messages", "conversations", "users", "files"] {
        database.collection::<Document>(name).delete_many(doc! {}).await.expect("a deletion");
    }
    for minutes in [1, 20, 60 * 30] {
        exporter.set_now(now + TimeDelta::minutes(minutes));
        let after = exporter.refresh().await.expect("a refresh");
        for (key, value) in &before {
            let described = librechat::families().find(|d| d.name == family(key));
            if described.is_some_and(|description| description.kind == Kind::Counter) {
                let shown = after[key];
                assert!(
                    shown >= *value,
                    "{key} fell from {value} to {shown} after {minutes} minutes"
                );
            }
        }
        assert_eq!(after["librechat_messages_total"], before["librechat_messages_total"]);
        let gauges =
            ["librechat_messages_5m", "librechat_active_users", "librechat_thumbs_up_total"];
        assert_eq!(gauges.map(|name| after[name]), [0.0; 3], "after {minutes} minutes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_groups_only_the_inventory_is_asked() {
    let (database, now) = librechat().await;
    let mut exporter = Exporter::with_groups(&database, Tz::UTC, now, Groups::only(&[]));
    let found = exporter.refresh().await.expect("a refresh");
    assert!(found.keys().all(|key| family(key) == "librechat_stored_documents"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ratings_of_settled_messages_come_with_the_sweep_and_use_an_index() {
    let (database, end) = librechat().await;
    let messages = database.collection::<Document>("messages");
    let index = IndexModel::builder().keys(doc! { "feedback.rating": 1 }).build();
    messages.create_index(index).await.expect("an index");
    let now = end + TimeDelta::hours(2);
    let mut exporter = Exporter::new(&database, Tz::UTC, now);
    let before = exporter.refresh().await.expect("a refresh");
    let up = "librechat_thumbs_up_total";

    let old = doc! { "model": "gpt-4", "isCreatedByUser": false };
    let updated = mongodb::bson::DateTime::from_millis(now.timestamp_millis());
    let rated = doc! { "$set": { "feedback": { "rating": "thumbsUp" }, "updatedAt": updated } };
    let result = messages.update_one(old, rated).await.expect("an update");
    assert_eq!(result.modified_count, 1);
    let tail = exporter.refresh_only(|name| name == "messages").await.expect("a refresh");
    assert_eq!(tail[up], before[up], "a settled message is not read again");
    let swept = exporter.refresh().await.expect("a refresh");
    assert_eq!(swept[up], before[up] + 1.0);
    assert_eq!(swept["librechat_thumbs_up_5m"], 1.0);
    assert_eq!(swept["librechat_tool_calls_5m"], 0.0, "a rating is no tool call");

    let mut stats = messages.aggregate([doc! { "$indexStats": {} }]).await.expect("statistics");
    let mut used = 0;
    while stats.advance().await.expect("a batch") {
        let index = stats.deserialize_current().expect("a document");
        if index.get_str("name").ok() == Some("feedback.rating_1") {
            let accesses = index.get_document("accesses").expect("accesses");
            used = accesses.get_i64("ops").expect("a number");
        }
    }
    assert_eq!(used, 2, "one use for each of the two sweeps");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_documents_of_the_tenant_count() {
    let database = Mongod::shared().database().await;
    let now = Utc.with_ymd_and_hms(2026, 5, 1, 12, 0, 0).single().expect("a time");
    let messages = database.collection::<Document>("messages");
    let users = database.collection::<Document>("users");
    messages
        .create_index(IndexModel::builder().keys(doc! { "tenantId": 1 }).build())
        .await
        .expect("index");
    for (number, tenant) in ["a", "b", "a"].into_iter().enumerate() {
        let mut bytes = [number as u8; 12];
        // One long before, one just now.
        let age = if number == 0 { 86_400 * 40 } else { 60 };
        let seconds = u32::try_from(now.timestamp() - age).expect("a time");
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        let id = mongodb::bson::oid::ObjectId::from_bytes(bytes);
        let document = doc! { "_id": id, "tenantId": tenant, "tokenCount": 5, "model": "m" };
        messages.insert_one(&document).await.expect("an insert");
        users.insert_one(&document).await.expect("an insert");
    }
    let mut settings = settings(&database, Groups::all());
    settings.tenant = Some("a".to_owned());
    let interval = std::time::Duration::from_secs(60);
    let general = General { interval, timezone: Tz::UTC, max_series: 1000, stale_after: 5 };
    let found =
        Exporter::with_settings(&settings, &general, now).refresh().await.expect("a refresh");
    assert_eq!(found["librechat_messages_total"], 2.0);
    assert_eq!(found["librechat_output_tokens_per_model_total{model=\"m\"}"], 10.0);
    assert_eq!(found["librechat_registered_users_total"], 2.0);
    assert!(!found.keys().any(|key| key.starts_with("librechat_stored_documents")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_told_by_every_letter_where_the_collection_is_not_so_exact() {
    let database = Mongod::shared().empty_database().await;
    let now = Utc.with_ymd_and_hms(2026, 5, 1, 12, 0, 0).single().expect("a time");
    let loose = Collation::builder().locale("en").strength(CollationStrength::Primary).build();
    for name in ["messages", "users"] {
        database.create_collection(name).collation(loose.clone()).await.expect("a collection");
    }
    for (number, tenant) in (0..).zip(["a", "A", "\u{e1}", "a"]) {
        let second =
            u32::try_from(now.timestamp()).expect("it fits") - [86_400 * 40, 60][number % 2];
        let [number, ..] = number.to_le_bytes();
        let id = mongodb::bson::oid::ObjectId::from_parts(second, [1; 5], [0, 0, number]);
        let document = doc! { "_id": id, "tenantId": tenant, "provider": "local" };
        for name in ["messages", "users"] {
            let collection = database.collection::<Document>(name);
            collection.insert_one(&document).await.expect("an insert");
        }
    }
    let mut settings = settings(&database, Groups::all());
    settings.tenant = Some("a".to_owned());
    let general = crate::exporter::general(Tz::UTC);
    let mut exporter = Exporter::with_settings(&settings, &general, now);
    let found = exporter.refresh().await.expect("a refresh");
    assert_eq!(found["librechat_messages_total"], 2.0);
    assert_eq!(found["librechat_registered_users_total"], 2.0);
    assert_eq!(found["librechat_users{provider=\"local\",role=\"unknown\"}"], 2.0);
    exporter.set_now(now + TimeDelta::hours(25));
    let late = exporter.refresh_only(|name| name == "audit").await.expect("a refresh");
    assert!(late.iter().filter(|(key, _)| key.contains("late")).all(|(_, value)| *value == 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ratings_are_read_from_a_view_and_without_scans_of_tables() {
    let database = Mongod::shared().empty_database().await;
    fixtures::load(&database, "current", LONG_AGO).await;
    let now = fixtures::ends("current") + LONG_AGO;
    let expected = Exporter::new(&database, Tz::UTC, now).refresh().await.expect("a refresh");
    assert!(expected["librechat_thumbs_up_total"] > 0.0);
    let rename = doc! {
        "renameCollection": format!("{}.messages", database.name()),
        "to": format!("{}.stored", database.name()),
    };
    Mongod::shared().client().await.database("admin").run_command(rename).await.expect("renamed");
    let view = database.create_collection("messages").view_on("stored").pipeline(Vec::new());
    view.await.expect("a view");
    let found = Exporter::new(&database, Tz::UTC, now).refresh().await.expect("a refresh");
    let ratings = |samples: &crate::samples::Samples| -> crate::samples::Samples {
        let of_ratings = samples.iter().filter(|(key, _)| key.contains("thumbs"));
        of_ratings.map(|(key, value)| (key.clone(), *value)).collect()
    };
    assert_eq!(ratings(&found), ratings(&expected));

    let mongod = Mongod::start(&["--notablescan"]);
    let database = mongod.client().await.database("LibreChat");
    fixtures::load(&database, "current", LONG_AGO).await;
    let messages = database.collection::<Document>("messages");
    let by_time = IndexModel::builder().keys(doc! { "createdAt": 1 }).build();
    messages.create_index(by_time).await.expect("an index");
    let mut settings = settings(&database, Groups::all());
    settings.uri = Uri::parse(&mongod.uri).expect("a URI");
    let general = crate::exporter::general(Tz::UTC);
    let mut exporter = Exporter::with_settings(&settings, &general, now);
    let found = exporter.refresh().await.expect("a refresh");
    assert_eq!(ratings(&found), ratings(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_goes_without_an_index_that_the_server_does_not_have() {
    let database = Mongod::shared().database().await;
    let series = TimeseriesOptions::builder().time_field("createdAt").build();
    database.create_collection("files").timeseries(series).await.expect("a collection");
    let now = Utc.with_ymd_and_hms(2026, 5, 1, 12, 0, 0).single().expect("a time");
    let file = |days: i64, number: u8| {
        let then = now - TimeDelta::days(days);
        let second = u32::try_from(then.timestamp()).expect("it fits");
        let id = mongodb::bson::oid::ObjectId::from_parts(second, [1; 5], [0, 0, number]);
        let time = mongodb::bson::DateTime::from_millis(then.timestamp_millis());
        doc! { "_id": id, "createdAt": time }
    };
    let files = database.collection::<Document>("files");
    files.insert_one(file(3, 1)).await.expect("an insert");
    let mut exporter = Exporter::new(&database, Tz::UTC, now);
    exporter.refresh().await.expect("a refresh");
    files.insert_one(file(5, 2)).await.expect("an insert");
    exporter.set_now(now + TimeDelta::hours(25));
    exporter.refresh().await.expect("a refresh");
    let found = exporter.refresh().await.expect("a refresh");
    assert_eq!(found["librechat_uploaded_files_total"], 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_database_that_is_not_librechats_nothing_is_told() {
    let database = Mongod::shared().empty_database().await;
    database.collection("orders").insert_one(doc! { "sum": 5 }).await.expect("an insert");
    let settings =
        [("MONGODB_URI", Mongod::shared().uri.as_str()), ("MONGODB_DATABASE", database.name())];
    let mut server = Server::start(&settings);
    server.wait_for(&["has none of LibreChat's collections yet"]);
    server.wait_for(&["the database", database.name(), "set MONGODB_DATABASE"]);
    let page = of_page(&server.get("/metrics"));
    let counters =
        page.keys().filter(|key| key.starts_with("librechat_") && key.contains("_total"));
    assert_eq!(counters.collect::<Vec<_>>(), Vec::<&String>::new());
    let readiness = server.request("GET", "/readyz", ("Accept", "*/*"));
    assert_eq!(readiness.status().as_u16(), 503);
    // LibreChat makes its collections when it starts.
    database.create_collection("messages").await.expect("a collection");
    database.create_collection("conversations").await.expect("a collection");
    server.wait_until_complete();
    assert_eq!(of_page(&server.get("/metrics"))["librechat_messages_total"], 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_family_of_too_many_label_sets_is_folded() {
    let (database, now) = librechat().await;
    let interval = std::time::Duration::from_secs(60);
    let general = General { interval, timezone: Tz::UTC, max_series: 3, stale_after: 5 };
    let settings = settings(&database, Groups::only(&[groups::MODEL]));
    let found =
        Exporter::with_settings(&settings, &general, now).refresh().await.expect("a refresh");
    let replies: Vec<(&str, f64)> = found
        .iter()
        .filter(|(key, _)| family(key) == "librechat_messages_per_model_total")
        .map(|(key, value)| (key.as_str(), *value))
        .collect();
    let expected = [
        ("librechat_messages_per_model_total{model=\"agent_ab12cd34ef56\"}", 2.0),
        ("librechat_messages_per_model_total{model=\"gpt-4o\"}", 6.0),
        ("librechat_messages_per_model_total{model=\"other\"}", 5.0),
    ];
    assert_eq!(replies, expected);
    let dropped = "usage_exporter_series_dropped{family=\"librechat_messages_per_model_total\"}";
    assert_eq!(found[dropped], 4.0);
}

pub async fn counters(database: &Database) -> (i64, i64) {
    let status = database.run_command(doc! { "serverStatus": 1 }).await.expect("the status");
    let executor = status.get_document("metrics").and_then(|m| m.get_document("queryExecutor"));
    let examined = executor.and_then(|e| e.get_i64("scannedObjects")).expect("a number");
    let written = status.get_document("opcounters").expect("counters");
    let written = ["insert", "update", "delete"]
        .map(|name| written.get_i64(name).or_else(|_| written.get_i32(name).map(i64::from)));
    (examined, written.into_iter().map(|count| count.expect("a number")).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_examines_what_is_new_and_not_the_history() {
    let mongod = Mongod::start(&[]);
    let mut examined = Vec::new();
    for copies in [1, 20] {
        let database = mongod.database().await;
        for copy in 0..copies {
            fixtures::load_messages(&database, "current", LONG_AGO, copy).await;
            fixtures::load_transactions(&database, "current", LONG_AGO, copy).await;
        }
        let now = fixtures::ends("current") + LONG_AGO + TimeDelta::days(2);
        let mut settings = settings(&database, Groups::all());
        settings.uri = Uri::parse(&mongod.uri).expect("a URI");
        let interval = std::time::Duration::from_secs(60);
        let general = General { interval, timezone: Tz::UTC, max_series: 1000, stale_after: 5 };
        let mut exporter = Exporter::with_settings(&settings, &general, now);
        exporter.refresh().await.expect("a refresh");
        let before = counters(&database).await;
        exporter.refresh_only(|name| name != "feedback").await.expect("a refresh");
        let after = counters(&database).await;
        examined.push(after.0 - before.0);
        assert_eq!(after.1, before.1, "nothing is written");
    }
    assert_eq!(examined, [0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_read_on_the_one_database_is_enough() {
    let mongod = Mongod::start(&["--auth"]);
    let admin = mongod.client().await.database("admin");
    let create = doc! { "createUser": "root", "pwd": "root-secret", "roles": ["root"] };
    admin.run_command(create).await.expect("the first user, allowed on localhost");
    let uri = mongod.uri.replace("mongodb://", "mongodb://root:root-secret@");
    let root = mongodb::Client::with_uri_str(&uri).await.expect("a URI");
    let database = root.database("LibreChat");
    fixtures::load(&database, "current", LONG_AGO).await;
    let create = doc! {
        "createUser": "exporter", "pwd": "exporter-secret",
        "roles": [{ "role": "read", "db": "LibreChat" }],
    };
    database.run_command(create).await.expect("a user");

    let as_reader = |password: &str| {
        let login = format!("mongodb://exporter:{password}@");
        // After a refusal the driver takes the server for unreachable, and looks for it this long.
        let options = "serverSelectionTimeoutMS=500";
        let uri = format!("{}/LibreChat?{options}", mongod.uri.replace("mongodb://", &login));
        run(&[("MONGODB_URI", &uri)], &["--once"])
    };
    let (_, written) = counters(&root.database("admin")).await;
    let output = as_reader("exporter-secret");
    let log = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{log}");
    assert!(!log.contains("WARN"), "{log}");
    let page = of_page(&String::from_utf8(output.stdout).expect("text"));
    assert_eq!(page["librechat_messages_total"], fixtures::MESSAGES);
    assert_eq!(counters(&root.database("admin")).await.1, written, "nothing is written");

    let output = as_reader("wrong-secret");
    assert_eq!(output.status.code(), Some(1));
    let page = of_page(&String::from_utf8(output.stdout).expect("text"));
    let refused =
        "usage_exporter_collector_failures_total{collector=\"messages\",reason=\"authorization\"}";
    let log = String::from_utf8(output.stderr).expect("text");
    let told = (page.get(refused), page["librechat_up"]);
    assert_eq!(told, (Some(&1.0), 1.0), "{log}");
    assert!(!log.contains("wrong-secret"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slip_in_the_name_of_the_database_is_found_out() {
    let mongod = Mongod::start(&[]);
    let database = mongod.client().await.database("LibreChat");
    fixtures::load(&database, "current", LONG_AGO).await;
    let output =
        run(&[("MONGODB_URI", &mongod.uri), ("MONGODB_DATABASE", "librechat_")], &["--once"]);
    let log = String::from_utf8(output.stderr).expect("text");
    assert!(log.contains("set MONGODB_DATABASE=LibreChat"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mongodb_that_comes_late_is_found() {
    let port = free_port();
    let uri = format!("mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=100");
    let mut server = Server::start(&[("MONGODB_URI", &uri)]);
    for name in ["messages", "baseline"] {
        server.wait_for(&["refresh failed", "reason=\"connection\"", name]);
    }
    let page = of_page(&server.get("/metrics"));
    assert_eq!(page["librechat_up"], 0.0);
    assert_eq!(page["usage_exporter_collector_success{collector=\"messages\"}"], 0.0);
    assert!(!page.keys().any(|key| key.starts_with("librechat_messages")), "absent, not zero");
    assert!(server.get("/readyz").contains("\"ready\":false"));

    let mongod = Mongod::start_on(port, &[]);
    let database = mongod.client().await.database("LibreChat");
    fixtures::load(&database, "current", LONG_AGO).await;
    server.wait_until_complete();
    assert_eq!(of_page(&server.get("/metrics"))["librechat_up"], 1.0);
}
