//! The exporter's collectors in this process, with a clock that the test moves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use futures_util::FutureExt;
use mongodb::Database;
use prometheus::IntCounter;
use usage_exporter::connect::uri::Uri;
use usage_exporter::engine::clock::Clock;
use usage_exporter::engine::collector::{Collector, Failure, Next, Refresh};
use usage_exporter::engine::settings::General;
use usage_exporter::engine::source::{Context, Watched};
use usage_exporter::engine::state::StateFile;
use usage_exporter::exposition::own::StateMetrics;
use usage_exporter::exposition::{ExporterMetrics, Families};
use usage_exporter::sources::librechat::Settings;
use usage_exporter::sources::librechat::groups;
use usage_exporter::sources::librechat::groups::Groups;
use usage_exporter::sources::librechat::settings::NamedBy;

use crate::mongod::Mongod;
use crate::oracle::{Oracle, STATISTICS_DAYS};
use crate::samples::{self, Samples};
use crate::seen::{Seen, stored};

pub const SETTLING_TIME: TimeDelta = TimeDelta::minutes(15);

/// The families that go by local days. Of a message that was deleted after it was seen they may still
/// know; those marked grow with every message.
const DAYS: [(&str, bool); 17] = [
    ("librechat_daily_unique_users", true),
    ("librechat_weekly_unique_users", true),
    ("librechat_monthly_unique_users", true),
    ("librechat_users_per_day_mean", true),
    ("librechat_users_per_day_stddev", false),
    ("librechat_messages_per_user_mean", false),
    ("librechat_messages_per_user_stddev", false),
    ("librechat_messages_per_model_today", true),
    ("librechat_messages_per_model_per_day_mean", true),
    ("librechat_messages_per_model_per_day_stddev", false),
    ("librechat_active_users_rolling", true),
    ("librechat_returning_users", true),
    ("librechat_power_users", false),
    ("librechat_agent_users", true),
    ("librechat_mcp_users", true),
    ("librechat_messages_by_hour", true),
    ("librechat_messages_by_weekday", true),
];

/// All collectors over one database.
pub struct Exporter {
    settings: Settings,
    general: General,
    collectors: Vec<(Box<dyn Collector>, Families, Next)>,
    now: Arc<AtomicI64>,
    /// The latest time that it was.
    latest: DateTime<Utc>,
    /// The highest value that each counter has shown.
    shown: Samples,
    seen: Seen,
    state: Option<PathBuf>,
    /// The documents that each collector has read.
    documents: BTreeMap<String, IntCounter>,
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
        Exporter::with_settings(&settings, &general(timezone), now)
    }

    pub fn with_settings(settings: &Settings, general: &General, now: DateTime<Utc>) -> Exporter {
        let mut exporter = Exporter {
            settings: settings.clone(),
            general: general.clone(),
            collectors: Vec::new(),
            now: Arc::new(AtomicI64::new(now.timestamp_millis())),
            latest: now,
            shown: Samples::new(),
            seen: Seen::default(),
            state: None,
            documents: BTreeMap::new(),
        };
        exporter.restart();
        exporter
    }

    /// The same with a state file of its own.
    pub fn with_state(mut self) -> Exporter {
        self.state = Some(state_file());
        self.restart();
        self
    }

    /// Ends the exporter and starts another one. What is not in the state file is forgotten.
    pub fn restart(&mut self) {
        // The file is locked until the collectors are gone.
        self.collectors.clear();
        let metrics = ExporterMetrics::new(false).expect("names");
        let state = match &self.state {
            Some(path) => open(path, &metrics.state_file().expect("names")),
            None => StateFile::off(),
        };
        let read = Arc::clone(&self.now);
        let clock: Clock = Arc::new(move || {
            DateTime::from_timestamp_millis(read.load(Ordering::Relaxed)).expect("a time")
        });
        let source = self.settings.open(Context { general: self.general.clone(), clock, state });
        self.collectors = source
            .collectors()
            .into_iter()
            .map(|collector| (collector, Families::default(), Next::Interval))
            .collect();
        if self.state.is_none() {
            self.forget();
        }
    }

    /// Forgets what its counters were about, as it has lost its state file.
    pub fn forget(&mut self) {
        self.shown.clear();
        self.seen = Seen::default();
    }

    /// Changes the time zone, with a restart.
    pub fn move_to(&mut self, timezone: Tz) {
        self.general.timezone = timezone;
        self.restart();
    }

    /// Shows single people, with a restart.
    pub fn name_people_by(&mut self, named_by: NamedBy) {
        self.settings.per_user = Some(named_by);
        self.restart();
    }

    pub fn state(&self) -> &Path {
        self.state.as_deref().expect("an exporter with state")
    }

    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.now.load(Ordering::Relaxed)).expect("a time")
    }

    pub fn set_now(&mut self, now: DateTime<Utc>) {
        self.now.store(now.timestamp_millis(), Ordering::Relaxed);
        self.latest = self.latest.max(now);
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
        for (collector, families, next) in &mut self.collectors {
            let documents = self
                .documents
                .entry(collector.name().to_owned())
                .or_insert_with(|| IntCounter::new("documents", "read").expect("a name"));
            let woken = collector.schedule().wake.notified().now_or_never().is_some();
            if !wanted(collector.name()) || (*next == Next::WhenWoken && !woken) {
                continue;
            }
            loop {
                let refresh = Refresh::new(Duration::from_secs(60), documents.clone());
                let answer = collector.refresh(&refresh).await?;
                (*families, *next) = (answer.families, answer.next);
                if !next.goes_on() {
                    break;
                }
            }
        }
        Ok(self.collectors.iter().flat_map(|(_, f, _)| samples::of_families(f)).collect())
    }

    /// How many documents a collector has read so far.
    pub fn documents_read(&self, collector: &str) -> u64 {
        self.documents.get(collector).map_or(0, IntCounter::get)
    }

    /// Refreshes and fails unless every family equals the oracle's.
    pub async fn assert_equals_oracle(&mut self, database: &Database, context: &str) {
        let now = self.now();
        self.seen.look(database, now).await;
        let mut found = self.refresh().await.expect("a refresh");
        found.remove("usage_exporter_baseline_progress_ratio");
        let oracle = Oracle {
            now: self.now(),
            timezone: self.general.timezone,
            settling_time: SETTLING_TIME,
        };
        let mut expected = oracle.compute(database, &self.seen).await;
        for (key, value) in &mut expected {
            if is_counter(key) {
                // A correction may make a sum smaller; a counter stays where it was until it has
                // caught up.
                let shown = self.shown.entry(key.clone()).or_insert(*value);
                *shown = shown.max(*value);
                *value = *shown;
            }
        }
        let ever = self.seen.of("messages");
        if ever.len() != stored(database, "messages").await.len() {
            assert_between(&mut found, &mut expected, &oracle.days(&ever), context);
        }
        if self.now() < self.latest {
            // The windows have moved to where messages are no longer kept.
            found.retain(|key, _| is_counter(key));
            expected.retain(|key, _| is_counter(key));
        }
        samples::assert_equal(&found, &expected, context);
    }
}

