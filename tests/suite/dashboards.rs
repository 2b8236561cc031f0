//! The dashboards: made by their generator, of metrics that exist, with data on the demo.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::mongod::Mongod;
use crate::process::{Server, folder, run};
use crate::prometheus::{Prometheus, create_blocks};
use crate::queries::assert_names_what_exists;

const DASHBOARDS: [&str; 5] =
    ["overview", "models-and-cost", "tools-agents-mcp", "satisfaction", "exporter-health"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The panels of a dashboard that show something.
fn panels(dashboard: &str) -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").clone();
    let of_rows = panels.iter().flat_map(|row| row["panels"].as_array().cloned());
    let all: Vec<Value> = of_rows.flatten().chain(panels.iter().cloned()).collect();
    all.into_iter().filter(|panel| panel["type"] != "row").collect()
}

fn queries(panel: &Value) -> Vec<String> {
    let targets = panel["targets"].as_array().expect("queries").iter();
    targets.map(|target| target["expr"].as_str().expect("PromQL").to_owned()).collect()
}

/// A query with what Grafana puts into it.
fn filled(query: &str) -> String {
    let variables = [("$__rate_interval", "1m"), ("$__range", "60d"), ("$instance", ".*")];
    let mut filled = query.to_owned();
    for (variable, value) in variables {
        filled = filled.replace(variable, value);
    }
    assert!(!filled.contains('$'), "{query}");
    filled
}

/// All queries of our dashboards, and of the one that virtUOS has, each with where it stands.
fn all_queries() -> Vec<(String, String)> {
    let ours = DASHBOARDS.map(|name| format!("dashboards/{name}.json"));
    let theirs = "tests/fixtures/peers/virtuos-dashboard.json".to_owned();
    let mut all = Vec::new();
    for path in ours.into_iter().chain([theirs]) {
        for panel in panels(&file(&path)) {
            let place = format!("{path}, {}", panel["title"]);
            all.extend(queries(&panel).iter().map(|query| (place.clone(), filled(query))));
        }
    }
    all
}

#[test]
fn the_files_are_what_the_generator_writes() {
    let folder = folder("dashboards");
    std::fs::copy(root().join("dashboards/generate.py"), folder.join("generate.py"))
        .expect("a copy");
    let status = Command::new("python3").arg(folder.join("generate.py")).status();
    assert!(status.expect("python3 runs").success());
    let mut written: Vec<String> = std::fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    written.sort();
    let mut expected = DASHBOARDS.to_vec();
    expected.sort_unstable();
    assert_eq!(written, expected);
    for name in DASHBOARDS {
        let made = std::fs::read_to_string(folder.join(format!("{name}.json"))).expect("a file");
        let kept = file(&format!("dashboards/{name}.json"));
        assert!(made == kept, "{name}.json is not what dashboards/generate.py writes");
    }
}

#[test]
fn every_panel_says_what_it_shows() {
    for name in DASHBOARDS {
        let dashboard = file(&format!("dashboards/{name}.json"));
        let mut ids = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().expect("a title");
            let told = panel["description"].as_str().expect("a description");
            assert!(told.ends_with('.') && told.len() > 20, "{name}, {title}: {told}");
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(defaults["unit"].is_string(), "{name}, {title} has no unit");
            assert!(defaults["thresholds"]["steps"].is_array(), "{name}, {title}: no thresholds");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}, {title}");
            assert!(ids.insert(panel["id"].as_u64()), "{name}, {title}: its number is not its own");
        }
    }
}

#[test]
fn every_query_names_what_exists() {
    for (_, query) in all_queries() {
        assert_names_what_exists(&query, &BTreeSet::new());
    }
}

fn demo(arguments: &[&str]) {
    let status = Command::new(root().join("demo/python.sh"))
        .arg(root().join("demo/generate.py"))
        .args(["--uri", &Mongod::shared().uri])
        .args(arguments)
        .status();
    assert!(status.expect("python3 runs").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_answers_on_the_demo_whose_past_was_imported() {
    let database = Mongod::shared().database().await;
    let name = database.name();
    demo(&["--database", name, "--messages", "4000", "--days", "60"]);
    demo(&["--database", name, "--messages", "0", "--live", "40", "--seconds", "3"]);
    let state = folder("demo-state").join("state");
    let settings = [
        ("MONGODB_URI", Mongod::shared().uri.as_str()),
        ("MONGODB_DATABASE", name),
        ("STATE_FILE", state.to_str().expect("text")),
    ];
    let labels = ["--label", "job=librechat", "--label", "instance=exporter"];
    let output = run(&settings, &[&["history"], &labels[..]].concat());
    let data = Prometheus::data("demo");
    create_blocks(&String::from_utf8(output.stdout).expect("text"), &data);
    let mut server = Server::start(&settings);
    server.wait_until_complete();
    let rules: PathBuf = root().join("alerts/rules.yml");
    let prometheus = Prometheus::start(&data, &server, &[rules]);
    prometheus.wait_for("count_over_time(librechat_returning_users[1m]) >= 3");

    let mut empty = Vec::new();
    for (place, query) in all_queries() {
        let answer = prometheus.query(&query, None);
        let values = answer.iter().flat_map(|series| &series.samples);
        if !values.clone().any(|(_, value)| value.is_finite()) {
            empty.push(format!("{place}: {query}"));
        }
    }
    assert!(empty.is_empty(), "without data:\n{}", empty.join("\n"));

    prometheus.wait_for("model:librechat_response_duration_seconds:p90_1w > 0");
}
