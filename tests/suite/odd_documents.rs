//! Documents of any shape: one odd field costs that field, and no other number.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};

use usage_exporter::sources::librechat::groups::Groups;

use crate::exporter::{Exporter, SETTLING_TIME};
use crate::mongod::Mongod;
use crate::odd_values::{FIELDS, Kind, counts, is_malformed, odd_values, put};
use crate::oracle::Oracle;
use crate::samples::{self, Samples, key};
use crate::seen::Seen;

/// The name of the counter that names a path.
fn field(path: &str, kind: Kind) -> String {
    if kind == Kind::Part { "content".to_owned() } else { path.replace(".0", "") }
}

/// Every odd value in every field, and the same documents without what does not count.
struct Pairs {
    now: DateTime<Utc>,
    minted: u32,
    odd: Vec<Document>,
    clean: Vec<Document>,
    malformed: Samples,
}

impl Pairs {
    fn new(now: DateTime<Utc>) -> Pairs {
        let mut pairs =
            Pairs { now, minted: 0, odd: Vec::new(), clean: Vec::new(), malformed: Samples::new() };
        for (path, kind) in FIELDS {
            for (name, value) in odd_values() {
                for in_reply in [false, true] {
                    pairs.add(path, kind, name, &value, in_reply);
                }
            }
        }
        pairs
    }

    /// A question and its reply, one of which is odd.
    fn add(&mut self, path: &str, kind: Kind, name: &str, value: &Bson, in_reply: bool) {
        let value = match value {
            // Two messages with the same id are not what this is about.
            Bson::String(text) if path.ends_with("essageId") => {
                Bson::String(format!("{text}{path}{in_reply}"))
            }
            value => value.clone(),
        };
        let id = format!("{path}-{name}-{in_reply}");
        let question = self.message(doc! {
            "messageId": format!("{id}-question"), "parentMessageId": "none", "sender": "User",
            "isCreatedByUser": true, "tokenCount": 10,
        });
        let reply = self.message(doc! {
            "messageId": format!("{id}-reply"), "parentMessageId": format!("{id}-question"),
            "sender": "AI", "isCreatedByUser": false, "tokenCount": 20, "model": "gpt-4o",
        });
        for (index, message) in [question, reply].into_iter().enumerate() {
            let (mut odd, mut clean) = (message.clone(), message);
            if (index == 1) == in_reply {
                put(&mut odd, path, value.clone());
                let counted = if counts(kind, &value) { value.clone() } else { Bson::Undefined };
                put(&mut clean, path, counted);
                if is_malformed(kind, &value) {
                    let labels = [("collection", "messages"), ("field", &field(path, kind))];
                    let key = key("usage_exporter_malformed_fields_total", &labels);
                    *self.malformed.entry(key).or_default() += 1.0;
                }
            }
            self.odd.push(odd);
            self.clean.push(clean);
        }
    }

    fn message(&mut self, fields: Document) -> Document {
        self.minted += 1;
        let [_, a, b, c] = self.minted.to_be_bytes();
        let seconds = u32::try_from(self.now.timestamp() - 60).expect("it fits");
        let time = mongodb::bson::DateTime::from_millis(self.now.timestamp_millis() - 60_000);
        let call = doc! { "name": "search", "output": "fine" };
        let mut message = doc! {
            "_id": ObjectId::from_parts(seconds, [1; 5], [a, b, c]),
            "user": "u1", "conversationId": "c1", "endpoint": "agents", "model": null,
            "error": false, "unfinished": false, "createdAt": time, "updatedAt": time,
            "feedback": { "rating": "thumbsUp", "tag": "good" },
            "content": [{ "type": "tool_call", "tool_call": call }],
        };
        message.extend(fields);
        message
    }
}

async fn insert(database: &Database, messages: &[Document]) {
    for messages in messages.chunks(500) {
        database.collection::<Document>("messages").insert_many(messages).await.expect("an insert");
    }
}

