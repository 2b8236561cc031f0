//! The collectors of what is only counted: conversations, users and files ever stored.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::doc;

use crate::collector::{Answer, Collector, Failure, Refresh, Schedule};
use crate::exposition::{Description, Families};
use crate::librechat::books::Books;
use crate::librechat::data_set::present;
use crate::librechat::object_id::at;
use crate::librechat::store::{Store, documents, horizon};
use crate::mongo::failure;

/// Counts the documents of a collection: those stored at the start once, then those that come.
pub struct Growth {
    store: Store,
    books: Books,
    collection: &'static str,
    family: &'static Description,
    settling_time: Duration,
    tail_limit: usize,
    interval: Duration,
}

impl Growth {
    /// A counter `family` of the documents of `collection`, which is one of
    /// [`COUNTED`](crate::librechat::books::COUNTED).
    pub fn new(
        store: Store,
        books: Books,
        collection: &'static str,
        family: &'static Description,
        settings: &crate::librechat::Settings,
        interval: Duration,
    ) -> Growth {
        Growth {
            store,
            books,
            collection,
            family,
            settling_time: settings.settling_time,
            tail_limit: settings.tail_limit,
            interval,
        }
    }
}

#[async_trait]
impl Collector for Growth {
    fn name(&self) -> &'static str {
        self.collection
    }

    fn schedule(&self) -> Schedule {
        Schedule::every(self.interval)
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let mut seen_until = present(&self.store, &self.books, refresh).await?;
        let edition = self.books.edition();
        let from = self.books.counted(self.collection).map(|counted| counted.watermark());
        let id = doc! { "$gte": from };
        let mut cursor =
            self.store.find_by_id(self.collection, id, doc! { "_id": 1 }, refresh).await?;
        while let Some(batch) = cursor.try_next().await.map_err(failure)? {
            self.books.check(edition)?;
            refresh.count_documents(documents(&batch).count());
            seen_until = horizon(&batch).map_or(seen_until, |time| time.min(seen_until));
            let ids = documents(&batch).filter_map(|document| document.get_object_id("_id").ok());
            if let Some(mut counted) = self.books.counted(self.collection) {
                counted.enter(ids, self.tail_limit);
            }
        }
        let mut families = Families::default();
        if let Some(mut counted) = self.books.counted(self.collection) {
            counted.settle(at(seen_until - self.settling_time));
            families.value(self.family, counted.total() as f64);
        }
        self.books.save_counted(self.collection).await;
        Ok(families.into())
    }
}
