//! Who comes back, how much single people do, and who uses agents and MCP servers.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use crate::exposition::labels::Label;
use crate::sources::librechat::days::day::{Activity, Day};
use crate::sources::librechat::days::{Days, before};

/// How many local days, the present one included, agents, MCP servers and power users are told of.
const DAYS: u16 = 30;

/// The people of each agent or MCP server.
pub type PeopleOf = FxHashMap<Label, RoaringBitmap>;

/// The tiers of power users: the most messages of each.
pub const TIERS: [(&str, u64); 3] = [("1-10", 10), ("11-100", 100), ("101+", u64::MAX)];

impl Days {
    /// How many different people were active in the last `days` times 24 hours, and how many of these
    /// in as long a time before it too. Each is `None` where days are missing.
    pub fn comers<'a>(
        &self,
        now: DateTime<Utc>,
        days: u16,
        young: impl Iterator<Item = Activity<'a>>,
    ) -> (Option<u64>, Option<u64>) {
        let window = TimeDelta::days(days.into());
        let (begins, earlier) = (now - window, now - window - window);
        let mut active = self.active_in(begins, DateTime::<Utc>::MAX_UTC);
        let mut active_before = self.active_in(earlier, begins);
        for activity in young {
            if activity.time >= begins {
                active.extend(activity.user);
            } else if activity.time >= earlier {
                active_before.extend(activity.user);
            }
        }
        let known = |from: DateTime<Utc>| self.is_known_from(self.day(from));
        (
            known(begins).then(|| active.len()),
            known(earlier).then(|| active.intersection_len(&active_before)),
        )
    }

    /// The people with a message that was created at `begins` or later, and before `ends`.
    fn active_in(&self, begins: DateTime<Utc>, ends: DateTime<Utc>) -> RoaringBitmap {
        let (first, last) = (self.day(begins), self.day_or_later(ends));
        let (begins, ends) = (begins.timestamp_millis(), ends.timestamp_millis());
        let mut people = RoaringBitmap::new();
        for (date, day) in self.range(first..=last) {
            if *date == first || *date == last {
                let within = day.doings.iter().filter(|(_, d)| d.last >= begins && d.first < ends);
                people.extend(within.map(|(user, _)| *user));
            } else {
                people |= &day.people;
            }
        }
        people
    }

    /// How many people have how many messages in the last 30 local days, by tier. `None` where days are
    /// missing.
    pub fn power_users<'a>(
        &mut self,
        now: DateTime<Utc>,
        young: impl Iterator<Item = Activity<'a>>,
    ) -> Option<[u64; TIERS.len()]> {
        let first = self.first_of_last(now)?;
        let mut added: FxHashMap<u32, u64> = FxHashMap::default();
        for activity in young.filter(|activity| self.day(activity.time) >= first) {
            if let Some(user) = activity.user {
                *added.entry(user).or_default() += 1;
            }
        }
        let settled = self.messages_since(first);
        let mut people = [0; TIERS.len()];
        let mut count = |messages: u64| {
            let tier = TIERS.iter().position(|(_, most)| messages <= *most);
            if let Some(people) = tier.and_then(|tier| people.get_mut(tier)) {
                *people += 1;
            }
        };
        for (user, messages) in settled {
            count(messages + added.remove(user).unwrap_or(0));
        }
        added.into_values().for_each(count);
        Some(people)
    }

    /// The people who used each agent, and each MCP server, in the last 30 local days. `None` where days
    /// are missing.
    pub fn people_of<'a>(
        &self,
        now: DateTime<Utc>,
        young: impl Iterator<Item = Activity<'a>>,
    ) -> Option<(PeopleOf, PeopleOf)> {
        let first = self.first_of_last(now)?;
        // The young messages all go into one day: which one does not matter here.
        let mut sum = Day::default();
        for activity in young.filter(|activity| self.day(activity.time) >= first) {
            sum.add(&activity, 0);
        }
        let Day { mut agents, mut servers, .. } = sum;
        for (_, day) in self.range(first..) {
            for (sets, others) in [(&mut agents, &day.agents), (&mut servers, &day.servers)] {
                for (label, people) in others {
                    *sets.entry(*label).or_default() |= people;
                }
            }
        }
        Some((agents, servers))
    }

    /// The first of the last 30 local days, if all of them are known.
    fn first_of_last(&self, now: DateTime<Utc>) -> Option<NaiveDate> {
        let first = before(self.day(now), DAYS - 1);
        self.is_known_from(first).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use chrono_tz::Tz;

    use super::*;
    use crate::sources::librechat::days::Reach;

    fn days(timezone: Tz) -> Days {
        let mut days = Days::new(timezone, Reach { statistics: 3, people: 61 });
        days.all_known();
        days
    }

    fn utc(month: u32, day: u32, hour: u32) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2028, month, day, hour, 0, 0).single().expect("a time of a test")
    }

    fn by(user: u32, time: DateTime<Utc>) -> Activity<'static> {
        Activity { time, user: Some(user), replied: None, by_agent: false, servers: &[] }
    }

    #[test]
    fn windows_reach_back_to_the_second_and_over_a_leap_day() {
        let mut days = days(Tz::UTC);
        let now = utc(3, 3, 12);
        days.add(&by(1, utc(2, 25, 12))); // 7 days ago, since 2028 has a 29th of February
        days.add(&by(2, utc(2, 25, 11)));
        days.add(&by(2, utc(3, 3, 11)));
        let young = [by(1, utc(2, 18, 12)), by(3, now)];
        assert_eq!(days.comers(now, 1, young.into_iter()), (Some(2), Some(0)));
        assert_eq!(days.comers(now, 7, young.into_iter()), (Some(3), Some(2)));
    }

    #[test]
    fn tiers_count_the_last_thirty_local_days() {
        let mut days = days(chrono_tz::Europe::Berlin);
        let now = utc(3, 30, 12);
        // Midnight of the 1st is 23:00 of the 29th of February in UTC.
        days.add(&by(1, utc(2, 29, 22)));
        days.add(&by(2, utc(2, 29, 23)));
        for _ in 0..10 {
            days.add(&by(2, now));
        }
        assert_eq!(days.power_users(now, [].into_iter()), Some([0, 1, 0]));
        assert_eq!(days.power_users(now, [by(2, now), by(3, now)].into_iter()), Some([1, 1, 0]));
        for _ in 0..90 {
            days.add(&by(2, now));
        }
        assert_eq!(days.power_users(now, [].into_iter()), Some([0, 0, 1]));
        assert_eq!(days.power_users(now + TimeDelta::days(1), [].into_iter()), Some([0, 1, 0]));
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let mut days = Days::new(Tz::UTC, Reach { statistics: 3, people: 61 });
        let now = utc(3, 30, 12);
        while let Some((day, ..)) = days.missing(now) {
            days.enter(day, Day::default());
            let back = (now.date_naive() - day).num_days();
            let (active, returning) = days.comers(now, 30, [].into_iter());
            assert_eq!((active.is_some(), returning.is_some()), (back >= 30, back >= 60), "{day}");
            assert_eq!(days.power_users(now, [].into_iter()).is_some(), back >= 29, "{day}");
            assert_eq!(days.people_of(now, [].into_iter()).is_some(), back >= 29, "{day}");
        }
    }
}
