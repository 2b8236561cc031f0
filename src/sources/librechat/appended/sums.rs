//! What the documents of a collection to which documents are only ever added add up to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, RawDocument, doc};
use rustc_hash::FxHashMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine::pairs;
use crate::exposition::labels::Labels;
use crate::exposition::series::Shown;
use crate::sources::librechat::appended::seen::{Checksum, Seen, second_of};
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

const SECONDS_A_DAY: u32 = 24 * 60 * 60;

/// How far the watermark stays behind the present where more documents come than are remembered one by one.
const LATE: TimeDelta = TimeDelta::seconds(60);

/// How long the watermark waits for a document that is newer than the last one.
const AWAITED: TimeDelta = TimeDelta::days(1);

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
    /// The documents after the watermark.
    #[serde(with = "pairs")]
    young: HashMap<Seen, S::Entry>,
    /// Those after the watermark that are part of the sums already.
    #[serde(default, skip_serializing_if = "HashSet::is_empty")]
    ahead: HashSet<Seen>,
    /// Those that an earlier version knew by a checksum; each is taken for the first document that has it.
    #[serde(default, with = "pairs", skip_serializing_if = "HashMap::is_empty")]
    young_by_checksum: HashMap<Checksum, S::Entry>,
    /// What MongoDB calls the collection, where it tells: another after it was made anew.
    #[serde(default)]
    collection: Option<String>,
    /// The time of the newest document seen since the start that is not of the future.
    #[serde(skip)]
    newest: Option<DateTime<Utc>>,
    /// What the families made of it have shown.
    shown: Shown,
    /// Another number after the sums have changed.
    #[serde(skip)]
    version: u64,
    #[serde(skip)]
    changed: bool,
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
            ahead: HashSet::new(),
            young_by_checksum: HashMap::new(),
            collection: None,
            newest: None,
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
        let young = self.young.values().chain(self.young_by_checksum.values());
        young.for_each(|entry| total.add(entry));
        total
    }

    /// Enters documents in the order of `_id`, remembering at most `limit` one by one. Returns the times of the
    /// `_id` of the first and the last that were not known.
    pub fn enter<'a>(
        &mut self,
        documents: impl Iterator<Item = &'a RawDocument>,
        limit: usize,
        now: DateTime<Utc>,
    ) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let mut new = None;
        let mut last = self.watermark;
        for document in documents {
            let Ok(id) = document.get_object_id("_id") else { continue };
            (last, self.newest) = (id, self.newest.max(Some(time_of(id)).filter(|t| *t <= now)));
            let seen = Seen::of(id);
            if id < self.watermark || self.young.contains_key(&seen) || self.ahead.contains(&seen) {
                continue;
            }
            let entry = self.young_by_checksum.remove(&Checksum::of(id)).unwrap_or_else(|| {
                let first = new.map_or(time_of(id), |(first, _)| first);
                new = Some((first, time_of(id)));
                self.version += 1;
                S::read(document, &mut self.labels)
            });
            self.first_day.get_or_insert(day_of(id));
            self.young.insert(seen, entry);
            self.changed = true;
        }
        self.settle_surplus(limit, at(now - LATE).min(last));
        new
    }

    /// Settles the oldest of more than `limit` documents; the watermark moves to `end` at most.
    fn settle_surplus(&mut self, limit: usize, end: ObjectId) {
        let surplus = self.young.len().saturating_sub(limit);
        if surplus == 0 {
            return;
        }
        let mut young: Vec<Seen> = self.young.keys().copied().collect();
        let (oldest, first_kept, _) = young.select_nth_unstable(surplus);
        self.settle(first_kept.earliest_id().min(end));
        for seen in oldest {
            if let Some(entry) = self.young.remove(seen) {
                self.add_settled(seen.second, &entry);
                self.ahead.insert(*seen);
            }
        }
    }

    /// Moves the watermark to where it stays behind the newest document, which is older than `now` where nothing
    /// was added for long or the clock of whoever makes `_id` is behind. Where only a part of what is stored was
    /// read, it moves to `end` at most.
    pub fn follow(&mut self, now: DateTime<Utc>, behind: Duration, end: Option<ObjectId>) {
        let late = u32::try_from((now - LATE).timestamp()).unwrap_or(0);
        // Where there are so many that some had to settle early, none is read again for longer than needed.
        let ahead = self.ahead.iter().map(|seen| seen.second).filter(|second| *second < late).max();
        let ahead = ahead.map(|second| ObjectId::from_parts(second + 1, [0; 5], [0; 3]));
        let newest = self.newest.map_or(now - AWAITED, |newest| newest.min(now).max(now - AWAITED));
        let next = ahead.map_or(at(newest - behind), |ahead| ahead.max(at(newest - behind)));
        self.settle(end.map_or(next, |end| next.min(end)));
    }

    /// Moves the watermark to the second of `next`, past documents that have settled.
    pub fn settle(&mut self, next: ObjectId) {
        // Documents of that second are read again, so they must be remembered.
        let next = at(time_of(next));
        if next <= self.watermark {
            return;
        }
        let end = second_of(next);
        let settled = self.young.extract_if(|seen, _| seen.second < end);
        let settled: Vec<(u32, S::Entry)> = settled
            .map(|(seen, entry)| (seen.second, entry))
            .chain(
                self.young_by_checksum
                    .extract_if(|seen, _| seen.second < end)
                    .map(|(seen, entry)| (seen.second, entry)),
            )
            .collect();
        for (second, entry) in settled {
            self.add_settled(second, &entry);
        }
        self.ahead.retain(|seen| seen.second >= end);
        self.watermark = next;
        self.changed = true;
    }

    fn add_settled(&mut self, second: u32, entry: &S::Entry) {
        self.settled.add(entry);
        if S::BY_DAY {
            self.days.entry(second / SECONDS_A_DAY).or_default().add(entry);
        }
    }

    /// How many documents of a day are known before the watermark; `None` where the sums of the day have
    /// documents from after it.
    pub fn known(&self, day: u32) -> Option<u64> {
        let ahead = self.ahead.iter().any(|seen| seen.second / SECONDS_A_DAY == day);
        (!ahead).then(|| self.days.get(&day).map_or(0, S::documents))
    }

    /// Notes what MongoDB calls the collection. Whether it was made anew since it was last noted.
    pub fn name_collection(&mut self, name: &Option<String>) -> bool {
        if self.collection == *name {
            return false;
        }
        self.changed = true;
        std::mem::replace(&mut self.collection, name.clone()).is_some() && name.is_some()
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

    const NOW: DateTime<Utc> = DateTime::from_timestamp(1_000, 0).expect("a time");

    fn enter(counted: &mut Appended<u64>, ids: &[(u32, u8)]) {
        let documents: Vec<_> =
            ids.iter().map(|(second, counter)| document(*second, *counter)).collect();
        counted.enter(documents.iter().map(|document| &**document), 10, NOW);
    }

    fn second(second: u32) -> ObjectId {
        ObjectId::from_parts(second, [0; 5], [0; 3])
    }

    #[test]
    fn a_document_counts_once_however_often_it_is_read() {
        let mut counted = Appended::default();
        enter(&mut counted, &[(100, 1), (100, 2), (200, 1)]);
        enter(&mut counted, &[(100, 1), (200, 1)]);
        assert_eq!(counted.total(), 3);
        counted.settle(second(150));
        assert_eq!((counted.total(), counted.known(0), counted.young.len()), (3, Some(2), 1));
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
        assert_eq!((counted.total(), counted.known(0)), (4, Some(1)));
    }

    #[test]
    fn more_than_the_limit_settle_at_once() {
        let mut counted: Appended<u64> = Appended::default();
        let ids: Vec<(u32, u8)> = (0..100).map(|second| (second, 0)).collect();
        enter(&mut counted, &ids);
        assert_eq!((counted.total(), counted.young.len()), (100, 10));
        assert_eq!(counted.watermark(), second(90));
    }

    #[test]
    fn more_than_the_limit_in_the_last_minute_or_the_future_are_known_again() {
        for moment in [990, 5_000] {
            let mut counted: Appended<u64> = Appended::default();
            let ids: Vec<(u32, u8)> = (0..200).map(|number| (moment, number)).collect();
            let (odd, even): (Vec<_>, Vec<_>) = ids.iter().partition(|(_, number)| number % 2 == 1);
            enter(&mut counted, &even);
            assert_eq!((counted.total(), counted.young.len(), counted.ahead.len()), (100, 10, 90));
            let json = serde_json::to_string(&counted).expect("JSON");
            counted = serde_json::from_str(&json).expect("what was saved");
            enter(&mut counted, &ids);
            enter(&mut counted, &odd);
            assert_eq!(counted.total(), 200, "those that came between them too");
            assert!(counted.watermark() < second(moment));
            assert_eq!(counted.known(0), None, "an audit has to wait");
            // Two minutes later none of a past second is read again.
            counted.follow(NOW + TimeDelta::minutes(2), Duration::from_secs(900), None);
            let passed = moment < 1_000;
            assert_eq!(counted.watermark() > second(moment), passed);
            assert_eq!(counted.known(0), passed.then_some(200));
        }
    }

    #[test]
    fn the_watermark_follows_the_newest_document_and_not_the_present() {
        let mut counted: Appended<u64> = Appended::default();
        let later = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        let settling_time = Duration::from_secs(900);
        enter(&mut counted, &[(950, 1)]);
        counted.follow(later(20_000), settling_time, None);
        // By a clock that is hours behind.
        enter(&mut counted, &[(900, 2), (960, 3)]);
        counted.follow(later(20_000), settling_time, None);
        assert_eq!((counted.total(), counted.watermark()), (3, second(60)));
        counted.follow(later(200_000), settling_time, None);
        assert_eq!(counted.watermark(), second(200_000 - 86_400 - 900), "after a day without any");
    }

    #[test]
    fn what_an_earlier_version_knew_by_a_checksum_counts_once() {
        let document = document(950, 1);
        let id = document.get_object_id("_id").expect("an _id");
        let mut counted: Appended<u64> = Appended::default();
        counted.young_by_checksum.insert(Checksum::of(id), ());
        assert_eq!(counted.total(), 1);
        enter(&mut counted, &[(950, 1), (950, 2)]);
        enter(&mut counted, &[(950, 1), (950, 2)]);
        assert_eq!((counted.total(), counted.young_by_checksum.len()), (2, 0));
        counted.young_by_checksum.insert(Checksum::of(id), ());
        counted.settle(second(960));
        assert_eq!((counted.total(), counted.known(0)), (3, Some(3)), "one that is gone");
    }
}
