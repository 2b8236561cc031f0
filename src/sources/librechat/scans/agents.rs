//! What agents are called, and which models they ask.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use mongodb::bson::RawDocument;

use crate::exposition::family_writer::{Column, FamilyWriter};
use crate::exposition::labels::{UNKNOWN, cut};
use crate::exposition::series::Labels as Row;
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::groups::AGENT;
use crate::sources::librechat::scans::{Listed, Scan, text};

crate::catalogue! {
    AGENT_INFO: Gauge "librechat_agent_info" ["model", "name", "provider", "agent_model"] (AGENT) "Always 1; joins the name of an agent onto the label `model`, which holds its id.";
}

const ID: Field = Field::at("id");
const NAME: Field = Field::at("name");
const PROVIDER: Field = Field::at("provider");
const MODEL: Field = Field::at("model");

/// This scan.
pub const SCAN: Listed = Listed::new("agents", "agents", ALL, |_, _| Box::<Agents>::default());

/// The agents now.
#[derive(Debug, Default)]
pub struct Agents(BTreeSet<Row>);

impl Scan for Agents {
    fn fields(&self) -> Vec<Field> {
        vec![ID, NAME, PROVIDER, MODEL]
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
        let column: [Column<u64>; 1] = [(&AGENT_INFO, |_| Some(1.0))];
        writer.table(&column, self.0.iter().map(|row| (row.clone(), 1)).collect(), |count| *count);
    }
}
