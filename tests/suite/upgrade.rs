//! State files of earlier versions, taken over.

use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{TimeDelta, Utc};

use crate::exporter::{is_counter, state_file};
use crate::fixtures;
use crate::mongod::Mongod;
use crate::process::Server;
use crate::samples::{self, Samples, of_page};

/// The revision that wrote the file.
const REVISION: &str = "5496d00";

/// The database whose name is in the file.
const DATABASE: &str = "librechat_of_an_earlier_version";

/// The families that may have a series more a day after a message was stored: it was never finished, or never
/// answered.
const KNOWN_LATER: [&str; 2] =
    ["librechat_unfinished_messages_total", "librechat_input_tokens_per_model_total"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/state").join(REVISION)
}

fn file(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).expect("a fixture")
}

/// The database that the earlier version has seen: the file knows its messages by their `_id`.
async fn load(shift: TimeDelta) {
    let database = Mongod::shared().client().await.database(DATABASE);
    fixtures::load(&database, "current", shift).await;
}

fn settings(state: &Path) -> [(&'static str, String); 4] {
    [
        ("MONGODB_URI", Mongod::shared().uri.clone()),
        ("MONGODB_DATABASE", DATABASE.to_owned()),
        ("STATE_FILE", state.to_str().expect("text").to_owned()),
        ("PER_USER_METRICS", "id".to_owned()),
    ]
}

fn counters(page: &str) -> Samples {
    let mut counters = of_page(page);
    counters.retain(|key, _| is_counter(key) && key.starts_with("librechat_"));
    counters
}

#[tokio::test(flavor = "multi_thread")]
async fn no_counter_falls_or_jumps_when_a_state_file_of_an_earlier_version_is_taken_over() {
    let shift = file("shift_seconds").trim().parse().expect("a number");
    load(TimeDelta::seconds(shift)).await;
    let state = state_file();
    std::fs::write(&state, file("state")).expect("a file");
    let settings = settings(&state);
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let before = of_page(&file("counters"));
    for context in ["taken over", "written by this version"] {
        let mut server = Server::start(&settings);
        server.wait_until_complete();
        server.wait_for(&["refreshed", "\"transactions_of_users\""]);
        let after = counters(&server.get("/metrics"));
        let (old, new): (Samples, Samples) =
            after.into_iter().partition(|(key, _)| before.contains_key(key));
        samples::assert_equal(&old, &before, context);
        let known_later = |key: &String| KNOWN_LATER.contains(&samples::family(key));
        assert!(new.keys().all(known_later), "{context}: {new:?}");
        assert!(!server.log.iter().any(|line| line.contains("ERROR")), "{:?}", server.log);
        server.end("TERM");
        let text = std::fs::read_to_string(&state).expect("a state file");
        assert!(text.starts_with("{\"format\":2}\n"), "{text}");
    }
    let beside = std::fs::read_dir(state.parent().expect("a folder")).expect("a folder");
    assert_eq!(beside.count(), 2, "the state file and its lock");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes the file, with EARLIER_BINARY, for a new version of the format"]
async fn write() {
    // Some messages are young, so that the file keeps them one by one.
    let shift = TimeDelta::seconds((Utc::now() - fixtures::ends("current")).num_seconds());
    load(shift).await;
    let state = state_file();
    let binary = std::env::var("EARLIER_BINARY").expect("the path of a binary");
    let output = Command::new(binary)
        .arg("--once")
        .envs(settings(&state))
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = String::from_utf8(output.stdout).expect("text");
    std::fs::create_dir_all(folder()).expect("a folder");
    std::fs::copy(&state, folder().join("state")).expect("a copy");
    std::fs::write(folder().join("shift_seconds"), shift.num_seconds().to_string())
        .expect("a file");
    let lines = counters(&page).into_iter().map(|(key, value)| format!("{key} {value}\n"));
    std::fs::write(folder().join("counters"), lines.collect::<String>()).expect("a file");
}
