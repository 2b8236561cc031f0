//! How many scrapes a second the server answers, with everything on that protects it, beside a bare axum
//! handler that returns the same bytes, in the same run and by turns; and how long a scrape takes while two
//! thousand clients hold connections open.
//!
//! `wrk` (Debian's package) asks with one thread over eight connections.

#[path = "../../tests/suite/certificates.rs"]
mod certificates;

#[path = "../../tests/suite/mongod.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod mongod;

#[path = "../../tests/suite/planted.rs"]
mod planted;

#[path = "../../tests/suite/process.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod process;

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use certificates::Authority;
use mongod::{Mongod, free_port};
use mongodb::bson::{Document, doc};
use process::Server;

const ROUNDS: usize = 5;

const SECONDS: &str = "5s";

/// How many pages for people are asked for.
const PAGES: usize = 200;

const SLOW_LORIS: usize = 2_000;

const TOKEN: &str = "a-token-of-a-usual-length-0123456789";

/// How many models and tools there are, so that the page has some 540 lines.
const NAMES: u32 = 13;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("bare") {
        let port = arguments.next().expect("a port").parse().expect("a port");
        return bare(port, arguments.next().expect("a file")).await;
    }
    let mongod = Mongod::start(&[]);
    let database = mongod.client().await.database("LibreChat");
    let messages: Vec<Document> = (0..NAMES * NAMES).map(message).collect();
    database.collection::<Document>("messages").insert_many(messages).await.expect("an insert");
    let folder = process::folder("bench-http");
    Authority::new(&folder, "authority").certify("server");
    let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
    let settings = [
        ("MONGODB_URI", mongod.uri.as_str()),
        ("METRICS_CACHE_TTL", "60"),
        ("METRICS_BEARER_TOKEN", TOKEN),
        ("METRICS_BASIC_AUTH_USER", "prometheus"),
        ("METRICS_BASIC_AUTH_PASSWORD", "hunter2"),
        ("METRICS_ALLOWED_IPS", "127.0.0.0/8,10.0.0.0/8"),
        ("TRUSTED_PROXIES", "192.168.0.0/16"),
        ("TLS_CERT_FILE", certificate.to_str().expect("text")),
        ("TLS_KEY_FILE", key.to_str().expect("text")),
    ];
    let server = start(&settings[..7]);
    let encrypted = start(&settings);

    let page = std::env::temp_dir().join(format!("bench-page-{}", std::process::id()));
    let page = page.to_str().expect("text");
    let authorization = format!("Authorization: Bearer {TOKEN}");
    let metrics = format!("{}/metrics", server.address());
    let fetched = Command::new("curl")
        .args(["--silent", "--fail", "--header", &authorization, "--output", page, &metrics])
        .status();
    assert!(fetched.expect("curl runs").success());
    let text = std::fs::read_to_string(page).expect("the page");
    println!("a page of {} lines, {} bytes", text.lines().count(), text.len());

    let bare = Bare::start(page);
    let mut figures: [Vec<Figures>; 3] = Default::default();
    let secure = format!("{}/metrics", encrypted.address());
    for _ in 0..ROUNDS {
        figures[0].push(wrk(&bare.url, &authorization));
        figures[1].push(wrk(&metrics, &authorization));
        figures[2].push(wrk(&secure, &authorization));
    }
    let [bare, protected, encrypted] = figures.map(median);
    println!("| | scrapes a second | of the bare handler | 99th percentile |\n|---|---|---|---|");
    for (name, figures) in [
        ("a bare axum handler", &bare),
        ("`/metrics`, protected", &protected),
        ("`/metrics`, protected and encrypted", &encrypted),
    ] {
        let Figures { rate, slowest } = figures;
        println!("| {name} | {rate:.0} | {:.2} | {slowest:?} |", rate / bare.rate);
    }
    page_for_people(&server);
    slow_loris(&server, &metrics);
}

/// How long the page for people takes to its first byte.
fn page_for_people(server: &Server) {
    let url = format!("{}/status", server.address());
    let mut bytes = 0;
    let mut times: Vec<Duration> = (0..PAGES)
        .map(|_| {
            let began = Instant::now();
            let request = ureq::get(&url).header("Authorization", &format!("Bearer {TOKEN}"));
            let answer = request.call().expect("an answer");
            let first_byte = began.elapsed();
            bytes = answer.into_body().read_to_string().expect("a page").len();
            first_byte
        })
        .collect();
    times.sort();
    println!(
        "\nthe page for people, {bytes} bytes: first byte after {:?}, of {PAGES} the slowest after {:?}",
        times[PAGES / 2],
        times[PAGES - 1],
    );
}

