//! Reading settings from flags and the environment, collecting what is wrong with them.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use chrono::{Datelike, NaiveDate};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::setting::{Setting, flag};
use super::{Task, documents};
use crate::exposition::open_metrics::LabelPair;
use crate::history::{Format, Request, Step};

const ABOUT: &str = "Prometheus exporter for the usage of self-hosted web applications.

Every setting is an environment variable, a line in a file .env in the working directory, or a flag. \
A secret is also read from the file that ..._FILE names.";

const ONCE: &str = "once";
const AUDIT: &str = "audit";
const HISTORY: &str = "history";
const FROM: &str = "from";
const TO: &str = "to";
const STEP: &str = "step";
const FORMAT: &str = "format";
const LABEL: &str = "label";
const HEALTHCHECK: &str = "healthcheck";
const MIGRATE: &str = "migrate";
const CHECK: &str = "check";
const AGAINST: &str = "against";

/// Reads settings and collects what is wrong with them.
pub struct Reader {
    matches: ArgMatches,
    /// The secrets that stand in files of their own, by their variables.
    from_files: HashMap<&'static str, String>,
    problems: Vec<Problem>,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The variable.
    pub variable: String,
    /// Its value, unless it is a secret.
    pub value: Option<String>,
    /// What would have been accepted.
    pub expected: String,
}

