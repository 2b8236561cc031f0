//! How much happened on each of the last days.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use roaring::RoaringBitmap;

use crate::sources::librechat::days::day::{Activity, Day};
use crate::sources::librechat::days::{Days, before};

/// What happened on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// The local day.
    pub date: NaiveDate,
    /// Messages.
    pub messages: u64,
    /// Different people.
    pub users: u64,
}

impl Days {
    /// The last days that are known, at most `count`, today included, counting `young`.
    pub fn recent<'a>(
        &self,
        now: DateTime<Utc>,
        count: u16,
        young: impl Iterator<Item = Activity<'a>>,
    ) -> Vec<Figures> {
        let today = self.day(now);
        let first = before(today, count.saturating_sub(1));
        let mut added: BTreeMap<NaiveDate, (u64, RoaringBitmap)> = BTreeMap::new();
        for activity in young {
            let (messages, people) = added.entry(self.day(activity.time)).or_default();
            *messages += 1;
            people.extend(activity.user);
        }
        let days = first.iter_days().take_while(|date| *date <= today);
        let known = days.filter(|date| self.is_known_from(*date));
        known
            .map(|date| {
                let nothing = Day::default();
                let day = self.range(date..=date).next().map_or(&nothing, |(_, day)| day);
                let (messages, people) = added.remove(&date).unwrap_or_default();
                let sealed: u64 = day.hours.iter().copied().map(u64::from).sum();
                let users = day.people.union_len(&people);
                Figures { date, messages: sealed + messages, users }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone};
    use chrono_tz::Tz;

    use super::*;
    use crate::sources::librechat::days::Reach;

    #[test]
    fn young_messages_are_counted_on_their_day_and_people_once() {
        let mut days = Days::new(Tz::UTC, Reach { statistics: 3, people: 0 });
        days.all_known();
        let now = Utc.with_ymd_and_hms(2026, 3, 3, 12, 0, 0).single().expect("a time");
        let by = |user, days_ago| Activity {
            time: now - TimeDelta::days(days_ago),
            user: Some(user),
            replied: None,
            by_agent: false,
            servers: &[],
        };
        days.add(&by(1, 1));
        days.add(&by(2, 1));
        let recent = days.recent(now, 3, [by(2, 1), by(2, 0), by(3, 9)].into_iter());
        let figures: Vec<(u64, u64)> = recent.iter().map(|day| (day.messages, day.users)).collect();
        assert_eq!(figures, [(0, 0), (3, 2), (1, 1)]);
    }
}
