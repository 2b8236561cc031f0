//! The real binary against the real mongod: the whole page, and every route.

use std::process::{Command, Stdio};

use chrono::{TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use usage_exporter::exposition::{Kind, own as exporter};
use usage_exporter::sources::librechat::{self, groups};

use crate::exporter::SETTLING_TIME;
use crate::fixtures;
use crate::mongod::Mongod;
use crate::oracle::Oracle;
use crate::process::{Server, run};
use crate::samples;
use crate::seen::Seen;

/// A time zone in which it is noon, so that no day ends while the tests run.
fn noon() -> Tz {
    let ahead = 12 - i64::from(Utc::now().hour());
    let name = if ahead >= 0 { format!("Etc/GMT-{ahead}") } else { format!("Etc/GMT+{}", -ahead) };
    name.parse().expect("a time zone")
}

/// The newest fixture as if its story had ended just now.
async fn librechat() -> Database {
    let database = Mongod::shared().database().await;
    let since = Utc::now() - fixtures::ends("current");
    fixtures::load(&database, "current", TimeDelta::seconds(since.num_seconds())).await;
    database
}

fn settings(database: &Database) -> Vec<(&'static str, String)> {
    vec![
        ("MONGODB_URI", Mongod::shared().uri.clone()),
        ("MONGODB_DATABASE", database.name().to_owned()),
        ("METRICS_TIMEZONE", noon().name().to_owned()),
    ]
}

fn borrowed<'a>(settings: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn start(settings: &[(&str, String)]) -> Server {
    let mut server = Server::start(&borrowed(settings));
    server.wait_until_complete();
    server
}

