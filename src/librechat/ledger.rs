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

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use mongodb::bson::oid::ObjectId;

use super::document::Message;
use super::entry::{Entry, FirstReply};
use super::labels::{Label, Labels, People};
use super::object_id::{at, seconds_between, time_of};
use super::ratings::{Rated, Ratings};
use super::tally::Tally;
use super::user_days::UserDays;
use super::windows::{WINDOW, Windows};

/// How long an open message is looked up again.
const OPEN_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How many open messages are looked up at most; beyond, the oldest are sealed as they are.
const MAX_OPEN: usize = 10_000;

/// Everything known about the messages of a LibreChat.
#[derive(Debug)]
pub struct Ledger {
    settling_time: Duration,
    /// The label values seen.
    pub labels: Labels,
    /// The feedback on all messages.
    pub ratings: Ratings,
    people: People,
    days: UserDays,
    sealed: Tally,
    watermark: Option<ObjectId>,
    history: History,
    entries: BTreeMap<ObjectId, Entry>,
    /// The first reply to each `messageId`, by `parentMessageId`, of the messages not yet settled.
    first_replies: HashMap<Box<str>, FirstReply>,
}

/// How far the first pass has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum History {
    /// Everything up to this `_id` is entered.
    ReadTo(ObjectId),
    /// Everything before the watermark is entered.
    Complete,
}

impl Ledger {
    /// An empty ledger. Where no metric needs the history, `history_needed` is false and what is
    /// before the first watermark is left unread.
    pub fn new(settling_time: Duration, timezone: Tz, history_needed: bool) -> Ledger {
        Ledger {
            settling_time,
            labels: Labels::default(),
            ratings: Ratings::default(),
            people: People::default(),
            days: UserDays::new(timezone),
            sealed: Tally::default(),
            watermark: None,
            history: if history_needed {
                History::ReadTo(ObjectId::from_bytes([0; 12]))
            } else {
                History::Complete
            },
            entries: BTreeMap::new(),
            first_replies: HashMap::new(),
        }
    }

    /// The point from which messages are read again at every refresh. The first call decides where the
    /// history ends: far enough back that the five-minute windows lie after it.
    pub fn watermark(&mut self, now: DateTime<Utc>) -> ObjectId {
        let behind = self.settling_time.max(WINDOW);
        *self.watermark.get_or_insert_with(|| at(now - behind))
    }

    /// The messages before the watermark that may still change.
    pub fn open(&self) -> Vec<ObjectId> {
        let Some(watermark) = self.watermark else { return Vec::new() };
        let before = self.entries.range(..watermark);
        before.filter(|(_, entry)| entry.followed).map(|(id, _)| *id).collect()
    }

