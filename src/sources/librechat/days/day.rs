//! What happened on one local day.

use chrono::{DateTime, Utc};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use crate::exposition::labels::Label;

/// What happened on one local day.
#[derive(Debug, Clone, Default)]
pub struct Day {
    /// The people with a message.
    pub people: RoaringBitmap,
    /// What each of them did.
    pub doings: FxHashMap<u32, Doings>,
    /// The replies of each model.
    pub replies: FxHashMap<Label, u32>,
    /// The people who were answered by each agent.
    pub agents: FxHashMap<Label, RoaringBitmap>,
    /// The people who were served by each MCP server.
    pub servers: FxHashMap<Label, RoaringBitmap>,
    /// The messages in each hour.
    pub hours: [u32; 24],
}

/// What one person did on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
// There are millions where many people are active on many days: without the gap that 64 bits would have before them.
#[repr(C, packed(4))]
pub struct Doings {
    /// The messages by and to the person.
    pub messages: u32,
    /// When the first was created, in milliseconds since 1970.
    pub first: i64,
    /// When the last was created.
    pub last: i64,
}

/// What one message adds to its day.
#[derive(Debug, Clone, Copy)]
pub struct Activity<'a> {
    /// `createdAt`.
    pub time: DateTime<Utc>,
    /// The number of the person.
    pub user: Option<u32>,
    /// The model, where the message is a reply.
    pub replied: Option<Label>,
    /// Whether that is an agent.
    pub by_agent: bool,
    /// The MCP servers that it uses.
    pub servers: &'a [Label],
}

impl Day {
    /// Adds a message of the local hour `hour`.
    pub fn add(&mut self, activity: &Activity<'_>, hour: u32) {
        if let Some(hour) = usize::try_from(hour).ok().and_then(|hour| self.hours.get_mut(hour)) {
            *hour += 1;
        }
        if let Some(model) = activity.replied {
            *self.replies.entry(model).or_default() += 1;
        }
        let Some(user) = activity.user else { return };
        self.people.insert(user);
        let time = activity.time.timestamp_millis();
        let doings = Doings { messages: 1, first: time, last: time };
        self.doings.entry(user).and_modify(|known| known.add(doings)).or_insert(doings);
        if let Some(agent) = activity.replied.filter(|_| activity.by_agent) {
            self.agents.entry(agent).or_default().insert(user);
        }
        for server in activity.servers {
            self.servers.entry(*server).or_default().insert(user);
        }
    }

    /// Adds what else happened on the same day.
    pub fn add_all(&mut self, other: Day) {
        self.people |= other.people;
        for (user, doings) in other.doings {
            self.doings.entry(user).and_modify(|known| known.add(doings)).or_insert(doings);
        }
        for (model, replies) in other.replies {
            *self.replies.entry(model).or_default() += replies;
        }
        for (sets, others) in [(&mut self.agents, other.agents), (&mut self.servers, other.servers)]
        {
            for (label, people) in others {
                *sets.entry(label).or_default() |= people;
            }
        }
        for (sum, messages) in self.hours.iter_mut().zip(other.hours) {
            *sum += messages;
        }
    }
}

impl Doings {
    fn add(&mut self, other: Doings) {
        self.messages += other.messages;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::librechat::documents::id_hash::IdHash;

    #[test]
    fn a_person_takes_little_room_on_each_day() {
        assert_eq!((size_of::<(u32, Doings)>(), size_of::<(IdHash, u32)>()), (24, 20));
    }
}
