//! What is to be written to the state file, and who waits for it.
//!
//! The lock of the queue is held for a moment only, never while a file is read or written, so that any
//! thread may take it.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::engine::state::format::Sections;
use crate::engine::state::part::{Section, Stored};

/// Between those who save and the one who writes.
#[derive(Default)]
pub(super) struct Queue {
    pending: Mutex<Pending>,
    wanted: Condvar,
}

#[derive(Default)]
struct Pending {
    /// What the file is to hold.
    sections: Sections,
    /// What is to be written to files of its own before the file is written without it.
    aside: Vec<Aside>,
    /// How often something was given or set aside.
    changes: u64,
    /// How many of these changes the newest write has taken.
    taken: u64,
    /// How many of them are on the disk.
    written: u64,
    is_writing: bool,
    is_wanted: bool,
    is_closed: bool,
    waiting: Vec<Waiting>,
}

struct Waiting {
    /// How many changes must be on the disk.
    changes: u64,
    done: oneshot::Sender<bool>,
}

/// Sections that are set aside, and where.
#[derive(Clone)]
pub(super) struct Aside {
    pub(super) path: PathBuf,
    pub(super) sections: Sections,
}

/// What one write is about.
pub(super) struct Job {
    pub(super) sections: Sections,
    pub(super) aside: Vec<Aside>,
}

impl Queue {
    /// A queue for a file that holds `sections`.
    pub(super) fn new(sections: Sections) -> Queue {
        let queue = Queue::default();
        queue.lock().sections = sections;
        queue
    }

    /// What the file is to hold of a section.
    pub(super) fn section(&self, name: &str) -> Option<Arc<Stored>> {
        self.lock().sections.get(name).cloned()
    }

    /// Replaces a section without asking for a write.
    pub(super) fn keep(&self, section: Section) {
        self.lock().insert(section);
    }

    /// Replaces sections. The receiver is told once they, and everything given before, are on the disk, or
    /// could not be written.
    pub(super) fn save(&self, sections: Vec<Section>) -> oneshot::Receiver<bool> {
        let (done, receiver) = oneshot::channel();
        let mut pending = self.lock();
        if !sections.is_empty() {
            pending.changes += 1;
        }
        sections.into_iter().for_each(|section| pending.insert(section));
        if pending.is_all_written() {
            // Whoever asked may have gone away.
            let _ = done.send(true);
            return receiver;
        }
        let changes = pending.changes;
        pending.waiting.push(Waiting { changes, done });
        // A write that goes on and has taken all of it will answer.
        if !(pending.is_writing && pending.taken == changes) {
            pending.is_wanted = true;
            self.wanted.notify_one();
        }
        receiver
    }

    /// Takes out the sections whose name is wanted and has them written to a file of their own; false if
    /// there are none.
    pub(super) fn set_aside(&self, path: PathBuf, is_wanted: impl Fn(&str) -> bool) -> bool {
        let mut pending = self.lock();
        let sections: Sections =
            pending.sections.extract_if(.., |name, _| is_wanted(name)).collect();
        if sections.is_empty() {
            return false;
        }
        pending.aside.push(Aside { path, sections });
        pending.changes += 1;
        pending.is_wanted = true;
        self.wanted.notify_one();
        true
    }

    /// Nothing more will be given.
    pub(super) fn close(&self) {
        let mut pending = self.lock();
        pending.is_closed = true;
        pending.is_wanted |= !pending.is_all_written();
        self.wanted.notify_one();
    }

    /// Waits until something is to be written; `None` when nothing more will be.
    pub(super) fn next(&self) -> Option<Job> {
        let mut pending = self.lock();
        loop {
            if std::mem::take(&mut pending.is_wanted) {
                pending.is_writing = true;
                pending.taken = pending.changes;
                let aside = pending.aside.clone();
                return Some(Job { sections: pending.sections.clone(), aside });
            }
            if pending.is_closed {
                return None;
            }
            pending = self.wanted.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes how the write ended of which `aside` sections set aside were a part.
    pub(super) fn ended(&self, aside: usize, is_written: bool) {
        let mut pending = self.lock();
        pending.is_writing = false;
        if is_written {
            pending.written = pending.taken;
            // What was set aside meanwhile is behind them.
            let behind = pending.aside.iter().skip(aside).cloned().collect();
            pending.aside = behind;
        }
        let taken = pending.taken;
        for waiting in pending.waiting.extract_if(.., |waiting| waiting.changes <= taken) {
            // Whoever waited may have gone away.
            let _ = waiting.done.send(is_written);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn insert(&mut self, section: Section) {
        self.sections.insert(section.name.to_owned(), Arc::new(section.stored));
    }

    fn is_all_written(&self) -> bool {
        self.written == self.changes
    }
}
