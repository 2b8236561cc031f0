//! Every setting: its name, default and help, and what is accepted.
//!
//! A setting is an environment variable, a line in `.env` or a flag of the same name. All of them are
//! read and checked before anything starts; [`Problems`] lists everything that is wrong at once.

mod documents;
mod reader;
mod setting;

use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;

pub use reader::{Problem, Problems, Reader};
pub use setting::Setting;

use crate::telemetry::{Format, Level};
use crate::{history, http, librechat};

const METRICS_CACHE_TTL: Setting = Setting::new(
    "METRICS_CACHE_TTL",
    "60",
    "Seconds from one refresh to the next, or a duration such as 30s or 2m.",
);
const METRICS_CACHE_ENABLED: Setting = Setting::new(
    "METRICS_CACHE_ENABLED",
    "true",
    "With false, a scrape refreshes first; scrapes at the same time share one refresh.",
);
const METRICS_TIMEZONE: Setting = Setting::new(
    "METRICS_TIMEZONE",
    "UTC",
    "The IANA time zone in which today, this week and this month begin.",
);
const STALE_AFTER: Setting = Setting::new(
    "STALE_AFTER",
    "5",
    "After how many missed refreshes the values of a collector are left out.",
);
const MAX_SERIES_PER_METRIC: Setting = Setting::new(
    "MAX_SERIES_PER_METRIC",
    "1000",
    "The most label sets a metric family may have; the rarest beyond are folded into `other`.",
);
const STATE_FILE: Setting = Setting::new(
    "STATE_FILE",
    "",
    "Where counters are kept over restarts [default: nowhere; in the container \
     /var/lib/usage-exporter/state].",
);
const LOGGING_LEVEL: Setting = Setting::new(
    "LOGGING_LEVEL",
    "info",
    "What is logged: critical or error, warning or warn, info, debug.",
);
const LOGGING_FORMAT: Setting = Setting::new(
    "LOGGING_FORMAT",
    "text",
    "How it is logged: text, json, or a template with %(asctime)s, %(levelname)s, %(name)s and \
     %(message)s.",
);

const SETTINGS: &[Setting] = &[
    METRICS_CACHE_TTL,
    METRICS_CACHE_ENABLED,
    METRICS_TIMEZONE,
    STALE_AFTER,
    MAX_SERIES_PER_METRIC,
    STATE_FILE,
    LOGGING_LEVEL,
    LOGGING_FORMAT,
];

/// Every setting there is, in the order of `--help` and `.env.example`.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    librechat::settings::SETTINGS.iter().chain(http::settings::SETTINGS).chain(SETTINGS)
}

/// The settings of a run, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the HTTP server is told.
    pub http: http::Settings,
    /// Whether a scrape refreshes before it is answered.
    pub refresh_on_scrape: bool,
    /// What to do.
    pub task: Task,
    /// Where counters are kept over restarts.
    pub state_file: Option<PathBuf>,
    /// What is logged.
    pub level: Level,
    /// How it is logged.
    pub format: Format,
    /// What every source is told.
    pub general: General,
    /// What LibreChat's source is told.
    pub librechat: librechat::Settings,
}

/// What the process is started for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// To serve metrics until it is told to end.
    Serve,
    /// To refresh once and print the metrics.
    Once,
    /// To compare what is stored with what was counted.
    Audit,
    /// To ask the exporter of the same settings on this host whether it lives.
    Healthcheck,
    /// To tell what the metrics would have shown in the past.
    History(history::Request),
    /// To compare the metrics of another exporter with those of this one.
    Migrate {
        /// Where the other's are read.
        theirs: String,
        /// Where those of this one are read; `None`: at the port of this host.
        ours: Option<String>,
    },
}

/// The settings that hold for every source.
#[derive(Debug, Clone)]
pub struct General {
    /// From one refresh to the next.
    pub interval: Duration,
    /// After how many missed refreshes an answer is too old to be shown.
    pub stale_after: u32,
    /// In which today, this week and this month begin.
    pub timezone: Tz,
    /// The most label sets a metric family may have.
    pub max_series: usize,
}

impl Config {
    /// Reads the settings from flags and the environment. Asked for `--help`, `--version`, the manual page
    /// or completions, or given a flag that does not exist, it prints and ends the process as `clap` does.
    ///
    /// # Errors
    ///
    /// All settings that are wrong.
    pub fn from_environment() -> Result<Config, Problems> {
        let mut reader = Reader::from_environment();
        let config = Config::read(&mut reader);
        reader.finish(config)
    }

    fn read(reader: &mut Reader) -> Option<Config> {
        let cache = reader.switch(&METRICS_CACHE_ENABLED);
        let level = reader.read(&LOGGING_LEVEL, Level::ACCEPTED, Level::parse);
        let format = reader.read(&LOGGING_FORMAT, Format::ACCEPTED, Format::parse);
        let general = General::read(reader);
        let http = http::Settings::read(reader);
        let librechat = librechat::Settings::read(reader);
        Some(Config {
            http: http?,
            refresh_on_scrape: !cache?,
            task: reader.task(),
            state_file: reader.given(&STATE_FILE).map(PathBuf::from),
            level: level?,
            format: format?,
            general: general?,
            librechat: librechat?,
        })
    }
}

impl General {
    fn read(reader: &mut Reader) -> Option<General> {
        let interval = reader.duration(&METRICS_CACHE_TTL);
        let timezone = reader.read(
            &METRICS_TIMEZONE,
            "an IANA time zone such as UTC or Europe/Berlin",
            |value| value.parse().ok(),
        );
        let stale_after = reader.read(&STALE_AFTER, "a number from 1 to 1000", |value| {
            value.parse().ok().filter(|intervals| (1..=1_000).contains(intervals))
        });
        let max_series = reader.read(&MAX_SERIES_PER_METRIC, "a number from 2 on", |value| {
            value.parse().ok().filter(|max| *max >= 2)
        });
        Some(General {
            interval: interval?,
            stale_after: stale_after?,
            timezone: timezone?,
            max_series: max_series?,
        })
    }
}
