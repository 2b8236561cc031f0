//! A disk that takes its time holds up whoever saves, and nobody else.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use chrono_tz::Tz;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use usage_exporter::engine::scheduler::Scheduler;
use usage_exporter::engine::source::{Context, Watched};
use usage_exporter::engine::state::disk::Disk;
use usage_exporter::engine::state::part::no_older_version;
use usage_exporter::engine::state::{Part, StateFile, encode};
use usage_exporter::exposition::{ExporterMetrics, Snapshot};
use usage_exporter::http::settings::Encryption;
use usage_exporter::http::{self, App, Guard};
use usage_exporter::sources::librechat::groups::Groups;

use crate::exporter::{general, settings, state_file};
use crate::fixtures;
use crate::mongod::Mongod;

/// A disk on which nothing is synchronised before the test allows it.
#[derive(Clone, Default)]
struct Held(Arc<(Mutex<bool>, Condvar, AtomicUsize)>);

impl Held {
    fn writes_begun(&self) -> usize {
        self.0.2.load(Ordering::SeqCst)
    }

    fn let_go(&self) {
        *self.0.0.lock().expect("no panic") = true;
        self.0.1.notify_all();
    }
}

impl Disk for Held {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.0.2.fetch_add(1, Ordering::SeqCst);
        File::create(path)
    }

    fn synchronise(&self, file: &File) -> io::Result<()> {
        let may_go = self.0.0.lock().expect("no panic");
        drop(self.0.1.wait_while(may_go, |may_go| !*may_go).expect("no panic"));
        file.sync_all()
    }
}

/// A disk on which synchronising takes so long.
struct Slow(Duration);

impl Disk for Slow {
    fn synchronise(&self, file: &File) -> io::Result<()> {
        std::thread::sleep(self.0);
        file.sync_all()
    }
}

/// A server in this process that is asked by this runtime.
struct Served {
    address: std::net::SocketAddr,
    scheduler: Arc<Scheduler>,
    exporter: Arc<ExporterMetrics>,
}

impl Served {
    async fn start() -> Served {
        let exporter = Arc::new(ExporterMetrics::new(false).expect("names"));
        let snapshot = Arc::new(Snapshot::new(Arc::clone(&exporter)));
        let scheduler = Arc::new(Scheduler::new(&snapshot, &exporter, 5));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (guard, files) = Guard::new(&open_to_all()).expect("no files");
        let app = App {
            watching: "a slow disk".into(),
            snapshot,
            exporter: Arc::clone(&exporter),
            refresh_on_scrape: None,
            guard: Arc::new(guard),
        };
        tokio::spawn(http::serve(listener, app, files, std::future::pending()));
        Served { address, scheduler, exporter }
    }

    fn state(&self, disk: impl Disk) -> StateFile {
        let metrics = self.exporter.state_file().expect("names");
        StateFile::open_on(disk, &state_file(), metrics).expect("a lock")
    }

    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    async fn wait_until(&self, path: &str, part: &str) {
        while !self.get(path).await.contains(part) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn open_to_all() -> http::Settings {
    http::Settings {
        host: std::net::Ipv4Addr::LOCALHOST.into(),
        port: 0,
        bearer: None,
        basic: None,
        networks: None,
        encryption: Encryption::None,
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_only_thread_of_the_runtime_answers_while_a_write_is_held_up() {
    let database = Mongod::shared().database().await;
    fixtures::load(&database, "current", TimeDelta::days(-3)).await;
    let served = Served::start().await;
    let disk = Held::default();
    let mut settings = settings(&database, Groups::all());
    let every = Duration::from_secs(60);
    (settings.feedback_interval, settings.account_interval) = (every, every);
    let source = settings.open(Context {
        general: general(Tz::UTC),
        clock: Arc::new(Utc::now),
        state: served.state(disk.clone()),
    });
    for collector in source.collectors() {
        served.scheduler.add(source.name(), collector);
    }
    while disk.writes_begun() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Families that are not saved are there, so that everything else has been asked too.
    served.wait_until("/metrics", "librechat_stored_documents").await;
    for _ in 0..100 {
        assert!(served.get("/healthz").await.starts_with("HTTP/1.1 200"));
        let page = served.get("/metrics").await;
        assert!(!page.contains("librechat_messages_total"), "what may be lost is not shown");
    }
    assert_eq!(disk.writes_begun(), 1);
    disk.let_go();
    served.wait_until("/metrics", "librechat_messages_total 27").await;
    served.wait_until("/readyz", "\"ready\":true").await;
}

/// What `/healthz` takes while a state of 5 MB is saved again and again and synchronising takes 300 ms.
#[tokio::test(flavor = "current_thread")]
#[ignore = "prints a measurement"]
async fn how_long_an_answer_takes_meanwhile() {
    const PART: Part = Part { name: "tested/large", version: 1, upgrade: no_older_version };
    let served = Served::start().await;
    let state = served.state(Slow(Duration::from_millis(300)));
    let large: Arc<Vec<u64>> = Arc::new((0..250_000).map(|n| 10_u64.pow(18) + n).collect());
    served.measure("while nothing is saved").await;
    let saving = tokio::spawn(async move {
        loop {
            let (state, large) = (state.clone(), Arc::clone(&large));
            let given = tokio::task::spawn_blocking(move || {
                state.save(vec![encode(&PART, &*large).expect("JSON")])
            });
            assert!(given.await.expect("no panic").await);
        }
    });
    served.measure("while it is saved").await;
    saving.abort();
}

impl Served {
    /// Prints what an answer takes in ten seconds.
    async fn measure(&self, context: &str) {
        let mut took = Vec::new();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            let asked = Instant::now();
            assert!(self.get("/healthz").await.ends_with("ok\n"));
            took.push(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        took.sort();
        let [median, most, longest] =
            [500, 990, 1000].map(|share| took[(took.len() * share / 1000).min(took.len() - 1)]);
        println!(
            "{context}: {} answers, median {median:?}, 99th percentile {most:?}, longest {longest:?}",
            took.len()
        );
    }
}
