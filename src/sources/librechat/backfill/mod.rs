//! What the metrics would have shown at earlier moments.
//!
//! Every document is read once, in the order of insertion. Whenever one lies after the next moment, the
//! families are made of those before it. So a value is what an exporter would have shown that was first
//! started at that moment: what was deleted or corrected since is not known any more.
//!
//! * [`messages`] and [`appended`]: what documents are entered in;
//! * here: reading the collections side by side.

pub mod appended;
pub mod messages;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use mongodb::bson::{Document, doc};
use mongodb::raw_batch_cursor::RawBatch;
use prometheus::IntCounter;
use tokio::sync::mpsc;
use tracing::warn;

use crate::backfill::{Error, Moments, Recording, Request};
use crate::connect::mongo::failure;
use crate::engine::collector::{Collector, Failure, Refresh};
use crate::exposition::Families;
use crate::exposition::series::Shown;
use crate::sources::librechat::appended::collections::{AnyCollection, Collection};
use crate::sources::librechat::appended::sums::Sums;
use crate::sources::librechat::backfill::appended::AppendedReplay;
use crate::sources::librechat::backfill::messages::MessagesReplay;
use crate::sources::librechat::collectors::appended::FamiliesOf;
use crate::sources::librechat::collectors::scan::ScanCollector;
use crate::sources::librechat::database::store::{BATCH_SIZE, Store, documents, must_reach};
use crate::sources::librechat::documents::message::projection;
use crate::sources::librechat::documents::object_id::{at, time_of};
use crate::sources::librechat::scans::users;
use crate::sources::librechat::settings::NamedBy;
use crate::sources::librechat::{LibreChat, MakeOfCounted};

/// How long MongoDB may work for one collection.
const DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// How many answers of MongoDB may wait until they are entered.
const ANSWERS_WAITING: usize = 2;

/// Documents of one collection, entered in the order of `_id`.
pub trait Replay: Send + Sync {
    /// Enters documents, after noting what the families were at the moments that they pass.
    ///
    /// # Errors
    ///
    /// If the recording cannot be written.
    fn enter(&mut self, batch: &RawBatch) -> io::Result<()>;

    /// What was recorded, after all documents have been entered.
    ///
    /// # Errors
    ///
    /// If the recording cannot be written.
    fn finish(self: Box<Self>) -> io::Result<Recording>;
}

/// A replay, and what is read for it.
struct Reading {
    collection: &'static str,
    projection: Document,
    replay: Box<dyn Replay>,
}

impl LibreChat {
    /// What the metrics would have shown at the moments of `request`. The documents are counted in
    /// `documents_read`; `entered` is told how many have come, and of about how many.
    ///
    /// # Errors
    ///
    /// If the database does not answer or refuses, or there is no room for a temporary file.
    pub(super) async fn look_back(
        &self,
        request: &Request,
        documents_read: IntCounter,
        entered: &(dyn Fn(usize, u64) + Sync),
    ) -> Result<Vec<Recording>, Error> {
        let now = self.store.now();
        let refresh = Refresh::new(DEADLINE, documents_read);
        if self.settings.per_user == Some(NamedBy::Email) {
            self.name_people(&refresh).await?;
        }
        let moments = self.moments(request, now, &refresh).await?;
        let Some(last) = moments.clone().last() else {
            warn!("nothing is told: {moments}");
            return Ok(Vec::new());
        };
        let readings = self.readings(&moments, last)?;
        let mut expected = 0;
        for reading in &readings {
            expected += self.store.count(reading.collection, &refresh).await?;
        }
        let readings = readings.into_iter().map(|reading| {
            let entered = |count| entered(count, expected);
            read(&self.store, reading, last, &refresh, entered)
        });
        try_join_all(readings).await
    }

    async fn moments(
        &self,
        request: &Request,
        now: DateTime<Utc>,
        refresh: &Refresh,
    ) -> Result<Moments, Failure> {
        let timezone = self.general.timezone;
        let day = |time: DateTime<Utc>| time.with_timezone(&timezone).date_naive();
        let from = match request.from {
            Some(from) => from,
            None => {
                let mut first = now;
                for collection in ["messages", "conversations", "users", "files", "transactions"] {
                    let id = self.store.first_id(collection, refresh).await?;
                    first = id.map_or(first, |id| first.min(time_of(id)));
                }
                day(first)
            }
        };
        let to = request.to.unwrap_or(day(now));
        Ok(Moments::new(from, to, request.step, timezone, now))
    }

