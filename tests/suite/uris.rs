//! What becomes of every connection string of `tests/fixtures/uris.tsv`.

use usage_exporter::connect::uri::Uri;
use usage_exporter::connect::uri::options::KNOWN;

use crate::process::{Server, run};

const TABLE: &str = include_str!("../fixtures/uris.tsv");

/// The rows: what happens, what is named, the URI, and why other than in MongoDB's specification.
fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let mut columns = line.split('\t');
        let mut column = || columns.next().unwrap_or_else(|| panic!("too few columns: {line}"));
        (column(), column(), column())
    })
}

/// What a URI comes to: what happens and what is said of it.
fn outcome(uri: &str) -> (&'static str, String) {
    match Uri::parse(uri) {
        Ok(uri) if uri.notes.is_empty() => ("used", String::new()),
        Ok(uri) => ("ignored", uri.notes.join("; ")),
        Err(problems) => ("refused", problems.join("; ")),
    }
}

#[test]
fn every_uri_is_used_or_named_for_what_is_ignored_or_refused() {
    let mut wrong = Vec::new();
    for (what, names, uri) in rows() {
        let (happens, said) = outcome(uri);
        let named =
            names.split(' ').filter(|name| !name.is_empty()).all(|name| said.contains(name));
        if happens != what || !named {
            wrong.push(format!("{what} {names}: {uri}\n    {happens}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows().count(), wrong.join("\n"));
    assert!(rows().count() >= 150, "{}", rows().count());
}

#[test]
fn every_option_is_in_the_table() {
    let table = TABLE.to_ascii_lowercase();
    let missing: Vec<&str> = KNOWN
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !table.contains(&format!("{}=", name.to_ascii_lowercase())))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn nothing_that_is_said_has_a_password_in_it() {
    for (_, _, uri) in rows() {
        let (_, said) = outcome(uri);
        for part in ["secret", "cret", "hunter2", "qwerty", "foo:bar"] {
            assert!(!uri.contains(part) || !said.contains(part), "{uri}: {said}");
        }
    }
}

#[test]
fn everything_that_is_wrong_with_a_uri_and_what_goes_with_it_is_told_at_once() {
    let uri = "mongodb://a:se@cret@host:99999/db?tls=yes&proxyHost=x&tlsCAFile=";
    let output = run(
        &[("MONGODB_URI", uri), ("MONGODB_DATABASE", "\"LibreChat\""), ("TENANT_ID", "'a'")],
        &[],
    );
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).expect("text");
    for part in [
        "7 settings are wrong",
        "MONGODB_URI: expected the password percent-encoded",
        "MONGODB_URI: expected host 1 of 1",
        "MONGODB_URI: expected the option tls to be true or false",
        "MONGODB_URI: expected no option proxyHost",
        "MONGODB_URI: expected the option tlsCAFile",
        "MONGODB_DATABASE=\"\\\"LibreChat\\\"\": expected the name of a database",
        "TENANT_ID=\"'a'\": expected an id without the quotes",
    ] {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
    assert!(!said.contains("cret"), "{said}");
    for name in ["a.b/c", "a b", "$x", "a\\b"] {
        let output = run(&[("MONGODB_DATABASE", name)], &[]);
        assert_eq!(output.status.code(), Some(2), "{name}");
    }
    let output = run(&[("MONGODB_URI", "mongodb://host/admin.sock")], &[]);
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("expected the name of a database in its path"), "{said}");
}

#[test]
fn what_is_ignored_is_told_once_each() {
    let uri = "mongodb://127.0.0.1:1/?socketTimeoutMS=45000&compressors=zlib&serverSelectionTimeoutMS=200";
    let mut server = Server::start(&[("MONGODB_URI", uri)]);
    server.wait_for(&["collector="]);
    assert!(server.get("/metrics").contains("librechat_up 0"));
    server.skip_what_was_logged();
    for name in ["socketTimeoutMS", "compressors"] {
        let lines = server.log.iter().filter(|line| line.contains(name));
        let [line] = lines.collect::<Vec<_>>()[..] else { panic!("{name}: {:?}", server.log) };
        assert!(line.contains("WARN") && line.contains("is ignored"), "{line}");
    }
}
