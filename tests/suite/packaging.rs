//! What installs the exporter names only what there is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use usage_exporter::commands::config;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Variables that are not settings of the exporter, by what reads them.
const OTHERS: [&str; 9] = [
    "REVISION",
    "USAGE_EXPORTER_REVISION",
    "TMPDIR",
    "LIBRECHAT_NETWORK",
    "GRAFANA_PASSWORD",
    "GF_SECURITY_ADMIN_PASSWORD",
    "GF_ANALYTICS_REPORTING_ENABLED",
    "GF_AUTH_ANONYMOUS_ENABLED",
    "GF_AUTH_ANONYMOUS_ORG_ROLE",
];

#[test]
fn every_variable_named_is_a_setting() {
    let mut known: BTreeSet<String> = OTHERS.map(str::to_owned).into();
    for setting in config::settings() {
        known.extend(
            [Some(setting.variable.to_owned()), setting.file_variable()].into_iter().flatten(),
        );
    }
    for path in [
        "Dockerfile",
        "docker-compose.yml",
        "packaging/systemd/usage-exporter.service",
        "packaging/kubernetes/usage-exporter.yaml",
        "packaging/helm/values.yaml",
        "packaging/helm/templates/usage-exporter.yaml",
        "demo/run.sh",
        "demo/monitoring.sh",
        "docs/install.md",
    ] {
        let text = read(path);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named = words.filter(|word| {
            word.trim_matches('_').contains('_')
                && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        });
        for word in named {
            let of_others = word.starts_with("DEMO_") || word.starts_with("AF_");
            assert!(known.contains(word) || of_others, "{path}: {word} is no setting");
        }
    }
}

#[test]
fn every_file_that_the_image_is_made_of_exists() {
    let dockerfile = read("Dockerfile").replace("\\\n", " ");
    let mut copied = 0;
    for line in dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")) {
        if line.contains("--from=") {
            continue;
        }
        let mut words: Vec<&str> = line.split_whitespace().collect();
        words.pop();
        for source in words {
            copied += 1;
            assert!(root().join(source).exists(), "COPY {source}");
        }
    }
    assert!(copied > 5, "{copied} files");
}

#[test]
fn everything_that_is_included_in_the_program_is_copied_into_the_image() {
    let dockerfile = read("Dockerfile");
    let mut files = vec![root().join("src")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                std::fs::read_dir(&path).expect("a folder").map(|e| e.expect("a file").path()),
            );
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("text");
        for part in text.split("include_str!(\"").skip(1) {
            let included = path.with_file_name("").join(part.split('"').next().expect("a path"));
            let included = included.canonicalize().expect("a file that exists");
            let below: PathBuf = included.strip_prefix(root()).expect("a file of ours").into();
            let folder = below.iter().next().expect("a folder").to_str().expect("text");
            assert!(dockerfile.contains(&format!("COPY {folder} ")), "{}", below.display());
        }
    }
}

#[test]
fn what_compose_mounts_exists() {
    let compose: Value = serde_saphyr::from_str(&read("docker-compose.yml")).expect("YAML");
    let services = compose["services"].as_object().expect("services");
    assert_eq!(services.keys().collect::<Vec<_>>(), ["grafana", "prometheus", "usage-exporter"]);
    let named = compose["volumes"].as_object().expect("volumes");
    for (name, service) in services {
        for volume in service["volumes"].as_array().expect("volumes") {
            let source = volume.as_str().and_then(|v| v.split(':').next()).expect("a source");
            let exists = match source.strip_prefix("./") {
                Some(path) => root().join(path).exists(),
                None => named.contains_key(source),
            };
            assert!(exists, "{name} mounts {source}");
        }
    }
    let exporter = &services["usage-exporter"];
    assert_eq!(exporter["read_only"], true);
    assert!(services["grafana"]["profiles"].is_array(), "only where it is wanted");
}

#[test]
fn the_version_stands_in_one_place_and_its_copies_are_the_same() {
    let chart: Value = serde_saphyr::from_str(&read("packaging/helm/Chart.yaml")).expect("YAML");
    assert_eq!(chart["version"], usage_exporter::VERSION);
    assert_eq!(chart["appVersion"], usage_exporter::VERSION);
}
