//! The collectors of collections to which documents are only ever added: conversations, users, files and
//! transactions ever stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::doc;
use tracing::info;

use crate::connect::mongo::failure;
use crate::engine::collector::{Answer, Collector, Failure, Next, Refresh, Schedule};
use crate::exposition::Families;
use crate::exposition::family_writer::FamilyWriter;
use crate::exposition::series::Shown;
use crate::sources::librechat::appended::collections::{AnyCollection, Collection};
use crate::sources::librechat::appended::sums::{Appended, Sums};
use crate::sources::librechat::database::identity::{Present, present};
use crate::sources::librechat::database::store::{Store, documents, horizon};
use crate::sources::librechat::documents::object_id::at;
use crate::sources::librechat::edition::Edition;
use crate::sources::librechat::memory::Memory;

/// How long one refresh reads before it saves what it has.
const SLICE: Duration = Duration::from_secs(3);

/// Adds up the documents of a collection: those stored at the start once, then those that come.
pub struct AppendedCollector<S: Sums> {
    name: &'static str,
    store: Store,
    memory: Memory,
    collection: Arc<Collection<S>>,
    limits: Limits,
    families: FamiliesOf<S>,
    writer: FamilyWriter,
    /// An empty writer, for when the memory are begun anew.
    blank: Box<dyn Fn() -> FamilyWriter + Send + Sync>,
    /// The number of the memory to which the writer belongs.
    edition: Edition,
    began: Option<Instant>,
    /// What was last written, of which memory, sums and names.
    written: Option<((Edition, u64, u64), Families)>,
}

/// Writes the families that are made of sums.
pub type FamiliesOf<S> = Box<dyn Fn(&Appended<S>, &mut FamilyWriter) + Send + Sync>;

/// When and how much is read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From one refresh to the next.
    pub interval: Duration,
    /// How long a document may come late.
    pub settling_time: Duration,
    /// How many young documents are read again at every refresh.
    pub tail: usize,
}

impl<S: Sums> AppendedCollector<S> {
    /// A collector that enters documents in `collection` and shows the `families` made of it on a writer, which
    /// `blank` makes for what was shown before.
    pub fn new(
        name: &'static str,
        store: Store,
        memory: Memory,
        collection: Arc<Collection<S>>,
        limits: Limits,
        families: FamiliesOf<S>,
        blank: impl Fn(Shown) -> FamilyWriter + Send + Sync + 'static,
    ) -> AppendedCollector<S> {
        let shown = collection.now().shown().clone();
        AppendedCollector {
            name,
            writer: blank(shown),
            blank: Box::new(move || blank(Shown::default())),
            edition: memory.edition(),
            store,
            memory,
            collection,
            limits,
            families,
            began: None,
            written: None,
        }
    }

    /// Reads what comes after the watermark; true at its end.
    async fn read(&self, present: Present, refresh: &Refresh) -> Result<bool, Failure> {
        let began = Instant::now();
        let Present { now: mut seen_until, edition } = present;
        let collection = self.collection.name();
        let from = self.collection.at(edition)?.watermark();
        let id = doc! { "$gte": from };
        let mut cursor = self.store.find_by_id(collection, id, S::projection(), refresh).await?;
        while let Some(batch) = cursor.try_next().await.map_err(failure)? {
            refresh.count_documents(documents(&batch).count());
            seen_until = horizon(&batch).map_or(seen_until, |time| time.min(seen_until));
            let last = documents(&batch).filter_map(|d| d.get_object_id("_id").ok()).last();
            let mut counted = self.collection.at(edition)?;
            counted.enter(documents(&batch), self.limits.tail);
            let settled = at(seen_until - self.limits.settling_time);
            counted.settle(last.map_or(settled, |last| last.min(settled)));
            // The next slice begins at the watermark, so that one which did not move it would come again
            // and again.
            let young = last.is_none_or(|last| last >= settled);
            if began.elapsed() > SLICE && !young && counted.watermark() > from {
                return Ok(false);
            }
        }
        let mut counted = self.collection.at(edition)?;
        counted.settle(at(seen_until - self.limits.settling_time));
        counted.completed();
        Ok(true)
    }

    /// The families; those of the last refresh where nothing has changed since.
    fn families(&mut self) -> Result<Families, Failure> {
        let mut counted = self.collection.at(self.edition)?;
        if !counted.is_complete() {
            return Ok(Families::default());
        }
        let version = (self.edition, counted.version(), self.memory.names().version());
        if let Some((known, families)) = &self.written
            && *known == version
        {
            return Ok(families.clone());
        }
        (self.families)(&counted, &mut self.writer);
        let families = self.writer.finish().counting_since(counted.begins());
        if self.writer.shown().take_changed() {
            counted.show(self.writer.shown().shown().clone());
        }
        self.written = Some((version, families.clone()));
        Ok(families)
    }
}

#[async_trait]
impl<S: Sums> Collector for AppendedCollector<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn schedule(&self) -> Schedule {
        Schedule::every(self.limits.interval)
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let began = *self.began.get_or_insert_with(Instant::now);
        let present = present(&self.store, &self.memory, refresh).await?;
        if self.edition != present.edition {
            self.edition = present.edition;
            self.writer = (self.blank)();
        }
        let first_pass = !self.collection.at(self.edition)?.is_complete();
        let at_end = self.read(present, refresh).await?;
        if first_pass && at_end {
            let documents = self.collection.at(self.edition)?.total().documents();
            let seconds = (began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
            info!(collector = self.name, documents, seconds, "read once from the beginning");
        }
        let families = self.families()?;
        self.memory.save_counted(&*self.collection).await;
        let next = if at_end { Next::Interval } else { Next::Continue };
        Ok(Answer { families, next })
    }
}
