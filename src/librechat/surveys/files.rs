//! How much room files take.

use chrono::{DateTime, Utc};
use mongodb::bson::{Document, RawDocument, doc};
use rustc_hash::FxHashMap;

use super::{Survey, get, text};
use crate::librechat::catalogue as family;
use crate::librechat::field::{Field, Malformed};
use crate::librechat::ledger::labels::{Label, Labels};
use crate::librechat::ledger::tally::Tokens;
use crate::librechat::sheet::{Column, Sheet};
use crate::librechat::transaction::amount;

/// The bytes of the files now stored.
#[derive(Debug, Default)]
pub struct Files {
    labels: Labels,
    /// Numbers of bytes are added up like those of tokens.
    bytes: FxHashMap<Label, Tokens>,
}

impl Survey for Files {
    fn name(&self) -> &'static str {
        "stored_files"
    }

    fn collection(&self) -> &'static str {
        "files"
    }

    fn projection(&self) -> Document {
        doc! { "source": 1, "bytes": 1 }
    }

    fn begin(&mut self, _: DateTime<Utc>) {
        *self = Files::default();
    }

    fn add(&mut self, document: &RawDocument, malformed: &mut Malformed) {
        let source = self.labels.label_or_unknown(text(document, Field::FileSource, malformed));
        let bytes = get(document, Field::FileBytes, malformed);
        let bytes = bytes.and_then(|value| amount(value, Field::FileBytes, malformed));
        let sum = self.bytes.entry(source).or_default();
        if let Some(bytes) = bytes.filter(|bytes| bytes.is_positive) {
            *sum += bytes.size;
        }
    }

    fn show(&mut self, sheet: &mut Sheet) {
        let rows = self.bytes.iter();
        let rows = rows.map(|(source, bytes)| (vec![self.labels.name(*source).to_owned()], *bytes));
        let mut rows: Vec<_> = rows.collect();
        rows.sort();
        let column: [Column<Tokens>; 1] =
            [(&family::STORED_FILE_BYTES, |bytes| Some(bytes.as_f64()))];
        sheet.table(&column, rows, |bytes| bytes.whole());
    }
}
