//! Reading the history: the messages that were stored before the first watermark.

use std::time::Duration;

use chrono::{DateTime, Utc};
use mongodb::bson::oid::ObjectId;

use crate::sources::librechat::documents::message::Message;
use crate::sources::librechat::documents::object_id::{at, time_of};
use crate::sources::librechat::messages::entry::Entry;
use crate::sources::librechat::messages::saved::History;
use crate::sources::librechat::messages::{FIRST, Ledger};

impl Ledger {
    /// The messages of the history that were saved before they were sealed. They must be entered again,
    /// because of whom they are is not saved, before the first pass goes on.
    pub fn restored_history(&self) -> Vec<ObjectId> {
        let end = self.saved.history.map_or(FIRST, |history| history.end);
        let restored = self.saved.entries.range(..end).filter(|(_, entry)| !entry.present);
        restored.map(|(id, _)| *id).collect()
    }

    /// Enters messages of the history in the order of their `_id`; those entered before are passed
    /// over. Returns how many were new.
    pub fn enter_history<'a>(
        &mut self,
        messages: impl IntoIterator<Item = Message<'a>>,
        now: DateTime<Utc>,
    ) -> usize {
        let Some(mut history) = self.saved.history else { return 0 };
        let mut count = 0;
        for message in messages {
            let is_first = history.entered == 0 && count == 0;
            if message.id < history.read_to || (message.id == history.read_to && !is_first) {
                continue;
            }
            history.read_to = message.id;
            count += 1;
            let recent = message.created_at.is_some_and(|time| self.days.may_keep(time, now));
            let user = message.user.filter(|_| recent).map(|user| self.people.number(user));
            let entry = Entry::new(&message, user, &mut self.saved.labels);
            if let Some(rated) = entry.feedback() {
                self.saved.ratings.read(&rated);
            }
            if message.by_user || entry.is_unfinished_reply() {
                self.enter(message, entry);
            } else {
                // A whole reply of the history can change no more.
                self.note_reply(&message, entry.as_reply(&message));
                self.seal(message.id, &entry);
            }
        }
        history.entered += count as u64;
        self.saved.history = Some(history);
        self.link_answers();
        self.settle_history(history, time_of(history.read_to));
        count
    }

    /// Brings a history to a moment, before which all messages have been entered: what the sums and the
    /// days tell then is what they would have told at that moment.
    pub fn bring_history_to(&mut self, moment: DateTime<Utc>) {
        if let Some(history) = self.saved.history {
            self.settle_history(history, moment);
        }
        self.days.forget_before(moment);
    }

    /// Ends the first pass: all messages before the watermark have been entered. The ratings that it has seen
    /// are shown for `ratings_shown_for`, unless a sweep comes.
    pub fn complete_history(&mut self, now: DateTime<Utc>, ratings_shown_for: Duration) {
        self.saved.history = None;
        self.saved.ratings.all_read(now + ratings_shown_for);
        self.changed = true;
        if self.sealed_before.is_none() {
            self.days.all_known();
        }
        self.days.forget_before(now);
    }

    /// Seals what has settled. The time to which the history was read takes the place of the present.
    fn settle_history(&mut self, history: History, present: DateTime<Utc>) {
        let settled = at(present - self.limits.settling_time).min(history.end);
        self.note_open(FIRST..history.end, settled, present);
        self.seal_rested(FIRST..settled, present);
        self.saved.entries.retain(|id, entry| !entry.sealed || *id >= history.end);
        self.saved.first_replies.retain(|_, first| first.id >= settled);
    }
}
