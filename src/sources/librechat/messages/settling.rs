//! Linking questions to replies, following what is open, and sealing what has settled.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mongodb::bson::oid::ObjectId;

use crate::sources::librechat::documents::id_hash::IdHash;
use crate::sources::librechat::documents::message::Message;
use crate::sources::librechat::documents::object_id::{at, seconds_between};
use crate::sources::librechat::messages::Ledger;
use crate::sources::librechat::messages::entry::{Entry, FirstReply, Openness};
use crate::sources::librechat::messages::local_days::activity;
use crate::sources::librechat::messages::saved::Saved;

/// How long an open message is looked up again.
const OPEN_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How many open messages are looked up at most; beyond, the oldest are sealed as they are.
const MAX_OPEN: usize = 10_000;

impl Ledger {
    pub(super) fn enter(&mut self, message: Message<'_>, mut entry: Entry) {
        let known = self.saved.entries.get(&message.id);
        if let Some(known) = known {
            entry.follow(known);
        }
        let sealed = known.is_some_and(|known| known.sealed);
        let is_as_saved = known.is_some_and(|known| entry.is_saved_like(known));
        if !message.by_user {
            self.note_reply(&message, entry.as_reply(&message));
        }
        if !sealed {
            self.changed |= !is_as_saved;
            self.saved.entries.insert(message.id, entry);
        }
    }

    pub(super) fn note_reply(&mut self, message: &Message<'_>, reply: FirstReply) {
        let Some(parent) = message.parent_message_id.map(IdHash::of) else { return };
        let first = self.saved.first_replies.entry(parent).or_insert(reply);
        if reply.id <= first.id {
            *first = reply;
        }
    }

    /// Gives each user message that is not sealed the first reply to it, if one came within a day, as the
    /// reply was when it was last read.
    pub(super) fn link_answers(&mut self) {
        let Saved { entries, first_replies, .. } = &mut self.saved;
        for (id, entry) in entries.iter_mut().filter(|(_, entry)| !entry.sealed) {
            let Some(message_id) = entry.question() else { continue };
            let reply = first_replies.get(&message_id).filter(|r| is_within_a_day(*id, r.id));
            let Some(mut reply) = reply.copied() else { continue };
            if let Some(known) = &entry.answer {
                if known.id != reply.id {
                    continue;
                }
                reply.follow(known, entry.updated_at);
            }
            if entry.answer != Some(reply) {
                entry.answer = Some(reply);
                self.changed = true;
            }
        }
    }

    /// Seals what lies in `range` and has rested. The caller forgets what need not be kept.
    pub(super) fn seal_rested(&mut self, range: Range<ObjectId>, now: DateTime<Utc>) {
        let mut open = 0;
        let mut sealing: Vec<ObjectId> = Vec::new();
        let unsealed =
            self.saved.entries.range(range.clone()).rev().filter(|(_, entry)| !entry.sealed);
        for (id, entry) in unsealed {
            let rested = entry.openness.has_rested(self.limits.settling_time, now)
                && !entry.awaits_reply_after(range.end);
            open += usize::from(!rested);
            if rested || open > MAX_OPEN {
                sealing.push(*id);
            }
        }
        for id in sealing {
            if let Some(mut entry) = self.saved.entries.remove(&id) {
                self.seal(id, &entry);
                entry.sealed = true;
                entry.awaited = false;
                entry.followed = false;
                self.saved.entries.insert(id, entry);
            }
        }
    }

    /// Notes which entries in `range` are open now; those before `settled` are read again only if they
    /// are followed.
    pub(super) fn note_open(
        &mut self,
        range: Range<ObjectId>,
        settled: ObjectId,
        now: DateTime<Utc>,
    ) {
        let limit = at(now - OPEN_FOR);
        let entries = &mut self.saved.entries;
        let unfinished: HashSet<ObjectId> = entries
            .iter()
            .filter(|(_, entry)| !entry.sealed && entry.is_unfinished_reply())
            .map(|(id, _)| *id)
            .collect();
        for (id, entry) in entries.range_mut(range).filter(|(_, entry)| !entry.sealed) {
            let reply_unfinished = entry.answer.is_some_and(|a| unfinished.contains(&a.id));
            let open = entry.is_unanswered() || unfinished.contains(id) || reply_unfinished;
            let openness = match entry.openness.next(open, now) {
                // A day is over: what is known now is what counts.
                Openness::Open if *id < limit => Openness::Closed,
                other => other,
            };
            self.changed |= openness != entry.openness;
            entry.openness = openness;
            entry.followed = !openness.is_closed() || entry.awaits_reply_after(settled);
        }
    }

    pub(super) fn seal(&mut self, id: ObjectId, entry: &Entry) {
        self.changed = true;
        self.saved.seal(id, entry);
        if let Some(activity) = activity(entry) {
            self.days.add(&activity);
        }
    }
}

/// Whether a reply with the second `_id` can be the answer to a question with the first.
pub fn is_within_a_day(from: ObjectId, to: ObjectId) -> bool {
    seconds_between(from, to) <= OPEN_FOR.as_secs() as i64
}
