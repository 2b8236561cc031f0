//! Asks every collector on its own interval, never twice at once, each within its deadline.
//!
//! Collectors run side by side: a slow one holds up nobody. After a failure a collector is asked
//! again with growing pauses, at most a minute and never longer than its interval, and its last answer
//! is shown until it is too old.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use chrono::Utc;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, join_all};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::collector::{Answer, Collector, Failure, Next, Reason, Refresh, Schedule};
use crate::exposition::{ExporterMetrics, Families, Snapshot};

/// How long a scrape waits for the refresh that it asked for before it gets what is known. Prometheus
/// gives up after ten seconds unless told otherwise.
const SCRAPE_WAIT: Duration = Duration::from_secs(8);

/// The running collectors. Dropping it stops them.
pub struct Scheduler {
    asked_on_scrape: Vec<mpsc::Sender<oneshot::Sender<()>>>,
    current_refresh: Mutex<Option<Shared<BoxFuture<'static, ()>>>>,
    _tasks: JoinSet<()>,
}

impl Scheduler {
    /// Starts a first refresh of every collector and goes on by their schedules. An answer is shown until
    /// `stale_after` refreshes were missed.
    pub fn start(
        collectors: Vec<Box<dyn Collector>>,
        snapshot: &Arc<Snapshot>,
        exporter: &Arc<ExporterMetrics>,
        stale_after: u32,
    ) -> Scheduler {
        let mut tasks = JoinSet::new();
        let mut asked_on_scrape = Vec::new();
        for collector in collectors {
            let runner = Runner::new(collector, snapshot, exporter, stale_after);
            let (sender, requests) = mpsc::channel(1);
            if runner.schedule.on_scrape {
                asked_on_scrape.push(sender);
            }
            tasks.spawn(runner.run(requests));
        }
        Scheduler { asked_on_scrape, current_refresh: Mutex::default(), _tasks: tasks }
    }

    /// Refreshes what a scrape shows and waits for it; callers at the same time share one refresh.
    /// Collectors that pause after a failure are not waited for.
    pub async fn refresh(&self) {
        let refresh = {
            let mut current = self.current_refresh.lock().unwrap_or_else(PoisonError::into_inner);
            match current.as_ref().filter(|refresh| refresh.peek().is_none()) {
                Some(refresh) => refresh.clone(),
                None => current.insert(self.ask_all().boxed().shared()).clone(),
            }
        };
        // Time is up: the page shows what is known, and the refresh goes on in its task.
        let _ = tokio::time::timeout(SCRAPE_WAIT, refresh).await;
    }

    fn ask_all(&self) -> impl Future<Output = ()> + Send + use<> {
        let asked = self.asked_on_scrape.clone().into_iter().map(|collector| async move {
            let (done, finished) = oneshot::channel();
            if collector.send(done).await.is_ok() {
                // An error means that the collector would not refresh now.
                let _ = finished.await;
            }
        });
        join_all(asked).map(|_| ())
    }
}

/// Refreshes every collector until its answer is complete, one after the other, and returns the
/// failures.
pub async fn refresh_once(
    collectors: Vec<Box<dyn Collector>>,
    snapshot: &Arc<Snapshot>,
    exporter: &Arc<ExporterMetrics>,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    for collector in collectors {
        // The page is printed at once, before anything can be stale.
        let mut runner = Runner::new(collector, snapshot, exporter, u32::MAX);
        loop {
            match runner.refresh().await {
                Ok(Next::Continue) => {}
                Ok(Next::Interval | Next::In(_) | Next::WhenWoken) => break,
                Err(failure) => {
                    failures.push(failure);
                    break;
                }
            }
        }
    }
    failures
}

/// One collector and what is needed to ask it.
struct Runner {
    collector: Box<dyn Collector>,
    schedule: Schedule,
    snapshot: Arc<Snapshot>,
    exporter: Arc<ExporterMetrics>,
    /// After how many missed refreshes its answer is too old to be shown.
    stale_after: u32,
    failing: Option<ExponentialBackoff>,
    pause: Duration,
}

impl Runner {
    fn new(
        collector: Box<dyn Collector>,
        snapshot: &Arc<Snapshot>,
        exporter: &Arc<ExporterMetrics>,
        stale_after: u32,
    ) -> Runner {
        Runner {
            schedule: collector.schedule(),
            collector,
            snapshot: Arc::clone(snapshot),
            exporter: Arc::clone(exporter),
            stale_after,
            failing: None,
            pause: Duration::ZERO,
        }
    }

