//! The commands for those who run and package it.

use crate::certificates::Authority;
use crate::mongod::free_port;
use crate::process::{Server, folder, run};

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
