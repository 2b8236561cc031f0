//! Reading a document of `messages` as it came over the wire.
//!
//! Every field may be missing or of any type. One that cannot be used is skipped and noted in
//! [`Message::malformed`]; the rest of the document still counts. Missing and null are no mistakes.

use chrono::{DateTime, TimeDelta, Utc};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, RawArray, RawBsonRef, RawDocument};
use serde::{Deserialize, Serialize};

use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::documents::tool_call;
use crate::sources::librechat::documents::value::{boolean, text, text_in, time, value_in};
use crate::sources::librechat::groups::Groups;
use crate::sources::librechat::messages::totals::Tokens;

/// How long after `_id`, which is by MongoDB's clock, `createdAt` may be, which is by LibreChat's.
const LATEST_CREATION: TimeDelta = TimeDelta::days(1);

const MESSAGE_ID: Field = Field::at("messageId");
const CONVERSATION_ID: Field = Field::at("conversationId");
const PARENT_MESSAGE_ID: Field = Field::at("parentMessageId");
const USER: Field = Field::at("user");
const MODEL: Field = Field::at("model");
const ENDPOINT: Field = Field::at("endpoint");
const SENDER: Field = Field::at("sender");
const IS_CREATED_BY_USER: Field = Field::at("isCreatedByUser");
const TOKEN_COUNT: Field = Field::at("tokenCount");
const ERROR: Field = Field::at("error");
const UNFINISHED: Field = Field::at("unfinished");
const CREATED_AT: Field = Field::at("createdAt");
const UPDATED_AT: Field = Field::at("updatedAt");
const FEEDBACK: Field = Field::at("feedback");
const FEEDBACK_RATING: Field = Field::at("feedback.rating");
const FEEDBACK_TAG: Field = Field::at("feedback.tag");
const CONTENT: Field = Field::at("content");
const CONTENT_TYPE: Field = Field::at("content.type");
const TOOL_CALL_NAME: Field = Field::at("content.tool_call.name");
const TOOL_CALL: Field = Field::at("content.tool_call");
const TOOL_CALL_OUTPUT: Field = Field::at("content.tool_call.output");

/// Those that are keys of the document itself.
static KEYS: [Field; 15] = [
    MESSAGE_ID,
    CONVERSATION_ID,
    PARENT_MESSAGE_ID,
    USER,
    MODEL,
    ENDPOINT,
    SENDER,
    IS_CREATED_BY_USER,
    TOKEN_COUNT,
    ERROR,
    UNFINISHED,
    CREATED_AT,
    UPDATED_AT,
    FEEDBACK,
    CONTENT,
];

/// A message, borrowed from its document.
#[derive(Debug, Clone, PartialEq)]
pub struct Message<'a> {
    /// `_id`, minted by mongod when the message was inserted.
    pub id: ObjectId,
    /// `messageId`.
    pub message_id: Option<&'a str>,
    /// `conversationId`.
    pub conversation_id: Option<&'a str>,
    /// `parentMessageId`.
    pub parent_message_id: Option<&'a str>,
    /// `user`, the id of a person.
    pub user: Option<&'a str>,
    /// `model`, where it is a non-empty string.
    pub model: Option<&'a str>,
    /// `endpoint`, where it is a non-empty string.
    pub endpoint: Option<&'a str>,
    /// Whether a person wrote it; every other message is a reply.
    pub by_user: bool,
    /// `tokenCount`, or none.
    pub tokens: Tokens,
    /// Whether the message says that something failed.
    pub error: bool,
    /// Whether a reply is only a part of what it will be.
    pub unfinished: bool,
    /// `createdAt`.
    pub created_at: Option<DateTime<Utc>>,
    /// `updatedAt`.
    pub updated_at: Option<DateTime<Utc>>,
    /// `feedback`, where it is neither missing nor null.
    pub feedback: Option<Feedback<'a>>,
    /// The tool calls in `content`.
    pub tool_calls: Vec<ToolCall<'a>>,
    /// The fields that could not be used.
    pub malformed: Malformed,
}

