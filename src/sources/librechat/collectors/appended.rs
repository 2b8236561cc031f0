//! The collectors of collections to which documents are only ever added: conversations, users, files and
//! transactions ever stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt;
use mongodb::bson::doc;
use tracing::{info, warn};

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

/// How far the clocks of LibreChat and MongoDB may differ without a word.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(5);

/// Adds up the documents of a collection: those stored at the start once, then those that come.
pub struct AppendedCollector<S: Sums> {
    name: &'static str,
    store: Store,
    memory: Memory,
    collection: Arc<Collection<S>>,
    limits: Limits,
    families: FamiliesOf<S>,
    writer: FamilyWriter,
    /// An empty writer, for when the memory begins anew.
    blank: Box<dyn Fn() -> FamilyWriter + Send + Sync>,
    /// The number of the memory to which the writer belongs.
    edition: Edition,
    began: Option<Instant>,
    clock: ClockOfOthers,
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

/// The clock of whoever makes `_id`, which is LibreChat for some collections, as far as it can be told.
#[derive(Debug, Default)]
struct ClockOfOthers {
    /// When everything stored had been read.
    looked_at: Option<DateTime<Utc>>,
    /// Whether it was told that it differs.
    told: bool,
}

impl ClockOfOthers {
    /// Warns once where documents have come with an `_id` of long before the last look, or of the future.
    fn look(
        &mut self,
        collection: &str,
        new: Option<(DateTime<Utc>, DateTime<Utc>)>,
        now: DateTime<Utc>,
    ) {
        let (Some(looked_at), Some((first, last))) = (self.looked_at, new) else { return };
        let behind = looked_at - first;
        let ahead = last - now;
        let minutes = behind.max(ahead).num_minutes();
        if behind.max(ahead) > CLOCKS_DIFFER && !std::mem::replace(&mut self.told, true) {
            let direction = if behind > ahead { "behind" } else { "ahead of" };
            warn!(
                collection,
                minutes,
                "documents came whose `_id` is {minutes} minutes {direction} the present: is the clock of \
                 LibreChat wrong, or was something imported?"
            );
        }
    }
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
            clock: ClockOfOthers::default(),
            written: None,
        }
    }

    /// Reads what comes after the watermark; true at its end.
    async fn read(&mut self, present: Present, refresh: &Refresh) -> Result<bool, Failure> {
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
            let new = counted.enter(documents(&batch), self.limits.tail, seen_until);
            let settled = at(seen_until - self.limits.settling_time);
            counted.follow(seen_until, self.limits.settling_time, last);
            self.clock.look(collection, new, present.now);
            // The next slice begins at the watermark, so that one which did not move it would come again
            // and again.
            let young = last.is_none_or(|last| last >= settled);
            if began.elapsed() > SLICE && !young && counted.watermark() > from {
                return Ok(false);
            }
        }
        let mut counted = self.collection.at(edition)?;
        counted.follow(seen_until, self.limits.settling_time, None);
        counted.completed();
        self.clock.looked_at = Some(present.now);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ_are_told_once() {
        let now = DateTime::from_timestamp(1_770_000_000, 0).expect("a time");
        let minutes = |minutes| now + TimeDelta::minutes(minutes);
        let told = |new: [i64; 2], looked_at: Option<i64>| {
            let mut clock =
                ClockOfOthers { looked_at: looked_at.map(minutes), ..ClockOfOthers::default() };
            clock.look("users", Some((minutes(new[0]), minutes(new[1]))), now);
            clock.told
        };
        assert!(!told([-60, -1], None), "the first look finds what is old");
        assert!(!told([-4, 1], Some(-1)));
        assert!(told([-20, -20], Some(-1)), "behind");
        assert!(told([0, 20], Some(-1)), "ahead");
        assert!(!told([-50, 0], Some(-60)), "there was no look for an hour");
    }
}
