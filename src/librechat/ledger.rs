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

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use mongodb::bson::oid::ObjectId;
use rustc_hash::FxHashMap;

use super::book::{Book, History};
use super::days::{Activity, Day, Days};
use super::document::Message;
use super::entry::{Entry, FirstReply, Openness};
use super::labels::{Label, People};
use super::object_id::{at, seconds_between, time_of};
use super::ratings::{Rated, Sweep};
use super::statistics::Statistics;
use super::tally::Tally;
use super::windows::{self, WINDOW, Windows};

/// How long an open message is looked up again.
const OPEN_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How many open messages are looked up at most; beyond, the oldest are sealed as they are.
const MAX_OPEN: usize = 10_000;

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

/// What to read of the tail.
#[derive(Debug)]
pub struct Tail {
    /// Everything from here on.
    pub from: ObjectId,
    /// And the messages before that may still change.
    pub open: Vec<ObjectId>,
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

    /// Begins a read of the tail.
    pub fn begin_read(&mut self, now: DateTime<Utc>) -> Tail {
        let from = self.watermark(now);
        let mut open = Vec::new();
        for (id, entry) in &mut self.book.entries {
            if *id >= from || entry.followed {
                entry.present = false;
            }
            if *id < from && entry.followed {
                open.push(*id);
            }
        }
        Tail { from, open }
    }

