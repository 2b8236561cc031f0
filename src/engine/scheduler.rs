//! Asks every collector on its own interval, never twice at once, each within its deadline.
//!
//! Collectors run side by side: a slow one holds up nobody. After a failure a collector is asked
//! again with growing pauses, at most a minute and never longer than its interval, and its last answer
//! is shown until it is too old. The log tells each cause once, however many collectors it concerns.

mod causes;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use chrono::Utc;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, join_all};
use prometheus::IntCounter;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tracing::debug;

use crate::engine::collector::{Answer, Collector, Failure, Next, Reason, Refresh, Schedule};
use crate::engine::scheduler::causes::Causes;
use crate::exposition::own::{Asked, Refreshed};
use crate::exposition::{ExporterMetrics, Families, Snapshot};

/// How long a scrape waits for the refresh that it asked for before it gets what is known. Prometheus
/// gives up after ten seconds unless told otherwise.
const SCRAPE_WAIT: Duration = Duration::from_secs(8);

/// How much later than the one before a collector is first asked, so that a start is no burst.
const SPREAD: Duration = Duration::from_millis(5);

/// The most that this adds up to.
const LONGEST_SPREAD: Duration = Duration::from_secs(1);

/// The running collectors. Dropping it stops them.
pub struct Scheduler {
    snapshot: Arc<Snapshot>,
    exporter: Arc<ExporterMetrics>,
    stale_after: u32,
    running: Mutex<BTreeMap<String, Running>>,
    causes: Arc<Causes>,
    current_refresh: Mutex<Option<CurrentRefresh>>,
}

/// A collector that is asked by a task of its own.
struct Running {
    /// Asks for a refresh, where a scrape does.
    asked_on_scrape: Option<mpsc::Sender<oneshot::Sender<()>>>,
    is_critical: bool,
    /// Whether what it answers is still wanted.
    wanted: Arc<Mutex<bool>>,
    task: AbortHandle,
}

impl Running {
    /// Ends it. It may be in the middle of an answer on another thread, which is not told any more.
    fn end(&self) {
        *lock(&self.wanted) = false;
        self.task.abort();
    }
}

/// A refresh for which scrapes wait.
struct CurrentRefresh {
    ended: Shared<BoxFuture<'static, ()>>,
    task: AbortHandle,
}

impl Scheduler {
    /// No collectors. An answer is shown until `stale_after` refreshes were missed.
    pub fn new(
        snapshot: &Arc<Snapshot>,
        exporter: &Arc<ExporterMetrics>,
        stale_after: u32,
    ) -> Scheduler {
        Scheduler {
            snapshot: Arc::clone(snapshot),
            exporter: Arc::clone(exporter),
            stale_after,
            running: Mutex::default(),
            causes: Arc::default(),
            current_refresh: Mutex::default(),
        }
    }

    /// Starts a first refresh of a collector of `source`, and goes on by its schedule. One of the same name
    /// is replaced: it is asked no more, and its families are shown until this one answers.
    pub fn add(&self, source: &'static str, collector: Box<dyn Collector>) {
        let name = collector.name().to_owned();
        let is_critical = collector.is_critical();
        let mut running = lock(&self.running);
        let before = running.remove(&name).inspect(Running::end);
        self.causes.forget(&name);
        let told = Told::WhileServing(Arc::clone(&self.causes));
        let (snapshot, exporter) = (&self.snapshot, &self.exporter);
        let runner = Runner::new(source, collector, snapshot, exporter, self.stale_after, told);
        if before.is_none_or(|before| before.is_critical != is_critical) {
            self.snapshot.add(&name, is_critical);
        }
        let (on_scrape, wanted) = (runner.schedule.on_scrape, Arc::clone(&runner.wanted));
        let (sender, requests) = mpsc::channel(1);
        let spread = SPREAD * u32::try_from(running.len()).unwrap_or(u32::MAX);
        let task = tokio::spawn(runner.run(requests, spread.min(LONGEST_SPREAD))).abort_handle();
        let asked_on_scrape = on_scrape.then_some(sender);
        running.insert(name, Running { asked_on_scrape, is_critical, wanted, task });
    }

    /// Stops a collector, whose families are gone from then on.
    pub fn remove(&self, collector: &str) {
        if let Some(before) = lock(&self.running).remove(collector) {
            before.end();
            self.causes.forget(collector);
            self.exporter.end(collector, &Reason::ALL);
            self.snapshot.remove(collector);
        }
    }

