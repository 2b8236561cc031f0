//! How much room files take.

use chrono::{DateTime, Utc};
use mongodb::bson::RawDocument;
use rustc_hash::FxHashMap;

use crate::exposition::family_writer::{Column, FamilyWriter};
use crate::exposition::labels::{Class, Label, Labels};
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::documents::transaction::amount;
use crate::sources::librechat::groups::FILE;
use crate::sources::librechat::messages::totals::Tokens;
use crate::sources::librechat::scans::{Listed, Scan, get, text};

crate::catalogue! {
    STORED_FILE_BYTES: Gauge "librechat_stored_file_bytes" ["source"] (FILE) "Bytes of the files now stored, by where they are stored.";
}

const SOURCE: Field = Field::at("source");
const BYTES: Field = Field::at("bytes");

/// This scan.
pub const SCAN: Listed = Listed::new("stored_files", "files", ALL, |_, _| Box::<Files>::default());

/// The bytes of the files now stored.
#[derive(Debug, Default)]
pub struct Files {
    labels: Labels,
    /// Numbers of bytes are added up like those of tokens.
    bytes: FxHashMap<Label, Tokens>,
}

impl Scan for Files {
    fn fields(&self) -> Vec<Field> {
        vec![SOURCE, BYTES]
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
        let column: [Column<Tokens>; 1] = [(&STORED_FILE_BYTES, |bytes| Some(bytes.as_f64()))];
        writer.table(&column, rows, |bytes| bytes.whole());
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;
    use crate::sources::librechat::scans::tests::samples;

    #[test]
    fn bytes_are_added_up_by_where_they_are_and_those_of_another_type_are_left_out() {
        let files = [
            doc! { "source": "s3", "bytes": 5 },
            doc! { "source": "s3", "bytes": 7.5 },
            doc! { "source": 3, "bytes": -1 },
            doc! { "source": "local", "bytes": "many" },
        ];
        let expected = [("local", "0"), ("s3", "12.5"), ("unknown", "0")].map(|(source, bytes)| {
            format!("librechat_stored_file_bytes{{source=\"{source}\"}} {bytes}")
        });
        assert_eq!(samples(Files::default(), &files), expected);
    }
}
