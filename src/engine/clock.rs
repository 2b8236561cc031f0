//! The time of day, and local days.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

/// Tells the time; the tests have clocks of their own.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The first moment of a day. Where the clocks skip midnight, it is the first time after.
pub fn begins(day: NaiveDate, timezone: Tz) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    let local = (0..24).find_map(|quarters| {
        let time = midnight + TimeDelta::minutes(15 * quarters);
        time.and_local_timezone(timezone).earliest()
    });
    local.map_or_else(|| midnight.and_utc(), |time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_after_midnight_where_the_clocks_skip_it() {
        let date = NaiveDate::from_ymd_opt(2026, 3, 29).expect("a date");
        let begins = begins(date, chrono_tz::Asia::Beirut);
        assert_eq!(begins.to_rfc3339(), "2026-03-28T22:00:00+00:00");
    }
}