/// Everything that is wrong with the settings, as one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Reader {
    /// Reads flags and the environment, after the lines of `.env` have been added to it.
    pub fn from_environment() -> Reader {
        // `dotenvy::dotenv` would also look in all folders above.
        let dotenv = dotenvy::from_path(".env");
        let matches = command().get_matches();
        match documents::print(&matches, command(), &mut std::io::stdout()) {
            Ok(false) => {}
            Ok(true) => std::process::exit(0),
            Err(_) => std::process::exit(1),
        }
        let mut reader = Reader { matches, from_files: HashMap::new(), problems: Vec::new() };
        match dotenv {
            Ok(_) => {}
            Err(error) if error.not_found() => {}
            // The error of a bad line holds the line, which may hold a password.
            Err(_) => reader.problems.push(Problem {
                variable: ".env".to_owned(),
                value: None,
                expected: "a readable file of lines NAME=value, values with spaces in quotes"
                    .to_owned(),
            }),
        }
        super::settings().for_each(|setting| reader.read_file_of(setting));
        reader
    }

    /// Reads the file in which a secret may stand.
    fn read_file_of(&mut self, setting: &'static Setting) {
        let Some(variable) = setting.file_variable() else { return };
        let path = self.matches.get_one::<String>(&variable).filter(|path| !path.is_empty());
        let Some(path) = path.cloned() else { return };
        let expected = if self.given(setting).is_some() {
            format!("either this or {}, not both", setting.variable)
        } else {
            match std::fs::read_to_string(&path) {
                Ok(secret) if !secret.trim().is_empty() => {
                    let secret = secret.trim_end_matches(['\r', '\n']).to_owned();
                    self.from_files.insert(setting.variable, secret);
                    return;
                }
                Ok(_) => "a file that is not empty".to_owned(),
                Err(error) => format!("a text file that can be read ({error})"),
            }
        };
        self.problems.push(Problem { variable, value: Some(path), expected });
    }

    /// What the command line asks for.
    pub fn task(&self) -> Task {
        match self.matches.subcommand() {
            Some((AUDIT, _)) => Task::Audit,
            Some((HEALTHCHECK, _)) => Task::Healthcheck,
            Some((HISTORY, arguments)) => Task::History(past(arguments)),
            Some((MIGRATE, arguments)) => Task::Migrate {
                theirs: arguments.get_one::<String>(CHECK).cloned().unwrap_or_default(),
                ours: arguments.get_one::<String>(AGAINST).cloned(),
            },
            _ if self.matches.get_flag(ONCE) => Task::Once,
            _ => Task::Serve,
        }
    }

    /// The value given, where there is one: an empty variable counts as none.
    pub fn given(&self, setting: &Setting) -> Option<&str> {
        self.matches
            .get_one::<String>(setting.variable)
            .filter(|value| !value.is_empty())
            .or_else(|| self.from_files.get(setting.variable))
            .map(String::as_str)
    }

    /// The value of a setting, or of its default. A value that `parse` refuses is noted as a problem,
    /// and the answer is `None`.
    pub fn read<T>(
        &mut self,
        setting: &Setting,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = parse(self.given(setting).unwrap_or(setting.default).trim());
        if value.is_none() {
            self.refuse(setting, expected);
        }
        value
    }

    /// Notes that the value of `setting` is not what was `expected`.
    pub fn refuse(&mut self, setting: &Setting, expected: &str) {
        self.problems.push(Problem {
            variable: setting.variable.to_owned(),
            value: self.given(setting).filter(|_| !setting.secret).map(str::to_owned),
            expected: expected.to_owned(),
        });
    }

    /// A setting that is true or false.
    pub fn switch(&mut self, setting: &Setting) -> Option<bool> {
        self.read(setting, "true or false", |value| match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        })
    }

    /// A time span from a second to a day: a number of seconds or a number with a unit.
    pub fn duration(&mut self, setting: &Setting) -> Option<Duration> {
        let expected = "seconds or a duration such as 30s, 5m or 1h, from 1s to 1day";
        self.read(setting, expected, |value| {
            duration(value).filter(|duration| (SECOND..=DAY).contains(duration))
        })
    }

    /// A time span from a minute to a year.
    pub fn long_duration(&mut self, setting: &Setting) -> Option<Duration> {
        let expected = "seconds or a duration such as 12h or 7days, from 1m to 365days";
        self.read(setting, expected, |value| {
            duration(value).filter(|duration| (60 * SECOND..=365 * DAY).contains(duration))
        })
    }

    /// `config`, which is there if nothing was wrong.
    ///
    /// # Errors
    ///
    /// Everything that was wrong.
    pub fn finish<T>(self, config: Option<T>) -> Result<T, Problems> {
        config.filter(|_| self.problems.is_empty()).ok_or(Problems(self.problems))
    }
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn duration(value: &str) -> Option<Duration> {
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(value).ok(),
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problems(problems) = self;
        let are = if problems.len() == 1 { "setting is" } else { "settings are" };
        write!(formatter, "{} {are} wrong, nothing was started:", problems.len())?;
        for problem in problems {
            let value = match &problem.value {
                Some(value) => format!("={value:?}"),
                None => String::new(),
            };
            write!(formatter, "\n  {}{value}: expected {}", problem.variable, problem.expected)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The command line: a flag for every setting.
fn command() -> Command {
    let version = format!("{} ({})", crate::VERSION, crate::REVISION);
    let once = Arg::new(ONCE)
        .long(ONCE)
        .action(ArgAction::SetTrue)
        .help("Refresh once, print the metrics and end; exit code 1 if something failed.");
    let audit = Command::new(AUDIT).about(
        "Compare what is stored with what the state file says was counted, and count what is missing.",
    );
    let healthcheck = Command::new(HEALTHCHECK).about(
        "Ask the exporter of the same settings on this host whether it lives; exit code 1 if not.",
    );
    Command::new("usage-exporter")
        .version(version)
        .about(ABOUT)
        .max_term_width(100)
        .arg(once)
        .args(super::settings().map(argument))
        .args(super::settings().filter_map(file_argument))
        .subcommand(audit)
        .subcommand(healthcheck)
        .subcommand(history())
        .subcommand(migrate())
        .subcommands(documents::subcommands())
        .disable_help_subcommand(true)
}

fn migrate() -> Command {
    Command::new(MIGRATE)
        .about("Compare the values of another exporter of LibreChat with those of this one.")
        .arg(
            Arg::new(CHECK)
                .long(CHECK)
                .value_name("URL")
                .required(true)
                .help("The metrics of the other: http://host:port/metrics, a file, or - for stdin."),
        )
        .arg(Arg::new(AGAINST).long(AGAINST).value_name("URL").help(
            "The metrics of this one, in the same way [default: the port METRICS_PORT of this host]",
        ))
}

fn history() -> Command {
    let date = |name, help| {
        let date = Arg::new(name).long(name).value_name("DATE").help(help);
        date.value_parser(date_of_documents)
    };
    Command::new(HISTORY)
        .about(
            "Write what the metrics would have shown in the past, for Prometheus or a spreadsheet. The \
             documents are read once; a running exporter and its state file are left alone.",
        )
        .arg(date(FROM, "The first day [default: that of the first document]"))
        .arg(date(TO, "The last day, of which what is over is told [default: today]"))
        .arg(
            Arg::new(STEP)
                .long(STEP)
                .value_name("DURATION")
                .default_value("1h")
                .value_parser(|text: &str| text.parse::<Step>())
                .help("From one sample to the next: 1m to 23h, or whole days such as 1d"),
        )
        .arg(
            Arg::new(FORMAT)
                .long(FORMAT)
                .default_value("openmetrics")
                .value_parser(["openmetrics", "csv"])
                .help("How it is written"),
        )
        .arg(
            Arg::new(LABEL)
                .long(LABEL)
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .value_parser(label)
                .help("A label for every sample, such as job=librechat; can be given several times"),
        )
}

/// A day on which a document can have been stored: an `_id` tells its time from 1970 to 2106.
fn date_of_documents(text: &str) -> Result<NaiveDate, &'static str> {
    let date = text.parse::<NaiveDate>().ok().filter(|date| (1970..=2105).contains(&date.year()));
    date.ok_or("expected a date such as 2026-01-31")
}

/// What the arguments of `history` ask for.
fn past(arguments: &ArgMatches) -> Request {
    let labels = arguments.get_many::<LabelPair>(LABEL);
    let csv = arguments.get_one::<String>(FORMAT).is_some_and(|format| format == "csv");
    Request {
        from: arguments.get_one(FROM).copied(),
        to: arguments.get_one(TO).copied(),
        step: arguments.get_one(STEP).copied().unwrap_or(Step::Seconds(3_600)),
        format: if csv { Format::Csv } else { Format::OpenMetrics },
        labels: labels.into_iter().flatten().cloned().collect(),
    }
}

/// A label as `name=value`.
fn label(text: &str) -> Result<LabelPair, String> {
    let (name, value) = text.split_once('=').unwrap_or_default();
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let rest = name.chars().all(|other| other.is_ascii_alphanumeric() || other == '_');
    if begins && rest {
        Ok((name.to_owned(), value.to_owned()))
    } else {
        Err("expected name=value, the name of letters, digits and _".to_owned())
    }
}

fn argument(setting: &'static Setting) -> Arg {
    let mut help = setting.help.to_owned();
    if let Some(alias) = setting.alias {
        help.push_str(&format!(" Also read from {alias}."));
    }
    if !setting.default.is_empty() {
        help.push_str(&format!(" [default: {}]", setting.default));
    }
    // An environment variable is what the alias is for; a second flag would be of no use.
    let variable = match setting.alias {
        Some(alias) if std::env::var_os(setting.variable).is_none_or(|value| value.is_empty()) => {
            if std::env::var_os(alias).is_some() {
                alias
            } else {
                setting.variable
            }
        }
        _ => setting.variable,
    };
    Arg::new(setting.variable)
        .long(setting.flag())
        // As Prometheus and its exporters write their flags.
        .alias(setting.flag().replace('-', "."))
        .env(variable)
        .hide_env_values(true)
        .global(true)
        .value_name("VALUE")
        .help(help)
}

/// The flag that names the file of a secret.
fn file_argument(setting: &'static Setting) -> Option<Arg> {
    let variable = setting.file_variable()?;
    let argument = Arg::new(variable.clone()).long(flag(&variable)).env(variable);
    let help = format!("A file with {}.", setting.variable);
    Some(argument.hide_env_values(true).global(true).value_name("PATH").help(help))
}
