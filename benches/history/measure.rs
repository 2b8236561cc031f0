//! What is measured of one history.

use std::path::PathBuf;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};

use crate::load;
use crate::process::{self, Server};

const REFRESHES: usize = 20;

/// Of how many messages on a first pass is measured once only.
const LONG: u64 = 5_000_000;

const PASSES: usize = 5;

/// The figures of one history.
pub struct Measured {
    messages: u64,
    layout: &'static str,
    group: Duration,
    /// With the groups of messages only.
    of_messages: Pass,
    pass: Pass,
    past: Pass,
    restart: Restart,
    idle: Refreshes,
    live: Refreshes,
}

struct Pass {
    time: Duration,
    examined: f64,
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
        let folder = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let state = folder.join("state");
        let exporter = Exporter { uri: uri.to_owned(), database: name, state };

        let passes = if messages < LONG { PASSES } else { 1 };
        let mut groups = vec![group_by_model(&database).await];
        let [mut of_messages, mut measured, mut past] = [const { Vec::new() }; 3];
        for _ in 0..passes {
            groups.push(group_by_model(&database).await);
            of_messages.push(exporter.first_pass(&database, &OF_MESSAGES).await);
            measured.push(exporter.first_pass(&database, &EVERYTHING).await);
            past.push(exporter.past(&database).await);
        }
        let restart = exporter.restart();
        let idle = exporter.refreshes(&database).await;
        let load = load::live(uri, &database).await;
        let live = exporter.refreshes(&database).await;
        drop(load);
        for name in ["messages", "conversations", "transactions", "files"] {
            let young = doc! { "_id": { "$gte": load::settling() } };
            database.collection::<Document>(name).delete_many(young).await.expect("a deletion");
        }
        Measured {
            messages,
            layout,
            group: median(groups),
            of_messages: middle(of_messages),
            pass: middle(measured),
            past: middle(past),
            restart,
            idle,
            live,
        }
    }
}

/// Switches off what is not about messages, as other exporters have it.
const OF_MESSAGES: [(&str, &str); 5] = [
    ("ENABLE_COST_METRICS", "false"),
    ("ENABLE_RESPONSE_METRICS", "false"),
    ("ENABLE_AGENT_METRICS", "false"),
    ("ENABLE_ACCOUNT_METRICS", "false"),
    ("ENABLE_FILE_METRICS", "false"),
];

/// Switches on what is off by default.
const EVERYTHING: [(&str, &str); 2] =
    [("EMAIL_DOMAIN_METRICS", "true"), ("PER_USER_METRICS", "id")];

fn middle(mut passes: Vec<Pass>) -> Pass {
    passes.sort_by_key(|pass| pass.time);
    passes.swap_remove(passes.len() / 2)
}

struct Exporter {
    uri: String,
    database: String,
    state: PathBuf,
}

impl Exporter {
    /// The exporter, which refreshes when it is scraped and otherwise not.
    fn start(&self, groups: &[(&str, &str)]) -> Server {
        let settings = [
            ("MONGODB_URI", self.uri.as_str()),
            ("MONGODB_DATABASE", self.database.as_str()),
            ("STATE_FILE", self.state.to_str().expect("text")),
            ("METRICS_CACHE_ENABLED", "false"),
            ("METRICS_CACHE_TTL", "1h"),
            ("FEEDBACK_INTERVAL", "1h"),
            ("ACCOUNT_INTERVAL", "1h"),
        ];
        Server::start(&[&settings, groups].concat())
    }

    async fn first_pass(&self, database: &Database, groups: &[(&str, &str)]) -> Pass {
        // There may be none yet.
        let _ = std::fs::remove_file(&self.state);
        let before = Counters::read(database).await;
        let began = Instant::now();
        let mut server = self.start(groups);
        server.wait_for(&["INFO history read"]);
        server.wait_until_complete();
        let time = began.elapsed();
        let after = Counters::read(database).await;
        Pass {
            time,
            examined: after.examined - before.examined,
            cpu: after.cpu - before.cpu,
            resident: peak_resident(&server),
        }
    }

    /// Writes the past of all families, a sample a day.
    async fn past(&self, database: &Database) -> Pass {
        let settings =
            [("MONGODB_URI", self.uri.as_str()), ("MONGODB_DATABASE", self.database.as_str())];
        let before = Counters::read(database).await;
        let began = Instant::now();
        let mut writing = process::command(&[&settings, &EVERYTHING[..]].concat())
            .args(["history", "--step", "1d"])
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut resident = 0;
        while writing.try_wait().expect("a process").is_none() {
            // None where it has just ended.
            resident = process::peak_resident_bytes(writing.id()).unwrap_or(resident);
            sleep(Duration::from_millis(5));
        }
        let time = began.elapsed();
        let after = Counters::read(database).await;
        let resident = resident as f64 / f64::from(1 << 20);
        Pass {
            time,
            examined: after.examined - before.examined,
            cpu: after.cpu - before.cpu,
            resident,
        }
    }

    fn restart(&self) -> Restart {
        let began = Instant::now();
        let mut server = self.start(&EVERYTHING);
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
        let mut server = self.start(&EVERYTHING);
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
    let rows: [Row; 25] = [
        ("one server-side `$group` by model", |m| seconds(m.group)),
        ("first pass over messages only, from the start of the process", |m| {
            seconds(m.of_messages.time)
        }),
        ("the same / `$group`", |m| ratio(m.of_messages.time, m.group)),
        ("documents examined in it", |m| format!("{:.0}", m.of_messages.examined)),
        ("peak resident memory of it", |m| mib(m.of_messages.resident)),
        ("first pass with everything on", |m| seconds(m.pass.time)),
        ("the same / messages only", |m| ratio(m.pass.time, m.of_messages.time)),
        ("documents examined in it", |m| format!("{:.0}", m.pass.examined)),
        ("CPU of mongod in it", |m| format!("{:.1} s", m.pass.cpu)),
        ("peak resident memory of it", |m| mib(m.pass.resident)),
        ("the past by day (`history --step 1d`)", |m| seconds(m.past.time)),
        ("the same / first pass with everything on", |m| ratio(m.past.time, m.pass.time)),
        ("peak resident memory of it", |m| mib(m.past.resident)),
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

fn ratio(time: Duration, other: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() / other.as_secs_f64())
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
