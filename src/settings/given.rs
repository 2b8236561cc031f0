//! Where settings come from: flags, the environment, and `.env`, of which the first that says something
//! counts.

use std::collections::{HashMap, HashSet};

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::settings::Setting;
use crate::settings::dotenv::Dotenv;

/// The values that were given, by the names of their variables.
#[derive(Debug, Default)]
pub struct Given {
    flags: HashMap<String, String>,
    environment: HashMap<String, String>,
    dotenv: HashMap<String, String>,
}

/// Every name by which one of `settings` is read from the environment.
pub fn names(settings: &[&'static Setting]) -> HashSet<String> {
    settings
        .iter()
        .flat_map(|setting| {
            let names = [Some(setting.variable.to_owned()), setting.alias.map(str::to_owned)];
            names.into_iter().chain([setting.file_variable()]).flatten()
        })
        .collect()
}

impl Given {
    /// What flags, the environment and `.env` say of the settings of these names.
    pub fn new(
        names: &HashSet<String>,
        matches: &ArgMatches,
        environment: impl Iterator<Item = (String, String)>,
        dotenv: &Dotenv,
    ) -> Given {
        let is_flag = |name: &&String| {
            matches.ids().any(|id| id.as_str() == name.as_str())
                && matches.value_source(name) == Some(ValueSource::CommandLine)
        };
        let flag = |name: &String| Some((name.clone(), matches.get_one::<String>(name)?.clone()));
        Given {
            flags: names.iter().filter(is_flag).filter_map(flag).collect(),
            environment: environment
                .filter(|(name, value)| names.contains(name) && !is_service_link(name, value))
                .collect(),
            dotenv: dotenv.values.clone(),
        }
    }

    /// The value of the first of `names` that has one. An empty one counts as none, wherever it stands.
    pub fn value(&self, names: &[&str]) -> Option<&str> {
        let places = [&self.flags, &self.environment, &self.dotenv];
        let values = places.iter().flat_map(|place| names.iter().map(|name| place.get(*name)));
        values.flatten().find(|value| !value.is_empty()).map(String::as_str)
    }
}

/// Whether Kubernetes has made a variable of a Service that is called like the beginning of its name: with
/// a Service `metrics` every pod beside it has METRICS_PORT=tcp://10.43.12.7:8000.
pub fn is_service_link(name: &str, value: &str) -> bool {
    let protocols = ["tcp", "udp", "sctp"];
    let has_address = protocols
        .iter()
        .any(|protocol| value.strip_prefix(protocol).is_some_and(|rest| rest.starts_with("://")));
    let of_port = protocols.iter().any(|protocol| {
        let protocol = format!("_{}", protocol.to_ascii_uppercase());
        name.split_once("_PORT_").is_some_and(|(_, rest)| rest.contains(&protocol))
    });
    (name.ends_with("_PORT") && has_address)
        || of_port
        || name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(value: &str) -> HashMap<String, String> {
        HashMap::from([("A".to_owned(), value.to_owned())])
    }

    #[test]
    fn an_empty_value_hides_nothing() {
        for (flag, environment, dotenv, expected) in [
            ("flag", "environment", "dotenv", Some("flag")),
            ("", "environment", "dotenv", Some("environment")),
            ("", "", "dotenv", Some("dotenv")),
            ("", "", "", None),
        ] {
            let given = Given {
                flags: place(flag),
                environment: place(environment),
                dotenv: place(dotenv),
            };
            assert_eq!(given.value(&["A"]), expected);
            assert_eq!(given.value(&["ALIAS", "A"]), expected);
            assert_eq!(given.value(&["B"]), None);
        }
    }

    #[test]
    fn the_variables_of_a_kubernetes_service_are_told_apart() {
        for (name, value) in [
            ("METRICS_PORT", "tcp://10.43.12.7:8000"),
            ("METRICS_PORT", "udp://10.43.12.7:8000"),
            ("METRICS_PORT_8000_TCP", "tcp://10.43.12.7:8000"),
            ("METRICS_PORT_8000_TCP_ADDR", "10.43.12.7"),
            ("METRICS_SERVICE_HOST", "10.43.12.7"),
            ("METRICS_SERVICE_PORT", "8000"),
            ("METRICS_SERVICE_PORT_HTTP", "8000"),
        ] {
            assert!(is_service_link(name, value), "{name}={value}");
        }
        for (name, value) in [("METRICS_PORT", "8000"), ("METRICS_HOST", "tcp://1.2.3.4")] {
            assert!(!is_service_link(name, value), "{name}={value}");
        }
    }
}
