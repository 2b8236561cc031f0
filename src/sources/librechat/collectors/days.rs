//! The collector that reads local days again after a restart: who was active on which day is not saved.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::{DateTime, Document, doc};
use tracing::info;

use crate::connect::mongo::failure;
use crate::engine::collector::{Answer, Collector, Failure, Next, Refresh, Schedule};
use crate::exposition::Families;
use crate::sources::librechat::database::identity::{Present, present};
use crate::sources::librechat::database::store::{Store, documents};
use crate::sources::librechat::days::day::Day;
use crate::sources::librechat::documents::message::Message;
use crate::sources::librechat::groups::{AGENT, Groups};
use crate::sources::librechat::memory::Memory;

/// How long one day may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// How long it leaves MongoDB to those from whose answers the counters come.
const PATIENCE: Duration = Duration::from_millis(500);

/// Reads one local day at a refresh, from today backwards, so that today's unique users are there first.
/// Its families are shown by [`Messages`](super::messages::Messages).
pub struct DaysCollector {
    store: Store,
    memory: Memory,
    projection: Document,
    read: u32,
}

impl DaysCollector {
    /// A reader of the days that `memory` lack, for `groups`.
    pub fn new(store: Store, memory: Memory, groups: &Groups) -> DaysCollector {
        DaysCollector { store, memory, projection: projection(groups), read: 0 }
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
impl Collector for DaysCollector {
    fn name(&self) -> &str {
        "days"
    }

    fn schedule(&self) -> Schedule {
        let wake = Arc::clone(&self.memory.wakes().days);
        let missing = self.memory.ledger_now().missing_day(self.store.now());
        Schedule {
            on_scrape: false,
            deadline: DEADLINE,
            starts_after: missing.map_or(Duration::ZERO, |_| PATIENCE),
            wake,
            ..Schedule::every(DEADLINE)
        }
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let Present { edition, .. } = present(&self.store, &self.memory, refresh).await?;
        let missing = self.memory.ledger_at(edition)?.missing_day(self.store.now());
        let Some((date, begins, ends)) = missing else {
            if std::mem::take(&mut self.read) > 0 {
                info!("the days of which users and models are told have been read again");
                self.memory.wakes().messages.notify_one();
            }
            return Ok(Answer { families: Families::default(), next: Next::WhenWoken });
        };
        let bound = |time: chrono::DateTime<_>| DateTime::from_millis(time.timestamp_millis());
        let filter = doc! { "createdAt": { "$gte": bound(begins), "$lt": bound(ends) } };
        let mut cursor =
            self.store.find(Message::COLLECTION, filter, self.projection.clone(), refresh).await?;
        let mut day = Day::default();
        while let Some(batch) = cursor.try_next().await.map_err(failure)? {
            refresh.count_documents(documents(&batch).count());
            let messages = documents(&batch).filter_map(Message::read);
            self.memory.ledger_at(edition)?.read_day(date, &mut day, messages);
        }
        self.memory.ledger_at(edition)?.enter_day(date, day);
        self.read += 1;
        if self.read == 2 {
            // Tomorrow, where clocks are ahead, and today: today's users can be shown.
            self.memory.wakes().messages.notify_one();
        }
        Ok(Answer { families: Families::default(), next: Next::Continue })
    }
}
