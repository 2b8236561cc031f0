//! The sources of a run, ready to be asked.

use std::sync::Arc;

use tracing::info;

use crate::commands::config::Config;
use crate::engine::clock::Clock;
use crate::engine::source::{Context, Source};
use crate::engine::state::{CannotOpen, StateFile};
use crate::exposition::{ExporterMetrics, Snapshot, claims, own};

/// The sources of a run, and where their answers go.
pub struct Opened {
    /// The sources that are on.
    pub sources: Vec<Box<dyn Source>>,
    /// What the exporter tells about itself.
    pub exporter: Arc<ExporterMetrics>,
    /// The answers.
    pub snapshot: Arc<Snapshot>,
}

impl Opened {
    /// The sources of `config` with what its state file knows of them. With `process`, the `process_*`
    /// families are exported too.
    ///
    /// # Errors
    ///
    /// If another process uses the state file, or two sources have a metric of one name.
    pub fn new(config: &Config, process: bool) -> anyhow::Result<Opened> {
        let exporter = ExporterMetrics::new(process)?;
        let state = match &config.state_file {
            Some(path) => StateFile::open(path, exporter.state_file()?)?,
            None => without_file(),
        };
        Opened::with(config, exporter, &state)
    }

    /// The same, but where another process uses the state file, what it holds is read and not written.
    ///
    /// # Errors
    ///
    /// If two sources have a metric of one name, or no thread can be started.
    pub fn beside_another(config: &Config) -> anyhow::Result<Opened> {
        let exporter = ExporterMetrics::new(false)?;
        let state = match &config.state_file {
            Some(path) => match StateFile::open(path, exporter.state_file()?) {
                Err(CannotOpen::InUse(_)) => {
                    info!(
                        "an exporter runs with the same state file, which is read and not written"
                    );
                    StateFile::read_only(path)
                }
                opened => opened?,
            },
            None => without_file(),
        };
        Opened::with(config, exporter, &state)
    }

    /// The same without a state file.
    ///
    /// # Errors
    ///
    /// If a family of the exporter itself has no valid name, or two sources have a metric of one name.
    pub fn without_state(config: &Config) -> anyhow::Result<Opened> {
        Opened::with(config, ExporterMetrics::new(false)?, &StateFile::off())
    }

    fn with(
        config: &Config,
        exporter: ExporterMetrics,
        state: &StateFile,
    ) -> anyhow::Result<Opened> {
        let clock: Clock = Arc::new(chrono::Utc::now);
        let mut sources = Vec::new();
        for watched in &config.sources {
            let source = watched.open(Context {
                general: config.general.clone(),
                clock: Arc::clone(&clock),
                state: state.clone(),
            });
            exporter.watch(source.name(), config.general.interval, source.up())?;
            sources.push(source);
        }
        check_claims(&sources)?;
        let exporter = Arc::new(exporter);
        let snapshot = Arc::new(Snapshot::new(Arc::clone(&exporter)));
        Ok(Opened { sources, exporter, snapshot })
    }

    /// What is watched, for people.
    pub fn title(&self) -> String {
        let titles: Vec<String> = self.sources.iter().map(|source| source.title()).collect();
        titles.join("; ")
    }
}

fn without_file() -> StateFile {
    info!(
        "STATE_FILE is not set: after a restart the history is read again, and counters begin again at \
         what is stored then"
    );
    StateFile::off()
}

fn check_claims(sources: &[Box<dyn Source>]) -> anyhow::Result<()> {
    let own = own::ALL.iter().map(|description| ("the exporter", description));
    let theirs = sources.iter().flat_map(|source| {
        source.families().into_iter().map(|description| (source.name(), description))
    });
    Ok(claims::check(own.chain(theirs))?)
}
