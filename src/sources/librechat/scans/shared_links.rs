//! Chats that can be read by a link.

use chrono::{DateTime, Utc};
use mongodb::bson::{Document, RawDocument, doc};

use crate::sources::librechat::catalogue as family;
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::documents::value::boolean;
use crate::sources::librechat::families::writer::FamilyWriter;
use crate::sources::librechat::scans::{Scan, get, time};

const EXPIRED_AT: Field = Field::at("expiredAt");
const IS_PUBLIC: Field = Field::at("isPublic");

/// Shared links that work now.
#[derive(Debug, Default)]
pub struct SharedLinks {
    now: DateTime<Utc>,
    active: u64,
}

impl Scan for SharedLinks {
    fn name(&self) -> &'static str {
        "shared_links"
    }

    fn collection(&self) -> &'static str {
        "sharedlinks"
    }

    fn projection(&self) -> Document {
        doc! { "expiredAt": 1, "isPublic": 1 }
    }

    fn begin(&mut self, now: DateTime<Utc>) {
        *self = SharedLinks { now, active: 0 };
    }

    fn add(&mut self, document: &RawDocument, malformed: &mut Malformed) {
        let expired_at = time(document, &EXPIRED_AT, malformed);
        // Older versions of LibreChat keep a link that was taken back, and say so.
        let is_public = get(document, &IS_PUBLIC, malformed)
            .and_then(|value| boolean(value, &IS_PUBLIC, malformed));
        let works = expired_at.is_none_or(|time| time > self.now) && is_public != Some(false);
        self.active += u64::from(works);
    }

    fn show(&mut self, writer: &mut FamilyWriter) {
        writer.value(&family::SHARED_LINKS_ACTIVE, self.active as f64);
    }
}
