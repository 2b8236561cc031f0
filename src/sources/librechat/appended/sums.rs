//! What the documents of a collection to which documents are only ever added add up to.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use chrono::{DateTime, Utc};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, RawDocument, doc};
use rustc_hash::FxHashMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine::pairs;
use crate::exposition::labels::Labels;
use crate::exposition::series::Shown;
use crate::sources::librechat::documents::object_id::{at, day_of, start_of, time_of};

/// Sums over documents.
pub trait Sums: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What one document adds to them.
    type Entry: Clone + Serialize + DeserializeOwned + Send + Sync;

    /// Whether they are kept for each day too, so that an audit can find what is missing.
    const BY_DAY: bool = true;

    /// The fields of a document that they need.
    fn projection() -> Document;

    /// What a document adds.
    fn read(document: &RawDocument, labels: &mut Labels) -> Self::Entry;

    /// Adds a document.
    fn add(&mut self, entry: &Self::Entry);

    /// Adds other sums.
    fn add_all(&mut self, others: &Self);

    /// By how much each sum is more than that of `known`; nothing where it is less.
    fn beyond(&self, known: &Self) -> Self;

    /// How many documents were added.
    fn documents(&self) -> u64;
}

/// The sum of documents of which nothing but their number matters.
impl Sums for u64 {
    type Entry = ();

    fn projection() -> Document {
        doc! { "_id": 1 }
    }

    fn read(_: &RawDocument, _: &mut Labels) {}

    fn add(&mut self, (): &()) {
        *self += 1;
    }

    fn add_all(&mut self, others: &u64) {
        *self += others;
    }

    fn beyond(&self, known: &u64) -> u64 {
        self.saturating_sub(*known)
    }

    fn documents(&self) -> u64 {
        *self
    }
}

/// The documents of a collection that were ever seen, added up.
///
/// Documents after the watermark are remembered one by one until they have settled, so that one which
/// is deleted the moment after it was seen stays counted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Appended<S: Sums> {
    watermark: ObjectId,
    /// The day of the first document, in days since 1970.
    #[serde(default)]
    first_day: Option<u32>,
    /// Whether the collection was read to its end.
    complete: bool,
    /// The label values seen.
    pub labels: Labels,
    /// The sums over the documents before the watermark.
    settled: S,
    /// The same by the day of `_id` in days since 1970.
    days: BTreeMap<u32, S>,
    #[serde(with = "pairs")]
    young: HashMap<Seen, S::Entry>,
    /// What the families made of it have shown.
    shown: Shown,
    /// Another number after the sums have changed.
    #[serde(skip)]
    version: u64,
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

impl<S: Sums> Default for Appended<S> {
    fn default() -> Appended<S> {
        Appended {
            watermark: ObjectId::from_bytes([0; 12]),
            first_day: None,
            complete: false,
            labels: Labels::default(),
            settled: S::default(),
            days: BTreeMap::new(),
            young: HashMap::new(),
            shown: Shown::default(),
            version: 0,
            changed: false,
        }
    }
}

impl<S: Sums> Appended<S> {
    /// From where on documents are read.
    pub fn watermark(&self) -> ObjectId {
        self.watermark
    }

    /// Whether the collection was read to its end, so that sums over all of it can be told.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Notes that the collection was read to its end.
    pub fn completed(&mut self) {
        self.changed |= !self.complete;
        self.complete = true;
    }

    /// Another number after the sums have changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The sums over all documents ever seen.
    pub fn total(&self) -> S {
        let mut total = self.settled.clone();
        self.young.values().for_each(|entry| total.add(entry));
        total
    }

