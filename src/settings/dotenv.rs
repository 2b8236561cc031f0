//! The lines of a file `.env` that are settings of ours.
//!
//! The file may be that of another program, whose lines need not be understood. So the file is cut into
//! entries here, and only ours are read, each by itself. Values are taken as they are: `$NAME` is not
//! replaced.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use crate::settings::problems::Problem;

/// What a file `.env` says.
#[derive(Debug, Default)]
pub struct Dotenv {
    /// The values of our settings, by name. Of several lines the last counts.
    pub values: HashMap<String, String>,
    /// All other names that have a value.
    pub others: HashSet<String>,
    /// What is wrong with our lines.
    pub problems: Vec<Problem>,
}

/// The value may be a secret, so that the problem tells only its place.
const EXPECTED: &str = "NAME=value, in UTF-8 and without NUL; a value with spaces or a # in quotes, and \
     quotes and backslashes in it with a backslash before them";

impl Dotenv {
    /// Reads the file at `path`, if there is one, of whose settings `is_ours` knows the names.
    pub fn read(path: &Path, is_ours: impl Fn(&str) -> bool) -> Dotenv {
        match std::fs::read(path) {
            Ok(bytes) => Dotenv::parse(&bytes, is_ours),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Dotenv::default(),
            Err(error) => Dotenv::refused(".env".to_owned(), &format!("a readable file ({error})")),
        }
    }

    fn refused(place: String, expected: &str) -> Dotenv {
        let problem = Problem { variable: place, value: None, expected: expected.to_owned() };
        Dotenv { problems: vec![problem], ..Dotenv::default() }
    }

    /// Reads the text of such a file.
    fn parse(bytes: &[u8], is_ours: impl Fn(&str) -> bool) -> Dotenv {
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Dotenv::refused(".env".to_owned(), "a readable file in UTF-8, not in UTF-16");
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let mut dotenv = Dotenv::default();
        let mut next = 0;
        while let Some(line) = lines.get(next) {
            let number = next + 1;
            let rest = lines.get(number..).unwrap_or_default();
            next += 1;
            let Some((name, value)) = name_and_value(line) else { continue };
            let more = quoted_lines(value.unwrap_or_default(), rest, is_ours(name));
            if !is_ours(name) {
                if value.is_some_and(|value| !value.trim_ascii().is_empty()) {
                    dotenv.others.insert(name.to_owned());
                }
                next += more;
                continue;
            }
            let lines_of_value = rest.get(..more).unwrap_or_default();
            let entry = value.map(|value| [&[value], lines_of_value].concat().concat());
            match entry.and_then(|value| read_value(name, &value)) {
                Some(value) => {
                    next += more;
                    dotenv.values.insert(name.to_owned(), value);
                }
                None => dotenv.problems.push(Problem {
                    variable: format!("{name} in line {number} of .env"),
                    value: None,
                    expected: EXPECTED.to_owned(),
                }),
            }
        }
        dotenv
    }
}

/// The name with which a line begins, and what stands behind its `=`.
fn name_and_value(line: &[u8]) -> Option<(&str, Option<&[u8]>)> {
    let line = line.trim_ascii_start();
    let exported = line.strip_prefix(b"export").filter(|rest| rest.starts_with(b" "));
    let line = exported.unwrap_or(line).trim_ascii_start();
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let end = line.iter().position(|byte| !is_of_name(byte)).unwrap_or(line.len());
    let (name, rest) = line.split_at_checked(end)?;
    let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
    let value = rest.trim_ascii_start().strip_prefix(b"=");
    Some((name, value.map(<[u8]>::trim_ascii_start)))
}

/// How many of the lines after it belong to a value that begins with a quote. A value of another program
/// ends where its line does unless its quote closes at the end of a later line: an apostrophe is no quote.
fn quoted_lines(value: &[u8], rest: &[&[u8]], is_ours: bool) -> usize {
    let Some((quote @ (b'"' | b'\''), text)) = value.split_first() else { return 0 };
    let mut lines = std::iter::once(&text).chain(rest);
    let closing = lines.position(|line| closes(line, *quote).is_some());
    let Some(closing @ 1..) = closing else { return 0 };
    let behind = rest.get(closing - 1).and_then(|line| closes(line, *quote));
    let behind = behind.unwrap_or_default().trim_ascii();
    if is_ours || behind.is_empty() || behind.starts_with(b"#") { closing } else { 0 }
}

/// What stands behind the quote that closes in a line.
fn closes(line: &[u8], quote: u8) -> Option<&[u8]> {
    let mut is_escaped = false;
    let end = line.iter().position(|byte| {
        let is_end = *byte == quote && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    })?;
    line.get(end + 1..)
}

