//! The collector that sweeps all messages for feedback, which people give and take back long after a
//! message has settled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};

use crate::connect::mongo::{failure, is_namespace_not_found};
use crate::engine::collector::{Answer, Collector, Failure, Next, Refresh, Schedule};
use crate::exposition::Families;
use crate::sources::librechat::database::identity::{Present, present};
use crate::sources::librechat::database::store::{Store, documents};
use crate::sources::librechat::documents::message::Message;
use crate::sources::librechat::edition::Edition;
use crate::sources::librechat::memory::Memory;
use crate::sources::librechat::messages::ratings::{Rated, Sweep};

/// The largest share of the time that sweeps may take.
const SHARE: f64 = 0.02;

/// What MongoDB calls a command that a view does not know.
const COMMAND_NOT_SUPPORTED_ON_VIEW: i32 = 166;

fn has_no_indexes(error: &Error) -> bool {
    let of_view = matches!(
        error.kind.as_ref(),
        ErrorKind::Command(command) if command.code == COMMAND_NOT_SUPPORTED_ON_VIEW
    );
    of_view || is_namespace_not_found(error)
}

/// Asks for all messages with feedback. Its families are shown by
/// [`Messages`](super::messages::Messages), which knows the
/// feedback on younger messages.
pub struct Feedback {
    store: Store,
    memory: Memory,
    interval: Duration,
    /// After how many missed sweeps the last one is too old to be shown.
    stale_after: u32,
    /// Whether it was asked since the exporter was started.
    started: bool,
}

impl Feedback {
    /// A sweep every `interval`, shown until `stale_after` sweeps were missed.
    pub fn new(store: Store, memory: Memory, interval: Duration, stale_after: u32) -> Feedback {
        Feedback { store, memory, interval, stale_after, started: false }
    }

    /// The filter for messages with feedback: one that an index on `feedback.rating` can answer, where
    /// there is such an index.
    async fn filter(&self) -> Result<Document, Failure> {
        let messages = self.store.mongo().collection(Message::COLLECTION).await?;
        let indexes: Vec<_> = match messages.list_indexes().await {
            Ok(indexes) => indexes.try_collect().await.map_err(failure)?,
            // A collection that does not exist yet has no indexes, and a view has none of its own.
            Err(error) if has_no_indexes(&error) => Vec::new(),
            Err(error) => return Err(failure(error)),
        };
        let indexed = indexes.iter().any(|index| {
            let complete = index
                .options
                .as_ref()
                .is_none_or(|options| options.partial_filter_expression.is_none());
            complete && index.keys.keys().next().is_some_and(|key| key == "feedback.rating")
        });
        Ok(if indexed {
            doc! { "feedback.rating": { "$ne": null } }
        } else {
            doc! { "feedback": { "$ne": null } }
        })
    }

    /// How long until a sweep is due; a restart does not repeat one that is recent.
    fn due_in(&mut self, swept_at: Option<DateTime<Utc>>) -> Duration {
        if std::mem::replace(&mut self.started, true) {
            return Duration::ZERO;
        }
        let due = swept_at.map(|swept_at| swept_at + self.interval - self.store.now());
        due.and_then(|due| due.to_std().ok()).unwrap_or(Duration::ZERO)
    }

    /// Asks for the feedback on the messages before the watermark `before`.
    async fn sweep(
        &self,
        before: ObjectId,
        edition: Edition,
        refresh: &Refresh,
    ) -> Result<Sweep, Failure> {
        let now = self.store.now();
        let mut sweep = Sweep::new(before, now);
        let projection = doc! { "model": 1, "feedback": 1, "updatedAt": 1 };
        let filter = self.filter().await?;
        let mut cursor = self.store.find(Message::COLLECTION, filter, projection, refresh).await?;
        while let Some(batch) = cursor.try_next().await.map_err(failure)? {
            refresh.count_documents(documents(&batch).count());
            let labels = &mut self.memory.ledger_at(edition)?.saved.labels;
            let messages = documents(&batch).filter_map(Message::read);
            for message in messages.filter(|message| message.id < before) {
                if let Some(rated) = Rated::read(&message, labels) {
                    sweep.add(&rated);
                }
            }
        }
        Ok(sweep)
    }
}

#[async_trait]
impl Collector for Feedback {
    fn name(&self) -> &str {
        "feedback"
    }

    fn schedule(&self) -> Schedule {
        let wake = Arc::clone(&self.memory.wakes().feedback);
        Schedule { share: SHARE, on_scrape: false, wake, ..Schedule::every(self.interval) }
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let began = Instant::now();
        let Present { now, edition } = present(&self.store, &self.memory, refresh).await?;
        let swept_at = {
            let ledger = self.memory.ledger_at(edition)?;
            if ledger.reads_ratings() {
                // The first pass sees every rating anyway, and wakes this collector at its end.
                return Ok(Answer { families: Families::default(), next: Next::WhenWoken });
            }
            ledger.saved.ratings.swept_at()
        };
        let due_in = self.due_in(swept_at);
        if !due_in.is_zero() {
            return Ok(Answer { families: Families::default(), next: Next::In(due_in) });
        }
        let before = self.memory.ledger_at(edition)?.watermark(now);
        let mut sweep = self.sweep(before, edition, refresh).await?;
        let pause = self.schedule().pause(began.elapsed());
        sweep.stale_at += pause * self.stale_after;
        self.memory.ledger_at(edition)?.swept(sweep);
        self.memory.wakes().messages.notify_one();
        Ok(Families::default().into())
    }
}