    async fn run(mut self, mut requests: mpsc::Receiver<oneshot::Sender<()>>) {
        let mut waiting: Option<oneshot::Sender<()>> = None;
        tokio::time::sleep(self.schedule.starts_after).await;
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

    /// Asks once, publishes the answer and decides on the pause until the next time.
    async fn refresh(&mut self) -> Result<Next, Failure> {
        let name = self.collector.name();
        let refresh = Refresh::new(self.schedule.deadline, self.exporter.documents_read(name));
        let began = Instant::now();
        let result = tokio::time::timeout(self.schedule.deadline, self.collector.refresh(&refresh))
            .await
            .unwrap_or_else(|_| Err(self.too_slow()));
        let took = began.elapsed();
        self.exporter.refreshed(name, took, seconds_since_1970(), result.as_ref().err());
        match result {
            Ok(answer) => Ok(self.worked(answer, took)),
            Err(failure) => {
                self.failed(&failure);
                Err(failure)
            }
        }
    }

    fn worked(&mut self, answer: Answer, took: Duration) -> Next {
        let Answer { families, next } = answer;
        if self.failing.take().is_some() {
            info!(collector = self.collector.name(), "works again");
        }
        self.pause = match next {
            Next::Continue => Duration::ZERO,
            Next::In(pause) => pause,
            Next::Interval | Next::WhenWoken => self.schedule.pause(took),
        };
        self.publish(families, next);
        debug!(collector = self.collector.name(), ?took, "refreshed");
        next
    }

    fn publish(&self, families: Families, next: Next) {
        let stale_at = match next {
            Next::WhenWoken => None,
            Next::Continue | Next::Interval | Next::In(_) => {
                let pause = self.pause.max(self.schedule.interval);
                Instant::now().checked_add(pause.saturating_mul(self.stale_after))
            }
        };
        self.snapshot.publish(self.collector.name(), families, next != Next::Continue, stale_at);
    }

    fn failed(&mut self, failure: &Failure) {
        let longest = self.schedule.interval.min(LONGEST_PAUSE);
        let pauses = self.failing.get_or_insert_with(|| growing_pauses(longest));
        self.pause = pauses.next().unwrap_or(longest);
        self.snapshot.changed();
        warn!(
            collector = self.collector.name(),
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
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::exposition::Description;

    const UP: Description = Description {
        name: "tested_up",
        kind: crate::exposition::Kind::Gauge,
        labels: &[],
        groups: &[],
        help: "Whether it answers.",
    };

    /// A collector that takes `takes` for each answer and counts how often it is asked.
    struct Slow {
        asked: Arc<AtomicU32>,
        takes: Duration,
    }

    #[async_trait]
    impl Collector for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }

        fn schedule(&self) -> Schedule {
            Schedule::every(Duration::from_secs(60))
        }

        async fn refresh(&mut self, _: &Refresh) -> Result<Answer, Failure> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(self.takes).await;
            Ok(Answer::default())
        }
    }

    fn start(takes: Duration) -> (Scheduler, Arc<Snapshot>, Arc<AtomicU32>) {
        let asked = Arc::new(AtomicU32::new(0));
        let exporter = Arc::new(ExporterMetrics::new(&UP, false).expect("names"));
        let snapshot = Arc::new(Snapshot::new(Arc::clone(&exporter), &["slow"]));
        let collector = Slow { asked: Arc::clone(&asked), takes };
        let scheduler = Scheduler::start(vec![Box::new(collector)], &snapshot, &exporter, 5);
        (scheduler, snapshot, asked)
    }

    fn page(snapshot: &Snapshot) -> String {
        String::from_utf8(snapshot.page(crate::exposition::Format::Text).text().to_vec())
            .expect("text")
    }

    #[tokio::test(start_paused = true)]
    async fn scrapes_at_the_same_time_share_one_refresh() {
        let (scheduler, _, asked) = start(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(asked.load(Ordering::Relaxed), 1, "the first refresh comes by itself");
        tokio::join!(scheduler.refresh(), scheduler.refresh(), scheduler.refresh());
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        scheduler.refresh().await;
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_scrape_does_not_wait_for_ever() {
        let (scheduler, _, _) = start(Duration::from_secs(50));
        let began = tokio::time::Instant::now();
        scheduler.refresh().await;
        assert_eq!(began.elapsed(), SCRAPE_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_refreshes_on_its_interval_and_never_twice_at_once() {
        let (_scheduler, snapshot, asked) = start(Duration::from_secs(1));
        assert_eq!(snapshot.not_ready(), ["slow"]);
        tokio::time::sleep(Duration::from_secs(62)).await;
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        assert!(snapshot.not_ready().is_empty());
        assert!(page(&snapshot).contains("tested_up 1"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_ends_at_its_deadline_and_is_tried_again_with_growing_pauses() {
        let (_scheduler, snapshot, asked) = start(Duration::from_secs(1_000));
        tokio::time::sleep(Duration::from_secs(61)).await;
        let page = page(&snapshot);
        let failed = "collector_failures_total{collector=\"slow\",reason=\"timeout\"} 1";
        assert!(page.contains(failed) && page.contains("tested_up 0"), "{page}");
        // A refresh takes 60 seconds until its deadline, and the pauses grow from a second to a minute.
        tokio::time::sleep(Duration::from_secs(30 * 60)).await;
        let asked = asked.load(Ordering::Relaxed);
        assert!((10..=31).contains(&asked), "{asked} refreshes in half an hour");
    }
}