/// The value of one entry.
fn read_value(name: &str, value: &[u8]) -> Option<String> {
    let value = std::str::from_utf8(value).ok().filter(|value| !value.contains('\0'))?;
    let entry = format!("{name}={}\n", without_substitution(value.trim_end()));
    let mut entries = dotenvy::from_read_iter(entry.as_bytes());
    let (_, value) = entries.next()?.ok()?;
    // A quote that closes too early leaves a second entry.
    entries.next().is_none().then_some(value)
}

/// The same value with a backslash before each `$` that dotenvy would replace.
fn without_substitution(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    let (mut is_escaped, mut in_strong, mut in_weak) = (false, false, false);
    for character in value.chars() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\'' if !in_weak => in_strong = !in_strong,
            _ if in_strong => {}
            '"' => in_weak = !in_weak,
            '\\' => is_escaped = true,
            '$' => escaped.push('\\'),
            _ => {}
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Dotenv {
        Dotenv::parse(text, |name| ["TOKEN", "PORT"].contains(&name))
    }

    fn token(text: &str) -> Option<String> {
        let dotenv = parse(text.as_bytes());
        assert_eq!(dotenv.problems, [], "{text}");
        dotenv.values.get("TOKEN").cloned()
    }

    #[test]
    fn values_are_taken_as_they_are() {
        for (line, value) in [
            ("TOKEN=$ecret", "$ecret"),
            ("TOKEN=se$cret", "se$cret"),
            ("TOKEN=se${HOME}cret$", "se${HOME}cret$"),
            ("TOKEN=\"se$cret\"", "se$cret"),
            ("TOKEN='se$cret'", "se$cret"),
            ("TOKEN='se\\cret'", "se\\cret"),
            (r"TOKEN=se\$cret", "se$cret"),
            (r"TOKEN=se\\$cret", r"se\$cret"),
            (r#"TOKEN="say \"$1\"""#, r#"say "$1""#),
            ("export TOKEN = sec # of the scrape", "sec"),
            ("TOKEN=sec#ret", "sec#ret"),
            ("  TOKEN=sec  \r", "sec"),
            ("\u{feff}TOKEN=sec", "sec"),
            ("TOKEN=first\nTOKEN=last", "last"),
            ("TOKEN=\"one\ntwo\"\nPORT=1", "one\ntwo"),
            ("# TOKEN=a\n#TOKEN=b\nTOKEN=c", "c"),
            ("TOKEN=sec\nTOKEN=", ""),
        ] {
            assert_eq!(token(line).as_deref(), Some(value), "{line}");
        }
    }

    #[test]
    fn lines_of_others_are_left_alone() {
        for other in [
            "BAN_DURATION=1000 * 60 * 60 * 2",
            "APP_TITLE=Anna's chat",
            "APP_TITLE='tis a chat",
            "APP_TITLE=\"unfinished",
            "KEY=a\\b",
            "A-KEY.of=b",
            "JSON={\"a\": {\"b\": [1, 2]}}",
            "JSON={\n  \"a\": 1\n}",
            "PEM=\"-----BEGIN-----\nTOKEN=not this\n-----END-----\"",
            "PEM='-----BEGIN-----\nTOKEN=not this\n-----END-----' # a key",
            "=",
            "just words",
            "\0",
        ] {
            let text = format!("{other}\nTOKEN=sec\nLAST='tis over\n");
            assert_eq!(token(&text).as_deref(), Some("sec"), "{other}");
        }
        let dotenv = parse(b"NAME=Zo\xeb\nEMPTY=\nTOKEN=sec");
        assert_eq!((dotenv.values.len(), dotenv.problems.len()), (1, 0));
        assert_eq!(dotenv.others, HashSet::from(["NAME".to_owned()]));
    }

    #[test]
    fn ours_are_named_with_their_line_where_they_cannot_be_read() {
        for bad in [
            &b"TOKEN=hun\0ter2"[..],
            b"TOKEN=hunt\xebr2",
            b"TOKEN=hunter2 and more",
            b"TOKEN='hunter2",
            b"TOKEN=hunter'2",
            b"TOKEN=hunt\\er2",
            b"TOKEN: hunter2",
            b"export TOKEN",
        ] {
            let dotenv = parse(&[b"A=b\n", bad, b"\nPORT=1\n"].concat());
            assert_eq!(dotenv.values.get("PORT").map(String::as_str), Some("1"));
            let [problem] = &dotenv.problems[..] else { panic!("{:?}", dotenv.problems) };
            assert_eq!(problem.variable, "TOKEN in line 2 of .env");
            assert!(!format!("{problem:?}").contains("hunt"), "{problem:?}");
        }
        let wide = parse(b"\xff\xfeT\0O\0");
        assert!(wide.problems[0].expected.contains("UTF-16"));
    }
}
