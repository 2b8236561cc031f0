//! How many documents of a collection were ever seen.

use std::collections::{BTreeMap, HashSet};

use mongodb::bson::oid::ObjectId;
use serde::{Deserialize, Serialize};

use crate::librechat::object_id::{at, day_of, time_of};

/// The documents of a collection that were ever seen, counted by the day of `_id`.
///
/// Documents after the watermark are remembered one by one until they have settled, so that one which
/// is deleted the moment after it was seen stays counted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Counted {
    watermark: ObjectId,
    /// The documents before the watermark, by the day of `_id` in days since 1970.
    days: BTreeMap<u32, u64>,
    young: HashSet<Seen>,
    #[serde(skip)]
    changed: bool,
}

/// Enough to know a document again; its `_id`, which may be that of a person, is not saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct Seen {
    second: u32,
    checksum: u32,
}

impl Seen {
    fn of(id: ObjectId) -> Seen {
        let [a, b, c, d, rest @ ..] = id.bytes();
        Seen { second: u32::from_be_bytes([a, b, c, d]), checksum: crc32fast::hash(&rest) }
    }

    fn earliest_id(self) -> ObjectId {
        ObjectId::from_parts(self.second, [0; 5], [0; 3])
    }
}

impl Default for Counted {
    fn default() -> Counted {
        Counted {
            watermark: ObjectId::from_bytes([0; 12]),
            days: BTreeMap::new(),
            young: HashSet::new(),
            changed: false,
        }
    }
}

impl Counted {
    /// From where on documents are read.
    pub fn watermark(&self) -> ObjectId {
        self.watermark
    }

    /// How many documents were ever seen.
    pub fn total(&self) -> u64 {
        self.days.values().sum::<u64>() + self.young.len() as u64
    }

    /// Enters documents in the order of `_id`, remembering at most `limit` one by one.
    pub fn enter(&mut self, ids: impl Iterator<Item = ObjectId>, limit: usize) {
        for id in ids.filter(|id| *id >= self.watermark) {
            self.changed |= self.young.insert(Seen::of(id));
        }
        let surplus = self.young.len().saturating_sub(limit);
        if surplus > 0 {
            let mut young: Vec<&Seen> = self.young.iter().collect();
            let (_, first_kept, _) = young.select_nth_unstable(surplus);
            let next = first_kept.earliest_id();
            self.settle(next);
        }
    }

    /// Moves the watermark to `next`, past documents that have settled.
    pub fn settle(&mut self, next: ObjectId) {
        let next = next.max(self.watermark);
        let settled = self.young.extract_if(|seen| seen.earliest_id() < next);
        for seen in settled {
            *self.days.entry(day_of(seen.earliest_id())).or_default() += 1;
            self.changed = true;
        }
        self.watermark = at(time_of(next));
    }

    /// How many documents of a day are known before the watermark.
    pub fn known(&self, day: u32) -> u64 {
        self.days.get(&day).copied().unwrap_or(0)
    }

    /// The first day of which a document is known.
    pub fn first_day(&self) -> Option<u32> {
        self.days.keys().next().copied()
    }

    /// Adds documents of a day that were found later.
    pub fn add_late(&mut self, day: u32, late: u64) {
        *self.days.entry(day).or_default() += late;
        self.changed = true;
    }

    /// Whether something has changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Notes that a save failed, so that the next refresh tries again.
    pub fn not_saved(&mut self) {
        self.changed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(second: u32, counter: u8) -> ObjectId {
        ObjectId::from_parts(second, [0; 5], [0, 0, counter])
    }

    #[test]
    fn a_document_counts_once_however_often_it_is_read() {
        let mut counted = Counted::default();
        counted.enter([id(100, 1), id(100, 2), id(200, 1)].into_iter(), 10);
        counted.enter([id(100, 1), id(200, 1)].into_iter(), 10);
        assert_eq!(counted.total(), 3);
        counted.settle(id(150, 0));
        assert_eq!((counted.total(), counted.known(0), counted.young.len()), (3, 2, 1));
        counted.enter([id(120, 3)].into_iter(), 10);
        assert_eq!(counted.total(), 3, "what lies before the watermark is the audit's");
    }

    #[test]
    fn more_than_the_limit_settle_at_once() {
        let mut counted = Counted::default();
        counted.enter((0..100).map(|second| id(second, 0)), 10);
        assert_eq!((counted.total(), counted.young.len()), (100, 10));
        assert_eq!(counted.watermark(), id(90, 0));
    }
}
