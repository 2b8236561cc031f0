//! The first pass: every message stored before the exporter was started is read once.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use mongodb::bson::{Document, doc};
use mongodb::raw_batch_cursor::RawBatch;
use tokio::task::JoinHandle;
use tracing::info;

use super::document::{Message, projection};
use super::groups::Groups;
use super::messages::{Messages, SharedLedger};
use super::store::{Store, documents};
use crate::collector::{Answer, Collector, Failure, Next, Reason, Refresh, Schedule};
use crate::exposition::Families;
use crate::exposition::exporter::BASELINE_PROGRESS;
use crate::mongo::failure;

/// How long one refresh reads before it reports how far it has come.
const SLICE: Duration = Duration::from_secs(3);

/// How long MongoDB may take for one slice, which after the first answer ends by itself.
const DEADLINE: Duration = Duration::from_secs(120);

/// Enters the history in the ledger, in the order of `_id`, a few seconds at a time.
pub struct Baseline {
    store: Store,
    ledger: SharedLedger,
    projection: Document,
    began: Instant,
    /// How many messages there were at the start.
    expected: Option<u64>,
    entered: u64,
}

impl Baseline {
    /// A first pass over the messages before the watermark of `ledger`, reading what `groups` need.
    pub fn new(store: Store, ledger: SharedLedger, groups: &Groups) -> Baseline {
        Baseline {
            store,
            ledger,
            projection: projection(groups),
            began: Instant::now(),
            expected: None,
            entered: 0,
        }
    }

    async fn expected(&mut self, refresh: &Refresh) -> Result<u64, Failure> {
        if let Some(expected) = self.expected {
            return Ok(expected);
        }
        let messages = self.store.mongo().collection(Messages::COLLECTION).await?;
        let expected = if self.store.tenant().is_some() {
            let filter = self.store.of_tenant(Document::new());
            messages.count_documents(filter).max_time(refresh.time_left()).await
        } else {
            messages.estimated_document_count().max_time(refresh.time_left()).await
        };
        let expected = *self.expected.insert(expected.map_err(failure)?);
        self.began = Instant::now();
        info!(messages = expected, "reading the history once; counters appear when it is done");
        Ok(expected)
    }

    /// Reads from `position` to the watermark, until the slice is over; true at the end of the history.
    async fn read_slice(&mut self, refresh: &Refresh) -> Result<bool, Failure> {
        let Some((position, watermark)) = self.ledger.lock().history_left() else {
            return Ok(true);
        };
        let id = doc! { "$gt": position, "$lt": watermark };
        let projection = self.projection.clone();
        let mut cursor =
            self.store.find_by_id(Messages::COLLECTION, id, projection, refresh).await?;
        let began = Instant::now();
        let mut entering: Option<JoinHandle<usize>> = None;
        let mut at_end = true;
        // While one answer is entered, MongoDB works on the next.
        while let Some(batch) = cursor.next().await {
            self.entered += entered(entering.take(), refresh).await?;
            entering = Some(self.enter(batch.map_err(failure)?));
            if began.elapsed() > SLICE {
                at_end = false;
                break;
            }
        }
        self.entered += entered(entering.take(), refresh).await?;
        Ok(at_end)
    }

    fn enter(&self, batch: RawBatch) -> JoinHandle<usize> {
        let ledger = self.ledger.clone();
        let now = self.store.now();
        tokio::task::spawn_blocking(move || {
            let messages = documents(&batch).filter_map(Message::read);
            ledger.lock().enter_history(messages, now)
        })
    }

    fn progress(&self, expected: u64) -> Families {
        let ratio = if expected == 0 { 0.0 } else { self.entered as f64 / expected as f64 };
        families(ratio.min(0.99))
    }
}

fn families(progress: f64) -> Families {
    let mut families = Families::default();
    families.value(&BASELINE_PROGRESS, progress);
    families
}

/// How many messages were entered by a task that may not have been started.
async fn entered(task: Option<JoinHandle<usize>>, refresh: &Refresh) -> Result<u64, Failure> {
    let Some(task) = task else { return Ok(0) };
    let count = task.await.map_err(|error| Failure {
        reason: Reason::Query,
        answered: true,
        message: format!("the messages read could not be entered: {error}"),
    })?;
    refresh.count_documents(count);
    Ok(count as u64)
}

#[async_trait]
impl Collector for Baseline {
    fn name(&self) -> &'static str {
        "baseline"
    }

    fn schedule(&self) -> Schedule {
        Schedule { on_scrape: false, deadline: DEADLINE, ..Schedule::every(DEADLINE) }
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let expected = self.expected(refresh).await?;
        let now = self.store.earliest_now().await?;
        self.ledger.lock().watermark(now);
        let at_end = self.read_slice(refresh).await?;
        let seconds = self.began.elapsed().as_secs_f64();
        if !at_end {
            info!(
                messages = self.entered,
                of = expected,
                per_second = (self.entered as f64 / seconds).round(),
                "reading the history"
            );
            return Ok(Answer { families: self.progress(expected), next: Next::Continue });
        }
        self.ledger.lock().complete_history(now);
        self.ledger.changed.notify_one();
        info!(messages = self.entered, seconds = (seconds * 10.0).round() / 10.0, "history read");
        Ok(Answer { families: families(1.0), next: Next::Never })
    }
}
