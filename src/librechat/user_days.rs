//! The people of each day, of whom today's, this week's and this month's unique users are unions.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use roaring::RoaringBitmap;

/// A set of people for each day since the beginning of the month or week, whichever came first.
#[derive(Debug, Clone)]
pub struct UserDays {
    timezone: Tz,
    days: BTreeMap<NaiveDate, RoaringBitmap>,
}

impl UserDays {
    /// No people yet; days begin at midnight in `timezone`.
    pub fn new(timezone: Tz) -> UserDays {
        UserDays { timezone, days: BTreeMap::new() }
    }

    /// Whether the day of `time` can matter now. Quick, and generous by a day.
    pub fn may_keep(&self, time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        time > now - TimeDelta::days(33)
    }

    /// Notes that a person was active at `time`.
    pub fn add(&mut self, time: DateTime<Utc>, user: u32) {
        self.days.entry(self.day(time)).or_default().insert(user);
    }

    /// Forgets the days that no number needs any more.
    pub fn forget_before(&mut self, now: DateTime<Utc>) {
        let [_, week, month] = self.beginnings(now);
        self.days = self.days.split_off(&week.min(month));
    }

    /// How many different people were active today, this week and this month, counting the people of
    /// the days and `young`, of whom the days do not know yet.
    pub fn unique_users(
        &self,
        now: DateTime<Utc>,
        young: impl Iterator<Item = (DateTime<Utc>, u32)>,
    ) -> [u64; 3] {
        let beginnings = self.beginnings(now);
        let mut sets = beginnings.map(|beginning| {
            let mut people = RoaringBitmap::new();
            self.days.range(beginning..).for_each(|(_, day)| people |= day);
            people
        });
        for (time, user) in young {
            let day = self.day(time);
            for (beginning, people) in beginnings.iter().zip(&mut sets) {
                if day >= *beginning {
                    people.insert(user);
                }
            }
        }
        sets.map(|people| people.len())
    }

    fn day(&self, time: DateTime<Utc>) -> NaiveDate {
        time.with_timezone(&self.timezone).date_naive()
    }

    /// The first days of today, this week and this month.
    fn beginnings(&self, now: DateTime<Utc>) -> [NaiveDate; 3] {
        let today = self.day(now);
        let since_monday = u64::from(today.weekday().num_days_from_monday());
        let monday = today.checked_sub_days(Days::new(since_monday)).unwrap_or(today);
        [today, monday, today.with_day(1).unwrap_or(today)]
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn utc(day: u32, hour: u32) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 3, day, hour, 30, 0).single().expect("a time of a test")
    }

    #[test]
    fn days_weeks_and_months_begin_at_local_midnight() {
        let mut days = UserDays::new(chrono_tz::Europe::Berlin);
        days.add(utc(1, 0), 1); // Sunday, the 1st
        days.add(utc(1, 23), 2); // in Berlin already Monday
        days.add(utc(3, 22), 3); // Tuesday, half an hour before midnight there
        let now = utc(3, 23); // Wednesday there
        assert_eq!(days.unique_users(now, [].into_iter()), [0, 2, 3]);
        assert_eq!(days.unique_users(now, [(now, 3), (now, 4)].into_iter()), [2, 3, 4]);
    }

    #[test]
    fn the_week_may_begin_before_the_month() {
        let mut days = UserDays::new(Tz::UTC);
        let monday = Utc.with_ymd_and_hms(2026, 3, 30, 12, 0, 0).single().expect("a time");
        days.add(monday, 1);
        days.add(utc(29, 12), 2);
        let now = monday + TimeDelta::days(2);
        days.forget_before(now);
        assert_eq!(days.unique_users(now, [].into_iter()), [0, 1, 0]);
        assert_eq!(days.days.len(), 1);
    }

    #[test]
    fn the_clocks_change_within_a_day() {
        let mut days = UserDays::new(chrono_tz::America::New_York);
        days.add(utc(8, 5), 1); // 00:30 on the day on which 02:00 becomes 03:00
        days.add(utc(9, 3), 2); // 23:30 on the same day
        assert_eq!(days.unique_users(utc(9, 3), [].into_iter()), [2, 2, 2]);
        assert_eq!(days.unique_users(utc(9, 4), [].into_iter()), [0, 0, 2]);
    }
}
