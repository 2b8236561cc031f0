//! A message in the ledger.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use mongodb::bson::oid::ObjectId;
use serde::{Deserialize, Serialize};

use crate::exposition::labels::{Label, Labels};
use crate::sources::librechat::documents::classes::{ENDPOINT, MODEL, SERVER, TOOL};
use crate::sources::librechat::documents::id_hash::IdHash;
use crate::sources::librechat::documents::mcp;
use crate::sources::librechat::documents::message::Message;
use crate::sources::librechat::documents::object_id::time_of;
use crate::sources::librechat::messages::durations::Ended;
use crate::sources::librechat::messages::ratings::Rated;
use crate::sources::librechat::messages::totals::{Answer, Contribution};

/// What is kept of a message that may still change or lies in a window.
///
/// Of the person only a number is kept, and neither that nor the conversation is saved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// What it adds to the sums.
    pub contribution: Contribution,
    /// The first reply, for a user message that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<FirstReply>,
    /// The number of the person.
    #[serde(skip)]
    pub user: Option<u32>,
    /// `conversationId`, for young messages.
    #[serde(skip)]
    pub conversation: Option<IdHash>,
    /// `createdAt`.
    #[serde(default, with = "chrono::serde::ts_milliseconds_option")]
    pub created_at: Option<DateTime<Utc>>,
    /// `updatedAt`.
    #[serde(default, with = "chrono::serde::ts_milliseconds_option")]
    pub updated_at: Option<DateTime<Utc>>,
    /// Whether its model is an agent.
    #[serde(skip)]
    pub by_agent: bool,
    /// The MCP servers that it uses.
    #[serde(skip)]
    pub servers: Box<[Label]>,
    /// Whether the last read found the document.
    #[serde(skip)]
    pub present: bool,
    /// Whether a read that has begun must still find it.
    #[serde(skip)]
    pub awaited: bool,
    /// Whether its contribution is part of the sealed sums.
    #[serde(skip)]
    pub sealed: bool,
    /// Whether it can still change although it has settled.
    #[serde(default, skip_serializing_if = "Openness::is_closed")]
    pub openness: Openness,
    /// Whether it is looked up after the watermark has passed it.
    #[serde(skip, default = "looked_up")]
    pub followed: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unfinished: bool,
    /// Whether it was seen unfinished and then finished.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    resumed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_id: Option<IdHash>,
    #[serde(skip)]
    feedback: Option<Rated>,
}

/// After a restart every message that has not been sealed is looked up once.
fn looked_up() -> bool {
    true
}

/// Whether a message can still change although it is older than the settling time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Openness {
    /// It was not open when last looked at.
    #[default]
    Closed,
    /// It is unanswered or unfinished, or its answer is unfinished.
    Open,
    /// It was open and was then found closed. It is followed for another settling time: the token
    /// count of a question is corrected a moment after its reply is complete.
    ClosedSince(#[serde(with = "chrono::serde::ts_milliseconds")] DateTime<Utc>),
}

impl Openness {
    /// Whether it was not open when last looked at, nor shortly before.
    pub fn is_closed(&self) -> bool {
        *self == Openness::Closed
    }

    /// Whether nothing is expected to change any more.
    pub fn has_rested(self, settling_time: Duration, now: DateTime<Utc>) -> bool {
        match self {
            Openness::Closed => true,
            Openness::Open => false,
            Openness::ClosedSince(time) => time + settling_time <= now,
        }
    }

    /// What follows when it is found to be open or not.
    pub fn next(self, open: bool, now: DateTime<Utc>) -> Openness {
        match (self, open) {
            (_, true) => Openness::Open,
            (Openness::Open, false) => Openness::ClosedSince(now),
            (closed, false) => closed,
        }
    }
}

/// The first reply to a user message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstReply {
    /// The `_id` of the reply.
    pub id: ObjectId,
    /// Its model.
    pub model: Label,
    /// When it ended; `None` if it failed, is not finished or does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

