//! The book in which every message is entered once.
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
//! * [`tail`], [`history`] and [`local_days`]: what is done with messages that were read, by where they
//!   lie, and [`settling`]: linking questions to replies, following what is open, sealing the rest;
//! * [`book`]: the part that is saved, with [`entry`] for one message and [`tally`] for sums;
//! * [`windows`], [`durations`] and [`ratings`]: what else messages add up to; [`day`] and [`days`]: what
//!   happened on which local day, with [`statistics`] over them, [`returning`] people and
//!   [`recent_days`] for charts;
//! * [`counted`]: what the documents of other collections add up to, with [`spending`] for transactions
//!   and [`spending_of_users`] for those of single people;
//! * [`labels`] and `pairs`: strings kept once, and maps in the state file.

pub mod book;
pub mod counted;
pub mod day;
pub mod days;
pub mod durations;
pub mod entry;
pub mod history;
pub mod labels;
pub mod local_days;
mod pairs;
pub mod ratings;
pub mod recent_days;
pub mod returning;
pub mod settling;
pub mod spending;
pub mod spending_of_users;
pub mod statistics;
pub mod tail;
pub mod tally;
pub mod windows;

use std::time::Duration;

use chrono::{DateTime, Utc};
use mongodb::bson::oid::ObjectId;

use super::object_id::{at, day_of, start_of, time_of};
use book::Book;
use days::Days;
use entry::Entry;
use labels::People;
use local_days::SealedBefore;
use ratings::{Rated, Sweep};
use tally::Tally;
use windows::{WINDOW, Windows};

const FIRST: ObjectId = ObjectId::from_bytes([0; 12]);
const LAST: ObjectId = ObjectId::from_bytes([0xff; 12]);

/// Everything known about the messages of a LibreChat.
#[derive(Debug)]
pub struct Ledger {
    limits: Limits,
    /// What is saved.
    pub book: Book,
    people: People,
    days: Days,
    /// What was sealed when the days were last forgotten; `None`: nothing.
    sealed_before: Option<SealedBefore>,
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
    /// A ledger that goes on with `book`, which is new or was saved.
    pub fn new(limits: Limits, book: Book, days: Days) -> Ledger {
        Ledger {
            limits,
            windows_from: book.watermark.unwrap_or(FIRST),
            sealed_before: (!book.is_new()).then(|| SealedBefore::now(&book)),
            book,
            people: People::default(),
            days,
            changed: true,
        }
    }

    /// A ledger for a history that ends at `end` and is only looked back on, with no tail after it.
    pub fn of_past(limits: Limits, mut days: Days, end: ObjectId) -> Ledger {
        let mut book = Book::new(true);
        if let Some(history) = &mut book.history {
            history.end = end;
        }
        days.all_known();
        Ledger::new(limits, book, days)
    }

    /// The point from which messages are read again at every refresh. The first call decides where the
    /// history ends: far enough back that the windows lie after it.
    pub fn watermark(&mut self, now: DateTime<Utc>) -> ObjectId {
        if let Some(watermark) = self.book.watermark {
            return watermark;
        }
        let watermark = at(now - self.behind());
        self.book.watermark = Some(watermark);
        self.windows_from = watermark;
        if let Some(history) = &mut self.book.history {
            history.end = watermark;
        }
        self.changed = true;
        watermark
    }

    /// Whether all messages are entered, so that sums over all of them can be told.
    pub fn is_complete(&self) -> bool {
        self.book.history.is_none()
    }

    /// The beginning of the day of the first message: no sum counts anything older.
    pub fn begins(&self) -> Option<DateTime<Utc>> {
        let sealed = self.book.days.keys().next().copied();
        let young = self.book.entries.keys().next().map(|id| day_of(*id));
        let first = sealed.into_iter().chain(young).min();
        first.map(|day| time_of(start_of(day)))
    }

    /// The sums over all messages ever entered.
    pub fn total(&self) -> Tally {
        let mut total = self.book.sealed.clone();
        for entry in self.book.entries.values().filter(|entry| !entry.sealed) {
            total.add(&entry.contribution, entry.answered());
        }
        total
    }

    /// What happened in the last five minutes; `None` where messages of that time were sealed too early
    /// to be kept.
    pub fn windows(&self, now: DateTime<Utc>) -> Option<Windows> {
        let mut windows = Windows::new(now);
        let settled = at(now - self.limits.settling_time);
        for (id, entry) in self.book.entries.iter().filter(|(_, entry)| entry.present) {
            windows.add(entry, *id >= settled);
        }
        (self.windows_from <= at(now - self.behind())).then_some(windows)
    }

    /// Takes the answer of a sweep for feedback.
    pub fn swept(&mut self, sweep: Sweep) {
        self.book.ratings.swept(sweep);
        self.changed = true;
    }

    /// The feedback on the messages after the watermark.
    pub fn young_feedback(&self) -> impl Iterator<Item = Rated> {
        let start = self.book.watermark.unwrap_or(LAST);
        let young = self.book.entries.range(start..).map(|(_, entry)| entry);
        young.filter(|entry| entry.present).filter_map(Entry::feedback)
    }

    /// Notes what MongoDB calls the collection.
    pub fn name_collection(&mut self, name: Option<String>) {
        self.changed |= self.book.collection != name;
        self.book.collection = name;
    }

    /// Whether the book has changed since this was last asked in a way that must be saved.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Notes that a save failed, so that the next refresh tries again.
    pub fn not_saved(&mut self) {
        self.changed = true;
    }

    /// How far behind the present the history ends.
    fn behind(&self) -> Duration {
        self.limits.settling_time.max(WINDOW + Duration::from_secs(1))
    }
}
