//! The first pass: every message stored before the exporter was first started is read once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use mongodb::bson::{Document, doc};
use mongodb::raw_batch_cursor::RawBatch;
use tokio::task::JoinHandle;
use tracing::info;

use crate::connect::mongo::failure;
use crate::engine::collector::{Answer, Collector, Failure, Next, Reason, Refresh, Schedule};
use crate::exposition::Families;
use crate::exposition::own::BASELINE_PROGRESS;
use crate::sources::librechat::database::identity::{Present, present};
use crate::sources::librechat::database::store::{BATCH_SIZE, Store, documents, must_reach};
use crate::sources::librechat::documents::message::{Message, projection};
use crate::sources::librechat::documents::object_id::time_of;
use crate::sources::librechat::edition::Edition;
use crate::sources::librechat::groups::Groups;
use crate::sources::librechat::memory::Memory;
use crate::sources::librechat::messages::saved::History;

/// How long one refresh reads before it saves and reports how far it has come.
const SLICE: Duration = Duration::from_secs(3);

/// How long MongoDB may take for one slice, which after the first answer ends by itself.
const DEADLINE: Duration = Duration::from_secs(120);

/// Enters the history in the ledger, in the order of `_id`, a few seconds at a time.
pub struct Baseline {
    store: Store,
    memory: Memory,
    projection: Document,
    pace: Pace,
    /// The number of the memory for which `expected` holds.
    edition: Edition,
    /// How many messages there were when the pass began.
    expected: Option<u64>,
    /// Whether the messages that were followed before a restart are entered again.
    restored: bool,
    /// For how long the ratings that it sees are shown, unless a sweep comes.
    feedback_shown_for: Duration,
}

/// How fast messages are read.
struct Pace {
    most_per_second: Option<u32>,
    began: Instant,
    entered: u64,
}

impl Baseline {
    /// A first pass over the history of `memory`, reading what `groups` need, and at most so many
    /// messages a second. The ratings that it sees are shown for `feedback_shown_for`, unless a sweep comes.
    pub fn new(
        store: Store,
        memory: Memory,
        groups: &Groups,
        most_per_second: Option<u32>,
        feedback_shown_for: Duration,
    ) -> Baseline {
        Baseline {
            store,
            edition: memory.edition(),
            memory,
            projection: projection(groups),
            pace: Pace { most_per_second, began: Instant::now(), entered: 0 },
            expected: None,
            restored: false,
            feedback_shown_for,
        }
    }

    async fn expected(&mut self, entered: u64, refresh: &Refresh) -> Result<u64, Failure> {
        if let Some(expected) = self.expected {
            return Ok(expected);
        }
        let expected = self.store.count(Message::COLLECTION, refresh).await?;
        self.expected = Some(expected);
        self.pace = Pace { began: Instant::now(), entered: 0, ..self.pace };
        if entered == 0 {
            info!(messages = expected, "reading the history once; counters appear when it is done");
        } else {
            info!(entered, messages = expected, "going on to read the history");
        }
        Ok(expected)
    }

    /// Enters the messages again that were being followed when the exporter ended.
    async fn restore(&mut self, refresh: &Refresh) -> Result<(), Failure> {
        let ids = self.memory.ledger_at(self.edition)?.restored_history();
        if !ids.is_empty() {
            let id = doc! { "$in": ids };
            let projection = self.projection.clone();
            let mut cursor =
                self.store.find_by_id(Message::COLLECTION, id, projection, refresh).await?;
            let now = self.store.now();
            while let Some(batch) = cursor.try_next().await.map_err(failure)? {
                refresh.count_documents(documents(&batch).count());
                let messages = documents(&batch).filter_map(Message::read);
                self.memory.ledger_at(self.edition)?.enter_read(messages, now);
            }
        }
        self.restored = true;
        Ok(())
    }

