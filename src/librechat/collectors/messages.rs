//! The collector of everything that is about messages: it reads the tail.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};

use crate::collector::{Answer, Collector, Failure, Refresh, Schedule};
use crate::librechat::books::Books;
use crate::librechat::data_set::present;
use crate::librechat::document::{Message, projection};
use crate::librechat::groups::Groups;
use crate::librechat::object_id::at;
use crate::librechat::page::Page;
use crate::librechat::store::{Store, documents, horizon};
use crate::mongo::failure;

/// Reads the tail and the open messages at every refresh.
pub struct Messages {
    store: Store,
    books: Books,
    /// The number of the books to which the page belongs.
    edition: u64,
    groups: Groups,
    interval: Duration,
    max_series: usize,
    page: Page,
    /// Whether `_id` is minted behind the watermark, because the server's clock stepped back.
    behind_watermark: bool,
}

impl Messages {
    /// The name of the collection.
    pub const COLLECTION: &str = "messages";

    /// A collector that enters messages in `books` and shows families of `groups`, each with at most
    /// `max_series` label sets.
    pub fn new(
        store: Store,
        books: Books,
        groups: &Groups,
        interval: Duration,
        max_series: usize,
    ) -> Messages {
        Messages {
            edition: books.edition(),
            page: Page::new(groups.clone(), max_series, books.shown()),
            store,
            books,
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
        let mut cursor = self.store.find_by_id(Self::COLLECTION, id, projection, refresh).await?;
        while let Some(batch) = cursor.try_next().await.map_err(failure)? {
            self.books.check(self.edition)?;
            refresh.count_documents(documents(&batch).count());
            seen_until = horizon(&batch).map_or(seen_until, |time| time.min(seen_until));
            let messages = documents(&batch).filter_map(Message::read);
            self.books.ledger().enter_read(messages, seen_until);
        }
        Ok(seen_until)
    }

    /// After the server's clock stepped back, messages are stored behind the watermark, where no refresh
    /// looks. An audit counts them as soon as no more can come.
    fn watch_clock(&mut self, now: DateTime<Utc>) {
        let Some(watermark) = self.books.ledger().book.watermark else { return };
        if at(now) < watermark {
            self.behind_watermark = true;
        } else if std::mem::take(&mut self.behind_watermark) {
            self.books.want_audit();
        }
    }
}

#[async_trait]
impl Collector for Messages {
    fn name(&self) -> &'static str {
        "messages"
    }

    fn schedule(&self) -> Schedule {
        let wake = Arc::clone(&self.books.wakes().messages);
        Schedule { wake, ..Schedule::every(self.interval) }
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let now = present(&self.store, &self.books, refresh).await?;
        if self.edition != self.books.edition() {
            self.edition = self.books.edition();
            self.page = Page::new(self.groups.clone(), self.max_series, self.books.shown());
        }
        let tail = self.books.ledger().begin_read(now);
        let mut seen_until = now;
        if !tail.open.is_empty() {
            seen_until = self.read(doc! { "$in": tail.open }, seen_until, refresh).await?;
        }
        seen_until = self.read(doc! { "$gte": tail.from }, seen_until, refresh).await?;
        self.watch_clock(now);
        let families = {
            let mut ledger = self.books.ledger();
            ledger.end_read(seen_until);
            let families = self.page.families(&mut ledger, self.store.now());
            families.counting_since(ledger.begins())
        };
        self.books.save_ledger(Some(self.page.shown())).await;
        Ok(families.into())
    }
}
