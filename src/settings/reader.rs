//! Reading settings from flags and the environment, collecting what is wrong with them.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use clap::{Arg, ArgMatches};

use crate::settings::setting::{Setting, flag};

/// Reads settings and collects what is wrong with them.
pub struct Reader {
    given: ArgMatches,
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
    /// Reads `settings` from what was given, which may be flags or the environment. `dotenv` is what came of
    /// adding the lines of `.env` to that.
    pub fn new(
        given: ArgMatches,
        settings: impl IntoIterator<Item = &'static Setting>,
        dotenv: dotenvy::Result<()>,
    ) -> Reader {
        let mut reader = Reader { given, from_files: HashMap::new(), problems: Vec::new() };
        match dotenv {
            Ok(()) => {}
            Err(error) if error.not_found() => {}
            // The error of a bad line holds the line, which may hold a password.
            Err(_) => reader.problems.push(Problem {
                variable: ".env".to_owned(),
                value: None,
                expected: "a readable file of lines NAME=value, values with spaces in quotes"
                    .to_owned(),
            }),
        }
        settings.into_iter().for_each(|setting| reader.read_file_of(setting));
        reader
    }

    /// Reads the file in which a secret may stand.
    fn read_file_of(&mut self, setting: &'static Setting) {
        let Some(variable) = setting.file_variable() else { return };
        let path = self.given.get_one::<String>(&variable).filter(|path| !path.is_empty());
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

    /// The value given, where there is one: an empty variable counts as none.
    pub fn given(&self, setting: &Setting) -> Option<&str> {
        self.given
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

/// The flag of a setting, which is read from its variable where it is not given.
pub fn argument(setting: &'static Setting) -> Arg {
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
pub fn file_argument(setting: &'static Setting) -> Option<Arg> {
    let variable = setting.file_variable()?;
    let argument = Arg::new(variable.clone()).long(flag(&variable)).env(variable);
    let help = format!("A file with {}.", setting.variable);
    Some(argument.hide_env_values(true).global(true).value_name("PATH").help(help))
}
