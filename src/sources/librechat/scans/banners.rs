//! What users are told on top of every page.

use chrono::{DateTime, Utc};
use mongodb::bson::RawDocument;

use crate::exposition::family_writer::FamilyWriter;
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::groups::ACCOUNT;
use crate::sources::librechat::scans::{Listed, Scan, time};

crate::catalogue! {
    BANNERS_ACTIVE: Gauge "librechat_banners_active" [] (ACCOUNT) "Banners that are displayed now.";
}

const DISPLAY_FROM: Field = Field::at("displayFrom");
const DISPLAY_TO: Field = Field::at("displayTo");

/// This scan.
pub const SCAN: Listed = Listed::new("banners", "banners", ALL, |_, _| Box::<Banners>::default());

/// Banners that are displayed now.
#[derive(Debug, Default)]
pub struct Banners {
    now: DateTime<Utc>,
    active: u64,
}

impl Scan for Banners {
    fn fields(&self) -> Vec<Field> {
        vec![DISPLAY_FROM, DISPLAY_TO]
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
        writer.value(&BANNERS_ACTIVE, self.active as f64);
    }
}
