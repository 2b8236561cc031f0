//! The collectors of collections to which documents are only ever added: conversations, users, files and
//! transactions ever stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::doc;
use tracing::info;

use crate::collector::{Answer, Collector, Failure, Next, Refresh, Schedule};
use crate::exposition::Families;
use crate::exposition::series::Shown;
use crate::librechat::books::Books;
use crate::librechat::counted_book::{CountedBook, CountedCollection};
use crate::librechat::data_set::present;
use crate::librechat::ledger::counted::{Counted, Sums};
use crate::librechat::object_id::at;
use crate::librechat::sheet::Sheet;
use crate::librechat::store::{Store, documents, horizon};
use crate::mongo::failure;

/// How long one refresh reads before it saves what it has.
const SLICE: Duration = Duration::from_secs(3);

/// Adds up the documents of a collection: those stored at the start once, then those that come.
pub struct Growth<S: Sums> {
    name: &'static str,
    store: Store,
    books: Books,
    book: Arc<CountedBook<S>>,
    limits: Limits,
    families: FamiliesOf<S>,
    sheet: Sheet,
    /// An empty sheet, for when the books are begun anew.
    blank: Box<dyn Fn() -> Sheet + Send + Sync>,
    /// The number of the books to which the sheet belongs.
    edition: u64,
    began: Option<Instant>,
    /// What was last written, of which books, sums and names.
    written: Option<((u64, u64, u64), Families)>,
}

/// Writes the families that are made of sums.
pub type FamiliesOf<S> = Box<dyn Fn(&Counted<S>, &mut Sheet) + Send + Sync>;

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

impl<S: Sums> Growth<S> {
    /// A collector that enters documents in `book` and shows the `families` made of it on a sheet, which
    /// `blank` makes for what was shown before.
    pub fn new(
        name: &'static str,
        store: Store,
        books: Books,
        book: Arc<CountedBook<S>>,
        limits: Limits,
        families: FamiliesOf<S>,
        blank: impl Fn(Shown) -> Sheet + Send + Sync + 'static,
    ) -> Growth<S> {
        let shown = book.counted().shown().clone();
        Growth {
            name,
            sheet: blank(shown),
            blank: Box::new(move || blank(Shown::default())),
            edition: books.edition(),
            store,
            books,
            book,
            limits,
            families,
            began: None,
            written: None,
        }
    }

    /// Reads what comes after the watermark; true at its end.
    async fn read(&self, refresh: &Refresh) -> Result<bool, Failure> {
        let began = Instant::now();
        let mut seen_until = present(&self.store, &self.books, refresh).await?;
        let edition = self.books.edition();
        let collection = self.book.collection();
        let from = self.book.counted().watermark();
        let id = doc! { "$gte": from };
        let mut cursor = self.store.find_by_id(collection, id, S::projection(), refresh).await?;
        while let Some(batch) = cursor.try_next().await.map_err(failure)? {
            self.books.check(edition)?;
            refresh.count_documents(documents(&batch).count());
            seen_until = horizon(&batch).map_or(seen_until, |time| time.min(seen_until));
            let last = documents(&batch).filter_map(|d| d.get_object_id("_id").ok()).last();
            let mut counted = self.book.counted();
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
        // Books that were begun anew meanwhile have yet to be read.
        self.books.check(edition)?;
        let mut counted = self.book.counted();
        counted.settle(at(seen_until - self.limits.settling_time));
        counted.completed();
        Ok(true)
    }

    /// The families; those of the last refresh where nothing has changed since.
    fn families(&mut self) -> Families {
        let mut counted = self.book.counted();
        if !counted.is_complete() {
            return Families::default();
        }
        let version = (self.edition, counted.version(), self.books.names().version());
        if let Some((known, families)) = &self.written
            && *known == version
        {
            return families.clone();
        }
        (self.families)(&counted, &mut self.sheet);
        let families = self.sheet.finish().counting_since(counted.begins());
        if self.sheet.shown().take_changed() {
            counted.show(self.sheet.shown().shown().clone());
        }
        self.written = Some((version, families.clone()));
        families
    }
}

#[async_trait]
impl<S: Sums> Collector for Growth<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn schedule(&self) -> Schedule {
        Schedule::every(self.limits.interval)
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let began = *self.began.get_or_insert_with(Instant::now);
        let first_pass = !self.book.counted().is_complete();
        let at_end = self.read(refresh).await?;
        if self.edition != self.books.edition() {
            self.edition = self.books.edition();
            self.sheet = (self.blank)();
        }
        if first_pass && at_end {
            let documents = self.book.counted().total().documents();
            let seconds = (began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
            info!(collector = self.name, documents, seconds, "read once from the beginning");
        }
        let families = self.families();
        self.books.save_counted(&*self.book).await;
        let next = if at_end { Next::Interval } else { Next::Continue };
        Ok(Answer { families, next })
    }
}
