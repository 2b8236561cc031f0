//! The command line: a flag for every setting, and what the program is told to do.

use std::io;
use std::path::Path;

use chrono::{Datelike, NaiveDate};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::backfill::{Form, Request, Step};
use crate::commands::documents;
use crate::exposition::open_metrics::LabelPair;
use crate::settings::reader::{argument, file_argument};
use crate::settings::{Reader, Setting};

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

/// Settings, and the heading under which `--help` shows them.
type Section = (&'static str, Vec<&'static Setting>);

/// What the process is started for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// To serve metrics until it is told to end.
    Serve,
    /// To refresh once and print the metrics.
    Once,
    /// To compare what is stored with what was counted.
    Audit,
    /// To ask the exporter of the same settings on this host whether it lives.
    Healthcheck,
    /// To tell what the metrics would have shown in the past.
    History(Request),
    /// To compare the metrics of another exporter with those of this one.
    Migrate {
        /// Where the other's are read.
        theirs: String,
        /// Where those of this one are read; `None`: at the port of this host.
        ours: Option<String>,
    },
}

/// Reads flags, the environment and the lines of `.env`. Asked for `--help`,
/// `--version`, the manual page or completions, or given a flag that does not exist, it prints and ends the
/// process as `clap` does.
pub fn read(settings: &[Section]) -> (Task, Reader) {
    let matches = command(settings).get_matches();
    match documents::print(&matches, command(settings), &mut io::stdout()) {
        Ok(false) => {}
        Ok(true) => std::process::exit(0),
        Err(error) => std::process::exit(i32::from(error.kind() != io::ErrorKind::BrokenPipe)),
    }
    let settings: Vec<_> = settings.iter().flat_map(|(_, settings)| settings).copied().collect();
    (task(&matches), Reader::new(&matches, &settings, Path::new(".env")))
}

/// What the command line asks for.
fn task(matches: &ArgMatches) -> Task {
    match matches.subcommand() {
        Some((AUDIT, _)) => Task::Audit,
        Some((HEALTHCHECK, _)) => Task::Healthcheck,
        Some((HISTORY, arguments)) => Task::History(past(arguments)),
        Some((MIGRATE, arguments)) => Task::Migrate {
            theirs: arguments.get_one::<String>(CHECK).cloned().unwrap_or_default(),
            ours: arguments.get_one::<String>(AGAINST).cloned(),
        },
        _ if matches.get_flag(ONCE) => Task::Once,
        _ => Task::Serve,
    }
}

/// The command line: a flag for every setting.
fn command(settings: &[Section]) -> Command {
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
        .args(settings.iter().flat_map(arguments))
        .subcommand(audit)
        .subcommand(healthcheck)
        .subcommand(history())
        .subcommand(migrate())
        .subcommands(documents::subcommands())
        .disable_help_subcommand(true)
}

/// The flags of settings under their heading.
fn arguments((heading, settings): &Section) -> impl Iterator<Item = Arg> {
    let flags = settings.iter().copied().map(argument);
    let files = settings.iter().copied().filter_map(file_argument);
    flags.chain(files).map(|argument| argument.help_heading(*heading))
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
        form: if csv { Form::Csv } else { Form::OpenMetrics },
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
