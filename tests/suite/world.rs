//! People who use a LibreChat with an exporter beside it, for random histories.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use crate::exporter::{Exporter, SETTLING_TIME};

pub const MODELS: [&str; 4] = ["gpt-4o", "claude-3-7-sonnet-latest", "agent_ab12", ""];

/// One thing that happens. Numbers choose among what there is.
#[derive(Debug, Clone)]
pub enum Event {
    Ask {
        user: u8,
        tokens: i32,
    },
    Reply {
        question: usize,
        model: usize,
        tokens: f64,
        kind: Kind,
    },
    /// A message that may still change gets another token count.
    Correct {
        message: usize,
        tokens: i32,
    },
    /// An unfinished reply ends.
    Finish {
        message: usize,
        tokens: i32,
    },
    Rate {
        message: usize,
        up: bool,
        tag: Option<u8>,
    },
    TakeBack {
        message: usize,
    },
    /// A chat from elsewhere, the reply before the question or after it.
    Import {
        user: u8,
        days_ago: Option<i64>,
        reply_first: bool,
    },
    /// A message with a field of an unexpected type.
    Odd {
        field: usize,
        value: usize,
    },
    /// A conversation, a user and a file.
    Others,
    /// Something is paid for, or given.
    Spend {
        user: u8,
        model: usize,
        tokens: i32,
        kind: Spending,
    },
    /// One message goes.
    Delete {
        message: usize,
    },
    /// All messages of a conversation go.
    DeleteChat {
        user: u8,
    },
    /// Old messages expire.
    Expire {
        hours: i64,
    },
    /// Conversations, users and files go.
    DeleteOthers,
    /// The exporter is restarted.
    Restart,
    /// The exporter is restarted without its state file.
    RestartAnew,
    /// The clocks of all machines step back.
    ClockBack {
        seconds: i64,
    },
}

/// A transaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spending {
    Prompt,
    Structured,
    Completion,
    Credits,
    Odd,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Whole,
    Unfinished,
    Failed,
    FailedInContent,
    WithTools,
}

pub const ODD_FIELDS: [&str; 15] = [
    "messageId",
    "conversationId",
    "parentMessageId",
    "user",
    "model",
    "endpoint",
    "sender",
    "isCreatedByUser",
    "tokenCount",
    "error",
    "unfinished",
    "createdAt",
    "updatedAt",
    "feedback",
    "content",
];

fn odd_values() -> [Bson; 7] {
    [
        Bson::Int32(-3),
        Bson::Double(f64::NAN),
        Bson::String("User".to_owned()),
        Bson::Boolean(true),
        Bson::Array(vec![Bson::Int32(1)]),
        Bson::Document(doc! { "a": 1 }),
        Bson::ObjectId(ObjectId::from_bytes([7; 12])),
    ]
}

/// The database and what the test must remember of it.
pub struct World {
    database: Database,
    now: DateTime<Utc>,
    refreshed: DateTime<Utc>,
    /// The latest time that it was.
    latest: DateTime<Utc>,
    minted: u64,
    messages: Vec<Document>,
    deleted: HashSet<ObjectId>,
    exporter: Exporter,
}

impl World {
    /// A LibreChat without messages, and an exporter beside it.
    pub fn new(database: &Database, timezone: Tz, begin: DateTime<Utc>) -> World {
        World {
            database: database.clone(),
            now: begin,
            refreshed: begin,
            latest: begin,
            minted: 0,
            messages: Vec::new(),
            deleted: HashSet::new(),
            exporter: Exporter::new(database, timezone, begin).with_state(),
        }
    }

    /// Refreshes and fails unless every family equals the oracle's.
    pub async fn refresh(&mut self, context: &str) {
        self.exporter.set_now(self.now);
        self.exporter.assert_equals_oracle(&self.database, context).await;
        self.refreshed = self.latest;
    }

