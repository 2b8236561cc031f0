//! The collector of everything that is about messages: it reads the tail.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};

use crate::connect::mongo::failure;
use crate::engine::collector::{Answer, Collector, Failure, Refresh, Schedule};
use crate::sources::librechat::database::identity::{Present, present};
use crate::sources::librechat::database::store::{Store, documents, horizon};
use crate::sources::librechat::documents::message::{Message, projection};
use crate::sources::librechat::documents::object_id::at;
use crate::sources::librechat::edition::Edition;
use crate::sources::librechat::families::messages::MessageFamilies;
use crate::sources::librechat::groups::Groups;
use crate::sources::librechat::memory::Memory;

/// Reads the tail and the open messages at every refresh.
pub struct Messages {
    store: Store,
    memory: Memory,
    /// The number of the memory to which the page belongs.
    edition: Edition,
    groups: Groups,
    interval: Duration,
    max_series: usize,
    page: MessageFamilies,
    /// Whether `_id` is minted behind the watermark, because the server's clock stepped back.
    behind_watermark: bool,
}

impl Messages {
    /// A collector that enters messages in `memory` and shows families of `groups`, each with at most
    /// `max_series` label sets.
    pub fn new(
        store: Store,
        memory: Memory,
        groups: &Groups,
        interval: Duration,
        max_series: usize,
    ) -> Messages {
        Messages {
            edition: memory.edition(),
            page: MessageFamilies::new(groups.clone(), max_series, memory.shown()),
            store,
            memory,
            groups: groups.clone(),
            interval,
            max_series,
            behind_watermark: false,
        }
    }

    /// Enters the messages whose `_id` matches; returns until when everything stored was seen.
    async fn read(
        &self,
        id: Document,
        mut seen_until: DateTime<Utc>,
        refresh: &Refresh,
    ) -> Result<DateTime<Utc>, Failure> {
        let projection = projection(&self.groups);
        let mut cursor =
            self.store.find_by_id(Message::COLLECTION, id, projection, refresh).await?;
        while let Some(batch) = cursor.try_next().await.map_err(failure)? {
            refresh.count_documents(documents(&batch).count());
            seen_until = horizon(&batch).map_or(seen_until, |time| time.min(seen_until));
            let messages = documents(&batch).filter_map(Message::read);
            self.memory.ledger_at(self.edition)?.enter_read(messages, seen_until);
        }
        Ok(seen_until)
    }

    /// After the server's clock stepped back, messages are stored behind the watermark, where no refresh
    /// looks. An audit counts them as soon as no more can come.
    fn watch_clock(&mut self, now: DateTime<Utc>) {
        let Some(watermark) = self.memory.ledger_now().saved.watermark else { return };
        if at(now) < watermark {
            self.behind_watermark = true;
        } else if std::mem::take(&mut self.behind_watermark) {
            self.memory.want_audit();
        }
    }
}

#[async_trait]
impl Collector for Messages {
    fn name(&self) -> &str {
        "messages"
    }

    fn schedule(&self) -> Schedule {
        let wake = Arc::clone(&self.memory.wakes().messages);
        Schedule { wake, ..Schedule::every(self.interval) }
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let Present { now, edition } = present(&self.store, &self.memory, refresh).await?;
        if self.edition != edition {
            self.edition = edition;
            self.page =
                MessageFamilies::new(self.groups.clone(), self.max_series, self.memory.shown());
        }
        let tail = self.memory.ledger_at(edition)?.begin_read(now);
        let mut seen_until = now;
        if !tail.open.is_empty() {
            seen_until = self.read(doc! { "$in": tail.open }, seen_until, refresh).await?;
        }
        seen_until = self.read(doc! { "$gte": tail.from }, seen_until, refresh).await?;
        self.watch_clock(now);
        let families = {
            let mut ledger = self.memory.ledger_at(edition)?;
            ledger.end_read(seen_until);
            let families = self.page.families(&mut ledger, self.store.now());
            families.counting_since(ledger.begins())
        };
        self.memory.save_ledger(Some((edition, self.page.shown()))).await;
        Ok(families.into())
    }
}
