//! The past: what metrics would have shown at earlier moments.
//!
//! * [`moments`]: which moments;
//! * [`recording`]: what each metric was at each of them, put in order on the disk in [`runs`];
//! * [`writers`]: written as OpenMetrics, which Prometheus takes for its own past, or as CSV.

pub mod moments;
pub mod recording;
pub mod runs;
pub mod writers;

use std::io;

use chrono::NaiveDate;

use crate::engine::collector::Failure;
use crate::exposition::open_metrics::LabelPair;
pub use moments::{Moments, Step};
pub use recording::Recording;

/// What is asked of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The first day; `None`: that of the first document.
    pub from: Option<NaiveDate>,
    /// The last day; `None`: today.
    pub to: Option<NaiveDate>,
    /// From one moment to the next.
    pub step: Step,
    /// How it is written.
    pub form: Form,
    /// Labels that every sample gets: those that Prometheus gives to what it scrapes.
    pub labels: Vec<LabelPair>,
}

/// How the past is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// OpenMetrics with timestamps.
    OpenMetrics,
    /// A row for each sample: time, metric, labels, value.
    Csv,
}

/// Why the past cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database did not give what was asked.
    #[error(transparent)]
    Database(#[from] Failure),
    /// The temporary file cannot be used.
    #[error("cannot use a temporary file; set TMPDIR to a folder that can be written: {0}")]
    File(#[from] io::Error),
    /// The entering of documents broke off.
    #[error("the documents read could not be entered: {0}")]
    Task(#[from] tokio::task::JoinError),
}
