//! What one line of a page says.

use std::borrow::Cow;

use crate::exposition::description::Kind;
use crate::exposition::format::Format;
use crate::exposition::parse::{Fault, MOST_LABELS};

/// A line.
pub enum Line<'a> {
    /// Nothing, or a comment for people.
    Empty,
    /// A comment for programs.
    Comment(Comment<'a>),
    /// A sample.
    Sample(SampleLine<'a>),
}

/// A comment for programs.
pub enum Comment<'a> {
    /// What a family means.
    Help {
        /// Its name.
        name: &'a str,
        /// What it means.
        help: String,
    },
    /// Of which type a family is.
    Type {
        /// Its name.
        name: &'a str,
        /// The type.
        declared: Kind,
    },
    /// The page ends here.
    End,
}

/// A sample.
pub struct SampleLine<'a> {
    /// The name, with whatever the type lets it end in.
    pub name: &'a str,
    /// The labels, none of them twice.
    pub labels: Vec<(&'a str, Cow<'a, str>)>,
    /// The number as it is written.
    pub value: &'a str,
    /// Whether it has a time of its own.
    pub has_time: bool,
}

/// What a line says.
pub fn read(line: &str, format: Format) -> Result<Line<'_>, Fault> {
    let line = blank(line);
    match line.strip_prefix('#') {
        Some(comment) => self::comment(comment, format),
        None if line.is_empty() => Ok(Line::Empty),
        None => sample(line, format).map(Line::Sample),
    }
}

/// A number, as Prometheus and OpenMetrics write it.
pub fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn comment(comment: &str, format: Format) -> Result<Line<'_>, Fault> {
    let (word, rest) = word(blank(comment));
    match word {
        "EOF" if format == Format::OpenMetrics && rest.is_empty() => {
            Ok(Line::Comment(Comment::End))
        }
        "HELP" => {
            let (name, rest) = name(blank(rest), true).ok_or(Fault::NoName)?;
            // One blank parts them; others belong to the text.
            let help = rest.strip_prefix([' ', '\t']).unwrap_or(rest);
            let help = unescaped(help, format == Format::OpenMetrics).into_owned();
            Ok(Line::Comment(Comment::Help { name, help }))
        }
        "TYPE" => {
            let (name, rest) = name(blank(rest), true).ok_or(Fault::NoName)?;
            let kind = rest.trim_matches([' ', '\t']);
            let declared = declared(kind, format).ok_or_else(|| Fault::NoType(shown(kind)))?;
            Ok(Line::Comment(Comment::Type { name, declared }))
        }
        _ => Ok(Line::Empty),
    }
}

/// What a type is for us: the states of a set are gauges, and the samples of a histogram that goes up and down are
/// nothing that is known.
fn declared(word: &str, format: Format) -> Option<Kind> {
    match (word, format) {
        ("counter", _) => Some(Kind::Counter),
        ("gauge", _) | ("stateset", Format::OpenMetrics) => Some(Kind::Gauge),
        ("histogram", _) => Some(Kind::Histogram),
        ("summary", _) => Some(Kind::Summary),
        ("info", Format::OpenMetrics) => Some(Kind::Info),
        ("untyped", Format::Text) | ("unknown" | "gaugehistogram", Format::OpenMetrics) => {
            Some(Kind::Unknown)
        }
        _ => None,
    }
}

/// So much of a text of somebody else as an error may repeat.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

fn sample(line: &str, format: Format) -> Result<SampleLine<'_>, Fault> {
    let (name, rest) = name(line, true).ok_or(Fault::NoName)?;
    let (labels, rest) = labels(blank(rest))?;
    let (value, rest) = word(blank(rest));
    number(value).ok_or(Fault::NoNumber)?;
    let mut rest = blank(rest);
    let has_time = !rest.is_empty() && !rest.starts_with('#');
    if has_time {
        let (time, after) = word(rest);
        let is_time = match format {
            Format::Text => time.parse::<i64>().is_ok(),
            Format::OpenMetrics => number(time).is_some_and(f64::is_finite),
        };
        if !is_time {
            return Err(Fault::NoTime);
        }
        rest = blank(after);
    }
    match rest.strip_prefix('#') {
        Some(exemplar) if format == Format::OpenMetrics => self::exemplar(exemplar)?,
        _ if !rest.is_empty() => return Err(Fault::Trailing),
        _ => {}
    }
    Ok(SampleLine { name, labels, value, has_time })
}

/// Reads over an example of what was counted.
fn exemplar(text: &str) -> Result<(), Fault> {
    let (_, rest) = labels(blank(text))?;
    let (value, rest) = word(blank(rest));
    number(value).ok_or(Fault::NoNumber)?;
    let (time, rest) = word(blank(rest));
    if !time.is_empty() && number(time).is_none() {
        return Err(Fault::NoTime);
    }
    if blank(rest).is_empty() { Ok(()) } else { Err(Fault::Trailing) }
}

/// Labels and their values.
type Pairs<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// The labels with which a text begins, if it does, and the rest.
fn labels(text: &str) -> Result<(Pairs<'_>, &str), Fault> {
    let mut labels: Pairs<'_> = Vec::new();
    let Some(rest) = text.strip_prefix('{') else { return Ok((labels, text)) };
    let mut rest = blank(rest);
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        if rest.is_empty() {
            return Err(Fault::Unclosed);
        }
        let (label, after) = name(rest, false).ok_or(Fault::NoLabelName)?;
        let no_value = || Fault::NoLabelValue(shown(label));
        let after = blank(after).strip_prefix('=').ok_or_else(no_value)?;
        let after = blank(after).strip_prefix('"').ok_or_else(no_value)?;
        let end = end_of_quotes(after).ok_or(Fault::Unclosed)?;
        let (value, after) = after.split_at_checked(end).ok_or(Fault::Unclosed)?;
        if labels.iter().any(|(known, _)| *known == label) {
            return Err(Fault::LabelTwice(shown(label)));
        }
        if labels.len() == MOST_LABELS {
            return Err(Fault::TooManyLabels);
        }
        labels.push((label, unescaped(value, true)));
        rest = blank(after.strip_prefix('"').ok_or(Fault::Unclosed)?);
        match rest.strip_prefix(',') {
            Some(after) => rest = blank(after),
            None if rest.starts_with('}') => {}
            None => return Err(Fault::Unclosed),
        }
    }
}

/// Where the next quote is that is not escaped.
fn end_of_quotes(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}

/// A text without its escapes. A backslash before anything else is a backslash.
fn unescaped(text: &str, with_quotes: bool) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => plain.push('\n'),
            Some('\\') => plain.push('\\'),
            Some('"') if with_quotes => plain.push('"'),
            other => {
                plain.push('\\');
                plain.extend(other);
            }
        }
    }
    Cow::Owned(plain)
}

/// A text without the blanks before it.
fn blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// The text up to the next blank, and the rest.
fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find([' ', '\t']).unwrap_or(text.len()))
}

/// The name with which a text begins, and the rest.
fn name(text: &str, with_colons: bool) -> Option<(&str, &str)> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || (c == ':' && with_colons);
    let (name, rest) = text.split_at(text.find(|c| !is_of_name(c)).unwrap_or(text.len()));
    let begins = name.chars().next().is_some_and(|first| !first.is_ascii_digit());
    begins.then_some((name, rest))
}
