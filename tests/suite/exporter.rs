//! The exporter's collectors in this process, with a clock that the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use mongodb::Database;
use mongodb::options::ConnectionString;
use prometheus::IntCounter;
use usage_exporter::collector::{Collector, Failure, Next, Refresh};
use usage_exporter::config::General;
use usage_exporter::exposition::Families;
use usage_exporter::librechat::{self, Settings, groups::Groups};

use crate::mongod::Mongod;
use crate::oracle::Oracle;
use crate::samples::{self, Samples};

pub const SETTLING_TIME: TimeDelta = TimeDelta::minutes(15);

/// All collectors over one database.
pub struct Exporter {
    collectors: Vec<(Box<dyn Collector>, Families, Next)>,
    now: Arc<AtomicI64>,
    timezone: Tz,
    /// The highest value that each counter has shown.
    shown: Samples,
}

impl Exporter {
    /// An exporter that has not asked yet, at `now`.
    pub fn new(database: &Database, timezone: Tz, now: DateTime<Utc>) -> Exporter {
        Exporter::with_groups(database, timezone, now, Groups::all())
    }

    pub fn with_groups(
        database: &Database,
        timezone: Tz,
        now: DateTime<Utc>,
        groups: Groups,
    ) -> Exporter {
        let settings = settings(database, groups);
        let general = General { interval: Duration::from_secs(60), timezone, max_series: 1000 };
        Exporter::with_settings(&settings, &general, now)
    }

    pub fn with_settings(settings: &Settings, general: &General, now: DateTime<Utc>) -> Exporter {
        let time = Arc::new(AtomicI64::new(now.timestamp_millis()));
        let read = Arc::clone(&time);
        let clock: librechat::Clock = Arc::new(move || {
            DateTime::from_timestamp_millis(read.load(Ordering::Relaxed)).expect("a time")
        });
        let collectors = librechat::collectors(settings, general, clock);
        Exporter {
            collectors: collectors
                .into_iter()
                .map(|collector| (collector, Families::default(), Next::Interval))
                .collect(),
            now: time,
            timezone: general.timezone,
            shown: Samples::new(),
        }
    }

    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.now.load(Ordering::Relaxed)).expect("a time")
    }

    pub fn set_now(&self, now: DateTime<Utc>) {
        self.now.store(now.timestamp_millis(), Ordering::Relaxed);
    }

    /// Asks every collector until its answer is complete, and returns all samples.
    pub async fn refresh(&mut self) -> Result<Samples, Failure> {
        self.refresh_only(|_| true).await
    }

    /// Asks the collectors whose name is wanted, and returns all samples.
    pub async fn refresh_only(
        &mut self,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Samples, Failure> {
        let documents = IntCounter::new("documents", "read").expect("a name");
        for (collector, families, next) in &mut self.collectors {
            while wanted(collector.name()) && *next != Next::Never {
                let refresh = Refresh::new(Duration::from_secs(60), documents.clone());
                let answer = collector.refresh(&refresh).await?;
                (*families, *next) = (answer.families, answer.next);
                if *next == Next::Interval {
                    break;
                }
            }
        }
        Ok(self.collectors.iter().flat_map(|(_, f, _)| samples::of_families(f)).collect())
    }

    /// Refreshes and fails unless every family equals the oracle's.
    pub async fn assert_equals_oracle(&mut self, database: &Database, context: &str) {
        let mut found = self.refresh().await.expect("a refresh");
        found.remove("usage_exporter_baseline_progress_ratio");
        let oracle =
            Oracle { now: self.now(), timezone: self.timezone, settling_time: SETTLING_TIME };
        let mut expected = oracle.compute(database).await;
        for (key, value) in &mut expected {
            let family = samples::family(key);
            // A correction may make a sum smaller; a counter stays where it was until it has caught up.
            if family.ends_with("_total") && !family.contains("thumbs") && !family.contains("rated")
            {
                let shown = self.shown.entry(key.clone()).or_insert(*value);
                *shown = shown.max(*value);
                *value = *shown;
            }
        }
        samples::assert_equal(&found, &expected, context);
    }
}

/// Settings for a database of the shared mongod.
pub fn settings(database: &Database, groups: Groups) -> Settings {
    Settings {
        uri: ConnectionString::parse(&Mongod::shared().uri).expect("a URI"),
        database: database.name().to_owned(),
        read_preference: None,
        tenant: None,
        feedback_interval: Duration::from_secs(600),
        settling_time: SETTLING_TIME.to_std().expect("a duration"),
        groups,
    }
}
