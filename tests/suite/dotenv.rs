//! The file `.env`, which may be LibreChat's own, and names that were meant to be settings.

use crate::mongod::free_port;
use crate::process::{run, run_with_dotenv};

/// A value that is refused by name where it is read, so that a test sees what was read.
const SEEN: &str = "METRICS_TIMEZONE";

/// A file as LibreChat has it: names after its own example, values as people have them.
const LIBRECHAT: &str = "\
#=====================#
# Server Configuration #
#=====================#
HOST=localhost
PORT=3080
MONGO_URI=mongodb://127.0.0.1:27017/LibreChat
MONGO_MAX_POOL_SIZE=
DOMAIN_CLIENT=http://localhost:3080
PROXY=
ANTHROPIC_MODELS=claude-1,claude-2
CHATGPT_TOKEN=
BINGAI_TOKEN=user_provided
CREDS_KEY=0123456789abcdef
REFRESH_TOKEN_EXPIRY=(1000 * 60 * 60 * 24) * 7
SESSION_EXPIRY=1000 * 60 * 15
OPENID_SCOPE=\"openid profile email\"
EMAIL_SERVICE=                  \n\
EMAIL_PORT=25                   \n\
EMAIL_USERNAME=
EMAIL_PASSWORD=
EMAIL_FROM=noreply@example.org
MESSAGE_IP_MAX=40
# NODE_ENV=
";

/// What people write into it, with our settings beside.
const VARIATIONS: [&[u8]; 20] = [
    b"BAN_DURATION=1000 * 60 * 60 * 2",
    b"APP_TITLE=Anna's chat",
    b"APP_TITLE='tis Anna's chat",
    b"CUSTOM_FOOTER=My own footer",
    b"CUSTOM_FOOTER=\"not finished",
    b"some-key.with-dashes=value",
    b"ENDPOINTS={\"openAI\": {\"models\": [\"a\", \"b\"]}}",
    b"JSON={\n  \"key\": \"value\",\n  \"list\": [1, 2]\n}",
    b"APP_TITLE=Caf\xe9 de l'Universit\xe9",
    b"PATH_OF_FILES=C:\\librechat\\files",
    b"MEILI_MASTER_KEY=a$b$$c${d",
    b"SAML_CERT=\"-----BEGIN CERTIFICATE-----\nMETRICS_PORT=wrong\n-----END CERTIFICATE-----\"",
    b"SAML_CERT='-----BEGIN CERTIFICATE-----\nMIID=\n-----END CERTIFICATE-----' # of the university",
    b"export APP_TITLE=LibreChat # a comment",
    b"these words are no setting",
    b"=nothing",
    b"KEY = value with spaces around",
    b"KEY=\0",
    b"\xef\xbb\xbf",
    b"HELP_AND_FAQ_URL=https://example.org/?a=b&c='d\"",
];

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

fn refused(lines: impl AsRef<[u8]>, settings: &[(&str, &str)]) -> String {
    let output = run_with_dotenv(lines, settings);
    assert_eq!(output.status.code(), Some(2), "{settings:?}");
    text(output.stderr)
}

#[test]
fn librechats_own_file_is_read_and_only_our_lines_matter() {
    for line in VARIATIONS {
        for ending in ["\n", "\r\n"] {
            let base = LIBRECHAT.replace('\n', ending);
            let ours = format!("{ending}{SEEN}=Mars/$Olympus{ending}");
            // A byte order mark stands at the very beginning.
            let lines = [line, base.as_bytes(), line, ours.as_bytes()].concat();
            let message = refused(lines, &[]);
            let seen =
                format!("1 setting is wrong, nothing was started:\n  {SEEN}=\"Mars/$Olympus\"");
            assert!(message.contains(&seen), "{message}\nwith {}", line.escape_ascii());
        }
    }
}

#[test]
fn an_empty_variable_hides_no_line() {
    let lines = format!("METRICS_BEARER_TOKEN=\"se c\"\n{SEEN}=Mars\n");
    let message = refused(&lines, &[("METRICS_BEARER_TOKEN", ""), (SEEN, "")]);
    assert!(message.contains("METRICS_BEARER_TOKEN: expected visible"), "{message}");
    assert!(message.contains(&format!("{SEEN}=\"Mars\"")), "{message}");
    let message = refused(&lines, &[("METRICS_BEARER_TOKEN", "good"), (SEEN, "Venus")]);
    assert!(message.contains("1 setting is wrong") && message.contains("\"Venus\""), "{message}");
}

