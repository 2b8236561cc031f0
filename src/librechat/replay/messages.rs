//! The messages, entered in a ledger once more.

use std::io;

use chrono::{DateTime, Utc};
use mongodb::raw_batch_cursor::RawBatch;

use super::{Recorder, Replay};
use crate::exposition::series::Shown;
use crate::history::{Moments, Recording};
use crate::librechat::document::Message;
use crate::librechat::groups::Groups;
use crate::librechat::ledger::Ledger;
use crate::librechat::object_id::at;
use crate::librechat::page::Page;
use crate::librechat::store::documents;

/// A ledger that follows the moments.
pub struct MessagesReplay {
    ledger: Ledger,
    page: Page,
    recorder: Recorder,
}

impl MessagesReplay {
    /// A replay that enters messages in `ledger` and records families of `groups`.
    ///
    /// # Errors
    ///
    /// If there can be no temporary file.
    pub fn new(
        ledger: Ledger,
        groups: &Groups,
        max_series: usize,
        moments: Moments,
    ) -> io::Result<MessagesReplay> {
        let page = Page::new(groups.clone(), max_series, Shown::default());
        Ok(MessagesReplay { ledger, page, recorder: Recorder::new(moments)? })
    }

    fn note(&mut self, moment: DateTime<Utc>) -> io::Result<()> {
        self.ledger.bring_history_to(moment);
        let families = self.page.past(&mut self.ledger, moment);
        self.recorder.note(&families)
    }
}

impl Replay for MessagesReplay {
    fn enter(&mut self, batch: &RawBatch) -> io::Result<()> {
        let mut messages = documents(batch).filter_map(Message::read).peekable();
        while let Some(moment) = self.recorder.next() {
            let end = at(moment);
            let before = std::iter::from_fn(|| messages.next_if(|message| message.id < end));
            self.ledger.enter_history(before, moment);
            if messages.peek().is_none() {
                break;
            }
            self.note(moment)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<Recording> {
        while let Some(moment) = self.recorder.next() {
            self.note(moment)?;
        }
        Ok(self.recorder.recording)
    }
}
