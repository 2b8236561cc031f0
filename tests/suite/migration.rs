//! Coming from another exporter: every family of theirs is answered, by something that exists.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use chrono::TimeDelta;
use usage_exporter::commands::comparison::{Answer, answers};
use usage_exporter::exposition::own as exporter;
use usage_exporter::sources::librechat;
use usage_exporter::sources::librechat::peers::{RUBENTALSTRA, VIRTUOS};

use crate::fixtures;
use crate::mongod::Mongod;
use crate::process::{Server, folder, run};

fn page(peer: &str) -> String {
    let path = format!("{}/tests/fixtures/peers/{peer}-page.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a fixture")
}

/// The families of a page.
fn families(page: &str) -> BTreeSet<&str> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next()).collect()
}

fn librechat_families(table: &[Answer]) -> usize {
    table.iter().filter(|answer| answer.theirs.starts_with("librechat_")).count()
}

#[test]
fn every_family_of_the_other_exporters_has_an_answer() {
    for (peer, table, count, others) in [
        ("virtuos", answers(VIRTUOS.notes), 48, "python_"),
        ("rubentalstra", answers(RUBENTALSTRA.notes), 139, "none"),
    ] {
        assert_eq!(librechat_families(&table), count, "{peer}");
        let page = page(peer);
        for family in families(&page) {
            let own =
                family.starts_with(others) || (peer == "virtuos" && family.starts_with("process_"));
            let rows = table.iter().filter(|answer| answer.theirs == family).count();
            assert_eq!(rows, usize::from(!own), "{peer}: {family}");
        }
    }
}

#[test]
fn the_answers_name_only_families_that_exist() {
    let known: BTreeSet<&str> =
        librechat::families().chain(exporter::ALL).map(|description| &*description.name).collect();
    for answer in answers(VIRTUOS.notes).into_iter().chain(answers(RUBENTALSTRA.notes)) {
        let words = answer.ours.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: Vec<&str> = words
            .filter(|word| {
                ["librechat_", "usage_exporter_", "process_"].iter().any(|p| word.starts_with(p))
            })
            .collect();
        assert!(!names.is_empty(), "{} has no answer: {}", answer.theirs, answer.ours);
        for name in names {
            let base = name.strip_suffix("_sum").or(name.strip_suffix("_count")).unwrap_or(name);
            let exists =
                known.contains(name) || known.contains(base) || name.starts_with("process_");
            assert!(exists, "{}: {name} does not exist", answer.theirs);
        }
    }
}

#[test]
fn the_answers_are_promql() {
    let rules: Vec<String> = answers(RUBENTALSTRA.notes)
        .iter()
        .map(|answer| {
            format!("  - record: answers:{}\n    expr: '{}'\n", answer.theirs, answer.ours)
        })
        .collect();
    let file = folder("migration").join("answers.yml");
    let text = format!("groups:\n- name: answers\n  rules:\n{}", rules.join(""));
    std::fs::write(&file, text).expect("a file");
    let checked = Command::new("promtool").args(["check", "rules"]).arg(&file).output();
    let checked = checked.expect("promtool (Debian's package prometheus) is installed");
    let told = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_exporter_is_compared_family_by_family() {
    let database = Mongod::shared().database().await;
    fixtures::load(&database, "current", TimeDelta::days(-3)).await;
    let mut server = Server::start(&[
        ("MONGODB_URI", Mongod::shared().uri.as_str()),
        ("MONGODB_DATABASE", database.name()),
    ]);
    server.wait_until_complete();
    let ours = format!("{}/metrics", server.address());
    let check = |theirs: &str| {
        let output = run(&[], &["migrate", "--check", theirs, "--against", &ours]);
        let told = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
        told
    };
    // The same page on both sides: what it has is equal.
    let told = check(&ours);
    assert!(told.contains("equal      librechat_messages_total: 27"), "{told}");
    assert!(!told.contains("differs"), "{told}");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/peers");
    let told = check(path.join("rubentalstra-page.txt").to_str().expect("a path"));
    assert!(told.contains("differs    librechat_user_count ->"), "{told}");
    assert!(told.contains("all together: 12 there, 4 here"), "{told}");
    assert!(told.contains("prometheus librechat_transaction_cost_24h ->"), "{told}");

    let wrong = run(&[], &["migrate", "--check", "/nowhere", "--against", &ours]);
    assert!(!wrong.status.success());
    let told = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(told.contains("cannot read the metrics at /nowhere"), "{told}");
}
