//! What the ledger knows for good: the part that is saved in the state file.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mongodb::bson::oid::ObjectId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::exposition::labels::Labels;
use crate::sources::librechat::documents::id_hash::IdHash;
use crate::sources::librechat::documents::object_id::{after, day_of, start_of};
use crate::sources::librechat::messages::entry::{Entry, FirstReply};
use crate::sources::librechat::messages::ratings::Ratings;
use crate::sources::librechat::messages::totals::{Answer, Totals};

/// The sums over the history, and the messages that may still change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Saved {
    /// The label values seen.
    pub labels: Labels,
    /// The sums over the messages that can no longer change.
    pub sealed: Totals,
    /// The same by the day of `_id`, in days since 1970.
    pub days: BTreeMap<u32, DayTotals>,
    /// The point from which messages are read again at every refresh.
    pub watermark: Option<ObjectId>,
    /// The messages after the watermark that are sealed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ahead: BTreeSet<ObjectId>,
    /// What the first pass has still to read; `None`: nothing.
    pub history: Option<History>,
    /// The messages that may still change or lie in a window.
    #[serde(serialize_with = "unsealed", deserialize_with = "entries")]
    pub entries: BTreeMap<ObjectId, Entry>,
    /// The first reply to each `messageId`, by `parentMessageId`, of the messages not yet settled.
    pub first_replies: HashMap<IdHash, FirstReply>,
    /// The feedback on settled messages.
    #[serde(default)]
    pub ratings: Ratings,
    /// What MongoDB calls the collection, where it tells: another after it was made anew.
    pub collection: Option<String>,
}

/// The messages of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayTotals {
    /// The first message of the day that was sealed. Finding some of them again tells that a database
    /// is the one that was read.
    pub sample: ObjectId,
    /// The sums.
    pub totals: Totals,
}

/// The messages that were stored when the exporter was first started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Everything up to this `_id` is entered.
    pub read_to: ObjectId,
    /// Where it ends: the first watermark.
    pub end: ObjectId,
    /// How many messages were entered.
    pub entered: u64,
}

impl Saved {
    /// A saved in which nothing is written. Where no metric needs the history, `history_needed` is
    /// false and what is before the first watermark is left unread.
    pub fn new(history_needed: bool) -> Saved {
        let nothing = ObjectId::from_bytes([0; 12]);
        Saved {
            labels: Labels::default(),
            sealed: Totals::default(),
            days: BTreeMap::new(),
            watermark: None,
            ahead: BTreeSet::new(),
            history: history_needed.then_some(History {
                read_to: nothing,
                end: nothing,
                entered: 0,
            }),
            entries: BTreeMap::new(),
            first_replies: HashMap::new(),
            ratings: Ratings::default(),
            collection: None,
        }
    }

    /// Whether the first pass has yet to begin.
    pub fn is_new(&self) -> bool {
        self.is_empty() && self.history.is_some_and(|history| history.entered == 0)
    }

    /// Whether no message was ever entered.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty() && self.entries.is_empty()
    }

    /// Adds what a message counts to the sums.
    pub fn seal(&mut self, id: ObjectId, entry: &Entry) {
        let day = self.days.entry(day_of(id));
        let day = day.or_insert_with(|| DayTotals { sample: id, totals: Totals::default() });
        add_settled(&mut self.sealed, entry);
        add_settled(&mut day.totals, entry);
    }

    /// Adds messages of a day that were found later.
    pub fn add_late(&mut self, day: u32, late: &Totals) {
        let sample = start_of(day);
        let day =
            self.days.entry(day).or_insert_with(|| DayTotals { sample, totals: Totals::default() });
        day.totals += late;
        self.sealed += late;
    }

    /// Some messages that are known, at most `count`: one of each day from the first on, of which a backup that
    /// is being restored has some early, and the youngest.
    pub fn samples(&self, count: usize) -> Vec<ObjectId> {
        let sealed = self.days.values().map(|day| day.sample);
        let young = self.entries.keys().rev().copied();
        sealed.take(count / 2).chain(young).take(count).collect()
    }

    /// The point before which all messages were read: the watermark, or how far the first pass has come.
    /// `None` before anything was read.
    pub fn read_until(&self) -> Option<ObjectId> {
        match self.history {
            Some(history) if history.read_to < history.end => Some(after(history.read_to)),
            _ => self.watermark,
        }
    }

    /// How many messages of a day are known that lie before `end`; `None` where the sums of the day have
    /// messages from after it.
    pub fn known(&self, day: u32, end: ObjectId) -> Option<u64> {
        if self.ahead.range(start_of(day)..start_of(day + 1)).next().is_some() {
            return None;
        }
        let sealed = self.days.get(&day).map_or(0, |day| day.totals.messages);
        Some(sealed + self.unsealed_of(day, end).count() as u64)
    }

    /// The sums over these messages. A question without an answer counts as if none came any more.
    pub fn totals_of(&self, day: u32, end: ObjectId) -> Totals {
        let mut totals = self.days.get(&day).map(|day| day.totals.clone()).unwrap_or_default();
        for entry in self.unsealed_of(day, end) {
            add_settled(&mut totals, entry);
        }
        totals
    }

    fn unsealed_of(&self, day: u32, end: ObjectId) -> impl Iterator<Item = &Entry> {
        let start = start_of(day);
        let range = start..start_of(day + 1).min(end).max(start);
        self.entries.range(range).map(|(_, entry)| entry).filter(|entry| !entry.sealed)
    }
}

/// Adds a message of which nothing more is expected: no answer, and no end of a reply.
fn add_settled(totals: &mut Totals, entry: &Entry) {
    let contribution = &entry.contribution;
    let answer: Answer = entry.answered().unwrap_or_default();
    totals.add(contribution, Some(answer));
    if entry.is_unfinished_reply() {
        *totals.unfinished.entry(contribution.model).or_default() += 1;
    }
}

fn unsealed<S: Serializer>(
    entries: &BTreeMap<ObjectId, Entry>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(entries.iter().filter(|(_, entry)| !entry.sealed))
}

fn entries<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<ObjectId, Entry>, D::Error> {
    Ok(Vec::<(ObjectId, Entry)>::deserialize(deserializer)?.into_iter().collect())
}
