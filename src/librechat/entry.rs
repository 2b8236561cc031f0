//! A message in the ledger.

use chrono::{DateTime, Utc};
use mongodb::bson::oid::ObjectId;

use super::document::Message;
use super::labels::{Label, Labels};
use super::ratings::Rated;
use super::tally::Contribution;

/// What is kept of a message that may still change or lies in a window.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it adds to the sums.
    pub contribution: Contribution,
    /// The first reply, for a user message that has one.
    pub answer: Option<FirstReply>,
    /// The number of the person.
    pub user: Option<u32>,
    /// `conversationId`, for young messages.
    pub conversation: Option<Box<str>>,
    /// `createdAt`.
    pub created_at: Option<DateTime<Utc>>,
    /// `updatedAt`.
    pub updated_at: Option<DateTime<Utc>>,
    /// Whether the last read found the document.
    pub present: bool,
    /// Whether its contribution is part of the sealed sums.
    pub sealed: bool,
    /// When it was last seen open.
    pub last_open: Option<DateTime<Utc>>,
    /// Whether it is looked up after the watermark has passed it.
    pub followed: bool,
    unfinished: bool,
    message_id: Option<Box<str>>,
    feedback: Option<Rated>,
}

/// The first reply to a user message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
            last_open: None,
            followed: false,
            unfinished: message.unfinished,
            message_id: message.message_id.filter(|_| message.by_user).map(Box::from),
            feedback: Rated::read(message, labels),
        }
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
