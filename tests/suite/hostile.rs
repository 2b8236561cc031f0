//! Documents that nobody would write, and names that somebody makes up.

use chrono::{TimeDelta, Utc};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

use crate::mongod::Mongod;
use crate::process::Server;
use crate::samples::of_page;

const NAMES: u32 = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_made_up_names_leave_a_page_of_bounded_size() {
    let database = Mongod::shared().database().await;
    let seconds = (Utc::now() - TimeDelta::days(1)).timestamp();
    let messages: Vec<Document> = (0..NAMES)
        .map(|number| {
            let [_, a, b, c] = number.to_be_bytes();
            let id = ObjectId::from_parts(u32::try_from(seconds).expect("it fits"), [1; 5], [a, b, c]);
            let name = format!("{number}-{}", "n".repeat(200));
            let call = doc! { "type": "tool_call", "tool_call": { "name": &name } };
            doc! {
                "_id": id, "isCreatedByUser": false, "tokenCount": 2, "model": &name, "endpoint": &name,
                "error": true, "content": [call], "feedback": { "rating": "thumbsUp", "tag": &name },
            }
        })
        .collect();
    for messages in messages.chunks(10_000) {
        database.collection::<Document>("messages").insert_many(messages).await.expect("an insert");
    }
    let mut server = Server::start(&[
        ("MONGODB_URI", &Mongod::shared().uri),
        ("MONGODB_DATABASE", database.name()),
    ]);
    server.wait_until_complete();
    let text = server.get("/metrics");
    assert!(text.len() < 10_000_000, "a page of {} bytes", text.len());
    let page = of_page(&text);
    let of_family = |family: &str| {
        let start = format!("{family}{{");
        page.iter().filter(move |(key, _)| key.starts_with(&start))
    };
    for (family, sum) in [
        ("librechat_messages_per_model_total", NAMES),
        ("librechat_errors_per_model_total", NAMES),
        ("librechat_output_tokens_per_model_total", 2 * NAMES),
        ("librechat_tool_calls_per_tool", NAMES),
        ("librechat_tool_calls_per_model", NAMES),
        ("librechat_tool_calls_per_endpoint", NAMES),
        ("librechat_thumbs_up_per_model", NAMES),
        ("librechat_rating_counts_per_tag", NAMES),
    ] {
        let series = of_family(family).count();
        assert!((999..=1_000).contains(&series), "{family}: {series}");
        let total: f64 = of_family(family).map(|(_, value)| value).sum();
        assert_eq!(total, f64::from(sum), "{family}");
        assert!(of_family(family).any(|(key, _)| key.contains("\"other\"")), "{family}");
        assert!(
            page.contains_key(&format!("usage_exporter_series_dropped{{family=\"{family}\"}}"))
        );
    }
    assert_eq!(page["librechat_messages_total"], f64::from(NAMES));
    let resident = page["process_resident_memory_bytes"];
    assert!(resident < 200e6, "{resident} bytes resident");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_megabytes_in_young_messages_leave_no_more_than_a_hash() {
    let database = Mongod::shared().database().await;
    let state = crate::exporter::state_file();
    let collection = database.collection::<Document>("messages");
    for field in ["messageId", "parentMessageId", "conversationId", "user", "model", "endpoint"] {
        for number in 0..100 {
            let by_user = field == "messageId";
            let mut message = doc! {
                "messageId": format!("{field}-{number}"), "isCreatedByUser": by_user, "user": "u",
                "createdAt": mongodb::bson::DateTime::now(),
            };
            message.insert(field, format!("{number}-{}", "x".repeat(1 << 20)));
            collection.insert_one(message).await.expect("an insert");
        }
    }
    let users = database.collection::<Document>("users");
    for number in 0..100 {
        let email = format!("{number}@{}", "x".repeat(1 << 20));
        users.insert_one(doc! { "email": email }).await.expect("an insert");
    }
    let settings = [
        ("MONGODB_URI", Mongod::shared().uri.as_str()),
        ("MONGODB_DATABASE", database.name()),
        ("STATE_FILE", state.to_str().expect("text")),
        ("PER_USER_METRICS", "email"),
    ];
    for _ in 0..2 {
        let mut server = Server::start(&settings);
        server.wait_until_complete();
        let page = of_page(&server.get("/metrics"));
        assert_eq!(page["librechat_messages_total"], 600.0);
        assert_eq!(page["librechat_active_conversations"], 100.0);
        // Of the 700 MB, an answer of MongoDB for each of a few collectors is in memory at once.
        let peak = server.peak_resident_bytes();
        assert!(peak < 200 << 20, "{peak} bytes");
        server.end("TERM");
        let size = std::fs::metadata(&state).expect("a state file").len();
        assert!(size < 1 << 20, "{size} bytes");
    }
}

/// Fifty times `TAIL_LIMIT`, so that almost all are known by their `_id` only.
#[tokio::test(flavor = "multi_thread")]
async fn very_many_documents_of_one_second_are_counted_and_refreshes_end() {
    let database = Mongod::shared().database().await;
    // It does not pass while the test runs.
    let seconds = u32::try_from((Utc::now() + TimeDelta::hours(1)).timestamp()).expect("it fits");
    let state = crate::exporter::state_file();
    let settings = [
        ("MONGODB_URI", Mongod::shared().uri.as_str()),
        ("MONGODB_DATABASE", database.name()),
        ("STATE_FILE", state.to_str().expect("text")),
        ("TAIL_LIMIT", "1000"),
        ("METRICS_CACHE_ENABLED", "false"),
    ];
    let mut server = Server::start(&settings);
    for part in 0..2 {
        for name in ["messages", "transactions"] {
            let documents = (0..NAMES / 2).filter(|number| number % 2 == part).map(|number| {
                // In no order.
                let [a, b, c, d] = number.wrapping_mul(0x9e37_79b9).to_be_bytes();
                let id = ObjectId::from_parts(seconds, [a, b, c, d, 1], [0, 0, 0]);
                doc! { "_id": id, "isCreatedByUser": false, "tokenType": "prompt", "rawAmount": -1 }
            });
            let collection = database.collection::<Document>(name);
            collection.insert_many(documents).await.expect("an insert");
        }
        server.wait_until_complete();
        let page = of_page(&server.get("/metrics"));
        let expected = f64::from(NAMES / 4 * (part + 1));
        assert_eq!(page["librechat_messages_total"], expected);
        let spent = "librechat_transaction_tokens_total{model=\"unknown\",token_type=\"prompt\"}";
        assert_eq!(page[spent], expected);
        assert!(!server.log.iter().any(|line| line.contains("no answer")), "{:?}", server.log);
        let peak = server.peak_resident_bytes();
        assert!(peak < 128 << 20, "{peak} bytes");
        // What is known of them survives a restart.
        server.end("TERM");
        server = Server::start(&settings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_models_and_users_of_transactions_leave_a_page_of_bounded_size() {
    let database = Mongod::shared().database().await;
    let seconds = (Utc::now() - TimeDelta::days(1)).timestamp();
    let transactions: Vec<Document> = (0..NAMES)
        .map(|number| {
            let [_, a, b, c] = number.to_be_bytes();
            let id =
                ObjectId::from_parts(u32::try_from(seconds).expect("it fits"), [1; 5], [a, b, c]);
            let name = format!("{number}-{}", "n".repeat(200));
            doc! {
                "_id": id, "tokenType": "prompt", "model": &name, "user": &name, "rawAmount": -2,
                "tokenValue": -6, "inputTokens": -2,
            }
        })
        .collect();
    for transactions in transactions.chunks(10_000) {
        let collection = database.collection::<Document>("transactions");
        collection.insert_many(transactions).await.expect("an insert");
    }
    let mut server = Server::start(&[
        ("MONGODB_URI", &Mongod::shared().uri),
        ("MONGODB_DATABASE", database.name()),
        ("PER_USER_METRICS", "id"),
    ]);
    server.wait_until_complete();
    let page = of_page(&server.get("/metrics"));
    for (family, sum) in [
        ("librechat_transaction_tokens_total", f64::from(NAMES) * 2.0),
        ("librechat_transaction_cost_usd_total", f64::from(NAMES) * 6e-6),
        ("librechat_prompt_cache_tokens_total", f64::from(NAMES) * 2.0),
        ("librechat_user_tokens_total", f64::from(NAMES) * 2.0),
        ("librechat_user_cost_usd_total", f64::from(NAMES) * 6e-6),
    ] {
        let start = format!("{family}{{");
        let series: Vec<f64> = page
            .iter()
            .filter(|(key, _)| key.starts_with(&start))
            .map(|(_, value)| *value)
            .collect();
        assert!((999..=1_000).contains(&series.len()), "{family}: {}", series.len());
        let total: f64 = series.iter().sum();
        assert!((total - sum).abs() <= 1e-9 * sum, "{family}: {total}");
    }
    let peak = server.peak_resident_bytes();
    assert!(peak < 256 << 20, "{peak} bytes");
}
