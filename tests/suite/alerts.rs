//! The alerts and recording rules, with Prometheus's own tool.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use crate::queries::assert_names_what_exists;

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    record: Option<String>,
    alert: Option<String>,
    expr: String,
}

#[derive(Deserialize)]
struct Tests {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    #[serde(default)]
    alert_rule_test: Vec<AlertTest>,
}

#[derive(Deserialize)]
struct AlertTest {
    alertname: String,
    #[serde(default)]
    exp_alerts: Vec<serde_json::Value>,
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("alerts").join(name)
}

fn read<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    let text = std::fs::read_to_string(file(name)).expect("a file");
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn promtool(arguments: &[&str], name: &str) {
    let output = Command::new("promtool").args(arguments).arg(file(name)).output();
    let output = output.expect("promtool (Debian's package prometheus) is installed");
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&told));
}

#[test]
fn promtool_finds_nothing_wrong_with_the_rules_and_their_tests_pass() {
    promtool(&["check", "rules", "--lint-fatal"], "rules.yml");
    promtool(&["test", "rules"], "rules.test.yml");
}

#[test]
fn every_rule_asks_for_what_exists() {
    let rules: Rules = read("rules.yml");
    let rules: Vec<Rule> = rules.groups.into_iter().flat_map(|group| group.rules).collect();
    let recorded: BTreeSet<String> = rules.iter().filter_map(|rule| rule.record.clone()).collect();
    for rule in &rules {
        assert_names_what_exists(&rule.expr, &recorded);
    }
}

#[test]
fn every_alert_is_seen_to_fire_and_to_be_silent() {
    let rules: Rules = read("rules.yml");
    let tests: Tests = read("rules.test.yml");
    let tests: Vec<AlertTest> =
        tests.tests.into_iter().flat_map(|test| test.alert_rule_test).collect();
    for alert in rules.groups.iter().flat_map(|group| &group.rules).filter_map(|r| r.alert.as_ref())
    {
        let of_alert = || tests.iter().filter(|test| test.alertname == *alert);
        assert!(of_alert().any(|test| test.exp_alerts.is_empty()), "{alert} is never silent");
        assert!(of_alert().any(|test| !test.exp_alerts.is_empty()), "{alert} never fires");
    }
}
