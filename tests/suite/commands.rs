//! The commands for those who run and package it.

use std::process::{Command, Stdio};

use crate::certificates::Authority;
use crate::fixtures;
use crate::mongod::{Mongod, free_port};
use crate::process::{Server, command, folder, run};

fn healthcheck(settings: &[(&str, &str)], port: &str) -> (Option<i32>, String) {
    let settings = [settings, &[("METRICS_PORT", port)]].concat();
    let output = run(&settings, &["healthcheck"]);
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn a_healthcheck_tells_whether_the_exporter_lives() {
    let folder = folder("healthcheck");
    Authority::new(&folder, "authority").certify("server");
    let file = |name: &str| folder.join(name).to_str().expect("a path").to_owned();
    let (certificate, key, clients) =
        (file("server.crt"), file("server.key"), file("authority.crt"));
    let plain = vec![("METRICS_BEARER_TOKEN", "a-token-that-is-not-needed-for-this")];
    let encrypted = vec![
        ("TLS_CERT_FILE", certificate.as_str()),
        ("TLS_KEY_FILE", key.as_str()),
        ("TLS_CLIENT_CA_FILE", clients.as_str()),
    ];
    for settings in [plain, encrypted] {
        // MongoDB is away, which is no reason to start the exporter again.
        let settings = [&settings[..], &[("MONGODB_URI", "mongodb://127.0.0.1:1")]].concat();
        let server = Server::start(&settings);
        let (_, port) = server.address().rsplit_once(':').expect("a port");
        assert_eq!(healthcheck(&settings, port), (Some(0), String::new()));
    }
    let (code, told) = healthcheck(&[], &free_port().to_string());
    assert_eq!(code, Some(1));
    assert!(told.contains("/healthz does not answer well"), "{told}");
}

#[test]
fn the_manual_page_and_completions_know_every_flag() {
    let printed = |arguments: &[&str]| {
        // Wrong settings do not matter here.
        let output = run(&[("METRICS_PORT", "wrong")], arguments);
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let man = printed(&["man"]);
    assert!(man.contains(".TH usage-exporter 1"), "{man}");
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&["completions", shell]);
        for setting in usage_exporter::commands::config::settings() {
            assert!(script.contains(&setting.flag()), "{shell}: {}", setting.flag());
            assert!(man.contains(setting.variable), "{}", setting.variable);
        }
    }
    assert_eq!(run(&[], &["completions", "latin"]).status.code(), Some(2));
}

#[test]
fn a_signal_to_read_files_again_ends_nothing() {
    let mut server = Server::start(&[("MONGODB_URI", "mongodb://127.0.0.1:1")]);
    for _ in 0..2 {
        let pid = server.pid().to_string();
        let sent = Command::new("kill").args(["-s", "HUP", &pid]).status().expect("kill runs");
        assert!(sent.success());
        server.wait_for(&["SIGHUP changes nothing"]);
    }
    assert_eq!(server.get("/healthz"), "ok\n");
}

#[test]
fn without_a_server_one_line_tells_why_and_nobody_looks_twice() {
    let nobody = format!("mongodb://127.0.0.1:{}/?serverSelectionTimeoutMS=300", free_port());
    let output = run(&[("MONGODB_URI", &nobody)], &["--once"]);
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).expect("text");
    let failures: Vec<&str> = log.lines().filter(|line| !line.contains("INFO")).collect();
    assert_eq!(failures.len(), 1, "{log}");
    assert!(failures[0].contains("ERROR") && failures[0].contains("messages, "), "{log}");
    let page = String::from_utf8(output.stdout).expect("text");
    assert!(page.contains("librechat_up 0"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_read_enough_of_what_is_printed_ends_it_quietly() {
    let database = Mongod::shared().database().await;
    fixtures::load(&database, "current", chrono::TimeDelta::days(-30)).await;
    let settings =
        [("MONGODB_URI", Mongod::shared().uri.as_str()), ("MONGODB_DATABASE", database.name())];
    for arguments in [&["history"][..], &["--once"], &["history", "--format", "csv"], &["man"]] {
        let mut command = command(&settings);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the binary runs");
        // Nobody reads a word.
        drop(process.stdout.take());
        let output = process.wait_with_output().expect("it ends");
        let told = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {told}");
        assert!(!told.contains("ERROR") && !told.contains("ipe"), "{told}");
    }
}

#[test]
fn where_too_few_threads_can_be_started_it_ends_and_says_so() {
    use std::os::unix::process::CommandExt;
    // Limits on processes do not hold for root. Nobody else runs as this user.
    let is_root = std::fs::metadata("/proc/self")
        .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    // Such a user may not get to where this was built.
    let folder = tempfile::tempdir().expect("a folder");
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), readable).expect("a folder");
    let program = folder.path().join("usage-exporter");
    std::fs::copy(command(&[]).get_program(), &program).expect("a copy");
    for limit in 1..=3 {
        let mut limited = Command::new("prlimit");
        limited.arg(format!("--nproc={limit}")).arg(&program).current_dir("/");
        limited.env("METRICS_PORT", "0").env("MONGODB_URI", "mongodb://localhost:1");
        if is_root {
            limited.uid(54_321).gid(54_321);
        }
        let output = limited.output().expect("prlimit (Debian's package util-linux) is installed");
        let told = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{limit}: {told}");
        assert!(told.contains("no further thread can be started"), "{told}");
    }
}
