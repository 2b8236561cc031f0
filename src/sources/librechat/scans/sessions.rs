//! Who is logged in.

use chrono::{DateTime, Utc};
use mongodb::bson::{Document, RawDocument, doc};

use crate::sources::librechat::catalogue as family;
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::families::writer::FamilyWriter;
use crate::sources::librechat::scans::{Scan, time};

const EXPIRATION: Field = Field::at("expiration");

/// Sessions that have not expired.
#[derive(Debug, Default)]
pub struct Sessions {
    now: DateTime<Utc>,
    active: u64,
}

impl Scan for Sessions {
    fn name(&self) -> &'static str {
        "sessions"
    }

    fn collection(&self) -> &'static str {
        "sessions"
    }

    fn projection(&self) -> Document {
        doc! { "expiration": 1 }
    }

    fn begin(&mut self, now: DateTime<Utc>) {
        *self = Sessions { now, active: 0 };
    }

    fn add(&mut self, document: &RawDocument, malformed: &mut Malformed) {
        let expires = time(document, &EXPIRATION, malformed);
        self.active += u64::from(expires.is_some_and(|expires| expires > self.now));
    }

    fn show(&mut self, writer: &mut FamilyWriter) {
        writer.value(&family::ACTIVE_SESSIONS, self.active as f64);
    }
}