#[test]
fn a_line_of_ours_that_cannot_be_read_is_named_without_its_value() {
    for (line, name) in [
        ("METRICS_BEARER_TOKEN=hunt\0er2", "METRICS_BEARER_TOKEN"),
        ("METRICS_BEARER_TOKEN=hunt er2", "METRICS_BEARER_TOKEN"),
        ("MONGODB_URI='mongodb://a:hunter2@b", "MONGODB_URI"),
        ("MONGO_URI=mongodb://a:hunt\\er2@b", "MONGO_URI"),
        ("METRICS_BEARER_TOKEN_FILE: /hunt/er2", "METRICS_BEARER_TOKEN_FILE"),
    ] {
        let message = refused(format!("A=b\n\n{line}\nC=d\n"), &[]);
        assert!(message.contains(&format!("{name} in line 3 of .env: expected")), "{message}");
        assert!(!message.contains("hunt") && !message.contains("panic"), "{message}");
    }
}

#[test]
fn what_kubernetes_says_of_a_service_counts_as_not_set() {
    let output = run(
        &[
            ("METRICS_PORT", "tcp://10.43.12.7:8000"),
            ("METRICS_PORT_8000_TCP_ADDR", "10.43.12.7"),
            ("METRICS_SERVICE_HOST", "10.43.12.7"),
            ("METRICS_SERVICE_PORT", "8000"),
            ("MONGODB_PORT_27017_TCP", "tcp://10.43.12.8:27017"),
            (SEEN, "Mars"),
        ],
        &[],
    );
    let message = text(output.stderr);
    assert!(message.contains("1 setting is wrong") && message.contains(SEEN), "{message}");
}

#[test]
fn a_misspelt_credential_is_refused_and_another_setting_is_warned_about() {
    for (name, nearest) in [
        ("METRICS_BEARER_TOKN", "METRICS_BEARER_TOKEN"),
        ("metrics_bearer_token", "METRICS_BEARER_TOKEN"),
        ("METRICS_TOKEN", "METRICS_BEARER_TOKEN"),
        ("METRICS_BASIC_AUTH_PASSWORT", "METRICS_BASIC_AUTH_PASSWORD"),
        ("MONGODB_URL", "MONGODB_URI"),
    ] {
        let expected = format!("{name}: expected the name {nearest}, or no such variable");
        let message = text(run(&[(name, "hunter2")], &[]).stderr);
        assert!(message.contains(&expected) && !message.contains("hunter2"), "{message}");
        let message = refused(format!("{name}=hunter2\n"), &[]);
        assert!(message.contains(&expected) && !message.contains("hunter2"), "{message}");
    }
    let nobody = format!("mongodb://127.0.0.1:{}/?serverSelectionTimeoutMS=100", free_port());
    let settings = [
        ("MONGODB_URI", nobody.as_str()),
        ("METRICS_PROT", "80"),
        ("ENABLE_USAGE_WINDOW_METRICS", "true"),
        ("MONGODB_URL", "mongodb://hunter2"),
    ];
    let log = text(run(&settings, &["--once"]).stderr);
    for (name, nearest) in [
        ("METRICS_PROT", "METRICS_PORT"),
        ("ENABLE_USAGE_WINDOW_METRICS", "ENABLE_TIME_WINDOW_METRICS"),
        ("MONGODB_URL", "MONGODB_URI"),
    ] {
        let warning =
            format!("WARN {name} is no setting and is not used; the nearest is {nearest}");
        assert!(log.contains(&warning), "{log}");
    }
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn credentials_that_no_client_can_show_are_refused() {
    for token in [" ", "sec ", "sec\n", "tök", "\u{feff}sec", "\"sec\"", "'sec'", "se c"] {
        let output = run(&[("METRICS_BEARER_TOKEN", token)], &[]);
        assert_eq!(output.status.code(), Some(2), "{token:?}");
        let message = text(output.stderr);
        assert!(message.contains("METRICS_BEARER_TOKEN: expected "), "{message}");
    }
    for password in ["sec ", "sec\n", "\u{feff}sec", "\"sec\"", "s\u{1}c"] {
        let settings =
            [("METRICS_BASIC_AUTH_USER", "a"), ("METRICS_BASIC_AUTH_PASSWORD", password)];
        let output = run(&settings, &[]);
        assert_eq!(output.status.code(), Some(2), "{password:?}");
        let message = text(output.stderr);
        assert!(message.contains("METRICS_BASIC_AUTH_PASSWORD: expected "), "{message}");
    }
    let folder = crate::process::folder("odd-tokens");
    for (name, token) in [("space", "sec "), ("mark", "\u{feff}sec\n"), ("two", "one\ntwo\n")] {
        let file = folder.join(name);
        std::fs::write(&file, token).expect("a file");
        let file = file.to_str().expect("a path");
        let message = text(run(&[("METRICS_BEARER_TOKEN_FILE", file)], &[]).stderr);
        assert!(message.contains("METRICS_BEARER_TOKEN: expected visible"), "{message}");
    }
}
