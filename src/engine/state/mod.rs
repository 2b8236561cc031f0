//! The state file: what survives a restart.
//!
//! The file has one section for each part of a source, each with a version of its own: [`part`]. It is
//! replaced as a whole, so that a process which is killed at any moment leaves either the old file or the
//! new one. A section that cannot be used is set aside in a file of its own and touches no other.
//!
//! A path that is a link is followed, so that the link stays. Nothing beside the file is: [`disk`].
//!
//! One thread writes. It takes what has been given since it last looked, however often that was, and
//! nobody holds a lock while it does.

pub mod disk;
mod format;
mod lock;
pub mod part;
mod queue;
#[cfg(test)]
mod tests;
mod writer;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use chrono::Utc;
use serde::de::DeserializeOwned;
use tracing::{error, info, warn};

pub use crate::engine::state::part::{Part, Section, Unusable, encode};

use crate::engine::state::disk::{Disk, LocalDisk, follow, with_suffix};
use crate::engine::state::format::Sections;
use crate::engine::state::lock::Lock;
use crate::engine::state::queue::Queue;
use crate::engine::state::writer::Writer;
use crate::exposition::own::StateMetrics;

/// The state file, or none. When the last one of a file is dropped, that waits until everything that was
/// saved is on the disk.
#[derive(Clone)]
pub struct StateFile(Option<Arc<Opened>>);

struct Opened {
    path: PathBuf,
    queue: Arc<Queue>,
    /// The thread that writes; none where the file is only read.
    writing: Option<JoinHandle<()>>,
}

/// Why a state file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum CannotOpen {
    /// Another process uses it.
    #[error(
        "the state file {} is in use by another usage-exporter; give each a STATE_FILE of its own",
        .0.display()
    )]
    InUse(PathBuf),
    /// There is nobody to write it.
    #[error("no thread can be started that writes the state file: {0}")]
    NoThread(io::Error),
}

impl StateFile {
    /// No file: nothing survives.
    pub fn off() -> StateFile {
        StateFile(None)
    }

    /// Opens the file, or begins one. A file that cannot be used is set aside, with an error in the
    /// log; a folder that cannot be written is a warning now and at every save.
    ///
    /// # Errors
    ///
    /// If another process uses the file.
    pub fn open(path: &Path, metrics: StateMetrics) -> Result<StateFile, CannotOpen> {
        StateFile::open_on(LocalDisk, path, metrics)
    }

    /// The same on another disk than that of this machine.
    ///
    /// # Errors
    ///
    /// If another process uses the file.
    pub fn open_on(
        disk: impl Disk,
        path: &Path,
        metrics: StateMetrics,
    ) -> Result<StateFile, CannotOpen> {
        let path = &follow(path);
        let lock = Lock::take(path)?;
        let queue = Arc::new(Queue::new(read(&disk, path)));
        let writer = Writer::new(Box::new(disk), path.to_owned(), metrics, lock);
        let writing = std::thread::Builder::new().name("state".to_owned());
        let jobs = Arc::clone(&queue);
        let writing = writing.spawn(move || writer.run(&jobs)).map_err(CannotOpen::NoThread)?;
        Ok(StateFile(Some(Arc::new(Opened {
            path: path.to_owned(),
            queue,
            writing: Some(writing),
        }))))
    }

    /// What the file holds now, beside the process that uses it. Whatever is saved is kept in memory only.
    pub fn read_only(path: &Path) -> StateFile {
        let path = follow(path);
        let sections = match LocalDisk.read(&path).map(|text| format::parse(&text)) {
            Ok(Ok(sections)) => sections,
            Ok(Err(why)) => {
                warn!(file = %path.display(), "the state cannot be used: {why}");
                Sections::new()
            }
            Err(error) => {
                warn!(file = %path.display(), "the state cannot be read: {error}");
                Sections::new()
            }
        };
        StateFile(Some(Arc::new(Opened {
            path,
            queue: Arc::new(Queue::new(sections)),
            writing: None,
        })))
    }