/// What a person thinks of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Feedback<'a> {
    /// `feedback.rating`, where it is one of LibreChat's two.
    pub rating: Option<Rating>,
    /// `feedback.tag`, or its `key` in older documents.
    pub tag: Option<&'a str>,
}

/// LibreChat's two ratings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Rating {
    /// `thumbsUp`
    Up,
    /// `thumbsDown`
    Down,
}

/// A part of `content` with the type `tool_call`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToolCall<'a> {
    /// `tool_call.name`.
    pub tool: Option<&'a str>,
    /// Whether its output says that it failed.
    pub failed: bool,
}

/// The fields that MongoDB sends, for the groups that are on. `_id` always comes along.
pub fn projection(groups: &Groups) -> Document {
    use crate::sources::librechat::groups::{
        ACCOUNT, AGENT, BASIC, MODEL, RATING, RESPONSE, TIME_WINDOW, TOKEN, TOOL, USER,
    };
    let wanted: [(&str, &[&str]); 17] = [
        ("unfinished", &[BASIC, TOKEN, MODEL, TOOL, RESPONSE, AGENT]),
        ("messageId", &[TOKEN, MODEL, RESPONSE]),
        ("parentMessageId", &[TOKEN, MODEL, RESPONSE]),
        ("sender", &[TOKEN, MODEL, RESPONSE, AGENT]),
        ("isCreatedByUser", &[TOKEN, MODEL, RESPONSE, AGENT]),
        ("tokenCount", &[TOKEN]),
        ("model", &[MODEL, RATING, TOOL, RESPONSE, AGENT]),
        ("endpoint", &[TOOL]),
        ("error", &[BASIC, MODEL, RESPONSE]),
        ("createdAt", &[USER, MODEL, TIME_WINDOW, RESPONSE, AGENT, ACCOUNT]),
        ("updatedAt", &[RATING, TOOL, RESPONSE]),
        ("user", &[USER, AGENT, ACCOUNT]),
        ("conversationId", &[USER]),
        ("feedback", &[RATING]),
        ("content.type", &[BASIC, MODEL, TOOL, RESPONSE, AGENT]),
        ("content.tool_call.name", &[TOOL, AGENT]),
        ("content.tool_call.output", &[TOOL]),
    ];
    let fields = wanted.into_iter().filter(|(_, groups_of)| groups.has_any(groups_of));
    let mut projection: Document = fields.map(|(field, _)| (field.to_owned(), 1.into())).collect();
    projection.insert("_id", 1);
    projection
}

impl<'a> Message<'a> {
    /// The name of the collection.
    pub const COLLECTION: &'static str = "messages";