impl FirstReply {
    /// What a reply means to its question; `resumed` tells whether it was seen unfinished before.
    fn new(reply: &Message<'_>, model: Label, resumed: bool) -> FirstReply {
        let inserted_at = time_of(reply.id);
        let created_at = reply.created_at.filter(|created_at| {
            // For an imported or forked reply, nobody waited.
            let is_copy = (inserted_at - *created_at).abs() > CLOCKS_DIFFER;
            !is_copy && !reply.error && !reply.unfinished
        });
        let ended = created_at.map(|created_at| Ended {
            created_at,
            rewritten_at: reply.updated_at.filter(|time| *time > created_at),
            resumed,
        });
        FirstReply { id: reply.id, model, ended }
    }

    /// Takes over what was known of the reply to a question that was corrected at some time.
    pub fn follow(&mut self, known: &FirstReply, corrected_at: Option<DateTime<Utc>>) {
        if let (Some(ended), Some(known)) = (&mut self.ended, known.ended) {
            ended.resumed |= known.was_completed(corrected_at);
        }
    }
}

/// How far the clocks of LibreChat and MongoDB may differ.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(5);

impl Entry {
    /// The entry of a message of the person with the number `user`.
    pub fn new(message: &Message<'_>, user: Option<u32>, labels: &mut Labels) -> Entry {
        let mut servers: Vec<Label> = message
            .tool_calls
            .iter()
            .filter_map(|call| mcp::server(call.tool?))
            .map(|server| labels.label(SERVER, server))
            .collect();
        servers.sort_unstable();
        servers.dedup();
        let tool_calls = message
            .tool_calls
            .iter()
            .map(|call| (labels.label_or_unknown(TOOL, call.tool), call.failed))
            .collect();
        Entry {
            contribution: Contribution {
                by_user: message.by_user,
                error: message.error,
                tokens: message.tokens,
                model: labels.label_or_unknown(MODEL, message.model),
                endpoint: labels.label_or_unknown(ENDPOINT, message.endpoint),
                tool_calls,
                malformed: message.malformed.clone(),
            },
            answer: None,
            user,
            conversation: None,
            created_at: message.created_at,
            updated_at: message.updated_at,
            by_agent: message.model.is_some_and(mcp::is_agent),
            servers: servers.into(),
            present: true,
            awaited: false,
            sealed: false,
            openness: Openness::Closed,
            followed: false,
            unfinished: message.unfinished,
            resumed: false,
            message_id: message.message_id.filter(|_| message.by_user).map(IdHash::of),
            feedback: Rated::read(message, labels),
        }
    }

    /// Whether it would be saved as `other` is.
    pub fn is_saved_like(&self, other: &Entry) -> bool {
        self.contribution == other.contribution
            && self.answer == other.answer
            && self.created_at == other.created_at
            && self.updated_at == other.updated_at
            && self.openness == other.openness
            && self.unfinished == other.unfinished
            && self.resumed == other.resumed
            && self.message_id == other.message_id
    }

    /// What is known of the answer to it: by which model, and after how many milliseconds.
    pub fn answered(&self) -> Option<Answer> {
        let answer = self.answer?;
        let waited = answer
            .ended
            .zip(self.created_at)
            .and_then(|(ended, asked_at)| ended.waited(asked_at, self.updated_at));
        Some(Answer { model: answer.model, waited })
    }

    /// Takes over what was known of the message when it was read before.
    pub fn follow(&mut self, known: &Entry) {
        self.answer = known.answer;
        self.openness = known.openness;
        self.followed = known.followed;
        self.resumed = known.resumed || (known.unfinished && !self.unfinished);
    }

    /// What it means to the question to which it is a reply.
    pub fn as_reply(&self, message: &Message<'_>) -> FirstReply {
        FirstReply::new(message, self.contribution.model, self.resumed)
    }

    /// The `messageId` of a user message.
    pub fn question(&self) -> Option<IdHash> {
        self.message_id
    }

    /// Whether it is a user message to which no reply is known.
    pub fn is_unanswered(&self) -> bool {
        self.contribution.by_user && self.answer.is_none()
    }

    /// Whether it is a user message whose answer has not settled where everything before `settled` has:
    /// a correction of the answer may still change how long it took.
    pub fn awaits_reply_after(&self, settled: ObjectId) -> bool {
        self.answer.is_some_and(|answer| answer.id >= settled)
    }

    /// Whether it is a reply that may still be completed.
    pub fn is_unfinished_reply(&self) -> bool {
        self.unfinished && !self.contribution.by_user
    }

    /// The feedback on it.
    pub fn feedback(&self) -> Option<Rated> {
        self.feedback
    }
}
