//! What is measured of one history.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};

use crate::load;
use crate::process::Server;

const REFRESHES: usize = 20;

/// Of how many messages on a first pass is measured once only.
const LONG: u64 = 5_000_000;

const PASSES: usize = 5;

/// The figures of one history.
pub struct Measured {
    messages: u64,
    layout: &'static str,
    group: Duration,
    pass: Pass,
    restart: Restart,
    idle: Refreshes,
    live: Refreshes,
}

struct Pass {
    time: Duration,
    cpu: f64,
    resident: f64,
}

struct Restart {
    /// Until every family is there but those of local days.
    first: Duration,
    /// Until those are there too.
    all: Duration,
}

struct Refreshes {
    time: Duration,
    examined: f64,
    commands: f64,
    cpu: f64,
    resident: f64,
}

impl Measured {
    /// Measures the history on a mongod that does nothing else.
    pub async fn of(uri: &str, layout: &'static str) -> Measured {
        let client = Client::with_uri_str(uri).await.expect("a URI");
        let name = std::env::var("BENCH_DATABASE").unwrap_or("LibreChat".to_owned());
        let database = client.database(&name);
        let messages = database.collection::<Document>("messages");
        let messages = messages.estimated_document_count().await.expect("a count");
        let state = std::env::temp_dir().join(format!("bench-state-{}", std::process::id()));
        let exporter = Exporter { uri: uri.to_owned(), database: name, state };

        let passes = if messages < LONG { PASSES } else { 1 };
        let mut groups = vec![group_by_model(&database).await];
        let mut measured = Vec::new();
        for _ in 0..passes {
            groups.push(group_by_model(&database).await);
            measured.push(exporter.first_pass(&database).await);
        }
        let restart = exporter.restart();
        let idle = exporter.refreshes(&database).await;
        let load = load::live(uri, &database).await;
        let live = exporter.refreshes(&database).await;
        drop(load);
        let young = doc! { "_id": { "$gte": load::settling() } };
        database.collection::<Document>("messages").delete_many(young).await.expect("a deletion");
        measured.sort_by_key(|pass| pass.time);
        let pass = measured.swap_remove(measured.len() / 2);
        Measured { messages, layout, group: median(groups), pass, restart, idle, live }
    }
}

struct Exporter {
    uri: String,
    database: String,
    state: PathBuf,
}

impl Exporter {
    /// The exporter, which refreshes when it is scraped and otherwise not.
    fn start(&self) -> Server {
        Server::start(&[
            ("MONGODB_URI", &self.uri),
            ("MONGODB_DATABASE", &self.database),
            ("STATE_FILE", self.state.to_str().expect("text")),
            ("METRICS_CACHE_ENABLED", "false"),
            ("METRICS_CACHE_TTL", "1h"),
            ("FEEDBACK_INTERVAL", "1h"),
        ])
    }

    async fn first_pass(&self, database: &Database) -> Pass {
        // There may be none yet.
        let _ = std::fs::remove_file(&self.state);
        let before = Counters::read(database).await;
        let began = Instant::now();
        let mut server = self.start();
        server.wait_for(&["history read"]);
        let time = began.elapsed();
        let after = Counters::read(database).await;
        server.wait_until_complete();
        Pass { time, cpu: after.cpu - before.cpu, resident: peak_resident(&server) }
    }

    fn restart(&self) -> Restart {
        let began = Instant::now();
        let mut server = self.start();
        server.wait_until_complete();
        let first = began.elapsed();
        let page = server.get("/metrics");
        assert!(
            page.contains("librechat_messages_total") && page.contains("librechat_thumbs_up_total")
        );
        server.wait_for(&["have been read again"]);
        Restart { first, all: began.elapsed() }
    }

