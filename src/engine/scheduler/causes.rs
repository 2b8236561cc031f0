//! Why collectors fail, told once for each cause.
//!
//! A database that is away makes every collector of its source fail, and again at every try. One line of
//! the log tells the cause and names the collectors; another tells when all of them work again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{error, info, warn};

use crate::engine::collector::Failure;

/// How long collectors that fail for the same cause are gathered before it is told.
const GATHER: Duration = Duration::from_secs(1);

/// What makes collectors of a source fail.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cause {
    source: &'static str,
    reason: &'static str,
    message: String,
}

/// Who fails for a cause.
#[derive(Debug, Default)]
struct Failing {
    /// Those that fail now.
    now: BTreeSet<String>,
    /// Those that have failed since it began.
    ever: BTreeSet<String>,
    is_told: bool,
    /// Whether one has stopped because it works, and not because of another failure.
    has_worked: bool,
}

/// The causes for which collectors fail now.
#[derive(Debug, Default)]
pub(super) struct Causes(Mutex<BTreeMap<Cause, Failing>>);

impl Causes {
    /// Notes a failure. A cause that is new is told by a task, a moment later.
    pub(super) fn failed_while_serving(
        self: &Arc<Self>,
        source: &'static str,
        collector: &str,
        failure: &Failure,
    ) {
        let Some(cause) = self.failed(source, collector, failure) else { return };
        let causes = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(GATHER).await;
            causes.tell(&cause);
        });
    }

    /// Notes a failure; its cause if that is new.
    pub(super) fn failed(
        &self,
        source: &'static str,
        collector: &str,
        failure: &Failure,
    ) -> Option<Cause> {
        let message = failure.message.clone();
        let cause = Cause { source, reason: failure.reason.as_str(), message };
        let mut causes = self.lock();
        for (other, failing) in causes.iter_mut() {
            if *other != cause {
                failing.now.remove(collector);
            }
        }
        causes.retain(|_, failing| !failing.now.is_empty() || !failing.is_told);
        let is_new = !causes.contains_key(&cause);
        let failing = causes.entry(cause.clone()).or_default();
        failing.now.insert(collector.to_owned());
        failing.ever.insert(collector.to_owned());
        is_new.then_some(cause)
    }

    /// Notes that a collector has answered.
    pub(super) fn worked(&self, collector: &str) {
        self.leave(collector, true);
    }

    /// Forgets a collector that is asked no more.
    pub(super) fn forget(&self, collector: &str) {
        self.leave(collector, false);
    }

    fn leave(&self, collector: &str, has_worked: bool) {
        self.lock().retain(|cause, failing| {
            if failing.now.remove(collector) {
                failing.has_worked |= has_worked;
            }
            let stays = !failing.now.is_empty() || !failing.is_told;
            if !stays && failing.has_worked {
                failing.tell_end(cause);
            }
            stays
        });
    }

    fn tell(&self, cause: &Cause) {
        let mut causes = self.lock();
        let Some(failing) = causes.get_mut(cause) else { return };
        failing.is_told = true;
        let collectors = failing.collectors();
        let Cause { source, reason, message } = cause;
        warn!(source, reason, collectors, "refresh failed: {message}");
        if failing.now.is_empty() {
            if failing.has_worked {
                failing.tell_end(cause);
            }
            causes.remove(cause);
        }
    }

    /// Tells all causes of a run that ends now.
    pub(super) fn tell_at_the_end(&self) {
        for (Cause { source, reason, message }, failing) in &*self.lock() {
            let collectors = failing.collectors();
            error!(source, reason, collectors, "refresh failed, metrics are missing: {message}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Cause, Failing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failing {
    fn collectors(&self) -> String {
        self.ever.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    fn tell_end(&self, cause: &Cause) {
        let (source, collectors) = (cause.source, self.collectors());
        info!(source, collectors, "works again");
    }
}
