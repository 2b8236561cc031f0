//! Reading settings from flags and the environment, collecting what is wrong with them.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use clap::{Arg, ArgMatches};

use crate::settings::dotenv::Dotenv;
use crate::settings::given::{self, Given};
use crate::settings::misspelt;
use crate::settings::problems::{Problem, Problems};
use crate::settings::setting::{Setting, flag};

/// Reads settings and collects what is wrong with them.
pub struct Reader {
    given: Given,
    /// The secrets that stand in files of their own, by their variables.
    from_files: HashMap<&'static str, String>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Reader {
    /// Reads `settings` from flags, the environment, and the lines of the file at `dotenv`.
    pub fn new(flags: &ArgMatches, settings: &[&'static Setting], dotenv: &Path) -> Reader {
        let names = given::names(settings);
        let dotenv = Dotenv::read(dotenv, |name| names.contains(name));
        // What is no text cannot be one of ours: the flags have been read from the same variables.
        let environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let mut reader = Reader {
            given: Given::new(&names, flags, environment.iter().cloned(), &dotenv),
            from_files: HashMap::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        reader.problems.extend(dotenv.problems);
        settings.iter().for_each(|setting| reader.read_file_of(setting));
        let links = |(name, value): &&(String, String)| !given::is_service_link(name, value);
        let others = environment.iter().filter(links).filter(|(_, value)| !value.is_empty());
        let mut others: Vec<&String> = others.map(|(name, _)| name).chain(&dotenv.others).collect();
        others.sort();
        others.dedup();
        others.into_iter().for_each(|name| reader.look_for_misspelt(name, settings));
        reader
    }

    /// Refuses a name that was meant to be a secret, and warns of one that was meant to be another setting.
    fn look_for_misspelt(&mut self, name: &str, settings: &[&'static Setting]) {
        let Some(found) = misspelt::look(name, settings) else { return };
        if found.secret.is_some_and(|setting| self.given(setting).is_none()) {
            self.problems.push(Problem {
                variable: found.name,
                value: None,
                expected: format!("the name {}, or no such variable", found.nearest),
            });
            return;
        }
        let (name, nearest) = (found.name, found.nearest);
        self.warnings
            .push(format!("{name} is no setting and is not used; the nearest is {nearest}"));
    }

    /// What should be told once the log has started.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// Reads the file in which a secret may stand.
    fn read_file_of(&mut self, setting: &'static Setting) {
        let Some(variable) = setting.file_variable() else { return };
        let Some(path) = self.given.value(&[&variable]).map(str::to_owned) else { return };
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
        let names = [setting.variable, setting.alias.unwrap_or(setting.variable)];
        let from_file = || self.from_files.get(setting.variable).map(String::as_str);
        self.given.value(&names).or_else(from_file)
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

/// The flag of a setting.
pub fn argument(setting: &'static Setting) -> Arg {
    let mut help = setting.help.to_owned();
    if let Some(alias) = setting.alias {
        help.push_str(&format!(" Also read from {alias}."));
    }
    if !setting.default.is_empty() {
        help.push_str(&format!(" [default: {}]", setting.default));
    }
    Arg::new(setting.variable)
        .long(setting.flag())
        // As Prometheus and its exporters write their flags.
        .alias(setting.flag().replace('-', "."))
        .env(setting.variable)
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
