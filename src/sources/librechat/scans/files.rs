//! How much room files take.

use chrono::{DateTime, Utc};
use mongodb::bson::{Document, RawDocument, doc};
use rustc_hash::FxHashMap;

use crate::exposition::labels::{Class, Label, Labels};
use crate::sources::librechat::catalogue as family;
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::documents::transaction::amount;
use crate::sources::librechat::families::writer::{Column, FamilyWriter};
use crate::sources::librechat::messages::totals::Tokens;
use crate::sources::librechat::scans::{Scan, get, text};

const SOURCE: Field = Field::at("source");
const BYTES: Field = Field::at("bytes");

/// The bytes of the files now stored.
#[derive(Debug, Default)]
pub struct Files {
    labels: Labels,
    /// Numbers of bytes are added up like those of tokens.
    bytes: FxHashMap<Label, Tokens>,
}

impl Scan for Files {
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
        let source = self.labels.label_or_unknown(Class::ONLY, text(document, &SOURCE, malformed));
        let bytes = get(document, &BYTES, malformed);
        let bytes = bytes.and_then(|value| amount(value, &BYTES, malformed));
        let sum = self.bytes.entry(source).or_default();
        if let Some(bytes) = bytes.filter(|bytes| bytes.is_positive) {
            *sum += bytes.size;
        }
    }

    fn show(&mut self, writer: &mut FamilyWriter) {
        let rows = self.bytes.iter();
        let rows = rows.map(|(source, bytes)| (vec![self.labels.name(*source).to_owned()], *bytes));
        let mut rows: Vec<_> = rows.collect();
        rows.sort();
        let column: [Column<Tokens>; 1] =
            [(&family::STORED_FILE_BYTES, |bytes| Some(bytes.as_f64()))];
        writer.table(&column, rows, |bytes| bytes.whole());
    }
}
