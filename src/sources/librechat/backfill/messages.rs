//! The messages, entered in a ledger once more.

use std::io;

use chrono::{DateTime, Utc};
use mongodb::raw_batch_cursor::RawBatch;

use crate::backfill::{Moments, Recording};
use crate::exposition::series::Shown;
use crate::sources::librechat::backfill::{Recorder, Replay};
use crate::sources::librechat::database::store::documents;
use crate::sources::librechat::documents::message::Message;
use crate::sources::librechat::documents::object_id::at;
use crate::sources::librechat::families::messages::MessageFamilies;
use crate::sources::librechat::groups::Groups;
use crate::sources::librechat::messages::Ledger;

/// A ledger that follows the moments.
pub struct MessagesReplay {
    ledger: Ledger,
    page: MessageFamilies,
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
        let page = MessageFamilies::new(groups.clone(), max_series, Shown::default());
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
