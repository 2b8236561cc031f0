//! What the ledger tells of local days, and reading them again after a restart.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use mongodb::bson::oid::ObjectId;
use rustc_hash::FxHashMap;

use crate::exposition::labels::Label;
use crate::sources::librechat::days::day::{Activity, Day};
use crate::sources::librechat::days::recent::Figures;
use crate::sources::librechat::days::returning::{PeopleOf, TIERS};
use crate::sources::librechat::days::statistics::Statistics;
use crate::sources::librechat::documents::message::Message;
use crate::sources::librechat::messages::entry::Entry;
use crate::sources::librechat::messages::saved::{History, Saved};
use crate::sources::librechat::messages::totals::Totals;
use crate::sources::librechat::messages::{FIRST, Ledger};

impl Ledger {
    /// How many different people wrote or were answered today, this week and this month.
    pub fn unique_users(&self, now: DateTime<Utc>) -> [Option<u64>; 3] {
        self.days.unique_users(now, young(&self.saved))
    }

    /// The replies of each model today.
    pub fn replies_today(&self, now: DateTime<Utc>) -> Option<FxHashMap<Label, u64>> {
        self.days.replies_today(now, young(&self.saved))
    }

    /// The statistics over the last complete days.
    pub fn statistics(&mut self, now: DateTime<Utc>) -> Option<Arc<Statistics>> {
        self.days.statistics(now, young(&self.saved))
    }

    /// How many different people were active in the last `days` times 24 hours, and how many of these
    /// in as long a time before it too.
    pub fn comers(&self, now: DateTime<Utc>, days: u16) -> (Option<u64>, Option<u64>) {
        self.days.comers(now, days, young(&self.saved))
    }

    /// How many people have how many messages in the last 30 local days, by tier.
    pub fn power_users(&mut self, now: DateTime<Utc>) -> Option<[u64; TIERS.len()]> {
        self.days.power_users(now, young(&self.saved))
    }

    /// The people who used each agent, and each MCP server, in the last 30 local days.
    pub fn people_of(&self, now: DateTime<Utc>) -> Option<(PeopleOf, PeopleOf)> {
        self.days.people_of(now, young(&self.saved))
    }

    /// The last days that are known, at most `count`.
    pub fn recent_days(&self, now: DateTime<Utc>, count: u16) -> Vec<Figures> {
        self.days.recent(now, count, young(&self.saved))
    }

    /// The newest local day whose messages must be read again, its beginning and its end.
    pub fn missing_day(
        &self,
        now: DateTime<Utc>,
    ) -> Option<(NaiveDate, DateTime<Utc>, DateTime<Utc>)> {
        let missing = self.days.missing(now)?;
        let knows_what_was_sealed =
            self.sealed_before.is_some() || self.sealed_before_of.contains_key(&missing.0);
        knows_what_was_sealed.then_some(missing)
    }

    /// Adds messages of `date` that are read again to `day`: those that were sealed when the day was
    /// forgotten.
    pub fn read_day<'a>(
        &mut self,
        date: NaiveDate,
        day: &mut Day,
        messages: impl Iterator<Item = Message<'a>>,
    ) {
        let sealed = self.sealed_before_of.get(&date).or(self.sealed_before.as_ref());
        let Some(sealed) = sealed.map(Arc::clone) else { return };
        for message in messages.filter(|message| sealed.contains(message.id)) {
            let user = message.user.map(|user| self.people.number(user));
            let entry = Entry::new(&message, user, &mut self.saved.labels);
            if let Some(activity) = activity(&entry) {
                day.add(&activity, self.days.hour(activity.time));
            }
        }
    }

    /// Ends reading a day again.
    pub fn enter_day(&mut self, date: NaiveDate, day: Day) {
        self.days.enter(date, day);
        self.sealed_before_of.remove(&date);
    }

    /// Adds messages of a day of `_id` that were found behind the watermark and were created on some of the
    /// local days `dates`, which must be read again after this.
    pub fn add_late(&mut self, day: u32, late: &Totals, dates: BTreeSet<NaiveDate>) {
        self.saved.add_late(day, late);
        let sealed = Arc::new(SealedBefore::now(&self.saved));
        for date in dates {
            self.days.forget_day(date);
            self.sealed_before_of.insert(date, Arc::clone(&sealed));
        }
        self.changed = true;
    }
}

/// The messages that were sealed at some moment: the days that are read again count these, all others
/// are added when they are sealed.
#[derive(Debug)]
pub struct SealedBefore {
    history: Option<History>,
    watermark: ObjectId,
    ahead: BTreeSet<ObjectId>,
    unsealed: HashSet<ObjectId>,
}

impl SealedBefore {
    /// What is sealed in `saved`.
    pub fn now(saved: &Saved) -> SealedBefore {
        let unsealed = saved.entries.iter().filter(|(_, entry)| !entry.sealed);
        SealedBefore {
            history: saved.history,
            watermark: saved.watermark.unwrap_or(FIRST),
            ahead: saved.ahead.clone(),
            unsealed: unsealed.map(|(id, _)| *id).collect(),
        }
    }

    fn contains(&self, id: ObjectId) -> bool {
        let read = self.history.is_none_or(|h| id <= h.read_to || id >= h.end);
        let passed = read && id < self.watermark && !self.unsealed.contains(&id);
        passed || self.ahead.contains(&id)
    }
}

/// What the messages that are not sealed add to their days.
fn young(saved: &Saved) -> impl Iterator<Item = Activity<'_>> {
    saved.entries.values().filter(|entry| !entry.sealed).filter_map(activity)
}

/// What a message adds to its day, if the last read found it.
pub fn activity(entry: &Entry) -> Option<Activity<'_>> {
    let contribution = &entry.contribution;
    entry.created_at.filter(|_| entry.present).map(|time| Activity {
        time,
        user: entry.user,
        replied: (!contribution.by_user).then_some(contribution.model),
        by_agent: entry.by_agent,
        servers: &entry.servers,
    })
}
