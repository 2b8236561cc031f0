//! The saved in which every message is entered once.
//!
//! A message is *sealed* when it can no longer change: its sums are added to those of the history and
//! it is never read again. Everything after the *watermark*, a point in insertion order, is the *tail*
//! and read again at every refresh; the watermark follows the present at the distance of the settling
//! time. *Open* messages, which are unanswered or unfinished, are looked up by their `_id` for a day
//! after the watermark has passed them.
//!
//! The first pass over the history and the reading of the tail enter messages in the same way, so what
//! a message counts does not depend on when the exporter was started.
//!
//! * [`tail`], [`first_pass`] and [`local_days`]: what is done with messages that were read, by where they
//!   lie, and [`settling`]: linking questions to replies, following what is open, sealing the rest;
//! * [`saved`]: the part that survives a restart, with [`entry`] for one message and [`totals`] for sums;
//! * [`windows`] over [`five_minutes`], [`durations`] and [`ratings`]: what else messages add up to.

pub mod durations;
pub mod entry;
pub mod first_pass;
pub mod five_minutes;
pub mod local_days;
pub mod ratings;
pub mod saved;
pub mod settling;
pub mod tail;
pub mod totals;
pub mod windows;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use mongodb::bson::oid::ObjectId;

use crate::exposition::labels::Label;
use crate::sources::librechat::days::Days;
use crate::sources::librechat::days::people::People;
use crate::sources::librechat::documents::classes::TAG;
use crate::sources::librechat::documents::object_id::{at, day_of, start_of, time_of};
use crate::sources::librechat::messages::entry::Entry;
use crate::sources::librechat::messages::five_minutes::WINDOW;
use crate::sources::librechat::messages::local_days::SealedBefore;
use crate::sources::librechat::messages::ratings::{Rated, Sweep};
use crate::sources::librechat::messages::saved::Saved;
use crate::sources::librechat::messages::totals::Totals;
use crate::sources::librechat::messages::windows::Windows;

const FIRST: ObjectId = ObjectId::from_bytes([0; 12]);
const LAST: ObjectId = ObjectId::from_bytes([0xff; 12]);

/// Everything known about the messages of a LibreChat.
#[derive(Debug)]
pub struct Ledger {
    limits: Limits,
    /// What is saved.
    pub saved: Saved,
    people: People,
    days: Days,
    /// What was sealed when the days were last forgotten; `None`: nothing.
    sealed_before: Option<Arc<SealedBefore>>,
    /// The same for local days that were forgotten one by one.
    sealed_before_of: BTreeMap<NaiveDate, Arc<SealedBefore>>,
    /// From this `_id` on, no message that a window may show is missing.
    windows_from: ObjectId,
    changed: bool,
}

/// How much is kept for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a message may still change.
    pub settling_time: Duration,
    /// How many messages are read again at every refresh; beyond, the oldest are sealed early.
    pub tail: usize,
}

impl Ledger {
    /// A ledger that goes on with `saved`, which is new or was saved.
    pub fn new(limits: Limits, saved: Saved, days: Days) -> Ledger {
        Ledger {
            limits,
            windows_from: saved.watermark.unwrap_or(FIRST),
            sealed_before: (!saved.is_new()).then(|| Arc::new(SealedBefore::now(&saved))),
            sealed_before_of: BTreeMap::new(),
            saved,
            people: People::default(),
            days,
            changed: true,
        }
    }

    /// A ledger for a history that ends at `end` and is only looked back on, with no tail after it.
    pub fn of_past(limits: Limits, mut days: Days, end: ObjectId) -> Ledger {
        let mut saved = Saved::new(true);
        if let Some(history) = &mut saved.history {
            history.end = end;
        }
        days.all_known();
        Ledger::new(limits, saved, days)
    }

    /// The point from which messages are read again at every refresh. The first call decides where the
    /// history ends: far enough back that the windows lie after it.
    pub fn watermark(&mut self, now: DateTime<Utc>) -> ObjectId {
        if let Some(watermark) = self.saved.watermark {
            return watermark;
        }
        let watermark = at(now - self.behind());
        self.saved.watermark = Some(watermark);
        self.windows_from = watermark;
        if let Some(history) = &mut self.saved.history {
            history.end = watermark;
            self.saved.ratings.begin(watermark, now);
        }
        self.changed = true;
        watermark
    }

    /// Whether all messages are entered, so that sums over all of them can be told.
    pub fn is_complete(&self) -> bool {
        self.saved.history.is_none()
    }

    /// The beginning of the day of the first message: no sum counts anything older.
    pub fn begins(&self) -> Option<DateTime<Utc>> {
        let sealed = self.saved.days.keys().next().copied();
        let young = self.saved.entries.keys().next().map(|id| day_of(*id));
        let first = sealed.into_iter().chain(young).min();
        first.map(|day| time_of(start_of(day)))
    }

    /// The sums over all messages ever entered.
    pub fn total(&self) -> Totals {
        let mut total = self.saved.sealed.clone();
        for entry in self.saved.entries.values().filter(|entry| !entry.sealed) {
            total.add(&entry.contribution, entry.answered());
        }
        total
    }