    /// Enters what was read after the watermark and of the open messages. The caller follows with
    /// [`Ledger::advance`].
    pub fn enter_read<'a>(&mut self, messages: impl IntoIterator<Item = Message<'a>>) {
        let Some(watermark) = self.watermark else { return };
        for (id, entry) in &mut self.entries {
            if *id >= watermark || entry.followed {
                entry.present = false;
            }
        }
        for message in messages {
            let user = message.user.map(|user| self.people.number(user));
            let mut entry = Entry::new(&message, user, &mut self.labels);
            entry.conversation = message.conversation_id.map(Box::from);
            self.enter(message, entry);
        }
        self.link_answers();
    }

    /// Moves the watermark towards `now` and seals what has settled. While the first pass runs,
    /// nothing moves.
    pub fn advance(&mut self, now: DateTime<Utc>) {
        let (History::Complete, Some(watermark)) = (self.history, self.watermark) else { return };
        let next = watermark.max(at(now - self.settling_time));
        for (id, entry) in self.entries.range(watermark..next) {
            if let Some(rated) = entry.feedback().filter(|_| entry.present) {
                self.ratings.settled(*id, rated);
            }
        }
        self.watermark = Some(next);
        self.days.forget_before(now);
        self.settle(now);
    }

    /// Where the first pass goes on and where it ends; `None` when it is over.
    pub fn history_left(&self) -> Option<(ObjectId, ObjectId)> {
        match (self.history, self.watermark) {
            (History::ReadTo(position), Some(watermark)) => Some((position, watermark)),
            _ => None,
        }
    }

    /// Enters messages of the history in the order of their `_id`; those entered before are passed
    /// over. Returns how many were new.
    pub fn enter_history<'a>(
        &mut self,
        messages: impl IntoIterator<Item = Message<'a>>,
        now: DateTime<Utc>,
    ) -> usize {
        let mut count = 0;
        for message in messages {
            let History::ReadTo(position) = self.history else { break };
            if message.id <= position {
                continue;
            }
            self.history = History::ReadTo(message.id);
            count += 1;
            let recent = message.created_at.is_some_and(|time| self.days.may_keep(time, now));
            let user = message.user.filter(|_| recent).map(|user| self.people.number(user));
            let entry = Entry::new(&message, user, &mut self.labels);
            if message.by_user || entry.is_unfinished_reply() {
                self.enter(message, entry);
            } else {
                // A whole reply of the history can change no more.
                self.note_reply(&message, entry.contribution.model);
                seal(&entry, &mut self.sealed, &mut self.days);
            }
        }
        if let History::ReadTo(position) = self.history {
            // In the history the time of the last message takes the place of the present.
            self.link_answers();
            self.settle(time_of(position));
        }
        count
    }

    /// Ends the first pass: all messages before the watermark have been entered.
    pub fn complete_history(&mut self, now: DateTime<Utc>) {
        self.history = History::Complete;
        self.days.forget_before(now);
    }

    /// Whether all messages are entered, so that sums over all of them can be told.
    pub fn is_complete(&self) -> bool {
        self.history == History::Complete
    }

    /// The sums over all messages ever entered.
    pub fn total(&self) -> Tally {
        let mut total = self.sealed.clone();
        for entry in self.entries.values().filter(|entry| !entry.sealed) {
            total.add(&entry.contribution, entry.answer.map(|answer| answer.model));
        }
        total
    }

    /// What happened in the last five minutes.
    pub fn windows(&self, now: DateTime<Utc>) -> Windows {
        let mut windows = Windows::new(now);
        let settled = at(now - self.settling_time);
        for (id, entry) in self.entries.iter().filter(|(_, entry)| entry.present) {
            windows.add(entry, *id >= settled);
        }
        windows
    }

    /// How many different people wrote or were answered today, this week and this month.
    pub fn unique_users(&self, now: DateTime<Utc>) -> [u64; 3] {
        let unsealed = self.entries.values().filter(|entry| entry.present && !entry.sealed);
        let young = unsealed.filter_map(|entry| Some((entry.created_at?, entry.user?)));
        self.days.unique_users(now, young)
    }

    /// The feedback on the messages after the watermark.
    pub fn young_feedback(&self) -> impl Iterator<Item = Rated> {
        let start = self.watermark.unwrap_or(ObjectId::from_bytes([0xff; 12]));
        let young = self.entries.range(start..).map(|(_, entry)| entry);
        young.filter(|entry| entry.present).filter_map(Entry::feedback)
    }

    fn enter(&mut self, message: Message<'_>, mut entry: Entry) {
        if !message.by_user {
            self.note_reply(&message, entry.contribution.model);
        }
        if let Some(known) = self.entries.get(&message.id) {
            if known.sealed {
                return;
            }
            entry.answer = known.answer;
            entry.last_open = known.last_open;
            entry.followed = known.followed;
        }
        self.entries.insert(message.id, entry);
    }

    fn note_reply(&mut self, message: &Message<'_>, model: Label) {
        let Some(parent) = message.parent_message_id else { return };
        let reply = FirstReply { id: message.id, model };
        match self.first_replies.get_mut(parent) {
            Some(first) if first.id <= reply.id => {}
            Some(first) => *first = reply,
            None => {
                self.first_replies.insert(parent.into(), reply);
            }
        }
    }

    /// Gives each unanswered user message the first reply to it, if one came within a day.
    fn link_answers(&mut self) {
        for (id, entry) in &mut self.entries {
            if let Some(message_id) = entry.question().filter(|_| entry.answer.is_none()) {
                entry.answer =
                    self.first_replies.get(message_id).copied().filter(|answer| {
                        seconds_between(*id, answer.id) <= OPEN_FOR.as_secs() as i64
                    });
            }
        }
    }

    /// Seals what is older than the settling time and not open, and forgets what is sealed and older
    /// than the windows.
    fn settle(&mut self, now: DateTime<Utc>) {
        let settled = at(now - self.settling_time);
        let outside_windows = at(now - self.settling_time.max(WINDOW + Duration::from_secs(1)));
        self.note_open(now);
        let mut open = 0;
        let mut sealing: Vec<ObjectId> = Vec::new();
        for (id, entry) in self.entries.range(..settled).rev().filter(|(_, entry)| !entry.sealed) {
            let rested = entry.last_open.is_none_or(|last| last + self.settling_time <= now);
            open += usize::from(!rested);
            if rested || open > MAX_OPEN {
                sealing.push(*id);
            }
        }
        for id in sealing {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.sealed = true;
                entry.followed = false;
                seal(entry, &mut self.sealed, &mut self.days);
            }
        }
        self.entries.retain(|id, entry| !entry.sealed || (entry.present && *id >= outside_windows));
        self.first_replies.retain(|_, first| first.id >= settled);
    }

    /// Notes which entries are open now. An entry that was open is followed for another settling time:
    /// the token count of a question is corrected a moment after its reply is complete.
    fn note_open(&mut self, now: DateTime<Utc>) {
        let limit = at(now - OPEN_FOR);
        let unfinished: HashSet<ObjectId> = self
            .entries
            .range(limit..)
            .filter(|(_, entry)| !entry.sealed && entry.is_unfinished_reply())
            .map(|(id, _)| *id)
            .collect();
        for (id, entry) in self.entries.range_mut(limit..).filter(|(_, entry)| !entry.sealed) {
            let reply_unfinished = entry.answer.is_some_and(|a| unfinished.contains(&a.id));
            let open = entry.is_unanswered() || unfinished.contains(id) || reply_unfinished;
            if open {
                entry.last_open = Some(now);
            }
            // What is asked changes when its reply ends; until then looking it up tells nothing.
            entry.followed = entry.last_open.is_some() && !reply_unfinished;
        }
        for (_, entry) in self.entries.range_mut(..limit) {
            // A day is over: what is known now is what counts.
            entry.last_open = None;
        }
    }
}

/// Adds what a message counts to the sums over the history.
fn seal(entry: &Entry, sealed: &mut Tally, days: &mut UserDays) {
    let answered_by = entry.answer.map_or(Label::UNKNOWN, |answer| answer.model);
    sealed.add(&entry.contribution, Some(answered_by));
    let user = entry.user.filter(|_| entry.present);
    if let (Some(time), Some(user)) = (entry.created_at, user) {
        days.add(time, user);
    }
}
