//! What users are told on top of every page.

use chrono::{DateTime, Utc};
use mongodb::bson::{Document, RawDocument, doc};

use crate::sources::librechat::catalogue as family;
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::families::writer::FamilyWriter;
use crate::sources::librechat::scans::{Scan, time};

const DISPLAY_FROM: Field = Field::at("displayFrom");
const DISPLAY_TO: Field = Field::at("displayTo");

/// Banners that are displayed now.
#[derive(Debug, Default)]
pub struct Banners {
    now: DateTime<Utc>,
    active: u64,
}

impl Scan for Banners {
    fn name(&self) -> &'static str {
        "banners"
    }

    fn collection(&self) -> &'static str {
        "banners"
    }

    fn projection(&self) -> Document {
        doc! { "displayFrom": 1, "displayTo": 1 }
    }

    fn begin(&mut self, now: DateTime<Utc>) {
        *self = Banners { now, active: 0 };
    }

    fn add(&mut self, document: &RawDocument, malformed: &mut Malformed) {
        let from = time(document, &DISPLAY_FROM, malformed);
        let to = time(document, &DISPLAY_TO, malformed);
        let displayed =
            from.is_some_and(|from| from <= self.now) && to.is_none_or(|to| to >= self.now);
        self.active += u64::from(displayed);
    }

    fn show(&mut self, writer: &mut FamilyWriter) {
        writer.value(&family::BANNERS_ACTIVE, self.active as f64);
    }
}
