//! The settings of a run, checked before anything starts.

use std::path::PathBuf;
use std::sync::Arc;

use crate::commands::command_line::{self, Task};
use crate::engine::settings::{self as engine, General};
use crate::engine::source::Watched;
use crate::http;
use crate::http::protection;
use crate::settings::{Problems, Reader, Setting};
use crate::sources;
use crate::telemetry::{self, Level, LogFormat};

/// Every setting there is, under the headings and in the order of `--help` and `.env.example`.
pub fn sections() -> Vec<(&'static str, Vec<&'static Setting>)> {
    let sources = sources::ALL.iter().map(|kind| (kind.title, (kind.settings)()));
    let others = [
        ("HTTP server", http::settings::SETTINGS),
        ("All sources", engine::SETTINGS),
        ("Log", telemetry::SETTINGS),
    ];
    sources.chain(others.map(|(title, settings)| (title, settings.iter().collect()))).collect()
}

/// Every setting there is, in that order.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    sections().into_iter().flat_map(|(_, settings)| settings)
}

/// The settings of a run.
#[derive(Debug, Clone)]
pub struct Config {
    /// What to do.
    pub task: Task,
    /// The applications that are watched.
    pub sources: Vec<Arc<dyn Watched>>,
    /// What the HTTP server is told.
    pub http: http::Settings,
    /// What every source is told.
    pub general: General,
    /// Whether a scrape refreshes before it is answered.
    pub refresh_on_scrape: bool,
    /// Where counters are kept over restarts.
    pub state_file: Option<PathBuf>,
    /// What is logged.
    pub level: Level,
    /// How it is logged.
    pub format: LogFormat,
    /// What is to be logged first: names that were probably meant to be settings.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the settings from flags and the environment. Asked for `--help`, `--version`, the manual page
    /// or completions, or given a flag that does not exist, it prints and ends the process as `clap` does.
    ///
    /// # Errors
    ///
    /// All settings that are wrong.
    pub fn from_environment() -> Result<Config, Problems> {
        let (task, mut reader) = command_line::read(&sections());
        let config = Config::read(task, &mut reader);
        reader.finish(config)
    }

    fn read(task: Task, reader: &mut Reader) -> Option<Config> {
        let refresh_on_scrape = engine::refresh_on_scrape(reader);
        let log = telemetry::read(reader);
        let general = General::read(reader);
        let http = protection::read(reader);
        let sources = sources::read(reader);
        let state_is_used = matches!(task, Task::Serve | Task::Once | Task::Audit);
        let state_file = engine::state_file(reader, state_is_used);
        let (level, format) = log?;
        Some(Config {
            task,
            sources: sources?,
            http: http?,
            general: general?,
            refresh_on_scrape: refresh_on_scrape?,
            state_file: state_file?,
            level,
            format,
            warnings: reader.warnings(),
        })
    }
}
