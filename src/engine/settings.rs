//! The settings that hold for every source.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::Tz;

use crate::settings::{Reader, Setting};

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

/// These settings, in the order of `--help`.
pub const SETTINGS: &[Setting] = &[
    METRICS_CACHE_TTL,
    METRICS_CACHE_ENABLED,
    METRICS_TIMEZONE,
    STALE_AFTER,
    MAX_SERIES_PER_METRIC,
    STATE_FILE,
];

/// What every source is told.
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

impl General {
    /// Reads the settings; `None` if one is wrong.
    pub fn read(reader: &mut Reader) -> Option<General> {
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

/// Whether a scrape refreshes before it is answered; `None` if the setting is wrong.
pub fn refresh_on_scrape(reader: &mut Reader) -> Option<bool> {
    reader.switch(&METRICS_CACHE_ENABLED).map(|cache| !cache)
}

/// Where counters are kept over restarts, if anywhere. With `is_used`, what is there must be a file that
/// can be read: `None` if it is not.
pub fn state_file(reader: &mut Reader, is_used: bool) -> Option<Option<PathBuf>> {
    let Some(path) = reader.given(&STATE_FILE).map(PathBuf::from) else { return Some(None) };
    match fault_of_state_file(&path).filter(|_| is_used) {
        None => Some(Some(path)),
        Some(expected) => {
            reader.refuse(&STATE_FILE, &expected);
            None
        }
    }
}

fn fault_of_state_file(path: &Path) -> Option<String> {
    // A pipe would be waited for if it were opened.
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            Some("the path of a file, where now is a folder, a pipe or a device".to_owned())
        }
        Ok(_) => {
            let error = std::fs::File::open(path).err()?;
            Some(format!("a file that can be read ({error})"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
            is_folder.then(|| "the path of a file, not of a folder".to_owned())
        }
        Err(error) => Some(format!("a file that can be read ({error})")),
    }
}
