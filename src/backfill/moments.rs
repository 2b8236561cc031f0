//! The moments of which the past is told.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::engine::clock::begins;

/// From one moment to the next: whole local days, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many local days, of which some have 23 or 25 hours.
    Days(u32),
    /// So many seconds, fewer than a day has.
    Seconds(u32),
}

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Step, String> {
        let expected = || "expected 1m to 23h, or whole days such as 1d or 7d".to_owned();
        let duration: Duration = humantime::parse_duration(text).map_err(|_| expected())?;
        let seconds = duration.as_secs();
        let step = if duration.subsec_nanos() > 0 || seconds < MINUTE {
            None
        } else if seconds.is_multiple_of(DAY) {
            u32::try_from(seconds / DAY).ok().filter(|days| *days <= 366).map(Step::Days)
        } else {
            u32::try_from(seconds).ok().filter(|_| seconds < DAY).map(Step::Seconds)
        };
        step.ok_or_else(expected)
    }
}

/// The last second of every step, while that lies before the end: a day is told of when it is over.
#[derive(Debug, Clone)]
pub struct Moments {
    timezone: Tz,
    step: Step,
    /// The day on which the next step begins.
    day: NaiveDate,
    /// When the next step begins.
    begins: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl Moments {
    /// The moments of the days from `from` to `to`, both included, that lie before `now`.
    pub fn new(
        from: NaiveDate,
        to: NaiveDate,
        step: Step,
        timezone: Tz,
        now: DateTime<Utc>,
    ) -> Moments {
        let after = to.checked_add_days(Days::new(1)).unwrap_or(to);
        let end = begins(after, timezone).min(now);
        Moments { timezone, step, day: from, begins: begins(from, timezone), end }
    }
}

/// For whoever gets none of them.
impl fmt::Display for Moments {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "no step from {} on is over before {}", self.day, self.end)
    }
}

impl Iterator for Moments {
    type Item = DateTime<Utc>;

    fn next(&mut self) -> Option<DateTime<Utc>> {
        let next = match self.step {
            Step::Days(days) => {
                self.day = self.day.checked_add_days(Days::new(days.into()))?;
                begins(self.day, self.timezone)
            }
            Step::Seconds(seconds) => self.begins + TimeDelta::seconds(seconds.into()),
        };
        self.begins = next;
        (next <= self.end).then(|| next - TimeDelta::seconds(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, day).expect("a date of a test")
    }

    fn moments(from: u32, to: u32, step: &str, now: &str) -> Vec<String> {
        let step = step.parse().expect("a step");
        let now = now.parse().expect("a time");
        let moments = Moments::new(date(from), date(to), step, Tz::Europe__Berlin, now);
        moments.map(|time| time.format("%dT%H:%M:%S").to_string()).collect()
    }

    #[test]
    fn days_end_at_local_midnight_also_when_the_clocks_change() {
        let all = moments(28, 30, "1d", "2027-01-01T00:00:00Z");
        assert_eq!(all, ["28T22:59:59", "29T21:59:59", "30T21:59:59"]);
    }

    #[test]
    fn only_what_is_over_is_told_of() {
        assert_eq!(moments(1, 9, "1d", "2026-03-02T22:59:59Z"), ["01T22:59:59"]);
        assert_eq!(moments(1, 9, "1d", "2026-03-02T23:00:00Z").len(), 2);
        assert_eq!(moments(2, 1, "1d", "2027-01-01T00:00:00Z").len(), 0);
    }

    #[test]
    fn a_day_has_as_many_hours_as_it_has() {
        assert_eq!(moments(28, 28, "1h", "2027-01-01T00:00:00Z").len(), 24);
        assert_eq!(moments(29, 29, "1h", "2027-01-01T00:00:00Z").len(), 23);
    }

    #[test]
    fn steps_are_parts_of_days_or_whole_days() {
        for (text, step) in [
            ("1d", Some(Step::Days(1))),
            ("24h", Some(Step::Days(1))),
            ("7days", Some(Step::Days(7))),
            ("5m", Some(Step::Seconds(300))),
            ("90m", Some(Step::Seconds(5400))),
            ("1s", None),
            ("90s500ms", None),
            ("25h", None),
            ("1000y", None),
            ("soon", None),
        ] {
            assert_eq!(text.parse::<Step>().ok(), step, "{text}");
        }
    }
}
