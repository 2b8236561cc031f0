//! The interface between what is asked of a database and everything around it.
//!
//! A [`Collector`] is one question asked on one interval. It knows the database and the metric
//! families of its answer, and nothing of HTTP, timers or other collectors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use prometheus::IntCounter;
use tokio::sync::Notify;

use crate::exposition::Families;

/// One question asked on one interval.
#[async_trait]
pub trait Collector: Send {
    /// The value of the label `collector` in the exporter's own metrics.
    fn name(&self) -> &str;

    /// Whether the process is ready only after it has answered.
    fn is_critical(&self) -> bool {
        true
    }

    /// When the question is asked.
    fn schedule(&self) -> Schedule;

    /// Asks once. The answer replaces the families of the answer before, whole.
    ///
    /// The scheduler drops the future at the deadline of `refresh`, so nothing may be half done at an
    /// await point.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when the database did not give the whole answer; no family is changed then.
    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure>;
}

/// When a collector is asked.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// From the start of the exporter to the first refresh.
    pub starts_after: Duration,
    /// From the end of one refresh to the start of the next.
    pub interval: Duration,
    /// How long a refresh may take.
    pub deadline: Duration,
    /// The largest share of the time that refreshes may take, 0 to 1: the pause after a slow one is
    /// stretched until it is kept.
    pub share: f64,
    /// Whether a scrape refreshes this collector first when the cache is off.
    pub on_scrape: bool,
    /// Asks for a refresh before the interval is over.
    pub wake: Arc<Notify>,
}

impl Schedule {
    /// A refresh every `interval`, which may take as long as the interval but at least ten seconds.
    pub fn every(interval: Duration) -> Schedule {
        Schedule {
            starts_after: Duration::ZERO,
            interval,
            deadline: interval.max(Duration::from_secs(10)),
            share: 1.0,
            on_scrape: true,
            wake: Arc::default(),
        }
    }

    /// How long to wait after a refresh that took `took`.
    pub fn pause(&self, took: Duration) -> Duration {
        self.interval.max(self.rest(took))
    }

    /// How long to rest after a refresh that took `took`, whatever came of it, to keep the share of the time.
    pub fn rest(&self, took: Duration) -> Duration {
        took.div_f64(self.share.clamp(0.001, 1.0)).saturating_sub(took)
    }
}

/// What a refresh is given: how long it may take and where it counts what it reads.
#[derive(Debug)]
pub struct Refresh {
    deadline: Instant,
    documents_read: IntCounter,
}

impl Refresh {
    /// A refresh that ends `limit` from now and counts documents in `documents_read`.
    pub fn new(limit: Duration, documents_read: IntCounter) -> Refresh {
        Refresh { deadline: Instant::now() + limit, documents_read }
    }

    /// How long the database may still work for this refresh (`maxTimeMS`); never zero, which MongoDB
    /// takes for "as long as you like".
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// Counts documents received from the database.
    pub fn count_documents(&self, count: usize) {
        self.documents_read.inc_by(count as u64);
    }
}

/// The answer of one refresh.
#[derive(Debug, Default)]
pub struct Answer {
    /// All families of the collector.
    pub families: Families,
    /// What comes after this refresh.
    pub next: Next,
}

/// What comes after a refresh that worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Next {
    /// The answer is complete; ask again after the interval.
    #[default]
    Interval,
    /// The answer is complete; ask again after this time.
    In(Duration),
    /// The answer is not complete yet; go on at once.
    Continue,
    /// The same after a rest that spares whoever is asked.
    ContinueAfter(Duration),
    /// The answer is complete until the collector is woken.
    WhenWoken,
}

impl Next {
    /// Whether the answer is not complete yet.
    pub fn goes_on(self) -> bool {
        matches!(self, Next::Continue | Next::ContinueAfter(_))
    }
}

impl From<Families> for Answer {
    fn from(families: Families) -> Answer {
        Answer { families, next: Next::Interval }
    }
}

/// Why a refresh gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The kind of failure, for the label `reason`.
    pub reason: Reason,
    /// Whether the database answered, if only with a refusal.
    pub answered: bool,
    /// What happened and what to do about it, for the log.
    pub message: String,
}

/// The kinds of failure that need different help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No answer within the deadline.
    Timeout,
    /// The database cannot be reached.
    Connection,
    /// The database refuses the user or the user's role.
    Authorization,
    /// The database refuses the query, or its answer makes no sense.
    Query,
    /// The collector has a fault of its own.
    Panic,
}

impl Reason {
    /// All of them, as values of the label `reason`.
    pub const ALL: [&str; 5] = [
        Reason::Timeout.as_str(),
        Reason::Connection.as_str(),
        Reason::Authorization.as_str(),
        Reason::Query.as_str(),
        Reason::Panic.as_str(),
    ];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Timeout => "timeout",
            Reason::Connection => "connection",
            Reason::Authorization => "authorization",
            Reason::Query => "query",
            Reason::Panic => "panic",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_refresh_waits_until_its_share_of_the_time_is_kept() {
        let schedule = Schedule { share: 0.02, ..Schedule::every(Duration::from_secs(600)) };
        let pause = |seconds| schedule.pause(Duration::from_secs(seconds)).as_secs();
        assert_eq!(pause(5), 600);
        assert_eq!(pause(15) + 15, 750);
    }
}
