//! Collectors that run side by side while the database is exchanged under them: no document of the database
//! before is counted with those of the one after, whatever was going on at that moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;
use mongodb::Database;
use prometheus::IntCounter;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use tokio::task::JoinSet;
use usage_exporter::connect::uri::Uri;
use usage_exporter::engine::clock::Clock;
use usage_exporter::engine::collector::{Collector, Refresh};
use usage_exporter::engine::source::{Context, Watched};
use usage_exporter::engine::state::StateFile;
use usage_exporter::sources::librechat::groups::Groups;

use crate::exporter::{SETTLING_TIME, general, settings};
use crate::fixtures;
use crate::mongod::Mongod;
use crate::oracle::Oracle;
use crate::proxy::{Mode, Proxy};
use crate::samples::{self, Samples};
use crate::seen::Seen;

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
