//! A MongoDB that misbehaves: the exporter lives, its page answers, what is wrong is told, what is too old
//! is left out, and afterwards fresh values come back by themselves.
//!
//! `make faults` repeats every fault five times and prints what a scrape took meanwhile, and how long the
//! recovery.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};

use crate::fixtures;
use crate::mongod::{Mongod, free_port};
use crate::process::Server;
use crate::proxy::{Mode, Proxy};
use crate::samples::{Samples, of_page};

const NO_DELAY: Mode = Mode::Pass(Duration::ZERO);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing listens, or something ends each connection, from the start on.
    Absent,
    /// It goes away.
    Gone,
    /// Its connections end in the middle of each query.
    KilledInQueries,
    /// It takes connections and never answers.
    Hanging,
    /// Every answer takes seconds.
    Slow,
    /// The user loses its role.
    Refusing,
    /// A primary that steps down, and no other.
    SteppingDown,
    /// It has no cursors left.
    OutOfCursors,
    /// It gives up every query after `maxTimeMS`.
    TimeLimit,
    /// It comes back with other messages.
    OtherData,
}

const FAULTS: [Fault; 10] = [
    Fault::Absent,
    Fault::Gone,
    Fault::KilledInQueries,
    Fault::Hanging,
    Fault::Slow,
    Fault::Refusing,
    Fault::SteppingDown,
    Fault::OutOfCursors,
    Fault::TimeLimit,
    Fault::OtherData,
];

impl Fault {
    /// The reason that the exporter gives for it, and whether MongoDB answered; none where the exporter
    /// is to go on.
    fn told(self) -> Option<(&'static str, f64)> {
        match self {
            Fault::Absent | Fault::Gone | Fault::KilledInQueries | Fault::SteppingDown => {
                Some(("connection", 0.0))
            }
            Fault::Hanging => Some(("timeout", 0.0)),
            Fault::TimeLimit => Some(("timeout", 1.0)),
            Fault::Refusing => Some(("authorization", 1.0)),
            Fault::OutOfCursors => Some(("query", 1.0)),
            Fault::Slow | Fault::OtherData => None,
        }
    }
}

/// A MongoDB in which a fault can be made.
struct Scene {
    fault: Fault,
    proxy: Proxy,
    /// The user that may do everything.
    root: Client,
    mongod: Mongod,
    other: Option<Mongod>,
}

impl Scene {
    async fn new(fault: Fault) -> Scene {
        let port = free_port();
        let test_commands = ["--setParameter", "enableTestCommands=1"];
        let extra: &[&str] = match fault {
            Fault::SteppingDown => &["--replSet", "rs"],
            Fault::Refusing => &["--auth"],
            _ => &[],
        };
        let mongod = Mongod::start_on(port, &[&test_commands, extra].concat());
        let client = mongod.client().await;
        let mode = if fault == Fault::Absent { Mode::Cut } else { NO_DELAY };
        let proxy = Proxy::start(port, mode).await;
        let mut root = client.clone();
        match fault {
            Fault::SteppingDown => {
                let member = doc! { "_id": 0, "host": format!("127.0.0.1:{port}") };
                let config = doc! { "_id": "rs", "members": [member] };
                let initiate = doc! { "replSetInitiate": config };
                client.database("admin").run_command(initiate).await.expect("a replica set");
                let uri = format!("mongodb://127.0.0.1:{port}/?replicaSet=rs");
                root = Client::with_uri_str(uri).await.expect("a URI");
            }
            Fault::Refusing => {
                let create = doc! { "createUser": "root", "pwd": "root-secret", "roles": ["root"] };
                client.database("admin").run_command(create).await.expect("the first user");
                let uri = format!("mongodb://root:root-secret@127.0.0.1:{port}");
                root = Client::with_uri_str(uri).await.expect("a URI");
                let read = doc! { "role": "read", "db": "LibreChat" };
                let create =
                    doc! { "createUser": "reader", "pwd": "reader-secret", "roles": [read] };
                root.database("LibreChat").run_command(create).await.expect("a user");
            }
            _ => {}
        }
        let mut scene = Scene { fault, proxy, root, mongod, other: None };
        fixtures::load(&scene.database(), "current", TimeDelta::days(-400)).await;
        if fault == Fault::OtherData {
            let port = free_port();
            let other = Mongod::start_on(port, &[]);
            let messages: Vec<Document> = (0..7).map(message).collect();
            let database = other.client().await.database("LibreChat");
            database.collection("messages").insert_many(messages).await.expect("an insert");
            scene.other = Some(other);
        }
        scene
    }