    /// Enters documents in the order of `_id`, remembering at most `limit` one by one.
    pub fn enter<'a>(&mut self, documents: impl Iterator<Item = &'a RawDocument>, limit: usize) {
        for document in documents {
            let Ok(id) = document.get_object_id("_id") else { continue };
            if id >= self.watermark && !self.young.contains_key(&Seen::of(id)) {
                let entry = S::read(document, &mut self.labels);
                self.first_day.get_or_insert(day_of(id));
                self.young.insert(Seen::of(id), entry);
                self.version += 1;
                self.changed = true;
            }
        }
        let surplus = self.young.len().saturating_sub(limit);
        if surplus > 0 {
            let mut young: Vec<&Seen> = self.young.keys().collect();
            let (_, first_kept, _) = young.select_nth_unstable(surplus);
            let next = first_kept.earliest_id();
            self.settle(next);
        }
    }

    /// Moves the watermark to the second of `next`, past documents that have settled.
    pub fn settle(&mut self, next: ObjectId) {
        // Documents of that second are read again, so they must be remembered.
        let next = at(time_of(next)).max(self.watermark);
        for (seen, entry) in self.young.extract_if(|seen, _| seen.earliest_id() < next) {
            self.settled.add(&entry);
            if S::BY_DAY {
                self.days.entry(day_of(seen.earliest_id())).or_default().add(&entry);
            }
            self.changed = true;
        }
        self.watermark = next;
    }

    /// How many documents of a day are known before the watermark.
    pub fn known(&self, day: u32) -> u64 {
        self.days.get(&day).map_or(0, S::documents)
    }

    /// The first day of which a document is known.
    pub fn first_day(&self) -> Option<u32> {
        self.days.keys().next().copied()
    }

    /// The beginning of the day of the first document: no sum counts anything older.
    pub fn begins(&self) -> Option<DateTime<Utc>> {
        let first = self.first_day().into_iter().chain(self.first_day).min();
        first.map(|day| time_of(start_of(day)))
    }

    /// Adds what the documents of a day that are `stored` before the watermark add up to beyond what is
    /// known of it. Returns how many documents that are.
    pub fn add_late(&mut self, day: u32, stored: &S) -> u64 {
        let known = self.days.entry(day).or_default();
        let late = stored.beyond(known);
        known.add_all(&late);
        self.settled.add_all(&late);
        self.version += 1;
        self.changed = true;
        late.documents()
    }

    /// What the families made of it have shown.
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Notes what the families made of it have shown.
    pub fn show(&mut self, shown: Shown) {
        self.shown = shown;
        self.changed = true;
    }

    /// Whether something has changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

/// Adds the sums of `others` to those of the same keys.
pub fn add_each<K: Eq + Hash + Clone, V: std::ops::AddAssign + Copy + Default>(
    sums: &mut FxHashMap<K, V>,
    others: &FxHashMap<K, V>,
) {
    for (key, value) in others {
        *sums.entry(key.clone()).or_default() += *value;
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::RawDocumentBuf;

    use super::*;

    fn document(second: u32, counter: u8) -> RawDocumentBuf {
        let id = ObjectId::from_parts(second, [0; 5], [0, 0, counter]);
        RawDocumentBuf::try_from(&doc! { "_id": id }).expect("a document of a test")
    }

    fn enter(counted: &mut Appended<u64>, ids: &[(u32, u8)]) {
        let documents: Vec<_> =
            ids.iter().map(|(second, counter)| document(*second, *counter)).collect();
        counted.enter(documents.iter().map(|document| &**document), 10);
    }

    #[test]
    fn a_document_counts_once_however_often_it_is_read() {
        let mut counted = Appended::default();
        enter(&mut counted, &[(100, 1), (100, 2), (200, 1)]);
        enter(&mut counted, &[(100, 1), (200, 1)]);
        assert_eq!(counted.total(), 3);
        counted.settle(at(time_of(ObjectId::from_parts(150, [0; 5], [0; 3]))));
        assert_eq!((counted.total(), counted.known(0), counted.young.len()), (3, 2, 1));
        enter(&mut counted, &[(120, 3)]);
        assert_eq!(counted.total(), 3, "what lies before the watermark is the audit's");
        assert_eq!((counted.add_late(0, &5), counted.total()), (3, 6));
    }

    #[test]
    fn documents_of_the_second_at_which_reading_stopped_count_once() {
        let mut counted = Appended::default();
        enter(&mut counted, &[(100, 1), (200, 1), (200, 2)]);
        counted.settle(ObjectId::from_parts(200, [0; 5], [0, 0, 2]));
        enter(&mut counted, &[(200, 1), (200, 2), (200, 3)]);
        assert_eq!((counted.total(), counted.known(0)), (4, 1));
    }

    #[test]
    fn more_than_the_limit_settle_at_once() {
        let mut counted: Appended<u64> = Appended::default();
        let ids: Vec<(u32, u8)> = (0..100).map(|second| (second, 0)).collect();
        enter(&mut counted, &ids);
        assert_eq!((counted.total(), counted.young.len()), (100, 10));
        assert_eq!(counted.watermark(), ObjectId::from_parts(90, [0; 5], [0; 3]));
    }
}