    /// Reads a document; `None` if it has no `_id` that MongoDB could have minted.
    pub fn read(document: &'a RawDocument) -> Option<Message<'a>> {
        let mut message = Message::empty();
        let mut id = None;
        let mut sender = None;
        let mut is_created_by_user = None;
        for element in document.iter_elements() {
            // Where the bytes of a document are broken, nothing after that point can be read.
            let Ok(element) = element else { break };
            let key = element.key().as_str();
            let malformed = &mut message.malformed;
            let value = match element.value() {
                Ok(value) => value,
                Err(_) => {
                    let field = KEYS.iter().find(|field| field.path() == key);
                    field.into_iter().for_each(|field| malformed.note(field));
                    continue;
                }
            };
            match key {
                "_id" => id = value.as_object_id(),
                "messageId" => message.message_id = text(value, &MESSAGE_ID, malformed),
                "conversationId" => {
                    message.conversation_id = text(value, &CONVERSATION_ID, malformed);
                }
                "parentMessageId" => {
                    message.parent_message_id = text(value, &PARENT_MESSAGE_ID, malformed);
                }
                "user" => message.user = text(value, &USER, malformed),
                "model" => message.model = text(value, &MODEL, malformed),
                "endpoint" => message.endpoint = text(value, &ENDPOINT, malformed),
                "sender" => sender = text(value, &SENDER, malformed),
                "isCreatedByUser" => {
                    is_created_by_user = boolean(value, &IS_CREATED_BY_USER, malformed);
                }
                "tokenCount" => message.tokens = tokens(value, malformed),
                "error" => {
                    message.error |= boolean(value, &ERROR, malformed).unwrap_or(false);
                }
                "unfinished" => {
                    message.unfinished = boolean(value, &UNFINISHED, malformed).unwrap_or(false);
                }
                "createdAt" => message.created_at = time(value, &CREATED_AT, malformed),
                "updatedAt" => message.updated_at = time(value, &UPDATED_AT, malformed),
                "feedback" => message.feedback = feedback(value, malformed),
                "content" => message.read_content(value),
                _ => {}
            }
        }
        message.id = id?;
        message.refuse_time_ahead();
        message.by_user = is_created_by_user.unwrap_or(sender == Some("User"));
        Some(message)
    }

    fn empty() -> Message<'a> {
        Message {
            id: ObjectId::from_bytes([0; 12]),
            message_id: None,
            conversation_id: None,
            parent_message_id: None,
            user: None,
            model: None,
            endpoint: None,
            by_user: false,
            tokens: Tokens::default(),
            error: false,
            unfinished: false,
            created_at: None,
            updated_at: None,
            feedback: None,
            tool_calls: Vec::new(),
            malformed: Malformed::default(),
        }
    }

    /// A message that says it was created long after MongoDB stored it is in no window and on no day, as
    /// if it said nothing; otherwise it would be of today until its day has come.
    fn refuse_time_ahead(&mut self) {
        let stored = self.id.timestamp().timestamp_millis();
        let latest = DateTime::from_timestamp_millis(stored).map(|stored| stored + LATEST_CREATION);
        if self.created_at > latest {
            self.created_at = None;
            self.malformed.note(&CREATED_AT);
        }
    }

    fn read_content(&mut self, value: RawBsonRef<'a>) {
        match value {
            RawBsonRef::Array(parts) => self.read_parts(parts),
            RawBsonRef::Null | RawBsonRef::Undefined => {}
            _ => self.malformed.note(&CONTENT),
        }
    }

    fn read_parts(&mut self, parts: &'a RawArray) {
        for part in parts {
            match part {
                Ok(RawBsonRef::Document(part)) => self.read_part(part),
                Ok(RawBsonRef::Null | RawBsonRef::Undefined) => {}
                Ok(_) => self.malformed.note(&CONTENT),
                Err(_) => {
                    self.malformed.note(&CONTENT);
                    break;
                }
            }
        }
    }

    fn read_part(&mut self, part: &'a RawDocument) {
        let malformed = &mut self.malformed;
        match text_in(part, "type", &CONTENT_TYPE, malformed) {
            Some("error") => self.error = true,
            Some("tool_call") => {
                let call = value_in(part, "tool_call", &TOOL_CALL, malformed);
                self.tool_calls.push(
                    call.map_or_else(ToolCall::default, |call| ToolCall::read(call, malformed)),
                );
            }
            _ => {}
        }
    }
}