    fn database(&self) -> Database {
        self.root.database("LibreChat")
    }

    fn uri(&self) -> String {
        let port = self.proxy.port();
        match self.fault {
            // Members of a replica set are found by the names in its configuration.
            Fault::SteppingDown => {
                let upstream = self.mongod.uri.rsplit(':').next().expect("a port");
                format!("mongodb://127.0.0.1:{upstream}/?replicaSet=rs")
            }
            Fault::Refusing => format!("mongodb://reader:reader-secret@127.0.0.1:{port}/LibreChat"),
            _ => format!("mongodb://127.0.0.1:{port}"),
        }
    }

    async fn begin(&self) {
        match self.fault {
            Fault::Absent => {}
            Fault::Gone => self.proxy.set(Mode::Cut),
            Fault::Hanging => self.proxy.set(Mode::Freeze),
            Fault::Slow => self.proxy.set(Mode::Pass(Duration::from_secs(1))),
            Fault::KilledInQueries => self.fail(doc! { "closeConnection": true }).await,
            Fault::OutOfCursors => self.fail(doc! { "errorCode": 43 }).await,
            Fault::TimeLimit => self.fail(doc! { "errorCode": 50 }).await,
            Fault::Refusing => self.role("revokeRolesFromUser").await,
            Fault::SteppingDown => {
                let step_down = doc! { "replSetStepDown": 3600, "force": true };
                self.root.database("admin").run_command(step_down).await.expect("a step-down");
            }
            Fault::OtherData => {
                let other = self.other.as_ref().expect("another mongod");
                let port = other.uri.rsplit(':').next().and_then(|port| port.parse().ok());
                self.proxy.lead_to(port.expect("a port"));
                self.proxy.set(Mode::Cut);
            }
        }
    }

    async fn end(&self) {
        match self.fault {
            Fault::Absent | Fault::Gone | Fault::Hanging | Fault::Slow | Fault::OtherData => {
                self.proxy.set(NO_DELAY);
            }
            Fault::KilledInQueries | Fault::OutOfCursors | Fault::TimeLimit => {
                let off = doc! { "configureFailPoint": "failCommand", "mode": "off" };
                self.root.database("admin").run_command(off).await.expect("a failpoint");
            }
            Fault::Refusing => self.role("grantRolesToUser").await,
            Fault::SteppingDown => {
                let uri = format!("{}/?directConnection=true", self.mongod.uri);
                let direct = Client::with_uri_str(uri).await.expect("a URI");
                let stop = doc! { "replSetFreeze": 0 };
                direct.database("admin").run_command(stop).await.expect("the end of the pause");
            }
        }
    }

    /// Makes every query of the exporter fail, those of every collector: one that still worked would say
    /// that MongoDB answers.
    async fn fail(&self, mut data: Document) {
        let queries = ["find", "getMore", "aggregate", "count", "listCollections", "listIndexes"];
        data.insert("failCommands", queries.to_vec());
        data.insert("appName", "usage-exporter");
        let on = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data };
        self.root.database("admin").run_command(on).await.expect("a failpoint");
    }

    async fn role(&self, command: &str) {
        let role = doc! { "role": "read", "db": "LibreChat" };
        let change = doc! { command: "reader", "roles": [role] };
        self.database().run_command(change).await.expect("another role");
    }

    /// Stores one more message; how many the page must show then.
    async fn chat(&self) -> f64 {
        let other = self.other.as_ref();
        let database = match other {
            Some(other) => other.client().await.database("LibreChat"),
            None => self.database(),
        };
        database.collection("messages").insert_one(message(9)).await.expect("an insert");
        if other.is_some() { 8.0 } else { fixtures::MESSAGES + 1.0 }
    }
}

fn message(number: i32) -> Document {
    doc! { "messageId": format!("m{number}"), "isCreatedByUser": false, "model": "gpt-4o" }
}

