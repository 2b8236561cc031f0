//! The one who writes the state file, on a thread of its own.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use chrono::Utc;
use tracing::{info, warn};

use crate::engine::state::disk::{Disk, replace};
use crate::engine::state::format;
use crate::engine::state::queue::{Job, Queue};
use crate::exposition::own::StateMetrics;

/// Writes what is given to a queue.
pub(super) struct Writer {
    disk: Box<dyn Disk>,
    path: PathBuf,
    metrics: StateMetrics,
    is_failing: bool,
    /// Held until nothing more is written.
    _lock: Option<File>,
}

impl Writer {
    pub(super) fn new(
        disk: Box<dyn Disk>,
        path: PathBuf,
        metrics: StateMetrics,
        lock: Option<File>,
    ) -> Writer {
        Writer { disk, path, metrics, is_failing: false, _lock: lock }
    }

    /// Writes until the queue is closed and everything is on the disk, or cannot be written.
    pub(super) fn run(mut self, queue: &Queue) {
        while let Some(job) = queue.next() {
            let written = self.write(&job);
            self.tell(&written);
            queue.ended(job.aside.len(), written.is_ok());
        }
    }

    /// What is set aside is on the disk before the file is written without it.
    fn write(&self, job: &Job) -> io::Result<()> {
        for aside in &job.aside {
            replace(&*self.disk, &aside.path, |file| format::write(&aside.sections, file))?;
        }
        replace(&*self.disk, &self.path, |file| format::write(&job.sections, file))
    }

    fn tell(&mut self, written: &io::Result<()>) {
        match written {
            Ok(()) => {
                self.metrics.saved.set(Utc::now().timestamp_millis() as f64 / 1000.0);
                if std::mem::take(&mut self.is_failing) {
                    info!(file = %self.path.display(), "the state can be saved again");
                }
            }
            Err(error) => {
                self.metrics.failures.inc();
                if !std::mem::replace(&mut self.is_failing, true) {
                    warn!(
                        file = %self.path.display(),
                        "the state cannot be saved, so a restart may count anew: {error}; the \
                         folder must be writable and have free space"
                    );
                }
            }
        }
    }
}