    /// What happened in the last five minutes; `None` where messages of that time were sealed too early
    /// to be kept.
    pub fn windows(&self, now: DateTime<Utc>) -> Option<Windows> {
        let mut windows = Windows::new(now);
        let settled = at(now - self.limits.settling_time);
        for (id, entry) in self.saved.entries.iter().filter(|(_, entry)| entry.present) {
            windows.add(entry, *id >= settled);
        }
        (self.windows_from <= at(now - self.behind())).then_some(windows)
    }

    /// Whether the first pass still has to see the ratings of the history.
    pub fn reads_ratings(&self) -> bool {
        self.saved.history.is_some()
    }

    /// Takes the answer of a sweep for feedback, and forgets the tags that no message has any more.
    pub fn swept(&mut self, sweep: Sweep) {
        let Saved { ratings, labels, entries, .. } = &mut self.saved;
        ratings.swept(sweep);
        let young = entries.values().filter_map(|entry| entry.feedback()?.tag);
        let used: HashSet<Label> = ratings.tags().chain(young).collect();
        labels.forget_unused(TAG, |label| used.contains(&label));
        self.changed = true;
    }

    /// The feedback on the messages after the watermark.
    pub fn young_feedback(&self) -> impl Iterator<Item = Rated> {
        let start = self.saved.watermark.unwrap_or(LAST);
        let young = self.saved.entries.range(start..).map(|(_, entry)| entry);
        young.filter(|entry| entry.present && !entry.sealed).filter_map(Entry::feedback)
    }

    /// Notes what MongoDB calls the collection.
    pub fn name_collection(&mut self, name: Option<String>) {
        self.changed |= self.saved.collection != name;
        self.saved.collection = name;
    }

    /// Whether the saved has changed since this was last asked in a way that must be saved.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// How far behind the present the history ends.
    fn behind(&self) -> Duration {
        self.limits.settling_time.max(WINDOW + Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use mongodb::bson::{Document, RawDocumentBuf, doc};

    use super::*;
    use crate::sources::librechat::days::Reach;
    use crate::sources::librechat::documents::message::Message;

    const NOW: DateTime<Utc> = DateTime::from_timestamp(1_770_000_000, 0).expect("a time");

    fn ledger() -> Ledger {
        let limits = Limits { settling_time: Duration::from_secs(900), tail: 1_000 };
        let days = Days::new(Tz::UTC, Reach { statistics: 30, people: 60 });
        let mut ledger = Ledger::new(limits, Saved::new(false), days);
        ledger.begin_read(NOW);
        ledger
    }

    fn stored(number: u8, mut message: Document) -> RawDocumentBuf {
        message.insert("_id", ObjectId::from_parts(1_770_000_000, [1; 5], [0, 0, number]));
        RawDocumentBuf::try_from(&message).expect("a document of a test")
    }

    fn enter(ledger: &mut Ledger, messages: &[RawDocumentBuf]) {
        ledger.enter_read(messages.iter().filter_map(|message| Message::read(message)), NOW);
    }

    #[test]
    fn tags_that_no_message_has_any_more_are_forgotten_at_the_next_sweep() {
        let mut ledger = ledger();
        let mut sweep = Sweep::new(FIRST, NOW);
        let rated = |tag| doc! { "model": "m", "feedback": { "rating": "thumbsUp", "tag": tag } };
        let [swept, gone] = ["swept", "gone"].map(|tag| {
            let message = stored(1, rated(tag));
            let message = Message::read(&message).expect("a message");
            Rated::read(&message, &mut ledger.saved.labels).expect("feedback")
        });
        sweep.add(&swept);
        enter(&mut ledger, &[stored(2, rated("young"))]);
        let tags = |ledger: &Ledger| {
            ["swept", "gone", "young", "m"].map(|tag| {
                let json = serde_json::to_string(&ledger.saved.labels).expect("JSON");
                json.contains(&format!("{tag:?}"))
            })
        };
        assert_eq!(tags(&ledger), [true; 4]);
        ledger.swept(sweep);
        assert_eq!(tags(&ledger), [true, false, true, true]);
        assert_eq!(ledger.saved.labels.name(gone.tag.expect("a tag")), "unknown");
        ledger.swept(Sweep::new(FIRST, NOW));
        assert_eq!(tags(&ledger), [false, false, true, true]);
    }
    #[test]
    fn ids_of_a_megabyte_take_no_more_room_than_others() {
        let mut ledger = ledger();
        for number in 0..200 {
            let id = |prefix: &str| format!("{prefix}{number}").repeat(1 << 18);
            let message = stored(
                number,
                doc! {
                    "messageId": id("m"), "parentMessageId": id("p"), "conversationId": id("c"),
                    "user": id("u"), "createdAt": mongodb::bson::DateTime::from_millis(NOW.timestamp_millis()),
                    "isCreatedByUser": number % 2 == 0,
                },
            );
            assert!(message.as_bytes().len() > 1 << 20);
            enter(&mut ledger, &[message]);
        }
        let windows = ledger.windows(NOW).expect("nothing is missing");
        assert_eq!((windows.conversations.len(), windows.users.len()), (200, 200));
        assert_eq!(ledger.saved.first_replies.len(), 100);
        assert!(serde_json::to_string(&ledger.saved).expect("JSON").len() < 100_000);
        // What is kept of ids is kept in place.
        assert!(size_of::<Entry>() < 512);
    }
}