    /// Lets time pass.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    pub fn wait(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
        self.latest = self.latest.max(self.now);
    }

    fn mint(&mut self) -> ObjectId {
        self.minted += 1;
        let mut bytes = [0; 12];
        let seconds = u32::try_from(self.now.timestamp()).expect("a time");
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[4..].copy_from_slice(&self.minted.to_be_bytes());
        ObjectId::from_bytes(bytes)
    }

    fn message(&mut self, user: u8, fields: Document) -> Document {
        let id = self.mint();
        let now = mongodb::bson::DateTime::from_millis(self.now.timestamp_millis());
        let mut message = doc! {
            "_id": id,
            "messageId": format!("m{}", self.minted),
            "conversationId": format!("c{user}"),
            "user": format!("u{user}"),
            "endpoint": if user.is_multiple_of(2) { Bson::from("openAI") } else { Bson::Null },
            "unfinished": false,
            "error": false,
            "createdAt": now,
            "updatedAt": now,
        };
        message.extend(fields);
        message
    }

    async fn insert(&mut self, message: Document) {
        self.database
            .collection::<Document>("messages")
            .insert_one(&message)
            .await
            .expect("an insert");
        self.messages.push(message);
    }

    async fn update(&mut self, index: usize, mut fields: Document) {
        let now = mongodb::bson::DateTime::from_millis(self.now.timestamp_millis());
        fields.insert("updatedAt", now);
        let id = self.messages[index].get_object_id("_id").expect("an _id");
        let update = doc! { "$set": fields.clone() };
        let messages = self.database.collection::<Document>("messages");
        messages.update_one(doc! { "_id": id }, update).await.expect("an update");
        self.messages[index].extend(fields);
    }

    /// Whether the exporter must still see a change of the message: it was inserted within the settling
    /// time before the last refresh or after it, or it is open.
    fn may_change(&self, index: usize) -> bool {
        let message = &self.messages[index];
        let id = message.get_object_id("_id").expect("an _id");
        let seconds = id.timestamp().timestamp_millis() / 1000;
        let age = self.refreshed.timestamp() - seconds;
        let by_user = message.get_bool("isCreatedByUser").ok() == Some(true);
        let open = if by_user {
            !self.is_answered(index)
        } else {
            message.get_bool("unfinished").ok() == Some(true)
        };
        age <= SETTLING_TIME.num_seconds() || (open && age < 86_400)
    }

    fn is_answered(&self, index: usize) -> bool {
        let message_id = self.messages[index].get_str("messageId").ok();
        self.messages.iter().any(|m| m.get_str("parentMessageId").ok() == message_id)
    }

    async fn delete(&mut self, wanted: impl Fn(&Document) -> bool) {
        let ids: Vec<ObjectId> = self
            .messages
            .iter()
            .filter(|message| wanted(message))
            .map(|message| message.get_object_id("_id").expect("an _id"))
            .collect();
        let messages = self.database.collection::<Document>("messages");
        messages.delete_many(doc! { "_id": { "$in": &ids } }).await.expect("a deletion");
        self.deleted.extend(ids);
    }

    /// A message that is wanted and not odd: odd fields stay as they are.
    fn pick(&self, number: usize, wanted: impl Fn(&Document) -> bool) -> Option<usize> {
        let wanted = |m: &Document| {
            let id = m.get_object_id("_id").expect("an _id");
            !m.contains_key("odd") && !self.deleted.contains(&id) && wanted(m)
        };
        let candidates: Vec<usize> =
            (0..self.messages.len()).filter(|index| wanted(&self.messages[*index])).collect();
        (!candidates.is_empty()).then(|| candidates[number % candidates.len()])
    }

    /// Lets something happen.
    pub async fn happen(&mut self, event: Event) {
        match event {
            Event::Ask { user, tokens } => {
                let fields = doc! {
                    "isCreatedByUser": true, "sender": "User", "tokenCount": tokens, "model": null,
                };
                let message = self.message(user, fields);
                self.insert(message).await;
            }
            Event::Reply { question, model, tokens, kind } => {
                let asked = |m: &Document| m.get_bool("isCreatedByUser").ok() == Some(true);
                let Some(question) = self.pick(question, asked) else { return };
                if self.now < self.latest && self.is_answered(question) {
                    // Its `_id` could be before that of the first reply.
                    return;
                }
                let message = self.reply(question, MODELS[model], tokens, kind);
                self.insert(message).await;
            }
            Event::Correct { message, tokens } => {
                let Some(index) = self.pick(message, |_| true) else { return };
                if self.may_change(index) {
                    self.update(index, doc! { "tokenCount": tokens }).await;
                }
            }
            Event::Finish { message, tokens } => {
                let unfinished = |m: &Document| m.get_bool("unfinished").ok() == Some(true);
                let Some(index) = self.pick(message, unfinished) else { return };
                if self.may_change(index) {
                    self.update(index, doc! { "unfinished": false, "tokenCount": tokens }).await;
                }
            }
            Event::Rate { message, up, tag } => {
                // People rate replies.
                let replied = |m: &Document| m.get_bool("isCreatedByUser").ok() == Some(false);
                let Some(index) = self.pick(message, replied) else { return };
                let rating = if up { "thumbsUp" } else { "thumbsDown" };
                let tag = match tag {
                    None => Bson::Null,
                    Some(0) => Bson::Document(doc! { "key": "bad_style" }),
                    Some(tag) => Bson::String(format!("tag{tag}")),
                };
                self.update(index, doc! { "feedback": { "rating": rating, "tag": tag } }).await;
            }
            Event::TakeBack { message } => {
                // People rate replies.
                let replied = |m: &Document| m.get_bool("isCreatedByUser").ok() == Some(false);
                let Some(index) = self.pick(message, replied) else { return };
                self.update(index, doc! { "feedback": null }).await;
            }
            Event::Import { user, days_ago, reply_first } => {
                self.import(user, days_ago, reply_first).await
            }
            Event::Odd { field, value } => {
                let field = ODD_FIELDS[field];
                let [value] = [odd_values()[value].clone()];
                let fields = doc! { "isCreatedByUser": false, "sender": "AI", "tokenCount": 5, "odd": true, field: value };
                let message = self.message(1, fields);
                self.insert(message).await;
            }
            Event::Others => {
                let now = mongodb::bson::DateTime::from_millis(self.now.timestamp_millis());
                let number = self.minted;
                let provider = if number.is_multiple_of(2) { "local" } else { "openid" };
                for name in ["conversations", "users", "files"] {
                    let document = doc! {
                        "_id": self.mint(), "createdAt": now, "provider": provider,
                        "email": format!("u{number}@Mail.example.org"), "bytes": number as f64 / 4.0,
                    };
                    let collection = self.database.collection::<Document>(name);
                    collection.insert_one(document).await.expect("an insert");
                }
            }
            Event::Spend { user, model, tokens, kind } => {
                let transaction = self.transaction(user, MODELS[model], tokens, kind);
                let transactions = self.database.collection::<Document>("transactions");
                transactions.insert_one(transaction).await.expect("an insert");
            }
            Event::Delete { message } => {
                let Some(index) = self.pick(message, |_| true) else { return };
                let id = self.messages[index]["_id"].clone();
                self.delete(|message| message["_id"] == id).await;
            }
            Event::DeleteChat { user } => {
                let chat = Bson::from(format!("c{user}"));
                self.delete(|message| message["conversationId"] == chat).await;
            }
            Event::Expire { hours } => {
                let before = self.now - TimeDelta::hours(hours);
                self.delete(|message| {
                    let id = message.get_object_id("_id").expect("an _id");
                    id.timestamp().timestamp_millis() < before.timestamp_millis()
                })
                .await;
            }
            Event::DeleteOthers => {
                for name in ["conversations", "users", "files", "transactions"] {
                    let collection = self.database.collection::<Document>(name);
                    collection.delete_many(doc! {}).await.expect("a deletion");
                }
            }
            Event::Restart => self.exporter.restart(),
            Event::RestartAnew => {
                std::fs::remove_file(self.exporter.state()).ok();
                self.exporter.forget();
                self.exporter.restart();
            }
            Event::ClockBack { seconds } => {
                self.now = (self.now - TimeDelta::seconds(seconds))
                    .max(self.latest - TimeDelta::seconds(400));
            }
        }
    }

    fn transaction(&mut self, user: u8, model: &str, tokens: i32, kind: Spending) -> Document {
        let mut transaction = doc! {
            "_id": self.mint(), "user": ObjectId::from_bytes([user; 12]), "model": model,
            "tokenType": "prompt", "context": "message", "rawAmount": -tokens,
            "tokenValue": f64::from(-tokens) * 0.75,
        };
        match kind {
            Spending::Prompt => {}
            Spending::Structured => {
                let tokens = -f64::from(tokens);
                transaction.extend(doc! { "inputTokens": tokens, "readTokens": tokens * 4.0 });
            }
            Spending::Completion => {
                transaction.insert("tokenType", "completion");
            }
            Spending::Credits => {
                transaction.extend(doc! { "tokenType": "credits", "rawAmount": tokens - 100 });
            }
            Spending::Odd => {
                let field = ["user", "model", "tokenType", "rawAmount", "tokenValue"]
                    [usize::from(user) % 5];
                transaction.insert(field, Bson::Array(vec![Bson::Int32(tokens)]));
            }
        }
        transaction
    }

    fn reply(&mut self, question: usize, model: &str, tokens: f64, kind: Kind) -> Document {
        let parent = self.messages[question].get_str("messageId").expect("an id").to_owned();
        let user = self.messages[question].get_str("user").expect("a user")[1..]
            .parse()
            .expect("a number");
        let mut fields = doc! {
            "isCreatedByUser": false, "sender": "AI", "parentMessageId": parent, "model": model,
            "tokenCount": tokens, "unfinished": kind == Kind::Unfinished, "error": kind == Kind::Failed,
        };
        match kind {
            Kind::FailedInContent => {
                fields.insert("content", vec![Bson::from(doc! { "type": "error", "error": "no" })]);
            }
            Kind::WithTools => {
                let call = |name: &str, output: &str| {
                    Bson::from(doc! {
                        "type": "tool_call", "tool_call": { "name": name, "output": output },
                    })
                };
                let content = vec![
                    call("search", "fine"),
                    call("search", "Error: 1\n Please fix your mistakes."),
                    call("x_mcp_y", "ERROR PROCESSING TOOL"),
                    call("z_mcp_y", "fine"),
                    Bson::from(doc! { "type": "tool_call" }),
                ];
                fields.insert("content", content);
            }
            Kind::Unfinished => {
                fields.remove("tokenCount");
            }
            Kind::Whole | Kind::Failed => {}
        }
        self.message(user, fields)
    }

    async fn import(&mut self, user: u8, days_ago: Option<i64>, reply_first: bool) {
        let fields = doc! {
            "isCreatedByUser": true, "sender": "user", "model": "gpt-4", "tokenCount": 9,
        };
        let mut question = self.message(user, fields);
        let fields = doc! {
            "isCreatedByUser": false, "sender": "GPT-4", "model": "gpt-4",
            "parentMessageId": question.get_str("messageId").expect("an id"),
        };
        let mut reply = self.message(user, fields);
        for message in [&mut question, &mut reply] {
            match days_ago {
                None => {
                    message.remove("createdAt");
                    message.remove("updatedAt");
                }
                Some(days) => {
                    let then = (self.now - TimeDelta::days(days)).timestamp_millis();
                    message.insert("createdAt", mongodb::bson::DateTime::from_millis(then));
                }
            }
        }
        if reply_first {
            let (of_question, of_reply) = (question["_id"].clone(), reply["_id"].clone());
            question.insert("_id", of_reply);
            reply.insert("_id", of_question);
        }
        self.insert(question).await;
        self.insert(reply).await;
    }
}
