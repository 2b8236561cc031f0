//! What agents are called, and which models they ask.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use mongodb::bson::{Document, RawDocument, doc};

use crate::exposition::labels::{UNKNOWN, cut};
use crate::exposition::series::Labels as Row;
use crate::sources::librechat::catalogue as family;
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::families::writer::{Column, FamilyWriter};
use crate::sources::librechat::scans::{Scan, text};

const MODEL: Field = Field::at("model");
const PROVIDER: Field = Field::at("provider");
const ID: Field = Field::at("id");
const NAME: Field = Field::at("name");

/// The agents now.
#[derive(Debug, Default)]
pub struct Agents(BTreeSet<Row>);

impl Scan for Agents {
    fn name(&self) -> &'static str {
        "agents"
    }

    fn collection(&self) -> &'static str {
        "agents"
    }

    fn projection(&self) -> Document {
        doc! { "id": 1, "name": 1, "provider": 1, "model": 1 }
    }

    fn begin(&mut self, _: DateTime<Utc>) {
        self.0.clear();
    }

    fn add(&mut self, document: &RawDocument, malformed: &mut Malformed) {
        let fields = [&ID, &NAME, &PROVIDER, &MODEL];
        let [id, name, provider, model] = fields.map(|field| text(document, field, malformed));
        let Some(id) = id else { return };
        let others = [name, provider, model].map(|text| text.unwrap_or(UNKNOWN));
        let row = [id].into_iter().chain(others).map(|text| cut(text).to_owned());
        self.0.insert(row.collect());
    }

    fn show(&mut self, writer: &mut FamilyWriter) {
        let column: [Column<u64>; 1] = [(&family::AGENT_INFO, |_| Some(1.0))];
        writer.table(&column, self.0.iter().map(|row| (row.clone(), 1)).collect(), |count| *count);
    }
}
