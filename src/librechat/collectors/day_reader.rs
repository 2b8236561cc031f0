//! The collector that reads local days again after a restart: who was active on which day is not saved.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::{DateTime, Document, doc};
use tracing::info;

use super::messages::Messages;
use crate::collector::{Answer, Collector, Failure, Next, Refresh, Schedule};
use crate::exposition::Families;
use crate::librechat::books::Books;
use crate::librechat::data_set::present;
use crate::librechat::document::Message;
use crate::librechat::groups::{AGENT, Groups};
use crate::librechat::ledger::day::Day;
use crate::librechat::store::{Store, documents};
use crate::mongo::failure;

/// How long one day may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// How long it leaves MongoDB to those from whose answers the counters come.
const PATIENCE: Duration = Duration::from_millis(500);

/// Reads one local day at a refresh, from today backwards, so that today's unique users are there first.
/// Its families are shown by [`Messages`].
pub struct DayReader {
    store: Store,
    books: Books,
    projection: Document,
    read: u32,
}

impl DayReader {
    /// A reader of the days that `books` lack, for `groups`.
    pub fn new(store: Store, books: Books, groups: &Groups) -> DayReader {
        DayReader { store, books, projection: projection(groups), read: 0 }
    }
}

/// The fields of messages that days need.
fn projection(groups: &Groups) -> Document {
    let mut fields =
        doc! { "createdAt": 1, "user": 1, "model": 1, "isCreatedByUser": 1, "sender": 1 };
    if groups.has(AGENT) {
        fields.extend(doc! { "content.type": 1, "content.tool_call.name": 1 });
    }
    fields
}

#[async_trait]
impl Collector for DayReader {
    fn name(&self) -> &'static str {
        "days"
    }

    fn schedule(&self) -> Schedule {
        let wake = Arc::clone(&self.books.wakes().days);
        let missing = self.books.ledger().missing_day(self.store.now());
        Schedule {
            on_scrape: false,
            deadline: DEADLINE,
            starts_after: missing.map_or(Duration::ZERO, |_| PATIENCE),
            wake,
            ..Schedule::every(DEADLINE)
        }
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        present(&self.store, &self.books, refresh).await?;
        let edition = self.books.edition();
        let Some((date, begins, ends)) = self.books.ledger().missing_day(self.store.now()) else {
            if std::mem::take(&mut self.read) > 0 {
                info!("the days of which users and models are told have been read again");
                self.books.wakes().messages.notify_one();
            }
            return Ok(Answer { families: Families::default(), next: Next::WhenWoken });
        };
        let bound = |time: chrono::DateTime<_>| DateTime::from_millis(time.timestamp_millis());
        let filter = doc! { "createdAt": { "$gte": bound(begins), "$lt": bound(ends) } };
        let mut cursor =
            self.store.find(Messages::COLLECTION, filter, self.projection.clone(), refresh).await?;
        let mut day = Day::default();
        while let Some(batch) = cursor.try_next().await.map_err(failure)? {
            self.books.check(edition)?;
            refresh.count_documents(documents(&batch).count());
            let messages = documents(&batch).filter_map(Message::read);
            self.books.ledger().read_day(&mut day, messages);
        }
        self.books.check(edition)?;
        self.books.ledger().enter_day(date, day);
        self.read += 1;
        if self.read == 2 {
            // Tomorrow, where clocks are ahead, and today: today's users can be shown.
            self.books.wakes().messages.notify_one();
        }
        Ok(Answer { families: Families::default(), next: Next::Continue })
    }
}