    /// A section of the file, where there is one.
    ///
    /// # Errors
    ///
    /// If it does not hold what this version expects, or is of a later one.
    pub fn section<T: DeserializeOwned>(&self, part: &Part) -> Result<Option<T>, Unusable> {
        let stored = self.0.as_ref().and_then(|file| file.queue.section(part.name));
        stored.map(|stored| part.decode(&stored)).transpose()
    }

    /// A section of the file, where there is one; one that cannot be used is set aside.
    pub fn section_or_set_aside<T: DeserializeOwned>(&self, part: &Part) -> Option<T> {
        self.section(part).unwrap_or_else(|unusable| {
            self.set_aside(part, &unusable.0);
            None
        })
    }

    /// Sets one section aside, because of `why`. The others stay.
    pub fn set_aside(&self, part: &Part, why: &str) {
        self.set_aside_in(part.name, |name| name == part.name, why);
    }

    /// Sets all sections of a source aside, because of `why`. Those of other sources stay.
    pub fn set_aside_all_of(&self, source: &str, why: &str) {
        let is_of_source = |name: &str| name.split_once('/').is_some_and(|(of, _)| of == source);
        self.set_aside_in(source, is_of_source, why);
    }

    fn set_aside_in(&self, what: &str, is_wanted: impl Fn(&str) -> bool, why: &str) {
        let Some(file) = &self.0 else { return };
        let aside = aside(&file.path, Some(what));
        let is_there = file.queue.set_aside(aside.clone(), is_wanted);
        if is_there && file.writing.is_none() {
            warn!(file = %file.path.display(), "the state of {what} cannot be used: {why}");
        } else if is_there {
            error!(
                file = %file.path.display(),
                moved_to = %aside.display(),
                "the state of {what} cannot be used: {why}; what it counted begins again at what is stored"
            );
        }
    }

    /// Replaces a section without writing the file; the next save does.
    pub fn keep(&self, section: Section) {
        if let Some(file) = &self.0 {
            file.queue.keep(section);
        }
    }

    /// Whether there is a file.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Replaces sections and has the file written; the future is true once they, and everything that was
    /// given before, are on the disk. Without sections it waits for what was given before, and has it
    /// written where that failed.
    ///
    /// The sections are given before this returns: the future may be dropped, and the write goes on.
    pub fn save(&self, sections: Vec<Section>) -> impl Future<Output = bool> + Send + use<> {
        let saving = self.0.as_ref().and_then(|file| {
            if file.writing.is_some() {
                return Some(file.queue.save(sections));
            }
            sections.into_iter().for_each(|section| file.queue.keep(section));
            None
        });
        async move {
            match saving {
                Some(saving) => saving.await.unwrap_or(false),
                None => true,
            }
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writing) = self.writing.take() {
            // A thread that panicked has told so itself.
            let _ = writing.join();
        }
    }
}

/// The sections of the file. One that cannot be used is moved aside.
fn read(disk: &impl Disk, path: &Path) -> Sections {
    let sections = match disk.read(path) {
        Ok(text) => format::parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            info!(file = %path.display(), "no state file yet");
            return Sections::new();
        }
        Err(error) => Err(format!("it cannot be read: {error}")),
    };
    match sections {
        Ok(sections) => {
            info!(file = %path.display(), "state read");
            sections
        }
        Err(why) => {
            move_aside(disk, path, &why);
            Sections::new()
        }
    }
}

fn move_aside(disk: &impl Disk, path: &Path, why: &str) {
    let aside = aside(path, None);
    match disk.rename(path, &aside) {
        Ok(()) => error!(
            file = %path.display(),
            moved_to = %aside.display(),
            "the state cannot be used: {why}; counters begin again at what is stored"
        ),
        Err(error) => error!(
            file = %path.display(),
            "the state cannot be used: {why}; it cannot be moved aside either: {error}; counters \
             begin again at what is stored"
        ),
    }
}

/// Where what is set aside now is kept: all of the file, or what is named.
fn aside(path: &Path, what: Option<&str>) -> PathBuf {
    let time = Utc::now().format("%Y-%m-%dT%H-%M-%S%.3fZ");
    match what {
        None => with_suffix(path, &time.to_string()),
        Some(what) => with_suffix(path, &format!("{}.{time}", what.replace('/', "-"))),
    }
}