    /// Enters a part of what was read, in the order of `_id`. If more lies after the watermark than is
    /// kept, the oldest are sealed at once.
    pub fn enter_read<'a>(
        &mut self,
        messages: impl IntoIterator<Item = Message<'a>>,
        now: DateTime<Utc>,
    ) {
        let Some(watermark) = self.book.watermark else { return };
        for message in messages {
            if message.id < watermark && !self.book.entries.contains_key(&message.id) {
                // It was open when it was asked for and has been sealed since.
                continue;
            }
            let user = message.user.map(|user| self.people.number(user));
            let mut entry = Entry::new(&message, user, &mut self.book.labels);
            entry.conversation = message.conversation_id.map(Box::from);
            self.enter(message, entry);
        }
        if self.book.entries.len() <= self.limits.tail {
            return;
        }
        let surplus = self.book.entries.range(watermark..).count().saturating_sub(self.limits.tail);
        let next = self.book.entries.range(watermark..).nth(surplus).map(|(id, _)| *id);
        if let Some(next) = next.filter(|next| *next > watermark) {
            self.link_answers();
            self.advance_to(next, now);
        }
    }

    /// Ends a read that saw everything stored until `now`: moves the watermark and seals what has
    /// settled. While the first pass runs, nothing moves.
    pub fn end_read(&mut self, now: DateTime<Utc>) {
        self.link_answers();
        let Some(watermark) = self.book.watermark else { return };
        if self.is_complete() {
            self.advance_to(watermark.max(at(now - self.limits.settling_time)), now);
            self.days.forget_before(now);
        }
    }

    /// What the first pass has still to read; `None` when it is over.
    pub fn history_left(&self) -> Option<History> {
        self.book.history.filter(|_| self.book.watermark.is_some())
    }

    /// The messages of the history that were saved before they were sealed. They must be entered again,
    /// because of whom they are is not saved, before the first pass goes on.
    pub fn restored_history(&self) -> Vec<ObjectId> {
        let end = self.book.history.map_or(FIRST, |history| history.end);
        let restored = self.book.entries.range(..end).filter(|(_, entry)| !entry.present);
        restored.map(|(id, _)| *id).collect()
    }

    /// Enters messages of the history in the order of their `_id`; those entered before are passed
    /// over. Returns how many were new.
    pub fn enter_history<'a>(
        &mut self,
        messages: impl IntoIterator<Item = Message<'a>>,
        now: DateTime<Utc>,
    ) -> usize {
        let Some(mut history) = self.book.history else { return 0 };
        let mut count = 0;
        for message in messages {
            if message.id <= history.read_to {
                continue;
            }
            history.read_to = message.id;
            count += 1;
            let recent = message.created_at.is_some_and(|time| self.days.may_keep(time, now));
            let user = message.user.filter(|_| recent).map(|user| self.people.number(user));
            let entry = Entry::new(&message, user, &mut self.book.labels);
            if message.by_user || entry.is_unfinished_reply() {
                self.enter(message, entry);
            } else {
                // A whole reply of the history can change no more.
                self.note_reply(&message, entry.contribution.model);
                self.seal(message.id, &entry);
            }
        }
        history.entered += count as u64;
        self.book.history = Some(history);
        self.link_answers();
        self.settle_history(history);
        count
    }

    /// Ends the first pass: all messages before the watermark have been entered.
    pub fn complete_history(&mut self, now: DateTime<Utc>) {
        self.book.history = None;
        self.changed = true;
        if self.sealed_before.is_none() {
            self.days.all_known();
        }
        self.days.forget_before(now);
    }

    /// Whether all messages are entered, so that sums over all of them can be told.
    pub fn is_complete(&self) -> bool {
        self.book.history.is_none()
    }

    /// The sums over all messages ever entered.
    pub fn total(&self) -> Tally {
        let mut total = self.book.sealed.clone();
        for entry in self.book.entries.values().filter(|entry| !entry.sealed) {
            total.add(&entry.contribution, entry.answer.map(|answer| answer.model));
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

    /// How many different people wrote or were answered today, this week and this month.
    pub fn unique_users(&self, now: DateTime<Utc>) -> [Option<u64>; 3] {
        self.days.unique_users(now, young(&self.book))
    }

    /// The replies of each model today.
    pub fn replies_today(&self, now: DateTime<Utc>) -> Option<FxHashMap<Label, u64>> {
        self.days.replies_today(now, young(&self.book))
    }

    /// The statistics over the last complete days.
    pub fn statistics(&mut self, now: DateTime<Utc>) -> Option<Arc<Statistics>> {
        self.days.statistics(now, young(&self.book))
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

    /// The newest local day whose messages must be read again, its beginning and its end.
    pub fn missing_day(
        &self,
        now: DateTime<Utc>,
    ) -> Option<(NaiveDate, DateTime<Utc>, DateTime<Utc>)> {
        self.sealed_before.as_ref().and_then(|_| self.days.missing(now))
    }

    /// Adds messages that are read again to `day`: those that were sealed when the days were forgotten.
    pub fn read_day<'a>(&mut self, day: &mut Day, messages: impl Iterator<Item = Message<'a>>) {
        let Some(sealed) = &self.sealed_before else { return };
        for message in messages.filter(|message| sealed.contains(message.id)) {
            let Some(time) = message.created_at else { continue };
            let user = message.user.map(|user| self.people.number(user));
            let model = self.book.labels.label_or_unknown(message.model);
            day.add(&Activity { time, user, replied: (!message.by_user).then_some(model) });
        }
    }

    /// Ends reading a day again.
    pub fn enter_day(&mut self, date: NaiveDate, day: Day) {
        self.days.enter(date, day);
    }

    /// Adds messages of a day of `_id` that were found behind the watermark. The local days must be
    /// read again after this.
    pub fn add_late(&mut self, day: u32, late: &Tally) {
        self.book.add_late(day, late);
        self.days.forget();
        self.sealed_before = Some(SealedBefore::now(&self.book));
        self.changed = true;
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

    fn enter(&mut self, message: Message<'_>, mut entry: Entry) {
        if !message.by_user {
            self.note_reply(&message, entry.contribution.model);
        }
        if let Some(known) = self.book.entries.get(&message.id) {
            if known.sealed {
                return;
            }
            entry.answer = known.answer;
            entry.openness = known.openness;
            entry.followed = known.followed;
            self.changed |= !entry.is_saved_like(known);
        } else {
            self.changed = true;
        }
        self.book.entries.insert(message.id, entry);
    }

    fn note_reply(&mut self, message: &Message<'_>, model: Label) {
        let Some(parent) = message.parent_message_id else { return };
        let reply = FirstReply { id: message.id, model };
        match self.book.first_replies.get_mut(parent) {
            Some(first) if first.id <= reply.id => {}
            Some(first) => *first = reply,
            None => {
                self.book.first_replies.insert(parent.into(), reply);
            }
        }
    }

    /// Gives each unanswered user message the first reply to it, if one came within a day.
    fn link_answers(&mut self) {
        let Book { entries, first_replies, .. } = &mut self.book;
        for (id, entry) in entries {
            if let Some(message_id) = entry.question().filter(|_| entry.answer.is_none()) {
                entry.answer = first_replies
                    .get(message_id)
                    .copied()
                    .filter(|answer| is_within_a_day(*id, answer.id));
                self.changed |= entry.answer.is_some();
            }
        }
    }

    /// Moves the watermark and seals what it passes, unless that is open.
    fn advance_to(&mut self, next: ObjectId, now: DateTime<Utc>) {
        let Some(watermark) = self.book.watermark else { return };
        let Book { entries, ratings, .. } = &mut self.book;
        for (id, entry) in entries.range(watermark..next) {
            if let Some(rated) = entry.feedback().filter(|_| entry.present) {
                ratings.settled(*id, rated);
            }
        }
        self.book.watermark = Some(next);
        // Until the first pass has ended, it settles the entries of the history itself.
        let history_end = self.book.history.map(|history| history.end);
        let first = history_end.unwrap_or(FIRST).min(next);
        self.note_open(first..LAST, now);
        self.seal_rested(first..next, now);
        self.forget_sealed(now);
        // A question at the end of the history may be read long after its reply was.
        let awaited = history_end.filter(|_| self.book.first_replies.len() <= self.limits.tail);
        self.book.first_replies.retain(|_, first| {
            first.id >= next || awaited.is_some_and(|end| is_within_a_day(end, first.id))
        });
    }

    /// Seals what has settled before the last message of the history that was read, whose time takes
    /// the place of the present.
    fn settle_history(&mut self, history: History) {
        let present = time_of(history.read_to);
        let settled = at(present - self.limits.settling_time).min(history.end);
        self.note_open(FIRST..history.end, present);
        self.seal_rested(FIRST..settled, present);
        self.book.entries.retain(|id, entry| !entry.sealed || *id >= history.end);
        self.book.first_replies.retain(|_, first| first.id >= settled);
    }

    /// Seals what lies in `range` and has rested. The caller forgets what need not be kept.
    fn seal_rested(&mut self, range: Range<ObjectId>, now: DateTime<Utc>) {
        let mut open = 0;
        let mut sealing: Vec<ObjectId> = Vec::new();
        let unsealed = self.book.entries.range(range).rev().filter(|(_, entry)| !entry.sealed);
        for (id, entry) in unsealed {
            let rested = entry.openness.has_rested(self.limits.settling_time, now);
            open += usize::from(!rested);
            if rested || open > MAX_OPEN {
                sealing.push(*id);
            }
        }
        for id in sealing {
            if let Some(mut entry) = self.book.entries.remove(&id) {
                self.seal(id, &entry);
                entry.sealed = true;
                entry.followed = false;
                self.book.entries.insert(id, entry);
            }
        }
    }

    /// Forgets sealed messages that no window shows, and more of them than the tail may hold.
    fn forget_sealed(&mut self, now: DateTime<Utc>) {
        let outside = at(now - self.behind());
        self.book.entries.retain(|id, entry| {
            let shown = entry.present && *id >= outside && windows::shows(now, entry);
            !entry.sealed || shown
        });
        let sealed = self.book.entries.iter().filter(|(_, entry)| entry.sealed);
        let surplus = sealed.clone().count().saturating_sub(self.limits.tail);
        if let Some(last) = sealed.take(surplus).last().map(|(id, _)| *id) {
            self.book.entries.retain(|id, entry| !entry.sealed || *id > last);
            self.windows_from = last;
        }
    }

    /// Notes which entries in `range` are open now.
    fn note_open(&mut self, range: Range<ObjectId>, now: DateTime<Utc>) {
        let limit = at(now - OPEN_FOR);
        let entries = &mut self.book.entries;
        let unfinished: HashSet<ObjectId> = entries
            .range(limit..)
            .filter(|(_, entry)| !entry.sealed && entry.is_unfinished_reply())
            .map(|(id, _)| *id)
            .collect();
        for (id, entry) in entries.range_mut(range).filter(|(_, entry)| !entry.sealed) {
            let reply_unfinished = entry.answer.is_some_and(|a| unfinished.contains(&a.id));
            let open = entry.is_unanswered() || unfinished.contains(id) || reply_unfinished;
            let openness = if *id < limit {
                // A day is over: what is known now is what counts.
                Openness::Closed
            } else {
                entry.openness.next(open, now)
            };
            self.changed |= openness != entry.openness;
            entry.openness = openness;
            // What is asked changes when its reply ends; until then looking it up tells nothing.
            entry.followed = !openness.is_closed() && !reply_unfinished;
        }
    }

    fn seal(&mut self, id: ObjectId, entry: &Entry) {
        self.changed = true;
        self.book.seal(id, entry);
        if let Some(activity) = activity(entry) {
            self.days.add(&activity);
        }
    }
}

/// The messages that were sealed at some moment: the days that are read again count these, all others
/// are added when they are sealed.
#[derive(Debug)]
struct SealedBefore {
    history: Option<History>,
    watermark: ObjectId,
    unsealed: HashSet<ObjectId>,
}

impl SealedBefore {
    fn now(book: &Book) -> SealedBefore {
        let unsealed = book.entries.iter().filter(|(_, entry)| !entry.sealed);
        SealedBefore {
            history: book.history,
            watermark: book.watermark.unwrap_or(FIRST),
            unsealed: unsealed.map(|(id, _)| *id).collect(),
        }
    }

    fn contains(&self, id: ObjectId) -> bool {
        let read = self.history.is_none_or(|h| id <= h.read_to || id >= h.end);
        read && id < self.watermark && !self.unsealed.contains(&id)
    }
}

/// What the messages that are not sealed add to their days.
fn young(book: &Book) -> impl Iterator<Item = Activity> {
    book.entries.values().filter(|entry| !entry.sealed).filter_map(activity)
}

/// What a message adds to its day, if the last read found it.
fn activity(entry: &Entry) -> Option<Activity> {
    let contribution = &entry.contribution;
    entry.created_at.filter(|_| entry.present).map(|time| Activity {
        time,
        user: entry.user,
        replied: (!contribution.by_user).then_some(contribution.model),
    })
}

fn is_within_a_day(from: ObjectId, to: ObjectId) -> bool {
    seconds_between(from, to) <= OPEN_FOR.as_secs() as i64
}
