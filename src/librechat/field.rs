//! The fields of a message that are read, and which of them could not be used.

use serde::{Deserialize, Serialize};

/// The fields of a message that can be malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named after the fields, see `Field::name`")]
pub enum Field {
    MessageId,
    ConversationId,
    ParentMessageId,
    User,
    Model,
    Endpoint,
    Sender,
    IsCreatedByUser,
    TokenCount,
    Error,
    Unfinished,
    CreatedAt,
    UpdatedAt,
    Feedback,
    FeedbackRating,
    FeedbackTag,
    Content,
    ContentType,
    ToolCallName,
    ToolCall,
    ToolCallOutput,
}

impl Field {
    /// Every field, in the order of its number.
    pub const ALL: [Field; 21] = [
        Field::MessageId,
        Field::ConversationId,
        Field::ParentMessageId,
        Field::User,
        Field::Model,
        Field::Endpoint,
        Field::Sender,
        Field::IsCreatedByUser,
        Field::TokenCount,
        Field::Error,
        Field::Unfinished,
        Field::CreatedAt,
        Field::UpdatedAt,
        Field::Feedback,
        Field::FeedbackRating,
        Field::FeedbackTag,
        Field::Content,
        Field::ContentType,
        Field::ToolCallName,
        Field::ToolCall,
        Field::ToolCallOutput,
    ];

    /// The path of the field in the document.
    pub fn name(self) -> &'static str {
        match self {
            Field::MessageId => "messageId",
            Field::ConversationId => "conversationId",
            Field::ParentMessageId => "parentMessageId",
            Field::User => "user",
            Field::Model => "model",
            Field::Endpoint => "endpoint",
            Field::Sender => "sender",
            Field::IsCreatedByUser => "isCreatedByUser",
            Field::TokenCount => "tokenCount",
            Field::Error => "error",
            Field::Unfinished => "unfinished",
            Field::CreatedAt => "createdAt",
            Field::UpdatedAt => "updatedAt",
            Field::Feedback => "feedback",
            Field::FeedbackRating => "feedback.rating",
            Field::FeedbackTag => "feedback.tag",
            Field::Content => "content",
            Field::ContentType => "content.type",
            Field::ToolCallName => "content.tool_call.name",
            Field::ToolCall => "content.tool_call",
            Field::ToolCallOutput => "content.tool_call.output",
        }
    }
}

/// A set of fields that could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Field>", into = "Vec<Field>")]
pub struct Malformed(u32);

impl Malformed {
    /// Notes that a field could not be used.
    pub fn note(&mut self, field: Field) {
        self.0 |= 1 << field as u32;
    }

    /// Whether a field is noted.
    pub fn contains(self, field: Field) -> bool {
        self.0 & (1 << field as u32) != 0
    }

    /// Whether no field is noted.
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// The fields noted.
    pub fn fields(self) -> impl Iterator<Item = Field> {
        Field::ALL.into_iter().filter(move |field| self.contains(*field))
    }
}

impl From<Vec<Field>> for Malformed {
    fn from(fields: Vec<Field>) -> Malformed {
        let mut malformed = Malformed::default();
        fields.into_iter().for_each(|field| malformed.note(field));
        malformed
    }
}

impl From<Malformed> for Vec<Field> {
    fn from(malformed: Malformed) -> Vec<Field> {
        malformed.fields().collect()
    }
}
