//! Tests of the scheduler, in a time that passes as soon as everybody waits.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;

use super::*;
use crate::exposition::{Description, Format};

const SECOND: Duration = Duration::from_secs(1);

crate::catalogue! {
    UP: Gauge "tested_up" [] () "Whether it answers.";
    OLD: Gauge "tested_old" [] () "Whether the first collector of a name has answered.";
    NEW: Gauge "tested_new" [] () "Whether the one that replaced it has.";
}

/// What a collector does when it is asked.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// Answers with a family after so long.
    Answer(&'static Description, Duration),
    /// Fails after so long.
    Fail(Duration),
    /// Cannot reach its database before that many were asked, for the reason that it tells.
    Unreachable(u32, &'static str),
    Panic,
}

/// A collector that counts how often it is asked.
struct Tested {
    name: &'static str,
    does: Does,
    schedule: Schedule,
    asked: Arc<AtomicU32>,
}

#[async_trait]
impl Collector for Tested {
    fn name(&self) -> &str {
        self.name
    }

    fn schedule(&self) -> Schedule {
        self.schedule.clone()
    }

    async fn refresh(&mut self, _: &Refresh) -> Result<Answer, Failure> {
        let before = self.asked.fetch_add(1, Ordering::Relaxed);
        match self.does {
            Does::Unreachable(times, _) if before >= times => Ok(Families::default().into()),
            Does::Unreachable(_, message) => {
                let message = message.to_owned();
                Err(Failure { reason: Reason::Connection, answered: false, message })
            }
            Does::Answer(family, takes) => {
                tokio::time::sleep(takes).await;
                let mut families = Families::default();
                families.value(family, 1.0);
                Ok(families.into())
            }
            Does::Fail(takes) => {
                tokio::time::sleep(takes).await;
                let message = "it always does".to_owned();
                Err(Failure { reason: Reason::Query, answered: true, message })
            }
            Does::Panic => panic!("as the test wants"),
        }
    }
}

/// A scheduler, and the page of what it asks.
struct Run {
    scheduler: Arc<Scheduler>,
    snapshot: Arc<Snapshot>,
}

impl Run {
    fn new() -> Run {
        let exporter = Arc::new(ExporterMetrics::new(false).expect("names"));
        exporter.watch("tested", 60 * SECOND, Some(&UP)).expect("a name");
        let snapshot = Arc::new(Snapshot::new(Arc::clone(&exporter)));
        let scheduler = Arc::new(Scheduler::new(&snapshot, &exporter, 5));
        Run { scheduler, snapshot }
    }

    /// Adds a collector; how often it was asked.
    fn add(&self, name: &'static str, does: Does, schedule: Schedule) -> Asks {
        let asked = Arc::new(AtomicU32::new(0));
        let collector = Tested { name, does, schedule, asked: Arc::clone(&asked) };
        self.scheduler.add("tested", Box::new(collector));
        Asks(asked)
    }

    fn page(&self) -> String {
        // Without a change, the page may be that of a moment ago.
        self.snapshot.changed();
        String::from_utf8(self.snapshot.page(Format::Text).text().to_vec()).expect("text")
    }

    fn failures(&self, collector: &str, reason: &str) -> Option<u32> {
        let labels = format!("{{collector=\"{collector}\",reason=\"{reason}\"}} ");
        let key = format!("usage_exporter_collector_failures_total{labels}");
        let page = self.page();
        page.lines().find_map(|line| line.strip_prefix(&key)?.parse().ok())
    }
}

struct Asks(Arc<AtomicU32>);

impl Asks {
    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

fn minutely() -> Schedule {
    Schedule::every(60 * SECOND)
}

/// A collector that answers after so long.
fn answer(takes: Duration) -> Does {
    Does::Answer(&OLD, takes)
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn scrapes_at_the_same_time_share_one_refresh() {
    let run = Run::new();
    let asked = run.add("slow", answer(SECOND), minutely());
    pass(2 * SECOND).await;
    assert_eq!(asked.count(), 1, "the first refresh comes by itself");
    let scheduler = &run.scheduler;
    tokio::join!(scheduler.refresh(), scheduler.refresh(), scheduler.refresh());
    assert_eq!(asked.count(), 2);
    scheduler.refresh().await;
    assert_eq!(asked.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_scrape_does_not_wait_for_ever() {
    let run = Run::new();
    run.add("slow", answer(50 * SECOND), minutely());
    let began = tokio::time::Instant::now();
    run.scheduler.refresh().await;
    assert_eq!(began.elapsed(), SCRAPE_WAIT);
}

#[tokio::test(start_paused = true)]
async fn a_scrape_does_not_join_a_refresh_that_ended_after_everybody_had_given_up() {
    let run = Run::new();
    let asked = run.add("slow", answer(20 * SECOND), minutely());
    pass(21 * SECOND).await;
    // All of these give up before the answer comes.
    tokio::join!(run.scheduler.refresh(), run.scheduler.refresh());
    assert_eq!(asked.count(), 2);
    pass(SECOND).await;
    run.scheduler.refresh().await;
    assert_eq!(asked.count(), 2, "it joins the one that goes on");
    pass(20 * SECOND).await;
    let began = tokio::time::Instant::now();
    run.scheduler.refresh().await;
    assert_eq!((asked.count(), began.elapsed()), (3, SCRAPE_WAIT));
}

#[tokio::test(start_paused = true)]
async fn a_collector_refreshes_on_its_interval_and_never_twice_at_once() {
    let run = Run::new();
    let asked = run.add("slow", answer(SECOND), minutely());
    assert_eq!(run.snapshot.not_ready(), [Arc::from("slow")]);
    pass(62 * SECOND).await;
    assert_eq!(asked.count(), 2);
    assert!(run.snapshot.not_ready().is_empty());
    assert!(run.page().contains("tested_up 1"));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_ends_at_its_deadline_and_is_tried_again_with_growing_pauses() {
    let run = Run::new();
    let asked = run.add("slow", answer(1_000 * SECOND), minutely());
    pass(61 * SECOND).await;
    assert_eq!(run.failures("slow", "timeout"), Some(1));
    assert!(run.page().contains("tested_up 0"));
    // A refresh takes 60 seconds until its deadline, and the pauses grow from a second to a minute.
    pass(30 * 60 * SECOND).await;
    let asked = asked.count();
    assert!((10..=31).contains(&asked), "{asked} refreshes in half an hour");
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_panics_has_failed_like_any_other_and_the_others_go_on() {
    let run = Run::new();
    let panics = run.add("panics", Does::Panic, minutely());
    let answers = run.add("answers", answer(SECOND), minutely());
    pass(10 * 60 * SECOND).await;
    let asked = panics.count();
    // The pauses grow from a second to a minute, which is the interval too.
    assert!((10..=30).contains(&asked), "asked {asked} times in ten minutes");
    assert_eq!(run.failures("panics", "panic"), Some(asked));
    assert!(answers.count() >= 9, "the other was asked {} times", answers.count());
    assert!(run.page().contains("collector_success{collector=\"panics\"} 0"));
    assert_eq!(run.snapshot.not_ready(), [Arc::from("panics")]);
    run.scheduler.refresh().await;
}

#[tokio::test(start_paused = true)]
async fn the_counters_of_a_collector_are_there_before_anything_is_counted() {
    let run = Run::new();
    run.add("slow", answer(SECOND), minutely());
    for reason in Reason::ALL {
        assert_eq!(run.failures("slow", reason), Some(0), "{reason}");
    }
    assert!(run.page().contains("documents_read_total{collector=\"slow\"} 0"));
}

#[tokio::test(start_paused = true)]
async fn a_collector_keeps_its_share_of_the_time_whatever_comes_of_its_refreshes() {
    let schedule = Schedule { share: 0.1, deadline: 20 * SECOND, ..minutely() };
    for (does, takes) in
        [(answer(10 * SECOND), 10), (Does::Fail(10 * SECOND), 10), (answer(1_000 * SECOND), 20)]
    {
        let run = Run::new();
        let asked = run.add("slow", does, schedule.clone());
        pass(60 * 60 * SECOND).await;
        let most = 60 * 60 / (takes * 10) + 1;
        let asked = asked.count();
        assert!((most - 2..=most).contains(&asked), "{does:?}: asked {asked} times, not {most}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_collector_that_is_removed_nothing_is_told_any_more() {
    let run = Run::new();
    let removed = run.add("removed", answer(SECOND), minutely());
    let stays = run.add("stays", Does::Answer(&NEW, SECOND), minutely());
    pass(2 * SECOND).await;
    assert!(run.page().contains("tested_old 1"));
    // In the middle of a refresh that a scrape waits for.
    let (scheduler, asked) = (&run.scheduler, removed.count());
    tokio::join!(scheduler.refresh(), async {
        pass(SECOND / 2).await;
        scheduler.remove("removed");
    });
    assert_eq!(removed.count(), asked + 1);
    for _ in 0..2 {
        let page = run.page();
        assert!(!page.contains("\"removed\"") && !page.contains("tested_old"), "{page}");
        assert!(page.contains("tested_new 1"), "{page}");
        pass(600 * SECOND).await;
    }
    assert_eq!(removed.count(), asked + 1);
    assert!(stays.count() > 9);
    assert!(run.snapshot.not_ready().is_empty());
    scheduler.remove("removed");
}

/// A collector that is removed while it answers.
struct Leaving(std::sync::Weak<Scheduler>);

#[async_trait]
impl Collector for Leaving {
    fn name(&self) -> &str {
        "leaving"
    }

    fn schedule(&self) -> Schedule {
        minutely()
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        self.0.upgrade().expect("a scheduler").remove("leaving");
        refresh.count_documents(7);
        let mut families = Families::default();
        families.value(&OLD, 1.0);
        Ok(families.into())
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_the_end_is_not_told() {
    let run = Run::new();
    run.scheduler.add("tested", Box::new(Leaving(Arc::downgrade(&run.scheduler))));
    assert!(run.page().contains("\"leaving\""));
    pass(SECOND).await;
    let page = run.page();
    assert!(!page.contains("\"leaving\"") && !page.contains("tested_old"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_replaced_is_shown_until_the_new_one_answers() {
    let run = Run::new();
    let old = run.add("one", answer(SECOND), minutely());
    pass(2 * SECOND).await;
    let hourly = Schedule { starts_after: 10 * SECOND, ..Schedule::every(3_600 * SECOND) };
    let new = run.add("one", Does::Answer(&NEW, SECOND), hourly);
    pass(9 * SECOND).await;
    assert!(run.page().contains("tested_old 1"), "{}", run.page());
    assert!(
        run.snapshot.not_ready().is_empty(),
        "a change of settings is no reason not to be ready"
    );
    pass(3 * SECOND).await;
    assert!(run.page().contains("tested_new 1") && !run.page().contains("tested_old"));
    pass(2 * 3_601 * SECOND).await;
    assert_eq!((old.count(), new.count()), (1, 1 + 2));
}

/// What is logged, from a level on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Keeps what this thread logs while the guard lives.
    fn keep(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).without_time();
        let lines = lines.with_max_level(tracing::Level::INFO).with_writer(move || log.clone());
        tracing::subscriber::set_default(lines.finish())
    }

    /// The lines since the last time.
    fn lines(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *lock(&self.0));
        let text = String::from_utf8(bytes).expect("text");
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn one_cause_is_told_once_and_again_when_it_changes_and_ends() {
    let log = Log::default();
    let _kept = log.keep();
    let run = Run::new();
    run.add("one", Does::Unreachable(5, "nobody is there"), minutely());
    run.add("two", Does::Unreachable(7, "nobody is there"), minutely());
    run.add("other", Does::Unreachable(2, "a name is unknown"), minutely());
    pass(30 * 60 * SECOND).await;
    let lines = log.lines();
    let told = |parts: [&str; 3]| {
        let has_all = |line: &&String| parts.iter().all(|part| line.contains(part));
        assert_eq!(lines.iter().filter(has_all).count(), 1, "{parts:?} in {lines:?}");
    };
    told(["WARN", "collectors=\"one, two\"", "refresh failed: nobody is there"]);
    told(["WARN", "collectors=\"other\"", "refresh failed: a name is unknown"]);
    told(["INFO", "collectors=\"one, two\"", "works again"]);
    told(["INFO", "collectors=\"other\"", "works again"]);
    assert_eq!(lines.len(), 4, "{lines:?}");

    // Another cause for the same collector is told, and one that is gone does not work again.
    run.add("changes", Does::Fail(SECOND), minutely());
    pass(10 * SECOND).await;
    assert_eq!(log.lines().len(), 1);
    run.add("changes", Does::Unreachable(u32::MAX, "nobody is there"), minutely());
    pass(600 * SECOND).await;
    let lines = log.lines();
    assert!(lines.len() == 1 && lines[0].contains("nobody is there"), "{lines:?}");
    run.scheduler.remove("changes");
    pass(600 * SECOND).await;
    assert_eq!(log.lines(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn asked_once_nobody_looks_for_a_database_that_another_did_not_find() {
    let log = Log::default();
    let _kept = log.keep();
    let Run { scheduler, snapshot } = Run::new();
    let asked = Arc::new(AtomicU32::new(0));
    let collector = |name, does| -> Box<dyn Collector> {
        Box::new(Tested { name, does, schedule: minutely(), asked: Arc::clone(&asked) })
    };
    let unreachable = Does::Unreachable(u32::MAX, "nobody is there");
    let collectors = vec![
        collector("fails", Does::Fail(SECOND)),
        collector("first", unreachable),
        collector("second", unreachable),
        collector("third", unreachable),
    ];
    let failures = refresh_once("tested", collectors, &snapshot, &scheduler.exporter).await;
    assert_eq!((failures.len(), asked.load(Ordering::Relaxed)), (4, 2));
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("collectors=\"first, second, third\"")));
    let page = Run { scheduler, snapshot }.page();
    for name in ["fails", "first", "second", "third"] {
        assert!(page.contains(&format!("collector_success{{collector=\"{name}\"}} 0")), "{page}");
    }
}
