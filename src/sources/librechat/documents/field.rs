//! The fields of documents that are read, and which of them could not be used.

use serde::{Deserialize, Serialize};

/// The fields that can be malformed.
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
    TransactionUser,
    TransactionModel,
    TransactionTokenType,
    TransactionContext,
    TransactionRawAmount,
    TransactionTokenValue,
    TransactionInputTokens,
    TransactionWriteTokens,
    TransactionReadTokens,
    UserProvider,
    UserRole,
    UserCreatedAt,
    UserEmail,
    BalanceTokenCredits,
    SessionExpiration,
    FileSource,
    FileBytes,
    AgentId,
    AgentName,
    AgentProvider,
    AgentModel,
    SharedLinkExpiredAt,
    SharedLinkIsPublic,
    BannerDisplayFrom,
    BannerDisplayTo,
}

impl Field {
    /// The fields of messages.
    pub const MESSAGES: [Field; 21] = [
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

    /// The fields of transactions.
    pub const TRANSACTIONS: [Field; 9] = [
        Field::TransactionUser,
        Field::TransactionModel,
        Field::TransactionTokenType,
        Field::TransactionContext,
        Field::TransactionRawAmount,
        Field::TransactionTokenValue,
        Field::TransactionInputTokens,
        Field::TransactionWriteTokens,
        Field::TransactionReadTokens,
    ];

    /// The fields of the collections that are looked through now and then.
    pub const SURVEYED: &[Field] = &[
        Field::UserProvider,
        Field::UserRole,
        Field::UserCreatedAt,
        Field::UserEmail,
        Field::BalanceTokenCredits,
        Field::SessionExpiration,
        Field::FileSource,
        Field::FileBytes,
        Field::AgentId,
        Field::AgentName,
        Field::AgentProvider,
        Field::AgentModel,
        Field::SharedLinkExpiredAt,
        Field::SharedLinkIsPublic,
        Field::BannerDisplayFrom,
        Field::BannerDisplayTo,
    ];

    /// Every field.
    pub fn all() -> impl Iterator<Item = Field> {
        let [messages, transactions] = [&Self::MESSAGES[..], &Self::TRANSACTIONS[..]];
        messages.iter().chain(transactions).chain(Self::SURVEYED).copied()
    }

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
            Field::TransactionUser => "user",
            Field::TransactionModel | Field::AgentModel => "model",
            Field::TransactionTokenType => "tokenType",
            Field::TransactionContext => "context",
            Field::TransactionRawAmount => "rawAmount",
            Field::TransactionTokenValue => "tokenValue",
            Field::TransactionInputTokens => "inputTokens",
            Field::TransactionWriteTokens => "writeTokens",
            Field::TransactionReadTokens => "readTokens",
            Field::UserProvider | Field::AgentProvider => "provider",
            Field::UserRole => "role",
            Field::UserCreatedAt => "createdAt",
            Field::UserEmail => "email",
            Field::BalanceTokenCredits => "tokenCredits",
            Field::SessionExpiration => "expiration",
            Field::FileSource => "source",
            Field::FileBytes => "bytes",
            Field::AgentId => "id",
            Field::AgentName => "name",
            Field::SharedLinkExpiredAt => "expiredAt",
            Field::SharedLinkIsPublic => "isPublic",
            Field::BannerDisplayFrom => "displayFrom",
            Field::BannerDisplayTo => "displayTo",
        }
    }
}

/// A set of fields that could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Field>", into = "Vec<Field>")]
pub struct Malformed(u64);

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
        Field::all().filter(move |field| self.contains(*field))
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