    /// Reads the next slice of `history`; true at its end.
    async fn read_slice(&mut self, history: History, refresh: &Refresh) -> Result<bool, Failure> {
        // The first `_id` that there can be is no different from others.
        let after = if history.entered == 0 { "$gte" } else { "$gt" };
        let id = doc! { after: history.read_to, "$lt": history.end };
        let batch_size = self.pace.batch_size();
        let projection = self.projection.clone();
        let reading =
            self.store.find_by_id_in(batch_size, Message::COLLECTION, id, projection, refresh);
        let mut cursor = reading.await?;
        let began = Instant::now();
        let mut entering: Option<JoinHandle<Result<usize, Failure>>> = None;
        let mut at_end = true;
        // While one answer is entered, MongoDB works on the next.
        while let Some(batch) = cursor.next().await {
            self.pace.entered += entered(entering.take(), refresh).await?;
            let batch = batch.map_err(failure)?;
            must_reach(time_of(history.end), &batch)?;
            entering = Some(self.enter(batch));
            self.pace.keep().await;
            if began.elapsed() > SLICE {
                at_end = false;
                break;
            }
        }
        self.pace.entered += entered(entering.take(), refresh).await?;
        Ok(at_end)
    }

    fn enter(&self, batch: RawBatch) -> JoinHandle<Result<usize, Failure>> {
        let memory = self.memory.clone();
        let edition = self.edition;
        let now = self.store.now();
        tokio::task::spawn_blocking(move || {
            let messages = documents(&batch).filter_map(Message::read);
            Ok(memory.ledger_at(edition)?.enter_history(messages, now))
        })
    }

    /// What comes after a slice.
    fn progress(&self, entered: u64, expected: u64) -> Answer {
        let seconds = self.pace.began.elapsed().as_secs_f64();
        info!(
            messages = entered,
            of = expected,
            per_second = (self.pace.entered as f64 / seconds).round(),
            "reading the history"
        );
        let ratio = if expected == 0 { 0.0 } else { entered as f64 / expected as f64 };
        Answer { families: families(ratio.min(0.99)), next: Next::Continue }
    }
}

impl Pace {
    fn batch_size(&self) -> u32 {
        self.most_per_second.map_or(BATCH_SIZE, |most| most.min(BATCH_SIZE))
    }

    /// Waits until no more than allowed have been entered a second.
    async fn keep(&self) {
        if let Some(most) = self.most_per_second {
            let due = Duration::from_secs_f64(self.entered as f64 / f64::from(most));
            tokio::time::sleep(due.saturating_sub(self.began.elapsed())).await;
        }
    }
}

fn families(progress: f64) -> Families {
    let mut families = Families::default();
    families.value(&BASELINE_PROGRESS, progress);
    families
}

/// How many messages were entered by a task that may not have been started.
async fn entered(
    task: Option<JoinHandle<Result<usize, Failure>>>,
    refresh: &Refresh,
) -> Result<u64, Failure> {
    let Some(task) = task else { return Ok(0) };
    let count = task.await.map_err(|error| Failure {
        reason: Reason::Query,
        answered: true,
        message: format!("the messages read could not be entered: {error}"),
    })??;
    refresh.count_documents(count);
    Ok(count as u64)
}

#[async_trait]
impl Collector for Baseline {
    fn name(&self) -> &str {
        "baseline"
    }

    fn schedule(&self) -> Schedule {
        let wake = Arc::clone(&self.memory.wakes().baseline);
        Schedule { on_scrape: false, deadline: DEADLINE, wake, ..Schedule::every(DEADLINE) }
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let Present { now, edition } = present(&self.store, &self.memory, refresh).await?;
        if self.edition != edition {
            self.edition = edition;
            self.expected = None;
            self.restored = false;
        }
        let history = {
            let mut ledger = self.memory.ledger_at(edition)?;
            ledger.watermark(now);
            ledger.saved.history
        };
        if let Some(history) = history {
            let expected = self.expected(history.entered, refresh).await?;
            if !self.restored {
                self.restore(refresh).await?;
            }
            let at_end = self.read_slice(history, refresh).await?;
            let entered = {
                let ledger = self.memory.ledger_at(edition)?;
                ledger.saved.history.map_or(0, |history| history.entered)
            };
            if at_end {
                let seconds = self.pace.began.elapsed().as_secs_f64();
                info!(
                    messages = entered,
                    seconds = (seconds * 10.0).round() / 10.0,
                    "history read"
                );
                self.memory.ledger_at(edition)?.complete_history(now, self.feedback_shown_for);
            }
            self.memory.save_ledger(None).await;
            if !at_end {
                return Ok(self.progress(entered, expected));
            }
            let wakes = self.memory.wakes();
            for wake in [&wakes.messages, &wakes.days, &wakes.feedback] {
                wake.notify_one();
            }
        }
        Ok(Answer { families: families(1.0), next: Next::WhenWoken })
    }
}