/// The page with what differs from run to run put in brackets.
fn masked(page: &str) -> String {
    let changing = ["process_", "usage_exporter_build_info", "usage_exporter_documents_read_total"];
    let times = ["_seconds{"];
    let mut lines: Vec<String> = Vec::new();
    // Whether the page that is up to a second old knows of a request already is chance.
    for line in page.lines().filter(|line| !line.contains("usage_exporter_http_requests_total")) {
        let masked = changing.iter().any(|name| line.starts_with(name))
            || times.iter().any(|part| !line.starts_with('#') && line.contains(part));
        lines.push(match line.rsplit_once(' ') {
            Some((key, _)) if masked && line.starts_with("usage_exporter_build_info") => {
                format!("{} [...]", samples::family(key))
            }
            Some((key, _)) if masked => format!("{key} [...]"),
            _ => line.to_owned(),
        });
    }
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_the_golden_one_and_equals_the_oracle() {
    let database = librechat().await;
    let odd = doc! { "messageId": "odd", "tokenCount": "many", "isCreatedByUser": false };
    database.collection::<Document>("messages").insert_one(odd).await.expect("an insert");
    let server = start(&settings(&database));
    let page = server.get("/metrics");
    insta::assert_snapshot!("page", masked(&page));

    let oracle = Oracle { now: Utc::now(), timezone: noon(), settling_time: SETTLING_TIME };
    let mut seen = Seen::default();
    seen.look(&database, Utc::now()).await;
    let mut expected = oracle.compute(&database, &seen).await;
    let off = [groups::EMAIL_DOMAIN, groups::PER_USER];
    expected.retain(|key, _| {
        let described = librechat::families().find(|d| d.name == samples::family(key));
        described.is_none_or(|d| !d.groups.iter().any(|group| off.contains(group)))
    });
    let mut found = samples::of_page(&page);
    found.retain(|key, _| expected.contains_key(key) || key.starts_with("librechat_"));
    found.remove("librechat_up");
    samples::assert_equal(&found, &expected, "the page of the binary");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_only_families_of_the_catalogue_with_their_types() {
    let database = librechat().await;
    let server = start(&settings(&database));
    for line in server.get("/metrics").lines().filter(|line| line.starts_with("# TYPE")) {
        let [_, _, name, kind] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let described = librechat::families().chain(exporter::ALL).find(|d| d.name == name);
        match described {
            Some(description) => assert_eq!(kind, description.kind.as_str(), "{name}"),
            None => assert!(name.starts_with("process_"), "{name} is in no catalogue"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn open_metrics_has_the_same_samples_and_says_since_when_counters_count() {
    let database = librechat().await;
    let mut settings = settings(&database);
    settings.push(("METRICS_CACHE_TTL", "1h".to_owned()));
    let server = start(&settings);
    let wanted = ("Accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    let mut answer = server.request("GET", "/metrics", wanted);
    let content_type = answer.headers()["content-type"].to_str().expect("text").to_owned();
    assert_eq!(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let page = answer.body_mut().read_to_string().expect("text");
    let page = page.strip_suffix("# EOF\n").expect("an end");
    let mut families = std::collections::BTreeSet::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, _) = line.split_once(' ').expect("a type");
        assert!(families.insert(name), "{name} is there twice");
    }
    let samples = samples::of_page(page).into_iter();
    let mut samples: samples::Samples =
        samples.map(|(key, value)| (samples::as_text(&key), value)).collect();
    let created: samples::Samples =
        samples.extract_if(.., |key, _| samples::family(key).ends_with("_created")).collect();
    let is_of_runs = |key: &str| key.starts_with("process_") || key.contains("_http_requests_");
    let mut text = samples::of_page(&server.get("/metrics"));
    samples.retain(|key, _| !is_of_runs(key));
    text.retain(|key, _| !is_of_runs(key));
    samples::assert_equal(&samples, &text, "OpenMetrics against the text format");

    // At the beginning of the day of the first message, and of the first conversation.
    let messages = database.collection::<Document>("messages");
    let first = messages.find_one(doc! {}).sort(doc! { "_id": 1 }).await;
    let first = first.expect("an answer").expect("a message");
    let minted = first.get_object_id("_id").expect("an _id").timestamp().timestamp_millis() / 1000;
    assert_eq!(created["librechat_messages_created"], (minted - minted % 86_400) as f64);
    for family in librechat::families().filter(|family| family.kind == Kind::Counter) {
        let counter = text.keys().find(|key| samples::family(key) == family.name);
        let name = family.name.replace("_total", "_created");
        let told = counter.map(|key| created.contains_key(&key.replace("_total", "_created")));
        assert_ne!(told, Some(false), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_only_the_names_that_the_contract_gives() {
    let database = librechat().await;
    let server = start(&settings(&database));
    let page = server.get("/metrics");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool (Debian's package prometheus) is installed");
    let mut input = promtool.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut input, page.as_bytes()).expect("promtool reads");
    drop(input);
    let output = promtool.wait_with_output().expect("promtool ends");
    let mut found: Vec<String> = [output.stdout, output.stderr]
        .into_iter()
        .flat_map(|bytes| {
            let text = String::from_utf8(bytes).expect("text");
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    found.sort();
    // Gauges whose names the dashboards of virtuos/librechat_exporter know.
    let mut expected: Vec<String> = librechat::families()
        .filter(|family| family.kind == Kind::Gauge && family.name.ends_with("_total"))
        .map(|family| {
            format!("{} non-counter metrics should not have \"_total\" suffix", family.name)
        })
        .collect();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_as_its_clients_expect() {
    let database = librechat().await;
    let mut settings = settings(&database);
    settings.push(("METRICS_CACHE_ENABLED", "false".to_owned()));
    let server = start(&settings);
    let status = |method, path| server.request(method, path, ("Accept", "*/*")).status().as_u16();
    let header = |path, header: (&str, &str), name: &str| {
        let response = server.request("GET", path, header);
        response.headers().get(name).map(|v| v.to_str().expect("text").to_owned())
    };
    for path in ["/", "/metrics", "/metrics/", "/healthz", "/readyz"] {
        assert_eq!((status("GET", path), status("HEAD", path)), (200, 200), "{path}");
        assert_eq!(status("POST", path), 405, "{path}");
    }
    assert_eq!(status("GET", "/nothing"), 404);

    let prometheus = ("Accept", "text/plain;version=0.0.4;q=0.5,*/*;q=0.1");
    let browser = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let text = Some("text/plain; version=0.0.4; charset=utf-8".to_owned());
    assert_eq!(header("/", prometheus, "content-type"), text);
    assert_eq!(header("/metrics", browser, "content-type"), text);
    assert_eq!(header("/", browser, "content-type"), Some("text/html; charset=utf-8".to_owned()));
    let gzip = ("Accept-Encoding", "gzip");
    assert_eq!(header("/metrics", gzip, "content-encoding"), Some("gzip".to_owned()));
    assert_eq!(header("/metrics", prometheus, "content-encoding"), None);
    let nothing = ("Accept-Encoding", "identity;q=0, gzip;q=0");
    assert_eq!(server.request("GET", "/metrics", nothing).status(), 406);
    assert!(server.get("/readyz").contains("\"ready\":true"));

    let page = server.get("/metrics/?name[]=librechat_up&name[]=librechat_messages_total");
    let names: Vec<String> = samples::of_page(&page).into_keys().collect();
    assert_eq!(names, ["librechat_messages_total", "librechat_up"]);

    let page = samples::of_page(&server.get("/metrics"));
    let answered = |code, path| {
        page[&samples::key("usage_exporter_http_requests_total", &[("code", code), ("path", path)])]
    };
    assert_eq!((answered("405", "/readyz"), answered("404", "other")), (1.0, 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_although_a_connection_is_open() {
    let database = librechat().await;
    for signal in ["TERM", "INT"] {
        let server = start(&settings(&database));
        let _connection = server.kept_alive();
        assert!(server.end(signal).success(), "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn once_prints_the_same_families_without_those_of_the_process() {
    let database = librechat().await;
    let server = start(&settings(&database));
    let output = run(&borrowed(&settings(&database)), &["--once"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("text");
    let families = |page: &str| {
        let of_runs = ["process_", "usage_exporter_http_requests_total"];
        let families: std::collections::BTreeSet<String> = samples::of_page(page)
            .keys()
            .map(|key| samples::family(key).to_owned())
            .filter(|name| !of_runs.iter().any(|prefix| name.starts_with(prefix)))
            .collect();
        families
    };
    assert_eq!(families(&printed), families(&server.get("/metrics")));
    assert!(!printed.contains("process_"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_cache_a_scrape_sees_what_was_stored_a_moment_ago() {
    let database = librechat().await;
    let mut settings = settings(&database);
    settings.push(("METRICS_CACHE_ENABLED", "false".to_owned()));
    settings.push(("METRICS_CACHE_TTL", "1h".to_owned()));
    let server = start(&settings);
    let messages = || samples::of_page(&server.get("/"))["librechat_messages_total"];
    let before = messages();
    let message = doc! { "messageId": "new", "isCreatedByUser": false };
    database.collection::<Document>("messages").insert_one(message).await.expect("an insert");
    assert_eq!(messages(), before + 1.0);
}
