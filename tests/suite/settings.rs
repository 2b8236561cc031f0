//! Settings: what is refused and how, and that they are the same wherever they are listed.

use usage_exporter::commands::config;

use crate::process::{folder, run, run_with_dotenv};

fn refused(settings: &[(&str, &str)]) -> String {
    let output = run(settings, &[]);
    assert_eq!(output.status.code(), Some(2), "{settings:?}");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn everything_that_is_wrong_is_told_at_once_without_secrets() {
    let message = refused(&[
        ("MONGODB_URI", "http://admin:hunter2@mongodb"),
        ("METRICS_PORT", "80000"),
        ("METRICS_CACHE_TTL", "soon"),
        ("METRICS_CACHE_ENABLED", "maybe"),
        ("METRICS_TIMEZONE", "Mars/Olympus"),
        ("MONGO_READ_PREFERENCE", "fastest"),
        ("ENABLE_TOOL_METRICS", "2"),
        ("LOGGING_LEVEL", "loud"),
        ("LOGGING_FORMAT", "xml"),
        ("SETTLING_TIME", "0"),
        ("MAX_SERIES_PER_METRIC", "1"),
    ]);
    let expected = [
        "11 settings are wrong, nothing was started:",
        "MONGODB_URI: expected a connection string",
        "METRICS_PORT=\"80000\": expected a port number",
        "METRICS_CACHE_TTL=\"soon\": expected seconds or a duration",
        "METRICS_CACHE_ENABLED=\"maybe\": expected true or false",
        "METRICS_TIMEZONE=\"Mars/Olympus\": expected an IANA time zone",
        "MONGO_READ_PREFERENCE=\"fastest\": expected primary, primaryPreferred",
        "ENABLE_TOOL_METRICS=\"2\": expected true or false",
        "LOGGING_LEVEL=\"loud\": expected critical",
        "LOGGING_FORMAT=\"xml\": expected text, json",
        "SETTLING_TIME=\"0\": expected seconds or a duration",
        "MAX_SERIES_PER_METRIC=\"1\": expected a number",
    ];
    for part in expected {
        assert!(message.contains(part), "{part:?} is missing in:\n{message}");
    }
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn half_a_protection_is_refused() {
    let folder = folder("half-a-protection");
    let file = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).expect("a file");
        folder.join(name).to_str().expect("a path").to_owned()
    };
    let (text, empty) = (file("text", "hunter2"), file("empty", "\n"));
    let missing = folder.join("missing").to_str().expect("a path").to_owned();
    let users = file("users.yml", "basic_auth_users:\n  alice: hunter2\n");
    for (settings, part) in [
        (
            vec![("METRICS_BASIC_AUTH_USER", "a")],
            "METRICS_BASIC_AUTH_PASSWORD: expected a password",
        ),
        (
            vec![("METRICS_BASIC_AUTH_PASSWORD", "hunter2")],
            "METRICS_BASIC_AUTH_USER: expected a user",
        ),
        (
            vec![("METRICS_BASIC_AUTH_USER", "a:b"), ("METRICS_BASIC_AUTH_PASSWORD", "hunter2")],
            "METRICS_BASIC_AUTH_USER=\"a:b\": expected a name without a colon",
        ),
        (
            vec![("METRICS_BEARER_TOKEN", "hunter2"), ("METRICS_BEARER_TOKEN_FILE", &text)],
            "either this or METRICS_BEARER_TOKEN, not both",
        ),
        (
            vec![("METRICS_BEARER_TOKEN_FILE", &missing)],
            "a text file that can be read (No such file",
        ),
        (vec![("METRICS_BEARER_TOKEN_FILE", &empty)], "a file that is not empty"),
        (vec![("MONGODB_URI_FILE", &text)], "MONGODB_URI: expected a connection string"),
        (vec![("METRICS_ALLOWED_IPS", "localhost")], "METRICS_ALLOWED_IPS=\"localhost\": expected"),
        (vec![("METRICS_ALLOWED_IPS", ",")], "METRICS_ALLOWED_IPS=\",\": expected addresses"),
        (vec![("TRUSTED_PROXIES", "10.0.0.1")], "METRICS_ALLOWED_IPS: expected the networks of"),
        (vec![("TLS_CERT_FILE", &text)], "TLS_KEY_FILE: expected the key of TLS_CERT_FILE"),
        (vec![("TLS_KEY_FILE", &text)], "TLS_CERT_FILE: expected a certificate"),
        (vec![("TLS_CLIENT_CA_FILE", &text)], "TLS_CERT_FILE: expected a certificate"),
        (
            vec![("TLS_CERT_FILE", &text), ("TLS_KEY_FILE", &missing)],
            "text\": expected certificates in PEM",
        ),
        (vec![("WEB_CONFIG_FILE", &missing)], "missing: expected a file that can be read"),
        (vec![("WEB_CONFIG_FILE", &users)], "expected basic_auth_users with bcrypt hashes"),
        (
            vec![("WEB_CONFIG_FILE", &users), ("TLS_CERT_FILE", &text)],
            "either this or TLS_CERT_FILE",
        ),
    ] {
        let message = refused(&settings);
        assert!(message.contains("1 setting is wrong"), "{message}");
        assert!(message.contains(part), "{part:?} is missing in:\n{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn a_flag_may_have_dots_as_other_exporters_write_them() {
    let output = run(&[], &["--web.config.file=/nowhere/web.yml"]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).expect("text");
    assert!(message.contains("WEB_CONFIG_FILE=\"/nowhere/web.yml\""), "{message}");
}

#[test]
fn the_name_that_librechat_gives_to_the_uri_is_understood() {
    let message = refused(&[("MONGO_URI", "nonsense")]);
    assert!(message.contains("1 setting is wrong"), "{message}");
    let message = refused(&[("MONGODB_URI", "nonsense"), ("MONGO_URI", "mongodb://mongodb")]);
    assert!(message.contains("MONGODB_URI: expected"), "{message}");
}

#[test]
fn a_file_of_settings_is_read_and_the_environment_wins() {
    let refused = |lines, settings: &[(&str, &str)]| {
        let output = run_with_dotenv(lines, settings);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).expect("text")
    };
    let message = refused("METRICS_PORT=from-file\nLOGGING_LEVEL=loud\n", &[]);
    assert!(
        message.contains("METRICS_PORT=\"from-file\"") && message.contains("loud"),
        "{message}"
    );
    let message = refused("METRICS_PORT=from-file\n", &[("METRICS_PORT", "from-environment")]);
    assert!(message.contains("from-environment") && !message.contains("from-file"), "{message}");
    let message = refused("# ours\nMONGODB_URI=mongodb://a:hunter2@b 'unfinished\n", &[]);
    assert!(message.contains("MONGODB_URI in line 2 of .env: expected NAME=value"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn help_example_and_documentation_list_the_same_settings_with_the_same_defaults() {
    let help = run(&[], &["--help"]);
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).expect("text");
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let root = env!("CARGO_MANIFEST_DIR");
    let read = |name: &str| std::fs::read_to_string(format!("{root}/{name}")).expect("a file");
    let (example, documentation) = (read(".env.example"), read("docs/settings.md"));

    for setting in config::settings() {
        let (variable, default) = (setting.variable, setting.default);
        assert!(help.contains(&format!("--{} <VALUE>", setting.flag())), "{variable} in --help");
        assert!(help.contains(&format!("[env: {variable}")), "{variable} in --help");
        if !default.is_empty() {
            assert!(help.contains(&format!("[default: {default}]")), "{variable} in --help");
        }
        if let Some(file) = setting.file_variable() {
            for text in [&help, &example, &documentation] {
                assert!(text.contains(&file), "{file} is documented");
            }
        }
        let line = format!("#{variable}={default}");
        assert!(example.lines().any(|l| l == line), "{line} in .env.example");
        let cell = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let row = format!("| `{variable}` | {cell}");
        assert!(documentation.contains(row.trim_end()), "{row} in docs/settings.md");
    }
    let rows = |text: &str| -> Vec<String> {
        let rows = text.lines().filter(|line| {
            let name = line.strip_prefix("| `").and_then(|rest| rest.split('`').next());
            name.is_some_and(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        });
        rows.map(str::to_owned).collect()
    };
    let documented = rows(&documentation);
    assert_eq!(documented.len(), config::settings().count(), "settings in docs/settings.md");
    for row in rows(&read("README.md")) {
        assert!(documented.contains(&row), "{row} of README.md is not in docs/settings.md");
    }
    let listed = example.lines().filter(|line| line.starts_with('#') && line.contains('='));
    assert_eq!(listed.count(), config::settings().count(), "settings in .env.example");
}

#[test]
fn the_version_tells_the_revision() {
    let output = run(&[], &["--version"]);
    let version = String::from_utf8(output.stdout).expect("text");
    let expected =
        format!("usage-exporter {} ({})\n", usage_exporter::VERSION, usage_exporter::REVISION);
    assert_eq!(version, expected);
}
