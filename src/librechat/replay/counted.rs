//! Documents of a collection to which documents are only ever added, added up once more.

use std::io;
use std::sync::Arc;

use mongodb::bson::RawDocument;
use mongodb::raw_batch_cursor::RawBatch;

use super::{Recorder, Replay};
use crate::history::{Moments, Recording};
use crate::librechat::collectors::growth::FamiliesOf;
use crate::librechat::counted_book::CountedBook;
use crate::librechat::ledger::counted::Sums;
use crate::librechat::object_id::at;
use crate::librechat::sheet::Sheet;
use crate::librechat::store::documents;

/// Sums that follow the moments.
pub struct CountedReplay<S: Sums> {
    book: Arc<CountedBook<S>>,
    families: FamiliesOf<S>,
    sheet: Sheet,
    tail: usize,
    recorder: Recorder,
}

impl<S: Sums> CountedReplay<S> {
    /// A replay that enters documents in `book`, which is empty, holding at most `tail` of them one by
    /// one, and records the `families` made of it.
    ///
    /// # Errors
    ///
    /// If there can be no temporary file.
    pub fn new(
        book: Arc<CountedBook<S>>,
        families: FamiliesOf<S>,
        sheet: Sheet,
        tail: usize,
        moments: Moments,
    ) -> io::Result<CountedReplay<S>> {
        Ok(CountedReplay { book, families, sheet, tail, recorder: Recorder::new(moments)? })
    }

    fn note(&mut self) -> io::Result<()> {
        let families = {
            (self.families)(&self.book.counted(), &mut self.sheet);
            self.sheet.finish()
        };
        self.recorder.note(&families)
    }
}

fn id(document: &&RawDocument) -> Option<mongodb::bson::oid::ObjectId> {
    document.get_object_id("_id").ok()
}

impl<S: Sums> Replay for CountedReplay<S> {
    fn enter(&mut self, batch: &RawBatch) -> io::Result<()> {
        let last = documents(batch).filter_map(|document| id(&document)).last();
        let mut documents = documents(batch).filter(|d| id(d).is_some()).peekable();
        while let Some(moment) = self.recorder.next() {
            let end = at(moment);
            let before =
                std::iter::from_fn(|| documents.next_if(|d| id(d).is_some_and(|id| id < end)));
            self.book.counted().enter(before, self.tail);
            if documents.peek().is_none() {
                break;
            }
            self.note()?;
        }
        if let Some(last) = last {
            self.book.counted().settle(last);
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