/// Opens a state file that was just closed. A process that another test is starting at this moment has
/// the lock too, until it has begun.
fn open(path: &Path, metrics: &StateMetrics) -> StateFile {
    for _ in 0..1_000 {
        if let Ok(state) = StateFile::open(path, metrics.clone()) {
            return state;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{} stays locked", path.display());
}

/// Whether a series is of a counter.
pub fn is_counter(key: &str) -> bool {
    let family = samples::family(key);
    family == "librechat_response_duration_seconds"
        || family.ends_with("_total") && !family.contains("thumbs") && !family.contains("rated")
}

/// Takes the families of days out of the samples, after checking that those which grow with every message
/// lie between the oracle's for what is stored and for what was ever seen.
fn assert_between(found: &mut Samples, expected: &mut Samples, at_most: &Samples, context: &str) {
    for (family, grows) in DAYS {
        let of_family = |samples: &mut Samples| -> Samples {
            samples.extract_if(.., |key, _| samples::family(key) == family).collect()
        };
        let (found, at_least) = (of_family(found), of_family(expected));
        for key in at_most.keys().filter(|key| grows && samples::family(key) == family) {
            let value = |samples: &Samples| samples.get(key).copied().unwrap_or(0.0);
            let range = value(&at_least) - 1e-9..=value(at_most) + 1e-9;
            assert!(range.contains(&value(&found)), "{context}\n{key}: {found:?} not in {range:?}");
        }
    }
}

/// A path for a state file that no other test uses.
pub fn state_file() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("state-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder.join("state")
}

/// The settings that every source has.
pub fn general(timezone: Tz) -> General {
    General { interval: Duration::from_secs(60), timezone, max_series: 1000, stale_after: 5 }
}

/// Settings for a database of the shared mongod.
pub fn settings(database: &Database, groups: Groups) -> Settings {
    Settings {
        uri: Uri::parse(&Mongod::shared().uri).expect("a URI"),
        database: database.name().to_owned(),
        read_preference: None,
        tenant: None,
        // A sweep is always due, also after a restart.
        feedback_interval: Duration::ZERO,
        account_interval: Duration::ZERO,
        settling_time: SETTLING_TIME.to_std().expect("a duration"),
        tail_limit: 50_000,
        baseline_rate: None,
        audit_interval: Duration::from_secs(24 * 60 * 60),
        statistics_days: STATISTICS_DAYS,
        per_user: groups.has(groups::PER_USER).then_some(NamedBy::Id),
        groups,
    }
}
