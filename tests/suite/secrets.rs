//! Secrets, people and texts put wherever they can be: whatever is printed, served or written at the
//! most talkative level tells none. The search itself is in `planted.rs` and part of every test.

use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::{Client, Database};

use crate::exporter::state_file;
use crate::mongod::{Mongod, free_port};
use crate::process::{Server, run};
use crate::samples::of_page;

/// Messages with a mark in everything that is not exported, and in fields of the wrong type.
async fn fill(database: &Database) {
    let call = doc! {
        "name": "search", "args": "hush-args", "output": "hush-output: please fix your mistakes",
    };
    let content = vec![
        Bson::from(doc! { "type": "text", "text": "hush-part" }),
        Bson::from(doc! { "type": "error", "error": "hush-error" }),
        Bson::from(doc! { "type": "tool_call", "tool_call": call }),
    ];
    let message = |number: i32, fields: Document| {
        let mut message = doc! {
            "messageId": format!("m{number}"), "parentMessageId": "m0",
            "conversationId": "hush-conversation", "user": "hush-user", "sender": "hush-sender",
            "text": "hush-text", "isCreatedByUser": number % 2 == 0, "model": "gpt-4o", "tokenCount": 1,
            "feedback": { "rating": "thumbsUp", "text": "hush-feedback" }, "content": &content,
            "createdAt": DateTime::now(), "updatedAt": DateTime::now(),
        };
        message.extend(fields);
        message
    };
    let odd = Bson::from(vec!["hush-odd"]);
    let fields = ["user", "model", "tokenCount", "createdAt", "feedback", "error", "endpoint"];
    let mut messages: Vec<Document> = (0..10).map(|number| message(number, doc! {})).collect();
    messages.extend(fields.iter().map(|field| message(11, doc! { *field: &odd })));
    messages.extend(fields.iter().map(|field| message(12, doc! { *field: { "hush-key": 1 } })));
    database.collection("messages").insert_many(messages).await.expect("an insert");
    let person = doc! { "name": "hush-name", "email": "hush@example.org", "username": "hush" };
    database.collection("users").insert_one(person).await.expect("an insert");
    let chat = doc! { "title": "hush-title", "user": "hush-user" };
    database.collection("conversations").insert_one(chat).await.expect("an insert");
    let file = doc! { "filename": "hush.pdf", "user": "hush-user" };
    database.collection("files").insert_one(file).await.expect("an insert");
    for (name, document) in [
        (
            "transactions",
            doc! {
                "user": "hush-user", "conversationId": "hush-conversation", "tokenType": "prompt",
                "rawAmount": &odd, "tokenValue": -5,
            },
        ),
        ("balances", doc! { "user": "hush-user", "tokenCredits": &odd }),
        ("sessions", doc! { "refreshTokenHash": "hush-hash", "expiration": "hush-time" }),
        ("agents", doc! { "id": "agent_1", "instructions": "hush", "authorName": "hush-author" }),
        (
            "sharedlinks",
            doc! { "title": "hush-title", "user": "hush-user", "shareId": "hush-link" },
        ),
        ("banners", doc! { "message": "hush-banner", "displayFrom": DateTime::now() }),
    ] {
        database.collection(name).insert_one(document).await.expect("an insert");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_planted_is_ever_told() {
    let mongod = Mongod::start(&["--auth"]);
    let admin = mongod.client().await.database("admin");
    let create = doc! { "createUser": "root", "pwd": "root-secret", "roles": ["root"] };
    admin.run_command(create).await.expect("the first user");
    let login = |user: &str| mongod.uri.replace("mongodb://", &format!("mongodb://{user}@"));
    let root = Client::with_uri_str(login("root:root-secret")).await.expect("a URI");
    let database = root.database("LibreChat");
    fill(&database).await;
    let read = doc! { "role": "read", "db": "LibreChat" };
    let create = doc! { "createUser": "reader", "pwd": "hush-password", "roles": [read.clone()] };
    database.run_command(create).await.expect("a user");

    let state = state_file();
    let uri = format!("{}/LibreChat", login("reader:hush-password"));
    let settings = [
        ("MONGODB_URI", uri.as_str()),
        ("STATE_FILE", state.to_str().expect("text")),
        ("METRICS_BEARER_TOKEN", "hush-token"),
        ("METRICS_BASIC_AUTH_USER", "prometheus"),
        ("METRICS_BASIC_AUTH_PASSWORD", "hush-basic"),
        ("LOGGING_FORMAT", "json"),
        ("LOGGING_LEVEL", "debug"),
    ];
    let mut server = Server::start(&settings);
    server.wait_for(&["refreshed", "\"messages\""]);
    server.wait_for(&["refreshed", "\"messages\""]);
    for (path, header, code) in [
        ("/metrics", ("Authorization", "Bearer hush-token"), 200),
        ("/metrics", ("Authorization", "Bearer hush-guess"), 401),
        ("/metrics?token=hush-token", ("Authorization", "hush"), 401),
        ("/hush-path", ("Authorization", "Bearer hush-token"), 404),
        ("/", ("X-Forwarded-For", "hush"), 401),
        ("/readyz?hush", ("Cookie", "hush=1"), 200),
    ] {
        let mut response = server.request("GET", path, header);
        assert_eq!(response.status(), code, "{path}");
        let body = response.body_mut().read_to_string().expect("text");
        crate::planted::assert_tells_none(&body, path);
        if code == 200 && path == "/metrics" {
            let page = of_page(&body);
            assert_eq!(page["librechat_messages_total"], 24.0);
            assert!(page.keys().any(|key| key.contains("malformed_fields_total")));
        }
    }
    // What MongoDB says of a command that it refuses holds the command.
    let revoke = doc! { "revokeRolesFromUser": "reader", "roles": [read] };
    database.run_command(revoke).await.expect("another role");
    server.wait_for(&["refresh failed", "authorization", "\"messages\""]);
    assert!(server.end("TERM").success());

    for user in ["reader:hush-wrong", "hush-nobody:hush-password", "reader:hush-password"] {
        let uri = format!("{}/LibreChat?serverSelectionTimeoutMS=100", login(user));
        let output = run(&[("MONGODB_URI", &uri), ("LOGGING_LEVEL", "debug")], &["--once"]);
        assert_eq!(output.status.code(), Some(1), "{user}");
    }
    let nobody = format!(
        "mongodb://a:hush-password@127.0.0.1:{}/?serverSelectionTimeoutMS=100",
        free_port()
    );
    run(&[("MONGODB_URI", &nobody)], &["--once"]);
    run(&[("MONGODB_URI", "mongodb://a:hush@[:1")], &[]);
    run(&[("MONGODB_URI", &nobody), ("METRICS_BEARER_TOKEN", "hush")], &["--help"]);
}