    fn readings(&self, moments: &Moments, last: DateTime<Utc>) -> io::Result<Vec<Reading>> {
        let counted = self.each_counted(&ReplayOf { source: self, moments });
        let mut readings: Vec<Reading> = counted.into_iter().collect::<io::Result<_>>()?;
        if self.history_needed {
            let replay = MessagesReplay::new(
                self.memory.ledger_of_past(at(last)),
                &self.settings.groups,
                self.general.max_series,
                moments.clone(),
            )?;
            readings.push(Reading {
                collection: "messages",
                projection: projection(&self.settings.groups),
                replay: Box::new(replay),
            });
        }
        Ok(readings)
    }

    /// Finds out how people are called who are shown by name.
    async fn name_people(&self, refresh: &Refresh) -> Result<(), Failure> {
        let LibreChat { settings, store, memory, .. } = self;
        let scan = (users::SCAN.make)(settings, memory);
        let writer = self.writer(Shown::default());
        let interval = settings.account_interval;
        ScanCollector::new(store.clone(), interval, &users::SCAN, scan, writer)
            .refresh(refresh)
            .await
            .map(|_| ())
    }
}

/// Replays of the collections whose documents are added up.
struct ReplayOf<'a> {
    source: &'a LibreChat,
    moments: &'a Moments,
}

impl MakeOfCounted for ReplayOf<'_> {
    type Made = io::Result<Reading>;

    fn make<S: Sums>(
        &self,
        _: &'static str,
        collection: &Arc<Collection<S>>,
        families: FamiliesOf<S>,
    ) -> io::Result<Reading> {
        let writer = self.source.writer(Shown::default());
        let tail = self.source.settings.tail_limit;
        let replay = AppendedReplay::new(
            Arc::clone(collection),
            families,
            writer,
            tail,
            self.moments.clone(),
        )?;
        Ok(Reading {
            collection: collection.name(),
            projection: S::projection(),
            replay: Box::new(replay),
        })
    }
}

/// Reads a collection to its end, entering one answer while MongoDB works on the next.
async fn read(
    store: &Store,
    reading: Reading,
    last: DateTime<Utc>,
    refresh: &Refresh,
    entered: impl Fn(usize),
) -> Result<Recording, Error> {
    let Reading { collection, projection, mut replay } = reading;
    let (sender, mut answers) = mpsc::channel::<RawBatch>(ANSWERS_WAITING);
    let entering = tokio::task::spawn_blocking(move || {
        while let Some(batch) = answers.blocking_recv() {
            replay.enter(&batch)?;
        }
        replay.finish()
    });
    let id = doc! { "$lt": at(last) };
    let mut cursor = store.find_by_id_in(BATCH_SIZE, collection, id, projection, refresh).await?;
    while let Some(batch) = cursor.try_next().await.map_err(failure)? {
        must_reach(last, &batch)?;
        let count = documents(&batch).count();
        refresh.count_documents(count);
        entered(count);
        if sender.send(batch).await.is_err() {
            // The entering has ended, and tells why.
            break;
        }
    }
    drop(sender);
    Ok(entering.await??)
}

/// The moments that are still to come, and what was recorded of those before.
struct Recorder {
    moments: std::iter::Peekable<Moments>,
    recording: Recording,
}

impl Recorder {
    fn new(moments: Moments) -> io::Result<Recorder> {
        let recording = Recording::new(moments.clone())?;
        Ok(Recorder { moments: moments.peekable(), recording })
    }

    /// The next moment.
    fn next(&mut self) -> Option<DateTime<Utc>> {
        self.moments.peek().copied()
    }

    /// Notes what the families are at the next moment.
    fn note(&mut self, families: &Families) -> io::Result<()> {
        match self.moments.next() {
            Some(moment) => self.recording.note(moment, families),
            None => Ok(()),
        }
    }
}
