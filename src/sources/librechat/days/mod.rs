//! Who was active and which models replied on each local day.
//!
//! Today's, this week's and this month's unique users are unions of the people of days; the statistics
//! are means and deviations over days. All of it goes by `createdAt` and by the time zone of the
//! settings, and none of it is saved: after a restart
//! [`collectors::days`](crate::sources::librechat::collectors::days) reads it again.
//!
//! * [`day`]: one day, with [`people`] as numbers;
//! * [`recent`], [`returning`] and [`statistics`]: what is told of several.

pub mod day;
pub mod people;
pub mod recent;
pub mod returning;
pub mod statistics;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Days as Span, NaiveDate, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use crate::engine::clock::begins;
use crate::exposition::labels::Label;
use crate::sources::librechat::days::day::{Activity, Day};
use crate::sources::librechat::days::statistics::Statistics;

/// The local days that matter now.
#[derive(Debug)]
pub struct Days {
    timezone: Tz,
    reach: Reach,
    days: BTreeMap<NaiveDate, Day>,
    /// From this day on, everything that was sealed is entered.
    known_from: Option<NaiveDate>,
    /// Days after it of which this is no longer true.
    forgotten: BTreeSet<NaiveDate>,
    /// The last statistics and the day on which they were made, while nothing before it has changed.
    statistics: Option<(NaiveDate, Arc<Statistics>)>,
    /// The messages of each person since a day, while that day and nothing before today has changed.
    messages: Option<(NaiveDate, FxHashMap<u32, u64>)>,
}

/// How far back days are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Over how many complete days the statistics go.
    pub statistics: u16,
    /// Over how many days before today people are followed.
    pub people: u16,
}

impl Days {
    /// No days; they begin at midnight in `timezone`.
    pub fn new(timezone: Tz, reach: Reach) -> Days {
        Days {
            timezone,
            reach,
            days: BTreeMap::new(),
            known_from: None,
            forgotten: BTreeSet::new(),
            statistics: None,
            messages: None,
        }
    }

    /// Whether the day of `time` can matter now. Quick, and generous by a day or two.
    pub fn may_keep(&self, time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let days = self.reach.statistics.max(self.reach.people);
        time > now - TimeDelta::days(33.max(i64::from(days) + 2))
    }

    /// Adds a message that was sealed.
    pub fn add(&mut self, activity: &Activity<'_>) {
        let local = activity.time.with_timezone(&self.timezone);
        let day = local.date_naive();
        self.days.entry(day).or_default().add(activity, local.hour());
        self.statistics.take_if(|(today, _)| day < *today);
        if let (Some((first, messages)), Some(user)) = (&mut self.messages, activity.user)
            && day >= *first
        {
            *messages.entry(user).or_default() += 1;
        }
    }

    /// The local hour of a time.
    pub fn hour(&self, time: DateTime<Utc>) -> u32 {
        time.with_timezone(&self.timezone).hour()
    }

    /// The days in a range.
    pub(super) fn range(
        &self,
        dates: impl RangeBounds<NaiveDate>,
    ) -> impl Iterator<Item = (&NaiveDate, &Day)> {
        self.days.range(dates)
    }

    /// The messages of each person since `first`, without those that are young.
    pub(super) fn messages_since(&mut self, first: NaiveDate) -> &FxHashMap<u32, u64> {
        let known = self.messages.take().filter(|(day, _)| *day == first);
        let (_, messages) = self.messages.insert(known.unwrap_or_else(|| {
            let mut sum: FxHashMap<u32, u64> = FxHashMap::default();
            for day in self.days.range(first..).map(|(_, day)| day) {
                for (user, doings) in &day.doings {
                    *sum.entry(*user).or_default() += u64::from(doings.messages);
                }
            }
            (first, sum)
        }));
        messages
    }

    /// Notes that everything sealed has been entered.
    pub fn all_known(&mut self) {
        self.known_from = Some(NaiveDate::MIN);
    }

    /// Forgets a day, which must be read again.
    pub fn forget_day(&mut self, day: NaiveDate) {
        self.days.remove(&day);
        if self.known_from.is_some_and(|known| known <= day) {
            self.forgotten.insert(day);
        }
        self.statistics = None;
        self.messages = None;
    }

    /// The newest day that must still be read again, its beginning and its end.
    pub fn missing(&self, now: DateTime<Utc>) -> Option<(NaiveDate, DateTime<Utc>, DateTime<Utc>)> {
        let earliest = self.earliest(now);
        if let Some(day) = self.forgotten.range(earliest..).next_back() {
            return Some((*day, begins(*day, self.timezone), begins(next(*day), self.timezone)));
        }
        let after_today = self.day(now).checked_add_days(Span::new(2));
        let day = self.known_from.or(after_today)?.checked_sub_days(Span::new(1))?;
        (day >= earliest)
            .then(|| (day, begins(day, self.timezone), begins(next(day), self.timezone)))
    }

