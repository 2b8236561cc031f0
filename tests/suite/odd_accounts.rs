//! Odd values in every field that is read of the collections other than messages: each costs that field,
//! and no other number.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use crate::exporter::{Exporter, SETTLING_TIME};
use crate::mongod::Mongod;
use crate::odd_values::{Kind, counts, is_malformed, odd_values, put};
use crate::oracle::Oracle;
use crate::oracle_beyond::number;
use crate::samples::{self, Samples, family, key};
use crate::seen::Seen;

/// What counts in a field.
#[derive(Clone, Copy, PartialEq)]
enum Accepts {
    Like(Kind),
    Number,
    /// What is spent is negative; what is given is not.
    Spent,
    TokenType,
    Id,
}

const TEXT: Accepts = Accepts::Like(Kind::Text);
const DATE: Accepts = Accepts::Like(Kind::Date);

const FIELDS: [(&str, &str, Accepts); 25] = [
    ("transactions", "user", Accepts::Id),
    ("transactions", "model", TEXT),
    ("transactions", "tokenType", Accepts::TokenType),
    ("transactions", "context", TEXT),
    ("transactions", "rawAmount", Accepts::Spent),
    ("transactions", "tokenValue", Accepts::Spent),
    ("transactions", "inputTokens", Accepts::Number),
    ("transactions", "writeTokens", Accepts::Number),
    ("transactions", "readTokens", Accepts::Number),
    ("users", "provider", TEXT),
    ("users", "role", TEXT),
    ("users", "createdAt", DATE),
    ("users", "email", TEXT),
    ("balances", "tokenCredits", Accepts::Number),
    ("sessions", "expiration", DATE),
    ("files", "source", TEXT),
    ("files", "bytes", Accepts::Number),
    ("agents", "id", TEXT),
    ("agents", "name", TEXT),
    ("agents", "provider", TEXT),
    ("agents", "model", TEXT),
    ("sharedlinks", "expiredAt", DATE),
    ("sharedlinks", "isPublic", Accepts::Like(Kind::Flag)),
    ("banners", "displayFrom", DATE),
    ("banners", "displayTo", DATE),
];

impl Accepts {
    /// Whether a value counts in a document that may be of something spent.
    fn counts(self, value: &Bson, spends: bool) -> bool {
        match self {
            Accepts::Like(kind) => counts(kind, value),
            Accepts::Number => number(value).is_some(),
            Accepts::Spent => number(value).is_some_and(|number| !spends || number <= 0.0),
            Accepts::TokenType => {
                matches!(value.as_str(), Some("prompt" | "completion" | "credits"))
            }
            Accepts::Id => value.as_object_id().is_some() || counts(Kind::Text, value),
        }
    }

    fn is_malformed(self, value: &Bson, spends: bool) -> bool {
        let empty = matches!(value, Bson::Null | Bson::Undefined)
            || (!matches!(self, Accepts::Number | Accepts::Spent) && value.as_str() == Some(""));
        match self {
            Accepts::Like(kind) => is_malformed(kind, value),
            _ => !empty && !self.counts(value, spends),
        }
    }
}

/// A good document of a collection.
fn good(collection: &str, number: u32, now: DateTime<Utc>) -> Document {
    let [_, a, b, c] = number.to_be_bytes();
    let seconds = u32::try_from(now.timestamp() - 60).expect("it fits");
    let time = |minutes| {
        let time = now + TimeDelta::minutes(minutes);
        mongodb::bson::DateTime::from_millis(time.timestamp_millis())
    };
    let mut document = doc! { "_id": ObjectId::from_parts(seconds, [1; 5], [a, b, c]) };
    document.extend(match collection {
        "transactions" => doc! {
            "user": "u1", "model": "gpt-4o", "tokenType": if number.is_multiple_of(3) { "credits" } else { "prompt" },
            "context": "message", "rawAmount": -30, "tokenValue": -75, "inputTokens": -10,
            "writeTokens": -10, "readTokens": -10,
        },
        "users" => doc! {
            "provider": "local", "role": "USER", "createdAt": time(-60), "email": "a@example.org",
        },
        "balances" => doc! { "tokenCredits": 5_000 },
        "sessions" => doc! { "expiration": time(60) },
        "files" => doc! { "source": "local", "bytes": 500 },
        "agents" => doc! {
            "id": format!("agent_{number}"), "name": "A", "provider": "openAI", "model": "gpt-4o",
        },
        "sharedlinks" => doc! { "expiredAt": time(60), "isPublic": true },
        _ => doc! { "displayFrom": time(-60), "displayTo": time(60) },
    });
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn every_odd_value_in_every_other_field_costs_that_field_only() {
    let now = DateTime::from_timestamp(1_770_000_000, 0).expect("a time");
    let (odd, clean) = (Mongod::shared().database().await, Mongod::shared().database().await);
    let mut malformed = Samples::new();
    let mut number = 0;
    for (collection, field, accepts) in FIELDS {
        let (mut odd_ones, mut clean_ones) = (Vec::new(), Vec::new());
        for (_, value) in odd_values() {
            number += 1;
            let (mut one, mut other) =
                (good(collection, number, now), good(collection, number, now));
            put(&mut one, field, value.clone());
            let spends = one.get_str("tokenType").ok() == Some("prompt");
            let is_malformed = accepts.is_malformed(&value, spends);
            let counted = if accepts.counts(&value, spends) { value } else { Bson::Undefined };
            put(&mut other, field, counted);
            odd_ones.push(one);
            // A balance that is no number is none.
            if !(is_malformed && collection == "balances") {
                clean_ones.push(other);
            }
            if is_malformed {
                let labels = [("collection", collection), ("field", field)];
                let key = key("usage_exporter_malformed_fields_total", &labels);
                *malformed.entry(key).or_default() += 1.0;
            }
        }
        for (database, documents) in [(&odd, odd_ones), (&clean, clean_ones)] {
            let collection = database.collection::<Document>(collection);
            collection.insert_many(documents).await.expect("an insert");
        }
    }
    assert!(malformed.len() == FIELDS.len(), "{malformed:?}");

    let mut exporter = Exporter::new(&odd, Tz::UTC, now).with_state();
    for at in ["young", "restarted", "settled"] {
        if at == "settled" {
            exporter.set_now(now + TimeDelta::minutes(30));
        }
        let mut found = exporter.refresh().await.expect("a refresh");
        found.remove("usage_exporter_baseline_progress_ratio");
        let oracle =
            Oracle { now: exporter.now(), timezone: Tz::UTC, settling_time: SETTLING_TIME };
        let mut seen = Seen::default();
        seen.look(&clean, exporter.now()).await;
        let mut expected = oracle.compute(&clean, &seen).await;
        expected.retain(|key, _| !key.starts_with("usage_exporter_malformed"));
        expected.extend(malformed.clone());
        for samples in [&mut found, &mut expected] {
            samples.retain(|key, _| family(key) != "librechat_stored_documents");
        }
        samples::assert_equal(&found, &expected, at);
        exporter.restart();
    }
}
