//! The collector that sweeps all messages for feedback, which people give and take back long after a
//! message has settled.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use mongodb::raw_batch_cursor::RawBatch;

use super::books::Books;
use super::data_set::present;
use super::document::Message;
use super::messages::Messages;
use super::ratings::{Rated, RatingTally, Sweep};
use super::store::{Store, documents, read_all};
use super::windows::WINDOW;
use crate::collector::{Answer, Collector, Failure, Refresh, Schedule};
use crate::exposition::Families;
use crate::mongo::{failure, is_namespace_not_found};

/// The largest share of the time that sweeps may take.
const SHARE: f64 = 0.02;

/// After how many missed sweeps the last one is too old to be shown.
const STALE_AFTER_SWEEPS: u32 = 5;

/// Asks for all messages with feedback. Its families are shown by [`Messages`], which knows the
/// feedback on younger messages.
pub struct Feedback {
    store: Store,
    books: Books,
    interval: Duration,
}

impl Feedback {
    /// A sweep every `interval`.
    pub fn new(store: Store, books: Books, interval: Duration) -> Feedback {
        Feedback { store, books, interval }
    }

    /// The filter for messages with feedback: one that an index on `feedback.rating` can answer, where
    /// there is such an index.
    async fn filter(&self) -> Result<Document, Failure> {
        let messages = self.store.mongo().collection(Messages::COLLECTION).await?;
        let indexes: Vec<_> = match messages.list_indexes().await {
            Ok(indexes) => indexes.try_collect().await.map_err(failure)?,
            // A collection that does not exist yet has no indexes.
            Err(error) if is_namespace_not_found(&error) => Vec::new(),
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

    /// Enters the feedback on the messages before the watermark `before`.
    fn enter(&self, batches: &[RawBatch], before: ObjectId, stale_at: Instant) {
        let window_start = self.store.now() - WINDOW;
        let mut ledger = self.books.ledger();
        let mut tally = RatingTally::default();
        let mut recent = Vec::new();
        let messages = batches.iter().flat_map(documents).filter_map(Message::read);
        for message in messages.filter(|message| message.id < before) {
            let Some(rated) = Rated::read(&message, &mut ledger.book.labels) else { continue };
            tally.add(&rated);
            if let (Some(time), Some(rating)) = (rated.updated_at, rated.rating)
                && time >= window_start
            {
                recent.push((time, rating));
            }
        }
        ledger.ratings.swept(Sweep { before, tally, recent, stale_at });
    }
}

#[async_trait]
impl Collector for Feedback {
    fn name(&self) -> &'static str {
        "feedback"
    }

    fn schedule(&self) -> Schedule {
        Schedule { share: SHARE, on_scrape: false, ..Schedule::every(self.interval) }
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let began = Instant::now();
        let before = {
            let now = present(&self.store, &self.books, refresh).await?;
            self.books.ledger().watermark(now)
        };
        let projection = doc! { "model": 1, "feedback": 1, "updatedAt": 1 };
        let filter = self.filter().await?;
        let cursor = self.store.find(Messages::COLLECTION, filter, projection, refresh).await?;
        let batches = read_all(cursor, refresh).await?;
        let pause = self.schedule().pause(began.elapsed());
        let stale_at = Instant::now() + pause * STALE_AFTER_SWEEPS;
        self.enter(&batches, before, stale_at);
        self.books.wakes().messages.notify_one();
        Ok(Families::default().into())
    }
}
