//! One setting as `--help`, `.env.example` and error messages show it.

/// A setting: an environment variable and the flag of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The environment variable, e.g. `METRICS_PORT`; the flag is `--metrics-port`.
    pub variable: &'static str,
    /// Another name of the variable, for those who know the setting by it.
    pub alias: Option<&'static str>,
    /// The value where none is given; empty: none.
    pub default: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// Whether the value may hold a password, so that it is never shown.
    pub secret: bool,
}

impl Setting {
    /// A setting without an alias that is no secret.
    pub const fn new(variable: &'static str, default: &'static str, help: &'static str) -> Setting {
        Setting { variable, alias: None, default, help, secret: false }
    }

    /// A setting without an alias whose value is a secret.
    pub const fn secret(
        variable: &'static str,
        default: &'static str,
        help: &'static str,
    ) -> Setting {
        Setting { variable, alias: None, default, help, secret: true }
    }

    /// The variable that names a file with the value, as Docker and Kubernetes hand out secrets.
    pub fn file_variable(&self) -> Option<String> {
        self.secret.then(|| format!("{}_FILE", self.variable))
    }

    /// The flag without its dashes, e.g. `metrics-port`.
    pub fn flag(&self) -> String {
        flag(self.variable)
    }
}

/// The flag of a variable, without its dashes.
pub fn flag(variable: &str) -> String {
    variable.to_ascii_lowercase().replace('_', "-")
}