impl<'a> ToolCall<'a> {
    fn read(value: RawBsonRef<'a>, malformed: &mut Malformed) -> ToolCall<'a> {
        match value {
            RawBsonRef::Document(call) => {
                let output = value_in(call, "output", &TOOL_CALL_OUTPUT, malformed);
                ToolCall {
                    tool: text_in(call, "name", &TOOL_CALL_NAME, malformed),
                    failed: output.is_some_and(tool_call::failed),
                }
            }
            RawBsonRef::Null | RawBsonRef::Undefined => ToolCall::default(),
            _ => {
                malformed.note(&TOOL_CALL);
                ToolCall::default()
            }
        }
    }
}

fn tokens(value: RawBsonRef<'_>, malformed: &mut Malformed) -> Tokens {
    let tokens = match value {
        RawBsonRef::Null | RawBsonRef::Undefined => return Tokens::default(),
        RawBsonRef::Int32(count) => u64::try_from(count).ok().map(Tokens::from),
        RawBsonRef::Int64(count) => u64::try_from(count).ok().map(Tokens::from),
        RawBsonRef::Double(count) => Tokens::from_f64(count),
        _ => None,
    };
    tokens.filter(|tokens| *tokens <= Tokens::MAX).unwrap_or_else(|| {
        malformed.note(&TOKEN_COUNT);
        Tokens::default()
    })
}

/// Reads `feedback`: `{rating, tag}`, with the tag a string or, in older documents, `{key}`.
pub fn feedback<'a>(value: RawBsonRef<'a>, malformed: &mut Malformed) -> Option<Feedback<'a>> {
    let document = match value {
        RawBsonRef::Document(document) => document,
        RawBsonRef::Null | RawBsonRef::Undefined => return None,
        _ => {
            malformed.note(&FEEDBACK);
            return None;
        }
    };
    let rating = match text_in(document, "rating", &FEEDBACK_RATING, malformed) {
        Some("thumbsUp") => Some(Rating::Up),
        Some("thumbsDown") => Some(Rating::Down),
        _ => None,
    };
    let tag = match value_in(document, "tag", &FEEDBACK_TAG, malformed) {
        Some(RawBsonRef::Document(tag)) => text_in(tag, "key", &FEEDBACK_TAG, malformed),
        Some(tag) => text(tag, &FEEDBACK_TAG, malformed),
        None => None,
    };
    Some(Feedback { rating, tag })
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Bson, Decimal128, RawDocumentBuf, doc};

    use super::*;
    use crate::sources::librechat::groups::{BASIC, RATING, TOOL};

    fn read(mut document: Document, check: impl FnOnce(Message<'_>)) {
        document.insert("_id", ObjectId::from_bytes([1; 12]));
        let raw = RawDocumentBuf::try_from(&document).expect("a document of a test");
        check(Message::read(&raw).expect("it has an _id"));
    }

    fn malformed(message: &Message<'_>) -> Vec<String> {
        message.malformed.fields().map(Field::to_string).collect()
    }

    #[test]
    fn who_wrote_a_message_is_told_by_the_sender_only_without_the_flag() {
        let cases = [
            (doc! { "isCreatedByUser": true, "sender": "AI" }, true),
            (doc! { "isCreatedByUser": false, "sender": "User" }, false),
            (doc! { "sender": "User" }, true),
            (doc! { "isCreatedByUser": "yes", "sender": "User" }, true),
            (doc! { "isCreatedByUser": null, "sender": "user" }, false),
            (doc! {}, false),
        ];
        for (document, expected) in cases {
            read(document.clone(), |message| assert_eq!(message.by_user, expected, "{document}"));
        }
    }

    #[test]
    fn tokens_are_finite_and_not_negative() {
        let good: [(Bson, f64); 5] = [
            (Bson::Int32(7), 7.0),
            (Bson::Int64(1 << 40), (1_u64 << 40) as f64),
            (Bson::Double(2.5), 2.5),
            (Bson::Double(-0.0), 0.0),
            (Bson::Null, 0.0),
        ];
        for (value, expected) in good {
            read(doc! { "tokenCount": value }, |message| {
                assert_eq!((message.tokens.as_f64(), malformed(&message)), (expected, vec![]));
            });
        }
        let bad: [Bson; 8] = [
            Bson::Int32(-1),
            Bson::Int64(i64::MAX),
            Bson::Double(1e300),
            Bson::Double(f64::NAN),
            Bson::Double(f64::INFINITY),
            Bson::String("7".to_owned()),
            Bson::Decimal128(Decimal128::from_bytes([0; 16])),
            Bson::Array(vec![]),
        ];
        for value in bad {
            read(doc! { "tokenCount": value.clone(), "model": "m" }, |message| {
                assert_eq!(message.tokens, Tokens::default(), "{value:?}");
                assert_eq!(malformed(&message), ["tokenCount"], "{value:?}");
                assert_eq!(message.model, Some("m"), "{value:?}");
            });
        }
    }

    #[test]
    fn an_error_is_a_flag_or_a_part_of_the_content() {
        let part = doc! { "type": "error", "error": "An error occurred" };
        read(doc! { "error": true }, |message| assert!(message.error));
        read(doc! { "error": false, "content": [part] }, |message| assert!(message.error));
        read(doc! { "error": "no", "content": [3, null] }, |message| {
            assert!(!message.error);
            assert_eq!(malformed(&message), ["content", "error"]);
        });
    }

    #[test]
    fn tool_calls_are_found_whatever_else_is_in_the_content() {
        let content = vec![
            Bson::Document(doc! { "type": "text", "text": "hello" }),
            Bson::Document(doc! {
                "type": "tool_call",
                "tool_call": { "name": "search", "output": "Error processing tool: no" },
            }),
            Bson::Document(doc! { "tool_call": { "name": 3 }, "type": "tool_call" }),
        ];
        read(doc! { "content": content }, |message| {
            let failed = ToolCall { tool: Some("search"), failed: true };
            let unnamed = ToolCall { tool: None, failed: false };
            assert_eq!(message.tool_calls, [failed, unnamed]);
            assert_eq!(malformed(&message), ["content.tool_call.name"]);
        });
    }

    #[test]
    fn feedback_has_its_tag_as_a_string_or_in_older_documents_as_an_object() {
        for tag in [Bson::from("bad_style"), Bson::Document(doc! { "key": "bad_style" })] {
            read(doc! { "feedback": { "rating": "thumbsDown", "tag": tag } }, |message| {
                let feedback = Feedback { rating: Some(Rating::Down), tag: Some("bad_style") };
                assert_eq!(message.feedback, Some(feedback));
            });
        }
        read(doc! { "feedback": null }, |message| assert_eq!(message.feedback, None));
        read(doc! { "feedback": "thumbsUp" }, |message| {
            assert_eq!(
                (message.feedback, malformed(&message)),
                (None, vec!["feedback".to_owned()])
            );
        });
    }

    #[test]
    fn a_time_is_a_date() {
        read(doc! { "createdAt": "2026-01-01", "updatedAt": null }, |message| {
            assert_eq!((message.created_at, message.updated_at), (None, None));
            assert_eq!(malformed(&message), ["createdAt"]);
        });
        let millis = |millis| Bson::DateTime(mongodb::bson::DateTime::from_millis(millis));
        for never in [i64::MIN, i64::MAX, 8_210_266_876_799_000] {
            read(doc! { "createdAt": millis(never) }, |message| {
                assert_eq!(
                    (message.created_at, malformed(&message)),
                    (None, vec!["createdAt".to_owned()])
                );
            });
        }
        read(doc! { "createdAt": millis(-1) }, |message| {
            assert_eq!(message.created_at, DateTime::from_timestamp_millis(-1));
        });
    }

    #[test]
    fn a_group_that_is_off_has_no_fields_sent() {
        let fields = |groups: &[&'static str]| {
            projection(&Groups::only(groups)).keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(fields(&[RATING]), ["model", "updatedAt", "feedback", "_id"]);
        assert!(!fields(&[BASIC]).contains(&"content.tool_call.output".to_owned()));
        assert!(fields(&[TOOL]).contains(&"content.tool_call.output".to_owned()));
    }
}