/// Scrapes one after the other, from a thread of its own, until it is asked how long they took.
struct Scrapes {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Scrapes {
    fn start(server: &Server) -> Scrapes {
        let ended = Arc::new(AtomicBool::new(false));
        let (uri, end) = (format!("{}/metrics", server.address()), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            let agent = ureq::Agent::new_with_defaults();
            let mut times = Vec::new();
            while !end.load(Ordering::Relaxed) {
                let began = Instant::now();
                let mut answer = agent.get(&uri).call().expect("the page answers");
                let page = answer.body_mut().read_to_string().expect("a page");
                times.push(began.elapsed());
                assert!(page.contains("usage_exporter_build_info"));
                std::thread::sleep(Duration::from_millis(10));
            }
            times
        });
        Scrapes { ended, thread }
    }

    fn end(self) -> Vec<Duration> {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().expect("every scrape was answered")
    }
}

/// What was measured.
struct Measured {
    scrapes: Vec<Duration>,
    recovery: Duration,
}

fn page(server: &Server) -> Samples {
    of_page(&server.get("/metrics"))
}

/// Lets a fault begin and end before the eyes of an exporter that refreshes every second.
async fn survive(fault: Fault) -> Measured {
    let scene = Scene::new(fault).await;
    let uri = scene.uri();
    let mut server = Server::start(&[("MONGODB_URI", &uri), ("METRICS_CACHE_TTL", "1")]);
    let scrapes = Scrapes::start(&server);
    if fault != Fault::Absent {
        server.wait_until_complete();
        assert_eq!(page(&server)["librechat_messages_total"], fixtures::MESSAGES);
    }
    scene.begin().await;
    match fault.told() {
        Some((reason, up)) => {
            server.wait_for(&["refresh failed", "\"messages\"", reason]);
            // Old values are shown for five intervals.
            while page(&server).contains_key("librechat_messages_total") {
                server.wait_for(&["refresh failed"]);
            }
            server.wait_for(&["refresh failed", "\"messages\"", reason]);
            let told = page(&server);
            let failures = format!(
                "usage_exporter_collector_failures_total{{collector=\"messages\",reason=\"{reason}\"}}"
            );
            assert!(told.get(&failures).is_some_and(|count| *count >= 1.0), "{fault:?}");
            assert_eq!(told["usage_exporter_collector_success{collector=\"messages\"}"], 0.0);
            assert_eq!(told["librechat_up"], up, "{fault:?}");
        }
        None if fault == Fault::Slow => {
            server.wait_for(&["refresh", "\"messages\""]);
            server.wait_for(&["refresh", "\"messages\""]);
        }
        None => {
            server.wait_for(&["refresh failed", "\"messages\""]);
        }
    }
    scene.end().await;
    let ended = Instant::now();
    let expected = scene.chat().await;
    while page(&server).get("librechat_messages_total") != Some(&expected) {
        server.wait_for(&["collector=\"messages\""]);
    }
    let recovery = ended.elapsed();
    assert_eq!(page(&server)["librechat_up"], 1.0, "{fault:?}");
    Measured { scrapes: scrapes.end(), recovery }
}

macro_rules! faults {
    ($($name:ident: $fault:expr;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                survive($fault).await;
            }
        )*
    };
}

faults! {
    a_mongodb_that_is_absent_at_the_start: Fault::Absent;
    a_mongodb_that_goes_away: Fault::Gone;
    a_mongodb_that_is_killed_in_queries: Fault::KilledInQueries;
    a_mongodb_that_hangs: Fault::Hanging;
    a_mongodb_that_is_slow: Fault::Slow;
    a_mongodb_that_refuses: Fault::Refusing;
    a_primary_that_steps_down: Fault::SteppingDown;
    a_mongodb_without_cursors: Fault::OutOfCursors;
    a_mongodb_whose_time_is_up: Fault::TimeLimit;
    a_mongodb_that_comes_back_with_other_data: Fault::OtherData;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes long, for `make faults`"]
async fn every_fault_five_times() {
    println!(
        "| fault | scrapes | their 99th percentile | recovery, longest of 5 |\n|---|---|---|---|"
    );
    for fault in FAULTS {
        let mut scrapes = Vec::new();
        let mut recovery = Duration::ZERO;
        for _ in 0..5 {
            let measured = survive(fault).await;
            scrapes.extend(measured.scrapes);
            recovery = recovery.max(measured.recovery);
        }
        scrapes.sort();
        let slowest = scrapes[scrapes.len() * 99 / 100];
        println!(
            "| {fault:?} | {} | {:.1} ms | {:.1} s |",
            scrapes.len(),
            slowest.as_secs_f64() * 1e3,
            recovery.as_secs_f64()
        );
    }
}
