//! What it costs, by the length of the history: the first pass, a restart, and a refresh with nothing new
//! and with 50 messages a second.
//!
//! Whole processes against a real mongod: times are wall times, counts and CPU seconds are the server's
//! own. The first pass is compared with one server-side `$group` over the same messages, measured between
//! the passes. Every history is measured twice: as `demo/generate.py` stores it, in no order, and stored in
//! the order of `_id`, as LibreChat does.
//!
//! `BENCH_LARGE=1` adds ten million messages, which took 17 minutes to make here, and 9 GB of disk;
//! `BENCH_LARGE=mongodb://...` takes a mongod that `demo/generate.py` has filled with them.
//! `BENCH_MESSAGES=100000,200000` measures other lengths.

#[path = "../../tests/suite/mongod.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod mongod;

#[path = "../../tests/suite/planted.rs"]
mod planted;

#[path = "../../tests/suite/process.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod process;

mod load;
mod measure;

use measure::Measured;
use mongod::Mongod;

#[tokio::main]
async fn main() {
    let lengths = std::env::var("BENCH_MESSAGES").unwrap_or("100000,1000000".to_owned());
    let mut columns = Vec::new();
    for messages in lengths.split(',').filter(|messages| !messages.is_empty()) {
        let mongod = Mongod::start(&["--wiredTigerCacheSizeGB", "6"]);
        load::fill(&mongod.uri, messages);
        columns.push(Measured::of(&mongod.uri, "as generated").await);
        load::order(&mongod.client().await.database("LibreChat")).await;
        columns.push(Measured::of(&mongod.uri, "in order").await);
    }
    match std::env::var("BENCH_LARGE").ok() {
        Some(uri) if uri.starts_with("mongodb://") => {
            columns.push(Measured::of(&uri, "as stored").await);
        }
        Some(_) => {
            let mongod = Mongod::start(&["--wiredTigerCacheSizeGB", "6"]);
            load::fill(&mongod.uri, "10000000");
            columns.push(Measured::of(&mongod.uri, "as generated").await);
            load::order(&mongod.client().await.database("LibreChat")).await;
            columns.push(Measured::of(&mongod.uri, "in order").await);
        }
        None => {}
    }
    measure::print(&columns);
}
