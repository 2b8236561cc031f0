//! Which database something known is about.
//!
//! The database can be exchanged while it is read. Everything known then begins anew, with another
//! [`Edition`], and what was read of the database before must not be entered any more. So whoever enters what
//! was read says of which edition it is, and the check and the lock are one step.

use std::collections::HashSet;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mongodb::bson::oid::ObjectId;

use crate::engine::collector::{Failure, Reason};

/// One of the databases that were watched since the start, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edition(u64);

impl Edition {
    /// The one that comes after it.
    pub fn next(self) -> Edition {
        Edition(self.0 + 1)
    }
}

/// Something known of one edition.
#[derive(Debug, Default)]
pub struct OfEdition<T>(Mutex<(Edition, T)>);

impl<T> OfEdition<T> {
    /// Something known of the first edition.
    pub fn new(known: T) -> OfEdition<T> {
        OfEdition(Mutex::new((Edition::default(), known)))
    }

    /// What is known of `edition`. Nobody keeps it across an await point, and no scrape needs it.
    ///
    /// # Errors
    ///
    /// If the database was exchanged since.
    pub fn at(&self, edition: Edition) -> Result<Known<'_, T>, Failure> {
        let known = self.now();
        if known.0.0 == edition {
            return Ok(known);
        }
        Err(Failure {
            reason: Reason::Query,
            answered: true,
            message: "the database was exchanged while it was read".to_owned(),
        })
    }

    /// What is known of whatever edition it is now: for saving it and for telling whether the database is
    /// another, never to enter what was read.
    pub fn now(&self) -> Known<'_, T> {
        Known(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what is known of the edition that begins.
    pub fn begin(&self, edition: Edition, known: T) {
        *self.now().0 = (edition, known);
    }
}

/// What is known, while nobody else changes it.
pub struct Known<'a, T>(MutexGuard<'a, (Edition, T)>);

impl<T> Deref for Known<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.1
    }
}

impl<T> DerefMut for Known<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0.1
    }
}

/// The server processes that were found to have the database that is remembered.
#[derive(Debug, Default)]
pub struct Verified {
    /// The processes. One that does not tell which it is counts as the same after every restart.
    pub processes: HashSet<Option<ObjectId>>,
    /// Messages that were known before the database was last found to be the one that is remembered; `None` before
    /// it was compared.
    pub samples: Option<Vec<ObjectId>>,
    /// When it was last compared.
    pub compared_at: Option<Instant>,
}

impl Verified {
    /// Whether the process with this id was found to have the database, and that so short ago.
    pub fn is_recent(&self, process: Option<ObjectId>, within: Duration) -> bool {
        let recent = self.compared_at.is_some_and(|compared_at| compared_at.elapsed() < within);
        recent && self.processes.contains(&process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_of_another_edition_is_not_entered() {
        let known = OfEdition::new(1);
        let first = Edition::default();
        *known.at(first).expect("the first edition") += 1;
        known.begin(first.next(), 7);
        assert!(known.at(first).is_err());
        assert_eq!(*known.at(first.next()).expect("the second"), 7);
    }
}
