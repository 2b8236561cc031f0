//! What `usage-exporter history` tells of earlier moments, against the oracle on what was stored then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use prometheus::IntCounter;
use usage_exporter::backfill::writers::OpenMetrics;
use usage_exporter::backfill::{Form, Request, Step};
use usage_exporter::engine::clock::Clock;
use usage_exporter::engine::source::{Context, Watched};
use usage_exporter::engine::state::StateFile;
use usage_exporter::exposition::{Description, own as exporter};
use usage_exporter::sources::librechat::groups::Groups;
use usage_exporter::sources::librechat::settings::NamedBy;
use usage_exporter::sources::librechat::{self, Settings, catalogue, scans};

use crate::exporter::{SETTLING_TIME, general, is_counter, settings};
use crate::fixtures;
use crate::mongod::Mongod;
use crate::oracle::Oracle;
use crate::process::{Server, run};
use crate::prometheus::{Prometheus, create_blocks};
use crate::samples::{self, Samples};
use crate::seen::Seen;

/// The samples of each moment, by its seconds since 1970.
pub type Past = BTreeMap<i64, Samples>;

const COLLECTIONS: [&str; 5] = ["messages", "conversations", "users", "files", "transactions"];

/// The gauges that are about what happens now, or about what is stored now, and not about the past; so are
/// those of scans.
const OF_THE_PRESENT: [&Description; 16] = [
    &catalogue::UP,
    &catalogue::STORED_DOCUMENTS,
    &catalogue::ACTIVE_USERS,
    &catalogue::ACTIVE_CONVERSATIONS,
    &catalogue::ACTIVE_TOOL_USERS,
    &catalogue::THUMBS_UP,
    &catalogue::THUMBS_DOWN,
    &catalogue::RATED_MESSAGES,
    &catalogue::OVERALL_RATING_RATIO,
    &catalogue::THUMBS_UP_PER_MODEL,
    &catalogue::THUMBS_DOWN_PER_MODEL,
    &catalogue::RATING_RATIO_PER_MODEL,
    &catalogue::RATING_COUNTS_PER_TAG,
    &catalogue::MODEL_TAG_THUMBS_UP,
    &catalogue::MODEL_TAG_THUMBS_DOWN,
    &catalogue::FEEDBACK,
];

fn is_of_the_present(family: &Description) -> bool {
    OF_THE_PRESENT.contains(&family)
        || family.name.ends_with("_5m")
        || scans::families().any(|scanned| scanned == family)
}

/// Reads OpenMetrics with timestamps.
pub fn read(text: &str) -> Past {
    let mut past = Past::new();
    assert!(text.ends_with("# EOF\n"), "it does not end");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (rest, time) = line.rsplit_once(' ').expect("a time");
        let (key, value) = rest.rsplit_once(' ').expect("a value");
        let key = samples::as_text(key);
        let samples = past.entry(time.parse().expect("seconds")).or_default();
        let twice = samples.insert(key, value.parse().expect("a number"));
        assert!(twice.is_none(), "{line} is there twice");
    }
    past
}

/// What the exporter tells of the past of a database, looking back at `now`.
async fn told(database: &Database, timezone: Tz, step: Step, now: DateTime<Utc>) -> Past {
    told_with(&settings(database, Groups::all()), timezone, step, now).await
}

async fn told_with(settings: &Settings, timezone: Tz, step: Step, now: DateTime<Utc>) -> Past {
    let clock: Clock = Arc::new(move || now);
    let context = Context { general: general(timezone), clock, state: StateFile::off() };
    let source = settings.open(context);
    let request =
        Request { from: None, to: None, step, form: Form::OpenMetrics, labels: Vec::new() };
    let counter = IntCounter::new("documents", "read").expect("a name");
    let recordings = source.past(&request, counter, &|_, _| {}).await.expect("a past");
    let mut text = Vec::new();
    let mut writer = OpenMetrics::new(&mut text, Vec::new());
    for recording in recordings {
        recording.write(&mut writer).expect("a string");
    }
    writer.end().expect("a string");
    read(&String::from_utf8(text).expect("text"))
}

/// What the oracle says of the documents that were stored before a moment.
async fn expected(database: &Database, timezone: Tz, moment: i64) -> Samples {
    let before = database.client().database(&format!("{}-before", database.name()));
    let id = ObjectId::from_parts(u32::try_from(moment).expect("a time"), [0; 5], [0; 3]);
    for name in COLLECTIONS {
        let copy = [
            doc! { "$match": { "_id": { "$lt": id } } },
            doc! { "$out": { "db": before.name(), "coll": name } },
        ];
        let collection = database.collection::<Document>(name);
        collection.aggregate(copy).await.expect("a copy");
    }
    let now = DateTime::from_timestamp(moment, 0).expect("a time");
    let mut seen = Seen::default();
    seen.look(&before, now).await;
    Oracle { now, timezone, settling_time: SETTLING_TIME }.compute(&before, &seen).await
}

