//! Chats that can be read by a link.

use chrono::{DateTime, Utc};
use mongodb::bson::RawDocument;

use crate::exposition::family_writer::FamilyWriter;
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::documents::value::boolean;
use crate::sources::librechat::groups::ACCOUNT;
use crate::sources::librechat::scans::{Listed, Scan, get, time};

crate::catalogue! {
    SHARED_LINKS_ACTIVE: Gauge "librechat_shared_links_active" [] (ACCOUNT) "Shared links that have not expired.";
}

const EXPIRED_AT: Field = Field::at("expiredAt");
const IS_PUBLIC: Field = Field::at("isPublic");

/// This scan.
pub const SCAN: Listed =
    Listed::new("shared_links", "sharedlinks", ALL, |_, _| Box::<SharedLinks>::default());

/// Shared links that work now.
#[derive(Debug, Default)]
pub struct SharedLinks {
    now: DateTime<Utc>,
    active: u64,
}

impl Scan for SharedLinks {
    fn fields(&self) -> Vec<Field> {
        vec![EXPIRED_AT, IS_PUBLIC]
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
        writer.value(&SHARED_LINKS_ACTIVE, self.active as f64);
    }
}