    /// Enters what was read again of a day, after which it is known.
    pub fn enter(&mut self, day: NaiveDate, messages: Day) {
        self.days.entry(day).or_default().add_all(messages);
        if !self.forgotten.remove(&day) {
            self.known_from = Some(day);
        }
        self.statistics = None;
        self.messages = None;
    }

    /// Forgets the days that no number needs any more.
    pub fn forget_before(&mut self, now: DateTime<Utc>) {
        let earliest = self.earliest(now);
        if self.days.first_key_value().is_some_and(|(first, _)| *first < earliest) {
            self.days = self.days.split_off(&earliest);
        }
        self.forgotten = self.forgotten.split_off(&earliest);
    }

    /// How many different people were active today, this week and this month, counting the people of
    /// the days and `young`, of whom the days do not know yet. `None` where days are missing.
    pub fn unique_users<'a>(
        &self,
        now: DateTime<Utc>,
        young: impl Iterator<Item = Activity<'a>>,
    ) -> [Option<u64>; 3] {
        let beginnings = self.beginnings(now);
        let mut sets = beginnings.map(|beginning| {
            let mut people = RoaringBitmap::new();
            self.days.range(beginning..).for_each(|(_, day)| people |= &day.people);
            people
        });
        for activity in young {
            let day = self.day(activity.time);
            for (beginning, people) in beginnings.iter().zip(&mut sets) {
                if day >= *beginning {
                    people.extend(activity.user);
                }
            }
        }
        let mut sets = sets.iter();
        beginnings.map(|beginning| {
            let people = sets.next().map(RoaringBitmap::len);
            people.filter(|_| self.is_known_from(beginning))
        })
    }

    /// The replies of each model today, counting `young`. `None` if today is not known.
    pub fn replies_today<'a>(
        &self,
        now: DateTime<Utc>,
        young: impl Iterator<Item = Activity<'a>>,
    ) -> Option<FxHashMap<Label, u64>> {
        let today = self.day(now);
        let mut replies: FxHashMap<Label, u64> = FxHashMap::default();
        for (model, count) in self.days.get(&today).into_iter().flat_map(|day| &day.replies) {
            *replies.entry(*model).or_default() += u64::from(*count);
        }
        for activity in young.filter(|activity| self.day(activity.time) == today) {
            if let Some(model) = activity.replied {
                *replies.entry(model).or_default() += 1;
            }
        }
        self.is_known_from(today).then_some(replies)
    }

    /// The statistics over the complete days before today, counting `young`. `None` where days are
    /// missing.
    pub fn statistics<'a>(
        &mut self,
        now: DateTime<Utc>,
        young: impl Iterator<Item = Activity<'a>>,
    ) -> Option<Arc<Statistics>> {
        let today = self.day(now);
        let first = before(today, self.reach.statistics);
        if !self.is_known_from(first) {
            return None;
        }
        let mut added: BTreeMap<NaiveDate, Day> = BTreeMap::new();
        for activity in young {
            let day = self.day(activity.time);
            if (first..today).contains(&day) {
                added.entry(day).or_default().add(&activity, self.hour(activity.time));
            }
        }
        if let Some((day, statistics)) = &self.statistics
            && *day == today
            && added.is_empty()
        {
            return Some(Arc::clone(statistics));
        }
        let only_sealed = added.is_empty();
        let days = first.iter_days().take(self.reach.statistics.into()).map(|date| {
            let known = self.days.get(&date).map(Cow::Borrowed);
            let mut day = known.unwrap_or_else(|| Cow::Owned(Day::default()));
            if let Some(added) = added.remove(&date) {
                day.to_mut().add_all(added);
            }
            (date, day)
        });
        let statistics = Arc::new(Statistics::over(days));
        if only_sealed {
            self.statistics = Some((today, Arc::clone(&statistics)));
        }
        Some(statistics)
    }

    pub(super) fn day(&self, time: DateTime<Utc>) -> NaiveDate {
        time.with_timezone(&self.timezone).date_naive()
    }

    /// The day of `time`, or a later one where that has no local time.
    pub(super) fn day_or_later(&self, time: DateTime<Utc>) -> NaiveDate {
        if time == DateTime::<Utc>::MAX_UTC { NaiveDate::MAX } else { self.day(time) }
    }

    pub(super) fn is_known_from(&self, day: NaiveDate) -> bool {
        self.known_from.is_some_and(|known| known <= day)
            && self.forgotten.range(day..).next().is_none()
    }

    /// The first days of today, this week and this month.
    fn beginnings(&self, now: DateTime<Utc>) -> [NaiveDate; 3] {
        let today = self.day(now);
        let since_monday = u64::from(today.weekday().num_days_from_monday());
        let monday = today.checked_sub_days(Span::new(since_monday)).unwrap_or(today);
        [today, monday, today.with_day(1).unwrap_or(today)]
    }

    /// The first day that any number needs.
    fn earliest(&self, now: DateTime<Utc>) -> NaiveDate {
        let [today, monday, first] = self.beginnings(now);
        let days = self.reach.statistics.max(self.reach.people);
        monday.min(first).min(before(today, days))
    }
}

