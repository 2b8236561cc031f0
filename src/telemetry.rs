//! The log: what is written, and in which of three forms.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

use crate::settings::{Reader, Setting};

const LOGGING_LEVEL: Setting = Setting::new(
    "LOGGING_LEVEL",
    "info",
    "What is logged: critical or error, warning or warn, info, debug.",
);
const LOGGING_FORMAT: Setting = Setting::new(
    "LOGGING_FORMAT",
    "text",
    "How it is logged: text, json, or a template with %(asctime)s, %(levelname)s, %(name)s and \
     %(message)s.",
);

/// The settings of the log, in the order of `--help`.
pub const SETTINGS: &[Setting] = &[LOGGING_LEVEL, LOGGING_FORMAT];

/// What is logged and how; `None` if a setting is wrong.
pub fn read(reader: &mut Reader) -> Option<(Level, LogFormat)> {
    let level = reader.read(&LOGGING_LEVEL, Level::ACCEPTED, Level::parse);
    let format = reader.read(&LOGGING_FORMAT, LogFormat::ACCEPTED, LogFormat::parse);
    Some((level?, format?))
}

/// The least important messages that are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(LevelFilter);

impl Level {
    /// What [`Level::parse`] accepts.
    pub const ACCEPTED: &'static str = "critical, error, warning, warn, info or debug, in any case";

    /// A level by the names that Rust and Python programs use.
    pub fn parse(name: &str) -> Option<Level> {
        let level = match name.to_ascii_lowercase().as_str() {
            "critical" | "error" => LevelFilter::ERROR,
            "warning" | "warn" => LevelFilter::WARN,
            "info" => LevelFilter::INFO,
            "debug" => LevelFilter::DEBUG,
            _ => return None,
        };
        Some(Level(level))
    }
}

/// The form of a line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
    /// The template of a Python logging configuration.
    Template(Template),
}

impl LogFormat {
    /// What [`LogFormat::parse`] accepts.
    pub const ACCEPTED: &'static str =
        "text, json, or a template of %(asctime)s, %(levelname)s, %(name)s and %(message)s";

    /// A format by its name, or a template.
    pub fn parse(value: &str) -> Option<LogFormat> {
        match value.to_ascii_lowercase().as_str() {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => Template::parse(value).map(LogFormat::Template),
        }
    }
}

/// Starts logging to standard error, so that standard output holds only what was asked for.
pub fn start(level: Level, format: &LogFormat) {
    // The driver and the HTTP library tell about every connection; what matters of it is in the
    // failures that the scheduler logs.
    let levels = Targets::new().with_target("usage_exporter", level.0);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(levels);
    match format {
        LogFormat::Text => registry.with(lines.with_target(false).with_ansi(false)).init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).init(),
        LogFormat::Template(template) => registry.with(lines.event_format(template.clone())).init(),
    }
}

/// A line format as Python's `logging` module writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Time,
    Level,
    Name,
    Message,
}

impl Template {
    fn parse(template: &str) -> Option<Template> {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some(start) = rest.find("%(") {
            let end = start + rest[start..].find(")s")?;
            parts.push(Part::Literal(rest[..start].replace("%%", "%")));
            parts.push(match &rest[start + 2..end] {
                "asctime" => Part::Time,
                "levelname" => Part::Level,
                "name" => Part::Name,
                "message" => Part::Message,
                _ => return None,
            });
            rest = &rest[end + 2..];
        }
        parts.push(Part::Literal(rest.replace("%%", "%")));
        parts.contains(&Part::Message).then_some(Template(parts))
    }
}

impl<S, N> FormatEvent<S, N> for Template
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Literal(text) => writer.write_str(text)?,
                Part::Time => {
                    write!(writer, "{}", chrono::Local::now().format("%Y-%m-%d %H:%M:%S,%3f"))?;
                }
                Part::Level => writer.write_str(python_level(*event.metadata().level()))?,
                Part::Name => writer.write_str(event.metadata().target())?,
                Part::Message => {
                    let mut line = Line::default();
                    event.record(&mut line);
                    write!(writer, "{}{}", line.message, line.fields)?;
                }
            }
        }
        writeln!(writer)
    }
}

fn python_level(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::ERROR => "ERROR",
        tracing::Level::WARN => "WARNING",
        tracing::Level::INFO => "INFO",
        tracing::Level::DEBUG | tracing::Level::TRACE => "DEBUG",
    }
}

/// The message of an event and its other fields, which a Python template has no place for.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.fields.push_str(&format!(" {}={value:?}", field.name()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_of_the_python_exporter_is_understood() {
        let template = Template::parse("%(asctime)s - %(levelname)s - %(message)s");
        let dash = || Part::Literal(" - ".to_owned());
        let none = || Part::Literal(String::new());
        let expected = vec![none(), Part::Time, dash(), Part::Level, dash(), Part::Message, none()];
        assert_eq!(template, Some(Template(expected)));
    }

    #[test]
    fn a_template_that_would_lose_messages_is_refused() {
        for wrong in ["xml", "%(asctime)s", "%(message)s %(thread)d", "%(message)s %(foo)s", ""] {
            assert_eq!(LogFormat::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn levels_have_python_names_too() {
        assert_eq!(Level::parse("CRITICAL"), Level::parse("error"));
        assert_eq!(Level::parse("Warning"), Level::parse("warn"));
        assert_eq!(Level::parse("loud"), None);
    }
}
