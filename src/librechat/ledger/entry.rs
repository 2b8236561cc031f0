//! A message in the ledger.

use std::time::Duration;

use chrono::{DateTime, Utc};
use mongodb::bson::oid::ObjectId;
use serde::{Deserialize, Serialize};

use super::labels::{Label, Labels};
use super::ratings::Rated;
use super::tally::Contribution;
use crate::librechat::document::Message;

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
    pub conversation: Option<Box<str>>,
    /// `createdAt`.
    #[serde(default, with = "chrono::serde::ts_milliseconds_option")]
    pub created_at: Option<DateTime<Utc>>,
    /// `updatedAt`.
    #[serde(skip)]
    pub updated_at: Option<DateTime<Utc>>,
    /// Whether the last read found the document.
    #[serde(skip)]
    pub present: bool,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_id: Option<Box<str>>,
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
}

impl Entry {
    /// The entry of a message of the person with the number `user`.
    pub fn new(message: &Message<'_>, user: Option<u32>, labels: &mut Labels) -> Entry {
        let tool_calls = message
            .tool_calls
            .iter()
            .map(|call| (labels.label_or_unknown(call.tool), call.failed))
            .collect();
        Entry {
            contribution: Contribution {
                by_user: message.by_user,
                error: message.error,
                tokens: message.tokens,
                model: labels.label_or_unknown(message.model),
                endpoint: labels.label_or_unknown(message.endpoint),
                tool_calls,
                malformed: message.malformed,
            },
            answer: None,
            user,
            conversation: None,
            created_at: message.created_at,
            updated_at: message.updated_at,
            present: true,
            sealed: false,
            openness: Openness::Closed,
            followed: false,
            unfinished: message.unfinished,
            message_id: message.message_id.filter(|_| message.by_user).map(Box::from),
            feedback: Rated::read(message, labels),
        }
    }

    /// Whether it would be saved as `other` is.
    pub fn is_saved_like(&self, other: &Entry) -> bool {
        self.contribution == other.contribution
            && self.answer == other.answer
            && self.created_at == other.created_at
            && self.openness == other.openness
            && self.unfinished == other.unfinished
            && self.message_id == other.message_id
    }

    /// The `messageId` of a user message.
    pub fn question(&self) -> Option<&str> {
        self.message_id.as_deref()
    }

    /// Whether it is a user message to which no reply is known.
    pub fn is_unanswered(&self) -> bool {
        self.contribution.by_user && self.answer.is_none()
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