/// Looks back at `now` and fails unless what is told of some moments equals the oracle.
pub async fn assert_equals_oracle(
    database: &Database,
    timezone: Tz,
    step: Step,
    now: DateTime<Utc>,
    at_most: usize,
    context: &str,
) {
    let past = told(database, timezone, step, now).await;
    let own: BTreeSet<&str> = exporter::ALL.iter().map(|family| &*family.name).collect();
    let of_the_present: BTreeSet<&str> = librechat::families()
        .filter(|family| is_of_the_present(family))
        .map(|family| &*family.name)
        .collect();
    // The last ones, at which most has happened.
    for (moment, found) in past.iter().rev().take(at_most) {
        let mut expected = expected(database, timezone, *moment).await;
        expected.retain(|key, _| {
            let family = samples::family(key);
            !own.contains(family) && !of_the_present.contains(family)
        });
        let mut found = found.clone();
        found.retain(|key, _| !own.contains(samples::family(key)));
        let time = DateTime::from_timestamp(*moment, 0).expect("a time");
        samples::assert_equal(&found, &expected, &format!("{context}, as of {time}"));
    }
}

/// Moves the story so far back that all of it is past.
const LONG_AGO: TimeDelta = TimeDelta::days(-500);

#[tokio::test(flavor = "multi_thread")]
async fn every_value_of_the_past_equals_the_oracle() {
    for version in fixtures::VERSIONS {
        let database = Mongod::shared().database().await;
        fixtures::load(&database, version, LONG_AGO).await;
        let end = fixtures::ends(version) + LONG_AGO + TimeDelta::days(2);
        for (timezone, step) in [(Tz::Europe__Berlin, "1h"), (Tz::UTC, "1d"), (Tz::UTC, "7m")] {
            let step = step.parse().expect("a step");
            let context = format!("{version}, {step:?}");
            assert_equals_oracle(&database, timezone, step, end, 60, &context).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_counter_and_every_gauge_of_days_is_told() {
    let database = Mongod::shared().database().await;
    fixtures::load(&database, "current", LONG_AGO).await;
    let end = fixtures::ends("current") + LONG_AGO + TimeDelta::days(2);
    let past = told(&database, Tz::UTC, Step::Days(1), end).await;
    let keys = past.values().flat_map(Samples::keys);
    let told: BTreeSet<&str> = keys.map(|key| samples::family(key)).collect();
    for family in librechat::families() {
        assert_eq!(told.contains(&*family.name), !is_of_the_present(family), "{}", family.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_named_as_the_settings_ask() {
    let database = Mongod::shared().database().await;
    fixtures::load(&database, "current", LONG_AGO).await;
    let end = fixtures::ends("current") + LONG_AGO + TimeDelta::days(2);
    let by_id = settings(&database, Groups::all());
    let by_email = Settings { per_user: Some(NamedBy::Email), ..by_id.clone() };
    for (settings, is_named_so) in [
        (by_id, (|user| !user.contains('@') && user.len() > 20) as fn(&str) -> bool),
        (by_email, |user| user.contains('@')),
    ] {
        let past = told_with(&settings, Tz::UTC, Step::Days(1), end).await;
        let (_, last) = past.last_key_value().expect("a moment");
        let of_users = last.keys().filter(|key| key.starts_with("librechat_user_cost_usd_total"));
        let users: Vec<&str> = of_users.filter_map(|key| key.split('"').nth(1)).collect();
        assert!(users.len() > 2 && users.iter().all(|user| is_named_so(user)), "{users:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_writes_what_a_spreadsheet_and_prometheus_read() {
    let database = Mongod::shared().database().await;
    fixtures::load(&database, "current", LONG_AGO).await;
    let settings =
        [("MONGODB_URI", Mongod::shared().uri.as_str()), ("MONGODB_DATABASE", database.name())];
    let day = (fixtures::ends("current") + LONG_AGO).date_naive().to_string();
    let history = |more: &[&str]| {
        let arguments = ["history", "--from", &day, "--to", &day, "--step", "1d"];
        let output = run(&settings, &[&arguments, more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let end_of_day = (format!("{day}T23:59:59Z")).parse::<DateTime<Utc>>().expect("a time");
    let labelled = history(&["--label", "job=librechat", "--label", "instance=a\"b"]);
    let time = end_of_day.timestamp();
    let sample =
        format!("librechat_messages_total{{job=\"librechat\",instance=\"a\\\"b\"}} 27 {time}\n");
    assert!(labelled.contains(&sample), "{labelled}");
    let csv = history(&["--format", "csv"]);
    assert!(csv.starts_with("time,metric,labels,value\n"), "{csv}");
    assert!(csv.contains(&format!("\n{day}T23:59:59Z,librechat_messages_total,,27\n")), "{csv}");
    let row = "librechat_messages_per_model_total,\"model=\"\"";
    assert!(csv.contains(row), "{csv}");

    for wrong in [
        ["--from", "yesterday"],
        ["--from", "+262142-12-31"],
        ["--from", "0001-01-01"],
        ["--to", "2106-01-01"],
        ["--step", "25h"],
        ["--label", "1=2"],
    ] {
        let output = run(&settings, &["history", wrong[0], wrong[1]]);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
    let output = run(&settings, &["history", "--from", "2105-01-01"]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"# EOF\n"[..]));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("no step from 2105-01-01 on is over"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_takes_it_for_its_own_past_and_live_scrapes_go_on_from_it() {
    let database = Mongod::shared().database().await;
    let since = Utc::now() - fixtures::ends("current") - TimeDelta::days(2);
    fixtures::load(&database, "current", since).await;
    let mongodb =
        [("MONGODB_URI", Mongod::shared().uri.as_str()), ("MONGODB_DATABASE", database.name())];
    let yesterday = (Utc::now() - TimeDelta::days(1)).date_naive().to_string();
    let labels = ["--label", "job=librechat", "--label", "instance=exporter"];
    let output = run(&mongodb, &[&["history", "--to", yesterday.as_str()], &labels[..]].concat());
    let history = String::from_utf8(output.stdout).expect("text");
    let data = Prometheus::data("past");
    create_blocks(&history, &data);
    let mut server = Server::start(&mongodb);
    server.wait_until_complete();
    let prometheus = Prometheus::start(&data, &server, &[]);
    prometheus.wait_for("librechat_messages_total");

    // What was written is what Prometheus has, sample by sample.
    let mut kept = Past::new();
    let now = Utc::now().timestamp();
    for series in prometheus.query("{job='librechat', __name__=~'librechat_.+'}[30d]", None) {
        let labels = series.labels.as_object().expect("labels").iter();
        let name = series.labels["__name__"].as_str().expect("a name");
        let mut labels: Vec<(&str, &str)> = labels
            .filter(|(label, _)| *label != "__name__")
            .map(|(label, value)| (label.as_str(), value.as_str().expect("text")))
            .collect();
        labels.sort_unstable();
        for (time, value) in series.samples {
            kept.entry(time as i64).or_default().insert(samples::key(name, &labels), value);
        }
    }
    let live: Past = kept.extract_if(.., |time, _| *time > now - 3_600).collect();
    let mut written = read(&history);
    let sorted = |samples: &Samples| -> Samples {
        let parts = samples.iter().map(|(key, value)| {
            let (name, labels) = key.split_once('{').expect("labels");
            let mut labels: Vec<&str> = labels.trim_end_matches('}').split(',').collect();
            labels.sort_unstable();
            (samples::as_text(&format!("{name}{{{}}}", labels.join(","))), *value)
        });
        parts.collect()
    };
    for samples in written.values_mut() {
        *samples = sorted(samples);
    }
    assert!(written.len() > 24, "{} moments", written.len());
    assert_eq!(kept.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>());
    for (time, samples) in &kept {
        samples::assert_equal(&sorted(samples), &written[time], "in Prometheus");
    }

    // Nothing happened after that, so every counter goes on where it was, with the same labels.
    let (_, last) = written.last_key_value().expect("a moment");
    let (_, live) = live.last_key_value().expect("a scrape");
    let (mut ends, mut goes_on) = (last.clone(), sorted(live));
    ends.retain(|key, _| is_counter(key));
    goes_on.retain(|key, _| is_counter(key) && !key.contains("_created"));
    samples::assert_equal(&goes_on, &ends, "the first scrapes against the end of the past");
    let counters: BTreeSet<&str> =
        ends.keys().map(|key| key.split('{').next().unwrap_or(key)).collect();
    assert!(counters.len() > 20, "{counters:?}");
    for name in counters {
        let resets = prometheus.query(&format!("resets({name}[30d])"), None);
        assert!(resets.iter().all(|series| series.samples[0].1 == 0.0), "{name}");
    }
    let grown = prometheus.query("increase(librechat_messages_total[30d])", None);
    let shown = grown[0].samples[0].1;
    assert!((25.0..=28.0).contains(&shown), "Prometheus sees the messages come: {shown}");
}