/// The day that lies so many days before another.
pub(super) fn before(day: NaiveDate, days: u16) -> NaiveDate {
    day.checked_sub_days(Span::new(days.into())).unwrap_or(NaiveDate::MIN)
}

fn next(day: NaiveDate) -> NaiveDate {
    day.succ_opt().unwrap_or(NaiveDate::MAX)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    const REACH: Reach = Reach { statistics: 3, people: 0 };

    fn utc(day: u32, hour: u32) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 3, day, hour, 30, 0).single().expect("a time of a test")
    }

    fn by(user: u32, time: DateTime<Utc>) -> Activity<'static> {
        Activity { time, user: Some(user), replied: None, by_agent: false, servers: &[] }
    }

    fn days(timezone: Tz) -> Days {
        let mut days = Days::new(timezone, REACH);
        days.all_known();
        days
    }

    fn unique(days: &Days, now: DateTime<Utc>, young: &[Activity<'_>]) -> [u64; 3] {
        days.unique_users(now, young.iter().copied()).map(|people| people.expect("known"))
    }

    #[test]
    fn days_weeks_and_months_begin_at_local_midnight() {
        let mut days = days(chrono_tz::Europe::Berlin);
        days.add(&by(1, utc(1, 0))); // Sunday, the 1st
        days.add(&by(2, utc(1, 23))); // in Berlin already Monday
        days.add(&by(3, utc(3, 22))); // Tuesday, half an hour before midnight there
        let now = utc(3, 23); // Wednesday there
        assert_eq!(unique(&days, now, &[]), [0, 2, 3]);
        assert_eq!(unique(&days, now, &[by(3, now), by(4, now)]), [2, 3, 4]);
    }

    #[test]
    fn the_week_may_begin_before_the_month() {
        let mut days = days(Tz::UTC);
        let monday = Utc.with_ymd_and_hms(2026, 3, 30, 12, 0, 0).single().expect("a time");
        days.add(&by(1, monday));
        days.add(&by(2, utc(28, 12)));
        let now = monday + TimeDelta::days(2);
        days.forget_before(now);
        assert_eq!(unique(&days, now, &[]), [0, 1, 0]);
        assert_eq!(days.days.len(), 1);
    }

    #[test]
    fn the_clocks_change_within_a_day() {
        let mut days = days(chrono_tz::America::New_York);
        days.add(&by(1, utc(8, 5))); // 00:30 on the day on which 02:00 becomes 03:00
        days.add(&by(2, utc(9, 3))); // 23:30 on the same day
        assert_eq!(unique(&days, utc(9, 3), &[]), [2, 2, 2]);
        assert_eq!(unique(&days, utc(9, 4), &[]), [0, 0, 2]);
    }

    #[test]
    fn days_that_were_not_read_are_not_told() {
        let mut days = Days::new(Tz::UTC, REACH);
        let now = utc(4, 12); // Wednesday
        let mut read = Vec::new();
        while let Some((day, from, to)) = days.missing(now) {
            assert_eq!(to - from, TimeDelta::days(1));
            read.push(day.day());
            days.enter(day, Day::default());
            let known = days.unique_users(now, [].into_iter()).map(|people| people.is_some());
            assert_eq!(known, [day.day() <= 4, day.day() <= 2, day.day() == 1]);
        }
        assert_eq!(read, [5, 4, 3, 2, 1], "tomorrow, where clocks are ahead, then back to the 1st");
        assert!(days.statistics(now, [].into_iter()).is_some());
    }

    #[test]
    fn young_messages_of_a_day_that_is_over_count_in_its_statistics() {
        let mut days = days(Tz::UTC);
        days.add(&by(1, utc(3, 12)));
        let now = utc(4, 0);
        let mean = |days: &mut Days, young: &[Activity]| {
            let statistics = days.statistics(now, young.iter().copied()).expect("known");
            statistics.users_per_day.mean
        };
        assert_eq!(mean(&mut days, &[]), 1.0 / 3.0);
        assert_eq!(mean(&mut days, &[by(2, utc(3, 23)), by(3, now)]), 2.0 / 3.0);
        assert_eq!(mean(&mut days, &[]), 1.0 / 3.0);
    }
}
