//! The interface between an application that is watched and everything around it.
//!
//! A [`Kind`] is known before anything is read: its name and its settings. What its settings say is
//! [`Watched`], and opening that with a [`Context`] gives the [`Source`], which hands out collectors.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::NaiveDate;
use prometheus::IntCounter;

use crate::backfill::{self, Recording, Request};
use crate::engine::clock::Clock;
use crate::engine::collector::{Collector, Failure};
use crate::engine::settings::General;
use crate::engine::state::StateFile;
use crate::exposition::Description;
use crate::settings::{Reader, Setting};

/// One application that can be watched.
pub struct Kind {
    /// The value of the label `source`, and the beginning of the names of its sections of the state file.
    pub name: &'static str,
    /// What it is called, for people.
    pub title: &'static str,
    /// Its settings, in the order of `--help`.
    pub settings: fn() -> Vec<&'static Setting>,
    /// Whether its address is given, which switches it on.
    pub is_given: fn(&Reader) -> bool,
    /// Reads its settings; `None` if one is wrong.
    pub read: fn(&mut Reader) -> Option<Arc<dyn Watched>>,
    /// The other exporters for it with which `migrate` compares.
    pub peers: &'static [Peer],
}

/// Another exporter for the same application.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// A family that only this one has; none where it is taken for whatever has no such family.
    pub mark: Option<&'static str>,
    /// The migration note, whose table tells what answers each of its families.
    pub notes: &'static str,
}

/// An application whose settings have been read.
pub trait Watched: fmt::Debug + Send + Sync {
    /// The file with the only authorities whose certificates it takes from a server, where one is named.
    fn authorities(&self) -> Option<&Path> {
        None
    }

    /// The source, which asks nothing before its collectors are asked.
    fn open(&self, context: Context) -> Box<dyn Source>;
}

/// What a source is given.
pub struct Context {
    /// What every source is told.
    pub general: General,
    /// The time of day.
    pub clock: Clock,
    /// What must survive a restart.
    pub state: StateFile,
}

/// One application that is watched.
#[async_trait]
pub trait Source: Send + Sync {
    /// That of its [`Kind`].
    fn name(&self) -> &'static str;

    /// What is watched, for people, such as `LibreChat, database LibreChat`.
    fn title(&self) -> String;

    /// Every family that it may export.
    fn families(&self) -> Vec<&'static Description>;

    /// The family of its own that tells whether it answers, where it has one.
    fn up(&self) -> Option<&'static Description> {
        None
    }

    /// The collectors that its settings need, in the order in which a single refresh asks them.
    fn collectors(&self) -> Vec<Box<dyn Collector>>;

    /// Compares what is stored with what was counted, and counts what is missing. The documents read are
    /// counted in `documents_read`.
    ///
    /// # Errors
    ///
    /// If the database does not answer or refuses.
    async fn audit(&self, documents_read: IntCounter) -> Result<Vec<Late>, Failure> {
        let _ = documents_read;
        Ok(Vec::new())
    }

    /// What the metrics would have shown at the moments of `request`, of whatever has a past. The documents
    /// read are counted in `documents_read`; `entered` is told how many have come, and of about how many.
    ///
    /// # Errors
    ///
    /// If the database does not answer or refuses, or there is no room for a temporary file.
    async fn past(
        &self,
        request: &Request,
        documents_read: IntCounter,
        entered: &(dyn Fn(usize, u64) + Sync),
    ) -> Result<Vec<Recording>, backfill::Error> {
        let _ = (request, documents_read, entered);
        Ok(Vec::new())
    }
}

/// Documents that an audit found behind the watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    /// Where they are stored.
    pub collection: &'static str,
    /// The day on which they were stored, as their `_id` tells.
    pub date: NaiveDate,
    /// How many.
    pub documents: u64,
}

impl fmt::Display for Late {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.date, self.collection, self.documents)
    }
}
