//! The one who writes the state file, on a thread of its own.

use std::io;
use std::path::PathBuf;

use chrono::Utc;
use tracing::{info, warn};

use crate::engine::state::disk::{Disk, replace};
use crate::engine::state::format;
use crate::engine::state::lock::Lock;
use crate::engine::state::queue::{Job, Queue};
use crate::exposition::own::StateMetrics;

/// Writes what is given to a queue.
pub(super) struct Writer {
    disk: Box<dyn Disk>,
    path: PathBuf,
    metrics: StateMetrics,
    is_failing: bool,
    /// Held until nothing more is written.
    lock: Lock,
}

impl Writer {
    pub(super) fn new(
        disk: Box<dyn Disk>,
        path: PathBuf,
        metrics: StateMetrics,
        lock: Lock,
    ) -> Writer {
        Writer { disk, path, metrics, is_failing: false, lock }
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
    fn write(&mut self, job: &Job) -> io::Result<()> {
        for aside in &job.aside {
            replace(&*self.disk, &aside.path, |file| format::write(&aside.sections, file))?;
        }
        let file = replace(&*self.disk, &self.path, |file| format::write(&job.sections, file))?;
        self.lock.goes_over_to(file);
        Ok(())
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
                        "the state cannot be saved, so a restart may count anew: {error}; {}",
                        advice(error)
                    );
                }
            }
        }
    }
}

/// What to do about a file that cannot be written.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ResourceBusy => {
            "the file is mounted by itself and cannot be replaced: mount its folder instead"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk needs free space",
        io::ErrorKind::FileTooLarge => "the limit on the size of files (ulimit -f) is too low",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "the folder must be writable"
        }
        _ => "the folder must be writable and have free space",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_mounted_by_itself_is_told_apart_from_a_full_disk() {
        for (code, part) in [
            (libc::EBUSY, "mount its folder"),
            (libc::ENOSPC, "free space"),
            (libc::EDQUOT, "free space"),
            (libc::EFBIG, "ulimit -f"),
            (libc::EACCES, "writable"),
            (libc::EROFS, "writable"),
            (libc::EIO, "writable and have free space"),
        ] {
            let told = advice(&io::Error::from_raw_os_error(code));
            assert!(told.contains(part), "{told}");
        }
    }
}
