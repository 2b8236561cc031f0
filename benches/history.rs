//! What a history of a million messages costs: the first pass, and a refresh when nothing is new.
//!
//! Whole processes against a real mongod: times are wall times, counts are the server's own. The first
//! pass is compared with one server-side `$group` over the same messages, measured between the passes.

#[path = "../tests/suite/mongod.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod mongod;

#[path = "../tests/suite/process.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod process;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mongod::Mongod;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use process::Server;

const PASSES: usize = 5;
const REFRESHES: usize = 20;

#[tokio::main]
async fn main() {
    let messages = std::env::var("BENCH_MESSAGES").unwrap_or("1000000".to_owned());
    let mongod = Mongod::start(&["--wiredTigerCacheSizeGB", "6"]);
    let database = mongod.client().await.database("LibreChat");
    fill(&mongod, &messages);

    let mut group = Vec::new();
    let mut passes = Vec::new();
    let mut resident = Vec::new();
    for _ in 0..PASSES {
        group.push(group_by_model(&database).await);
        let began = Instant::now();
        let mut server = start(&mongod);
        server.wait_for(&["history read"]);
        passes.push(began.elapsed());
        resident.push(peak_resident_kib(server.pid()));
    }

    let mut server = start(&mongod);
    server.wait_until_complete();
    let scrape = || {
        let began = Instant::now();
        server.get("/metrics");
        began.elapsed()
    };
    scrape();
    let before = counters(&database).await;
    let refreshes: Vec<Duration> = (0..REFRESHES).map(|_| scrape()).collect();
    let after = counters(&database).await;
    // Reading the counters is a command too.
    let per_refresh = |total: i64| total as f64 / REFRESHES as f64;

    let stored = database.collection::<Document>("messages").estimated_document_count().await;
    let (group, pass) = (median(group), median(passes));
    println!("\n| {} messages | measured |", stored.expect("a count"));
    println!("|---|---|");
    println!(
        "| one server-side `$group` by model, median of {PASSES} | {} ms |",
        group.as_millis()
    );
    println!(
        "| first pass, from the start of the process, median of {PASSES} | {} ms |",
        pass.as_millis()
    );
    println!("| first pass / `$group` | {:.1} |", pass.as_secs_f64() / group.as_secs_f64());
    println!(
        "| peak resident memory of the first pass | {:.1} MiB |",
        median(resident) as f64 / 1024.0
    );
    println!(
        "| steady refresh, median of {REFRESHES} | {:.1} ms |",
        median(refreshes).as_secs_f64() * 1e3
    );
    println!(
        "| documents examined per steady refresh | {:.1} |",
        per_refresh(after.examined - before.examined)
    );
    println!(
        "| commands per steady refresh | {:.1} |",
        per_refresh(after.commands - before.commands - 1)
    );
}

fn fill(mongod: &Mongod, messages: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let an_hour_ago = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    let status = Command::new(root.join("demo/python.sh"))
        .arg(root.join("demo/generate.py"))
        .args(["--uri", &mongod.uri, "--messages", messages])
        .args(["--now", &an_hour_ago.format("%Y-%m-%dT%H:%M:%S").to_string()])
        .status()
        .expect("python runs");
    assert!(status.success());
}

/// The exporter, which refreshes all groups when it is scraped and otherwise not.
fn start(mongod: &Mongod) -> Server {
    Server::start(&[
        ("MONGODB_URI", &mongod.uri),
        ("METRICS_CACHE_ENABLED", "false"),
        ("METRICS_CACHE_TTL", "1h"),
        ("FEEDBACK_INTERVAL", "1h"),
    ])
}

async fn group_by_model(database: &Database) -> Duration {
    let group = doc! { "$group": {
        "_id": "$model", "count": { "$sum": 1 }, "tokens": { "$sum": "$tokenCount" },
    } };
    let began = Instant::now();
    let messages = database.collection::<Document>("messages");
    let mut cursor = messages.aggregate([group]).await.expect("an aggregation");
    while cursor.advance().await.expect("a batch") {}
    began.elapsed()
}

/// The most memory that a process has had resident.
fn peak_resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

struct Counters {
    examined: i64,
    commands: i64,
}

async fn counters(database: &Database) -> Counters {
    let status = database.run_command(doc! { "serverStatus": 1 }).await.expect("the status");
    let number = |document: &Document, name: &str| {
        document.get_i64(name).or_else(|_| document.get_i32(name).map(i64::from)).expect("a number")
    };
    let metrics = status.get_document("metrics").expect("metrics");
    let operations = status.get_document("opcounters").expect("counters");
    Counters {
        examined: number(metrics.get_document("queryExecutor").expect("it"), "scannedObjects"),
        commands: ["query", "getmore", "command"].map(|name| number(operations, name)).iter().sum(),
    }
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort();
    values[values.len() / 2]
}
