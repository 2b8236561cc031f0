//! Settings: what is refused and how, and that they are the same wherever they are listed.

use usage_exporter::config;

use crate::process::{run, run_with_dotenv};

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
    let message = refused("MONGODB_URI=mongodb://a:hunter2@b 'unfinished\n", &[]);
    assert!(message.contains(".env: expected a readable file"), "{message}");
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
    let (example, readme) = (read(".env.example"), read("README.md"));

    for setting in config::settings() {
        let (variable, default) = (setting.variable, setting.default);
        assert!(help.contains(&format!("--{} <VALUE>", setting.flag())), "{variable} in --help");
        assert!(help.contains(&format!("[env: {variable}")), "{variable} in --help");
        if !default.is_empty() {
            assert!(help.contains(&format!("[default: {default}]")), "{variable} in --help");
        }
        let line = format!("#{variable}={default}");
        assert!(example.lines().any(|l| l == line), "{line} in .env.example");
        let cell = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let row = format!("| `{variable}` | {cell}");
        assert!(readme.contains(row.trim_end()), "{row} in README.md");
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
