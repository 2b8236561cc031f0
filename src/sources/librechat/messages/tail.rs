//! Reading the tail: the messages after the watermark and the open ones before it.

use chrono::{DateTime, Utc};
use mongodb::bson::oid::ObjectId;

use crate::sources::librechat::documents::id_hash::IdHash;
use crate::sources::librechat::documents::message::Message;
use crate::sources::librechat::documents::object_id::at;
use crate::sources::librechat::messages::entry::Entry;
use crate::sources::librechat::messages::saved::Saved;
use crate::sources::librechat::messages::settling::is_within_a_day;
use crate::sources::librechat::messages::{FIRST, LAST, Ledger, windows};

/// What to read of the tail.
#[derive(Debug)]
pub struct Tail {
    /// Everything from here on.
    pub from: ObjectId,
    /// And the messages before that may still change.
    pub open: Vec<ObjectId>,
}

impl Ledger {
    /// Begins a read of the tail.
    pub fn begin_read(&mut self, now: DateTime<Utc>) -> Tail {
        let from = self.watermark(now);
        let mut open = Vec::new();
        for (id, entry) in &mut self.saved.entries {
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
        let Some(watermark) = self.saved.watermark else { return };
        for message in messages {
            if message.id < watermark && !self.saved.entries.contains_key(&message.id) {
                // It was open when it was asked for and has been sealed since.
                continue;
            }
            let user = message.user.map(|user| self.people.number(user));
            let mut entry = Entry::new(&message, user, &mut self.saved.labels);
            entry.conversation = message.conversation_id.map(IdHash::of);
            self.enter(message, entry);
        }
        if self.saved.entries.len() <= self.limits.tail {
            return;
        }
        let surplus =
            self.saved.entries.range(watermark..).count().saturating_sub(self.limits.tail);
        let next = self.saved.entries.range(watermark..).nth(surplus).map(|(id, _)| *id);
        if let Some(next) = next.filter(|next| *next > watermark) {
            self.link_answers();
            self.advance_to(next, now);
        }
    }

    /// Ends a read that saw everything stored until `now`: moves the watermark and seals what has
    /// settled. While the first pass runs, nothing moves.
    pub fn end_read(&mut self, now: DateTime<Utc>) {
        self.link_answers();
        let Some(watermark) = self.saved.watermark else { return };
        if self.is_complete() {
            self.advance_to(watermark.max(at(now - self.limits.settling_time)), now);
            self.days.forget_before(now);
        }
    }

    /// Moves the watermark and seals what it passes, unless that is open.
    pub(super) fn advance_to(&mut self, next: ObjectId, now: DateTime<Utc>) {
        let Some(watermark) = self.saved.watermark else { return };
        let Saved { entries, ratings, .. } = &mut self.saved;
        for (id, entry) in entries.range(watermark..next) {
            if let Some(rated) = entry.feedback().filter(|_| entry.present) {
                ratings.settled(*id, rated);
            }
        }
        self.saved.watermark = Some(next);
        // Until the first pass has ended, it settles the entries of the history itself.
        let history_end = self.saved.history.map(|history| history.end);
        let first = history_end.unwrap_or(FIRST).min(next);
        self.note_open(first..LAST, next, now);
        self.seal_rested(first..next, now);
        self.forget_sealed(now);
        // A question at the end of the history may be read long after its reply was.
        let awaited = history_end.filter(|_| self.saved.first_replies.len() <= self.limits.tail);
        self.saved.first_replies.retain(|_, first| {
            first.id >= next || awaited.is_some_and(|end| is_within_a_day(end, first.id))
        });
    }

    /// Forgets sealed messages that no window shows, and more of them than the tail may hold.
    fn forget_sealed(&mut self, now: DateTime<Utc>) {
        let outside = at(now - self.behind());
        self.saved.entries.retain(|id, entry| {
            let shown = entry.present && *id >= outside && windows::shows(now, entry);
            !entry.sealed || shown
        });
        let sealed = self.saved.entries.iter().filter(|(_, entry)| entry.sealed);
        let surplus = sealed.clone().count().saturating_sub(self.limits.tail);
        if let Some(last) = sealed.take(surplus).last().map(|(id, _)| *id) {
            self.saved.entries.retain(|id, entry| !entry.sealed || *id > last);
            self.windows_from = last;
        }
    }
}