/// Fails unless the exporter says of `odd` what the oracle says of `clean`.
async fn assert_equal(exporter: &mut Exporter, clean: &Database, malformed: &Samples, at: &str) {
    let mut found = exporter.refresh().await.expect("a refresh");
    found.remove("usage_exporter_baseline_progress_ratio");
    let oracle = Oracle { now: exporter.now(), timezone: Tz::UTC, settling_time: SETTLING_TIME };
    let mut seen = Seen::default();
    seen.look(clean, exporter.now()).await;
    let mut expected = oracle.compute(clean, &seen).await;
    expected.retain(|key, _| !key.starts_with("usage_exporter_malformed"));
    expected.extend(malformed.clone());
    samples::assert_equal(&found, &expected, at);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_odd_value_in_every_field_costs_that_field_only() {
    let documented = include_str!("../../docs/reliability.md").replace('\n', " ");
    for (name, _) in odd_values() {
        assert!(documented.contains(name), "{name} is not in docs/reliability.md");
    }
    let now = DateTime::from_timestamp(1_770_000_000, 0).expect("a time");
    let (odd, clean) = (Mongod::shared().database().await, Mongod::shared().database().await);
    let pairs = Pairs::new(now);
    insert(&odd, &pairs.odd).await;
    insert(&clean, &pairs.clean).await;
    for (name, then) in [("young", now), ("settled", now + TimeDelta::days(2))] {
        let mut exporter = Exporter::new(&odd, Tz::UTC, then).with_state();
        assert_equal(&mut exporter, &clean, &pairs.malformed, name).await;
        exporter.restart();
        assert_equal(&mut exporter, &clean, &pairs.malformed, &format!("{name}, restarted")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_messages_in_one_second_or_the_future_than_are_kept_are_counted() {
    const MANY: u32 = 3_000;
    let now = DateTime::from_timestamp(1_770_000_000, 0).expect("a time");
    for ahead in [-1, 86_400] {
        let database = Mongod::shared().database().await;
        let mut settings = crate::exporter::settings(&database, Groups::all());
        settings.tail_limit = 1_000;
        let general = crate::exporter::general(Tz::UTC);
        let mut exporter = Exporter::with_settings(&settings, &general, now).with_state();
        let seconds = u32::try_from(now.timestamp() + ahead).expect("it fits");
        let documents = |part: u32| {
            (0..MANY).filter(move |number| number % 3 == part).map(move |number| {
                let [a, b, c, d] = number.wrapping_mul(0x9e37_79b9).to_be_bytes();
                let id = ObjectId::from_parts(seconds, [a, b, c, d, 1], [0, 0, 0]);
                doc! {
                    "_id": id, "tokenType": "prompt", "rawAmount": -1, "tokenCount": 1, "model": "m",
                    "isCreatedByUser": false,
                }
            })
        };
        for part in 0..3 {
            for name in ["messages", "transactions", "files"] {
                let collection = database.collection::<Document>(name);
                collection.insert_many(documents(part)).await.expect("an insert");
            }
            let found = exporter.refresh().await.expect("a refresh");
            let expected = f64::from(MANY / 3 * (part + 1));
            assert_eq!(found["librechat_messages_total"], expected);
            assert_eq!(found["librechat_uploaded_files_total"], expected);
            let spent = "librechat_transaction_tokens_total{model=\"m\",token_type=\"prompt\"}";
            assert_eq!(found[spent], expected);
            exporter.restart();
        }
        // In the seconds after them, and a day after them.
        for (later, count) in [(60, 10.0), (120, 20.0), (200_000, 30.0)] {
            exporter.set_now(now + TimeDelta::seconds(later));
            let second = u32::try_from(now.timestamp() + later - 1).expect("it fits");
            let new = (0..10_u8).map(|number| {
                let id = ObjectId::from_parts(second, [7; 5], [0, 0, number]);
                doc! { "_id": id, "isCreatedByUser": false }
            });
            let messages = database.collection::<Document>("messages");
            messages.insert_many(new).await.expect("an insert");
            for context in ["once", "again, restarted"] {
                let found = exporter.refresh().await.expect("a refresh");
                let expected = f64::from(MANY) + count;
                assert_eq!(found["librechat_messages_total"], expected, "{later} s, {context}");
                exporter.restart();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_that_a_prompt_earned_are_in_no_cost() {
    let database = Mongod::shared().database().await;
    let now = DateTime::from_timestamp(1_770_000_000, 0).expect("a time");
    let second = u32::try_from(now.timestamp()).expect("it fits") - 60;
    for (number, raw_amount, token_value) in [(1, -14, 14_000_000), (2, 7, -7), (3, -2, -2_000_000)]
    {
        let transaction = doc! {
            "_id": ObjectId::from_parts(second, [1; 5], [0, 0, number]), "tokenType": "prompt",
            "model": "openrouter/auto", "rawAmount": raw_amount, "tokenValue": token_value,
            "rate": -1_000_000,
        };
        database.collection("transactions").insert_one(transaction).await.expect("an insert");
    }
    let mut exporter = Exporter::new(&database, Tz::UTC, now).with_state();
    exporter.assert_equals_oracle(&database, "earned credits").await;
    let found = exporter.refresh().await.expect("a refresh");
    let labels = [("model", "openrouter/auto"), ("token_type", "prompt")];
    let cost = found[&key("librechat_transaction_cost_usd_total", &labels)];
    assert!((cost - 2.000_007).abs() < 1e-9, "{cost}");
    assert_eq!(found[&key("librechat_transaction_tokens_total", &labels)], 16.0);
    let labels = [("collection", "transactions"), ("field", "tokenValue")];
    assert_eq!(found[&key("usage_exporter_malformed_fields_total", &labels)], 1.0);
}

/// A message whose bytes are put together by hand.
fn raw(id: u8, elements: &[u8]) -> RawDocumentBuf {
    let mut bytes = vec![0; 4];
    bytes.extend(b"\x07_id\0");
    bytes.extend(ObjectId::from_parts(1_700_000_000, [2; 5], [0, 0, id]).bytes());
    bytes.extend(elements);
    bytes.push(0);
    let length = u32::try_from(bytes.len()).expect("it fits");
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    RawDocumentBuf::from_bytes(bytes).expect("a document")
}

/// A text of these bytes.
fn text(name: &str, text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len() + 1).expect("it fits").to_le_bytes();
    [&[2][..], name.as_bytes(), &[0], &length, text, &[0]].concat()
}

/// `content` with a tool call whose output is this deep; MongoDB stores some 180 levels.
fn nested(levels: u32, kind: u8) -> Vec<u8> {
    let within = |kind: u8, name: &str, inner: Vec<u8>| {
        let length = u32::try_from(inner.len() + 5).expect("it fits").to_le_bytes();
        [&[kind][..], name.as_bytes(), &[0], &length, &inner, &[0]].concat()
    };
    let output = (1..levels).fold(Vec::new(), |inner, _| within(kind, "0", inner));
    let call = within(3, "tool_call", within(kind, "output", output));
    within(4, "content", within(3, "0", [text("type", b"tool_call"), call].concat()))
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_are_no_text_and_keys_that_come_twice_cost_their_field_only() {
    let no_text: [&[u8]; 6] = [
        b"\xed\xa0\x80",     // half of a surrogate pair
        b"\xed\xb0\x80abc",  // the other half
        b"\xc0\x80",         // NUL in two bytes
        b"\xf4\x90\x80\x80", // beyond the last character
        b"abc\xff",
        b"\xe2\x82",
    ];
    let texts = FIELDS.iter().filter(|(path, kind)| *kind == Kind::Text && !path.contains('.'));
    let mut messages = Vec::new();
    for (path, _) in texts.clone() {
        for bytes in no_text {
            let id = u8::try_from(messages.len()).expect("few");
            messages.push(raw(id, &text(path, bytes)));
        }
    }
    let odd = messages.len();
    let twice = [
        [text("model", b"one"), text("model", b"two")].concat(),
        [text("user", b"one"), text("user", b"two")].concat(),
        [b"\x10tokenCount\0\x05\0\0\0".to_vec(), text("tokenCount", b"x")].concat(),
        b"\x08error\0\x01\x08error\0\0".to_vec(),
        text("\u{e9}", b"x"),
        b"\x02\xff\xfe\0\x02\0\0\0x\0".to_vec(),
        nested(150, 3),
        nested(150, 4),
    ];
    for elements in &twice {
        let id = u8::try_from(messages.len()).expect("few");
        messages.push(raw(id, elements));
    }
    let good = doc! {
        "_id": ObjectId::from_parts(1_700_000_000, [3; 5], [0, 0, 0]), "isCreatedByUser": false,
        "model": "gpt-4o", "tokenCount": 20,
    };
    let database = Mongod::shared().database().await;
    let collection = database.collection::<RawDocumentBuf>("messages");
    collection.insert_many(&messages).await.expect("an insert");
    insert(&database, &[good]).await;

    let now = DateTime::from_timestamp(1_770_000_000, 0).expect("a time");
    let found = Exporter::new(&database, Tz::UTC, now).refresh().await.expect("a refresh");
    assert_eq!(found["librechat_messages_total"], (messages.len() + 1) as f64);
    assert_eq!(found["librechat_messages_per_model_total{model=\"gpt-4o\"}"], 1.0);
    assert_eq!(found["librechat_output_tokens_per_model_total{model=\"gpt-4o\"}"], 20.0);
    let told = |field: &str| {
        let labels = [("collection", "messages"), ("field", field)];
        found.get(&key("usage_exporter_malformed_fields_total", &labels)).copied()
    };
    for (path, _) in texts.clone() {
        assert_eq!(told(path), Some(no_text.len() as f64), "{path}");
    }
    assert_eq!(told("tokenCount"), Some(1.0));
    assert_eq!(found["librechat_tool_calls_total"], 2.0);
    assert_eq!(odd, texts.count() * no_text.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_documents_are_read() {
    const LARGE: usize = (16 << 20) - 1_000;
    let database = Mongod::shared().database().await;
    let message = |fields: Document| {
        let mut message = doc! { "isCreatedByUser": false, "model": "gpt-4o", "tokenCount": 20 };
        message.extend(fields);
        message
    };
    let call = |output: Bson| {
        let call = doc! { "name": "search", "output": output };
        message(doc! { "content": [{ "type": "tool_call", "tool_call": call }] })
    };
    let part = |_: usize| Bson::from(doc! { "type": "tool_call" });
    insert(
        &database,
        &[
            message(doc! { "text": "x".repeat(LARGE) }),
            message(doc! { "model": "y".repeat(LARGE) }),
            call("x".repeat(LARGE).into()),
            message(doc! { "content": (0..200_000).map(part).collect::<Vec<Bson>>() }),
        ],
    )
    .await;
    let now = Utc::now() + TimeDelta::days(2);
    let found = Exporter::new(&database, Tz::UTC, now).refresh().await.expect("a refresh");
    assert_eq!(found["librechat_messages_total"], 4.0);
    assert_eq!(found["librechat_output_tokens_total"], 80.0);
    assert_eq!(found["librechat_tool_calls_total"], 200_001.0);
    let longest = format!("librechat_messages_per_model_total{{model=\"{}\"}}", "y".repeat(128));
    assert_eq!(found[&longest], 1.0);
}
