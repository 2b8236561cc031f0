//! Documents of a collection to which documents are only ever added, added up once more.

use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use mongodb::bson::RawDocument;
use mongodb::raw_batch_cursor::RawBatch;

use crate::backfill::{Moments, Recording};
use crate::exposition::family_writer::FamilyWriter;
use crate::sources::librechat::appended::collections::Collection;
use crate::sources::librechat::appended::sums::Sums;
use crate::sources::librechat::backfill::{Recorder, Replay};
use crate::sources::librechat::collectors::appended::FamiliesOf;
use crate::sources::librechat::database::store::documents;
use crate::sources::librechat::documents::object_id::at;

/// Sums that follow the moments.
pub struct AppendedReplay<S: Sums> {
    collection: Arc<Collection<S>>,
    families: FamiliesOf<S>,
    writer: FamilyWriter,
    tail: usize,
    recorder: Recorder,
}

impl<S: Sums> AppendedReplay<S> {
    /// A replay that enters documents in `collection`, which is empty, holding at most `tail` of them one by
    /// one, and records the `families` made of it.
    ///
    /// # Errors
    ///
    /// If there can be no temporary file.
    pub fn new(
        collection: Arc<Collection<S>>,
        families: FamiliesOf<S>,
        writer: FamilyWriter,
        tail: usize,
        moments: Moments,
    ) -> io::Result<AppendedReplay<S>> {
        Ok(AppendedReplay { collection, families, writer, tail, recorder: Recorder::new(moments)? })
    }

    fn note(&mut self) -> io::Result<()> {
        let families = {
            (self.families)(&self.collection.now(), &mut self.writer);
            self.writer.finish()
        };
        self.recorder.note(&families)
    }
}

fn id(document: &&RawDocument) -> Option<mongodb::bson::oid::ObjectId> {
    document.get_object_id("_id").ok()
}

impl<S: Sums> Replay for AppendedReplay<S> {
    fn enter(&mut self, batch: &RawBatch) -> io::Result<()> {
        let last = documents(batch).filter_map(|document| id(&document)).last();
        let mut documents = documents(batch).filter(|d| id(d).is_some()).peekable();
        while let Some(moment) = self.recorder.next() {
            let end = at(moment);
            let before =
                std::iter::from_fn(|| documents.next_if(|d| id(d).is_some_and(|id| id < end)));
            self.collection.now().enter(before, self.tail, DateTime::<Utc>::MAX_UTC);
            if documents.peek().is_none() {
                break;
            }
            self.note()?;
        }
        if let Some(last) = last {
            self.collection.now().settle(last);
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<Recording> {
        while self.recorder.next().is_some() {
            self.note()?;
        }
        Ok(self.recorder.recording)
    }
}