    async fn refreshes(&self, database: &Database) -> Refreshes {
        let mut server = self.start();
        server.wait_for(&["have been read again"]);
        server.wait_until_complete();
        let scrape = || {
            let began = Instant::now();
            server.get("/metrics");
            began.elapsed()
        };
        scrape();
        let before = Counters::read(database).await;
        let times: Vec<Duration> = (0..REFRESHES).map(|_| scrape()).collect();
        let after = Counters::read(database).await;
        let per_refresh = |total: f64| total / REFRESHES as f64;
        Refreshes {
            time: median(times),
            examined: per_refresh(after.examined - before.examined),
            // Reading the counters is a command too.
            commands: per_refresh(after.commands - before.commands - 1.0),
            cpu: per_refresh(after.cpu - before.cpu),
            resident: peak_resident(&server),
        }
    }
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

/// The most memory that a server has had resident, in MiB.
fn peak_resident(server: &Server) -> f64 {
    server.peak_resident_bytes() as f64 / f64::from(1 << 20)
}

/// The server's own counters.
struct Counters {
    examined: f64,
    commands: f64,
    /// Seconds of CPU, of all threads.
    cpu: f64,
}

impl Counters {
    async fn read(database: &Database) -> Counters {
        let status = database.run_command(doc! { "serverStatus": 1 }).await.expect("the status");
        let number = |path: &[&str]| {
            let (last, folders) = path.split_last().expect("a path");
            let document = folders
                .iter()
                .fold(&status, |document, name| document.get_document(name).expect("a document"));
            let value = document.get(last).expect("a value");
            value.as_i64().or(value.as_i32().map(i64::from)).expect("a number") as f64
        };
        let operations = ["query", "getmore", "command"];
        Counters {
            examined: number(&["metrics", "queryExecutor", "scannedObjects"]),
            commands: operations.iter().map(|name| number(&["opcounters", name])).sum(),
            cpu: (number(&["extra_info", "user_time_us"])
                + number(&["extra_info", "system_time_us"]))
                / 1e6,
        }
    }
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort();
    values[values.len() / 2]
}

/// One row of the table: what it tells, and its figure in a column.
type Row = (&'static str, fn(&Measured) -> String);

/// Prints the table of `docs/performance.md`.
pub fn print(columns: &[Measured]) {
    let rows: [Row; 17] = [
        ("one server-side `$group` by model", |m| seconds(m.group)),
        ("first pass, from the start of the process", |m| seconds(m.pass.time)),
        ("first pass / `$group`", |m| {
            format!("{:.1}", m.pass.time.as_secs_f64() / m.group.as_secs_f64())
        }),
        ("CPU of mongod in the first pass", |m| format!("{:.1} s", m.pass.cpu)),
        ("peak resident memory of the first pass", |m| mib(m.pass.resident)),
        ("restart with state, until all but the families of days", |m| seconds(m.restart.first)),
        ("restart with state, until all families", |m| seconds(m.restart.all)),
        ("refresh, nothing new: time", |m| millis(m.idle.time)),
        ("documents examined", |m| format!("{:.1}", m.idle.examined)),
        ("commands", |m| format!("{:.1}", m.idle.commands)),
        ("CPU of mongod", |m| format!("{:.1} ms", m.idle.cpu * 1e3)),
        ("peak resident memory", |m| mib(m.idle.resident)),
        ("refresh, 50 messages a second: time", |m| millis(m.live.time)),
        ("documents examined", |m| format!("{:.0}", m.live.examined)),
        ("commands", |m| format!("{:.1}", m.live.commands)),
        ("CPU of mongod, the load included", |m| format!("{:.1} ms", m.live.cpu * 1e3)),
        ("peak resident memory", |m| mib(m.live.resident)),
    ];
    let heads: Vec<String> =
        columns.iter().map(|m| format!("{} {}", m.messages, m.layout)).collect();
    println!("\n| messages | {} |", heads.join(" | "));
    println!("|---|{}", "---|".repeat(columns.len()));
    for (name, figure) in rows {
        let figures: Vec<String> = columns.iter().map(figure).collect();
        println!("| {name} | {} |", figures.join(" | "));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn mib(size: f64) -> String {
    format!("{size:.1} MiB")
}
