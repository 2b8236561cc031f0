//! The page for people, in a real browser.

use chrono::{TimeDelta, Utc};
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};
use serde_json::json;

use crate::browser::{Browser, Colours};
use crate::fixtures;
use crate::mongod::Mongod;
use crate::process::Server;

const HOSTILE: &str = "<script>document.title='taken'</script>";

/// The newest fixture, and models with names that somebody made up.
async fn librechat() -> Database {
    let database = Mongod::shared().database().await;
    let since = Utc::now() - fixtures::ends("current");
    fixtures::load(&database, "current", TimeDelta::seconds(since.num_seconds())).await;
    let messages: Vec<Document> = (0..2_000)
        .map(|number| {
            let long = "<&'\"".repeat(50);
            let model = if number % 2 == 0 { HOSTILE.into() } else { format!("{number}{long}") };
            let now = Bson::DateTime(mongodb::bson::DateTime::now());
            doc! {
                "messageId": format!("made up {number}"), "isCreatedByUser": false, "model": model,
                "tokenCount": 10_000, "user": "somebody", "createdAt": now.clone(), "updatedAt": now,
                "endpoint": HOSTILE, "content": [
                    { "type": "tool_call", "tool_call": { "name": format!("{number}{long}") } },
                ],
            }
        })
        .collect();
    database.collection("messages").insert_many(messages).await.expect("an insert");
    database
}

fn start(database: &Database) -> Server {
    let mut server = Server::start(&[
        ("MONGODB_URI", Mongod::shared().uri.as_str()),
        ("MONGODB_DATABASE", database.name()),
    ]);
    server.wait_until_complete();
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_can_be_read_on_a_phone_and_a_desk_in_light_and_dark() {
    let database = librechat().await;
    let server = start(&database);
    for (width, colours) in
        [(360, Colours::Light), (360, Colours::Dark), (1280, Colours::Light), (1280, Colours::Dark)]
    {
        let browser = Browser::start(width, colours).await;
        browser.client.goto(&format!("{}/", server.address())).await.expect("a page");
        browser.keep_picture(&format!("page-{width}-{colours:?}").to_lowercase()).await;
        let context = format!("{width}, {colours:?}");

        let dark = browser.run("return matchMedia('(prefers-color-scheme: dark)').matches").await;
        assert_eq!(dark, json!(colours == Colours::Dark), "{context}");
        let shown = browser
            .run(
                "return [document.title, innerWidth, document.documentElement.scrollWidth, \
                 document.scripts.length, getComputedStyle(document.querySelector('.card')).padding]",
            )
            .await;
        let title = format!("usage-exporter: LibreChat, database {}", database.name());
        assert_eq!(shown, json!([title, width, width, 0, "16px"]), "{context}");
        let text = browser.run("return document.body.textContent").await;
        let text = text.as_str().expect("text");
        for part in [HOSTILE, "Messages a day", "Cost by model", "Replies by how long they took"] {
            assert!(text.contains(part), "{context}: {part} is missing");
        }

        // What can be opened is opened, so that all of it is looked at.
        browser.run("document.querySelectorAll('details').forEach(part => part.open = true)").await;
        let found = browser.violations().await;
        assert!(found.is_empty(), "{context}: {found:#?}");
        browser.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_reached_without_a_mouse() {
    let database = librechat().await;
    let server = start(&database);
    let browser = Browser::start(1280, Colours::Light).await;
    browser.client.goto(&format!("{}/status", server.address())).await.expect("a page");
    let reachable = browser
        .run("return document.querySelectorAll('a, summary, [tabindex=\"0\"]').length")
        .await
        .as_u64()
        .expect("a number");
    let mut reached = Vec::new();
    loop {
        let body = browser.client.active_element().await.expect("an element");
        body.send_keys("\u{E004}").await.expect("a key");
        let focused = browser
            .run(
                "const element = document.activeElement; \
                 return [element.tagName, element.textContent, element.matches(':focus-visible')]",
            )
            .await;
        if focused[0] == "BODY" || reached.len() as u64 > reachable {
            break;
        }
        assert_eq!(focused[2], true, "where the keys go can be seen: {focused}");
        reached.push(focused);
    }
    // Closed parts hide what is in them.
    let named = |text: &str| reached.iter().any(|focused| focused[1].as_str() == Some(text));
    assert!(named("To the content") && named("Metrics"), "{reached:?}");
    assert!(reached.iter().filter(|focused| focused[0] == "SUMMARY").count() > 10, "{reached:?}");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_small_loads_nothing_and_forbids_everything_else() {
    let database = librechat().await;
    let server = start(&database);
    let mut answer = server.request("GET", "/status", ("Accept", "*/*"));
    let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("cache-control"), "no-store");
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = answer.body_mut().read_to_string().expect("text");
    assert!(page.len() < 200_000, "{} bytes", page.len());
    for forbidden in
        ["<script", "src=", "style=", "onload", "http://", "https://", "@import", "url("]
    {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    // The page stays as small when there are many names; all of them are on /metrics.
    assert!(server.get("/metrics").len() > page.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_tells_what_fails_and_since_when() {
    let server = Server::start(&[
        ("MONGODB_URI", "mongodb://somebody:hidden-word@127.0.0.1:1/?serverSelectionTimeoutMS=300"),
        ("MONGODB_DATABASE", "LibreChat"),
    ]);
    let mut server = server;
    server.wait_for(&["refresh failed"]);
    let page = server.get("/status");
    for part in ["Waiting for", "fails", "never", "127.0.0.1:1", "Runs since"] {
        assert!(page.contains(part), "{part} is missing");
    }
    assert!(!page.contains("hidden-word"));
}
