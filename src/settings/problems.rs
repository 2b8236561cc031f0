//! What is wrong with the settings.

use std::fmt;

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
