//! What happened in the last five minutes.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use roaring::RoaringBitmap;

use crate::sources::librechat::documents::id_hash::IdHash;
use crate::sources::librechat::messages::entry::Entry;
use crate::sources::librechat::messages::five_minutes::contains;
use crate::sources::librechat::messages::totals::Totals;

/// Whether a message lies in one of the windows that end at `now`.
pub fn shows(now: DateTime<Utc>, entry: &Entry) -> bool {
    let lies = |time: Option<DateTime<Utc>>| time.is_some_and(|time| contains(now, time));
    lies(entry.created_at) || (!entry.contribution.tool_calls.is_empty() && lies(entry.updated_at))
}

/// What happened in the last five minutes.
#[derive(Debug)]
pub struct Windows {
    now: DateTime<Utc>,
    /// The sums over the messages created.
    pub created: Totals,
    /// The people who created them or were answered.
    pub users: RoaringBitmap,
    /// Their conversations.
    pub conversations: HashSet<IdHash>,
    /// The tool calls of the young messages updated.
    pub updated: Totals,
    /// Their people.
    pub tool_users: RoaringBitmap,
}

impl Windows {
    /// The windows that end at `now`, empty.
    pub fn new(now: DateTime<Utc>) -> Windows {
        Windows {
            now,
            created: Totals::default(),
            users: RoaringBitmap::new(),
            conversations: HashSet::new(),
            updated: Totals::default(),
            tool_users: RoaringBitmap::new(),
        }
    }

    /// Adds a message to the windows in which it lies; `young` says that it has not settled.
    pub fn add(&mut self, entry: &Entry, young: bool) {
        if entry.created_at.is_some_and(|time| contains(self.now, time)) {
            self.created.add(&entry.contribution, entry.answered());
            self.users.extend(entry.user);
            self.conversations.extend(entry.conversation);
        }
        let with_tools = young && !entry.contribution.tool_calls.is_empty();
        if with_tools && entry.updated_at.is_some_and(|time| contains(self.now, time)) {
            self.updated.add_tool_calls(&entry.contribution);
            self.tool_users.extend(entry.user);
        }
    }
}