/// A server that has read everything.
fn start(settings: &[(&str, &str)]) -> Server {
    let mut server = Server::start(settings);
    let shown = |server: &Server, name: &str| {
        server.log.iter().any(|line| line.contains("refreshed") && line.contains(name))
    };
    while !["messages", "inventory", "feedback"].iter().all(|name| shown(&server, name)) {
        server.wait_for(&["refreshed"]);
    }
    server
}

/// Scrapes, each over a connection of its own, while others hold theirs open.
fn slow_loris(server: &Server, url: &str) {
    rlimit::increase_nofile_limit(10_000).expect("enough files may be open");
    let mut slow = Vec::new();
    let mut times = Vec::new();
    for number in 0..SLOW_LORIS {
        let mut stream = server.connect();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nX-Slow: ").expect("a server");
        slow.push(stream);
        if number % 10 == 9 {
            let began = Instant::now();
            let request = ureq::get(url).header("Authorization", &format!("Bearer {TOKEN}"));
            let page = request.call().expect("an answer").into_body().read_to_string();
            assert!(page.expect("a page").contains("usage_exporter_build_info"));
            times.push(began.elapsed());
        }
    }
    times.sort();
    println!(
        "\n{SLOW_LORIS} slow connections: of {} scrapes the slowest took {:?}; peak resident {:.1} MiB, \
         {} open files",
        times.len(),
        times[times.len() - 1],
        server.peak_resident_bytes() as f64 / f64::from(1 << 20),
        server.open_files(),
    );
}

fn message(number: u32) -> Document {
    let (one, other) = (number / NAMES, number % NAMES);
    let call = doc! { "type": "tool_call", "tool_call": { "name": format!("tool-{other}") } };
    doc! {
        "isCreatedByUser": false, "tokenCount": 7, "model": format!("a-model-of-today-{one}"),
        "endpoint": "agents", "content": [call], "error": other == 0,
        "feedback": { "rating": "thumbsUp", "tag": format!("tag-{}", other % 3) },
    }
}

/// What `wrk` has measured.
struct Figures {
    rate: f64,
    slowest: Duration,
}

fn wrk(url: &str, authorization: &str) -> Figures {
    let output = Command::new("wrk")
        .args(["-t1", "-c8", "-d", SECONDS, "--latency", "--header", authorization, url])
        .output()
        .expect("wrk (Debian's package wrk) is installed");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(!text.contains("Non-2xx"), "{text}");
    let after = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.expect("a figure").trim().to_owned()
    };
    Figures {
        rate: after("Requests/sec:").parse().expect("a figure"),
        slowest: humantime::parse_duration(&whole(&after("99%"))).expect("a time"),
    }
}

/// `1.25ms` as `1250us`: whole units only.
fn whole(time: &str) -> String {
    let unit = time.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = time[..time.len() - unit.len()].parse().expect("a figure");
    let micros = match unit {
        "us" => number,
        "ms" => number * 1e3,
        _ => number * 1e6,
    };
    format!("{micros:.0}us")
}

fn median(mut figures: Vec<Figures>) -> Figures {
    figures.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    figures.swap_remove(figures.len() / 2)
}

/// A process of its own that returns a file and knows nothing else.
struct Bare {
    process: Child,
    url: String,
}

impl Bare {
    fn start(page: &str) -> Bare {
        let port = free_port().to_string();
        let process = Command::new(std::env::current_exe().expect("this program"))
            .args(["bare", &port, page])
            .stdin(Stdio::null())
            .spawn()
            .expect("this program runs");
        let url = format!("http://127.0.0.1:{port}/metrics");
        while ureq::get(&url).call().is_err() {}
        Bare { process, url }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn bare(port: u16, page: String) {
    let text = axum::body::Bytes::from(std::fs::read(page).expect("the page"));
    let router = Router::new().route("/metrics", get(move || async move { text }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
    axum::serve(listener, router).await.expect("a server");
}