    /// Refreshes what a scrape shows and waits for it; callers at the same time share one refresh.
    /// Collectors that pause after a failure are not waited for.
    pub async fn refresh(&self) {
        let refresh = {
            let mut current = lock(&self.current_refresh);
            match current.as_ref().filter(|refresh| !refresh.task.is_finished()) {
                Some(refresh) => refresh.ended.clone(),
                None => current.insert(self.ask_all()).ended.clone(),
            }
        };
        // Time is up: the page shows what is known, and the refresh goes on in its task.
        let _ = tokio::time::timeout(SCRAPE_WAIT, refresh).await;
    }

    /// Asks every collector that a scrape refreshes, in a task that ends by itself: a scrape that comes after
    /// its end must not take it for one that goes on.
    fn ask_all(&self) -> CurrentRefresh {
        let running = lock(&self.running);
        let asked: Vec<_> =
            running.values().filter_map(|running| running.asked_on_scrape.clone()).collect();
        let asked = asked.into_iter().map(|collector| async move {
            let (done, finished) = oneshot::channel();
            if collector.send(done).await.is_ok() {
                // An error means that the collector would not refresh now.
                let _ = finished.await;
            }
        });
        let task = tokio::spawn(join_all(asked).map(|_| ()));
        CurrentRefresh { task: task.abort_handle(), ended: task.map(|_| ()).boxed().shared() }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        lock(&self.running).values().for_each(Running::end);
        if let Some(current) = &*lock(&self.current_refresh) {
            current.task.abort();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Refreshes every collector until its answer is complete, one after the other, and returns the
/// failures. After one that could not reach its database the others are not asked: each would look for it
/// as long as the first did.
pub async fn refresh_once(
    source: &'static str,
    collectors: Vec<Box<dyn Collector>>,
    snapshot: &Arc<Snapshot>,
    exporter: &Arc<ExporterMetrics>,
) -> Vec<Failure> {
    let mut failures: Vec<Failure> = Vec::new();
    let causes = Arc::new(Causes::default());
    for collector in collectors {
        snapshot.add(collector.name(), collector.is_critical());
        let told = Told::AtTheEnd(Arc::clone(&causes));
        // The page is printed at once, before anything can be stale.
        let mut runner = Runner::new(source, collector, snapshot, exporter, u32::MAX, told);
        let unreachable =
            failures.last().filter(|failure| failure.reason == Reason::Connection).cloned();
        let result = match unreachable {
            Some(failure) => runner.tell(Err(failure), Duration::ZERO),
            // Nobody waits for anything else, so that there is no rest either.
            None => loop {
                match runner.refresh().await {
                    Ok(next) if next.goes_on() => {}
                    result => break result,
                }
            },
        };
        failures.extend(result.err());
    }
    causes.tell_at_the_end();
    failures
}

/// When the causes of failures are told.
enum Told {
    /// A moment after they have begun.
    WhileServing(Arc<Causes>),
    /// When everything has been asked.
    AtTheEnd(Arc<Causes>),
}

/// One collector and what is needed to ask it.
struct Runner {
    source: &'static str,
    collector: Box<dyn Collector>,
    schedule: Schedule,
    snapshot: Arc<Snapshot>,
    exporter: Arc<ExporterMetrics>,
    documents_read: IntCounter,
    /// After how many missed refreshes its answer is too old to be shown.
    stale_after: u32,
    failing: Option<ExponentialBackoff>,
    told: Told,
    pause: Duration,
    /// Held while an answer is told, which is false once the collector was removed or replaced.
    wanted: Arc<Mutex<bool>>,
}

impl Runner {
    fn new(
        source: &'static str,
        collector: Box<dyn Collector>,
        snapshot: &Arc<Snapshot>,
        exporter: &Arc<ExporterMetrics>,
        stale_after: u32,
        told: Told,
    ) -> Runner {
        exporter.begin(collector.name(), &Reason::ALL);
        Runner {
            source,
            schedule: collector.schedule(),
            documents_read: exporter.documents_read(collector.name()),
            collector,
            snapshot: Arc::clone(snapshot),
            exporter: Arc::clone(exporter),
            stale_after,
            failing: None,
            told,
            pause: Duration::ZERO,
            wanted: Arc::new(Mutex::new(true)),
        }
    }

    async fn run(mut self, mut requests: mpsc::Receiver<oneshot::Sender<()>>, spread: Duration) {
        let mut waiting: Option<oneshot::Sender<()>> = None;
        tokio::time::sleep(self.schedule.starts_after + spread).await;
        loop {
            let next = self.refresh().await;
            if let Some(done) = waiting.take() {
                // Whoever asked may have gone away meanwhile.
                let _ = done.send(());
            }
            let due = tokio::time::Instant::now() + self.pause;
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(due), if next != Ok(Next::WhenWoken) => break,
                    () = self.schedule.wake.notified() => break,
                    Some(done) = requests.recv() => {
                        if self.failing.is_none() {
                            waiting = Some(done);
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Asks once, tells the answer and decides on the pause until the next time.
    async fn refresh(&mut self) -> Result<Next, Failure> {
        let began = tokio::time::Instant::now();
        let result = self.ask().await;
        let wanted = Arc::clone(&self.wanted);
        let wanted = lock(&wanted);
        if !*wanted {
            // The task ends when it next waits.
            return Ok(Next::WhenWoken);
        }
        self.tell(result, began.elapsed())
    }

    fn tell(&mut self, result: Result<Answer, Failure>, took: Duration) -> Result<Next, Failure> {
        let told = result.as_ref().err().map(ToString::to_string);
        let refreshed = Refreshed {
            took,
            now: seconds_since_1970(),
            answered: result.as_ref().err().is_none_or(|failure| failure.answered),
            failure: result.as_ref().err().map(|f| f.reason.as_str()).zip(told.as_deref()),
        };
        let asked = Asked { source: self.source, collector: self.collector.name() };
        self.exporter.refreshed(asked, &refreshed);
        match result {
            Ok(answer) => Ok(self.worked(answer, took)),
            Err(failure) => {
                self.failed(&failure, took);
                Err(failure)
            }
        }
    }

    /// The answer, or the failure that there is none. A collector that panics has failed like any other: the
    /// panic itself is told where it happens, and what it says may be of a person.
    async fn ask(&mut self) -> Result<Answer, Failure> {
        let refresh = Refresh::new(self.schedule.deadline, self.documents_read.clone());
        let asked = AssertUnwindSafe(self.collector.refresh(&refresh)).catch_unwind();
        match tokio::time::timeout(self.schedule.deadline, asked).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Failure {
                reason: Reason::Panic,
                answered: true,
                message: "the collector has a fault; please report it with the lines above"
                    .to_owned(),
            }),
            Err(_) => Err(self.too_slow()),
        }
    }

    fn worked(&mut self, answer: Answer, took: Duration) -> Next {
        let Answer { families, next } = answer;
        if self.failing.take().is_some() {
            let (Told::WhileServing(causes) | Told::AtTheEnd(causes)) = &self.told;
            causes.worked(self.collector.name());
        }
        self.pause = match next {
            Next::Continue => Duration::ZERO,
            Next::ContinueAfter(rest) => rest,
            Next::In(pause) => pause.max(self.schedule.rest(took)),
            Next::Interval | Next::WhenWoken => self.schedule.pause(took),
        };
        self.publish(families, next);
        debug!(collector = self.collector.name(), ?took, "refreshed");
        next
    }

    fn publish(&self, families: Families, next: Next) {
        let stale_at = match next {
            Next::WhenWoken => None,
            Next::Continue | Next::ContinueAfter(_) | Next::Interval | Next::In(_) => {
                let pause = self.pause.max(self.schedule.interval);
                Instant::now().checked_add(pause.saturating_mul(self.stale_after))
            }
        };
        self.snapshot.publish(self.collector.name(), families, !next.goes_on(), stale_at);
    }

    fn failed(&mut self, failure: &Failure, took: Duration) {
        let longest = self.schedule.interval.min(LONGEST_PAUSE);
        let pauses = self.failing.get_or_insert_with(|| growing_pauses(longest));
        let pause = pauses.next().unwrap_or(longest);
        self.pause = pause.max(self.schedule.rest(took));
        self.snapshot.changed();
        let collector = self.collector.name();
        match &self.told {
            Told::WhileServing(causes) => {
                causes.failed_while_serving(self.source, collector, failure);
            }
            Told::AtTheEnd(causes) => {
                causes.failed(self.source, collector, failure);
            }
        }
        debug!(
            collector,
            reason = failure.reason.as_str(),
            again_in = %humantime::format_duration(Duration::from_secs(self.pause.as_secs().max(1))),
            "refresh failed: {failure}"
        );
    }

    fn too_slow(&self) -> Failure {
        let limit = humantime::format_duration(self.schedule.deadline);
        Failure {
            reason: Reason::Timeout,
            answered: false,
            message: format!("no answer from the database within {limit}"),
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);

const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Pauses that double, each drawn between half and whole of what it has grown to.
fn growing_pauses(longest: Duration) -> ExponentialBackoff {
    // The jitter adds up to as much again.
    ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE.min(longest) / 2)
        .with_max_delay(longest / 2)
        .without_max_times()
        .with_jitter()
        .build()
}

fn seconds_since_1970() -> f64 {
    Utc::now().timestamp_millis() as f64 / 1000.0
}

#[cfg(test)]
mod tests;
