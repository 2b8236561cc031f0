//! Who is logged in.

use chrono::{DateTime, Utc};
use mongodb::bson::RawDocument;

use crate::exposition::family_writer::FamilyWriter;
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::groups::ACCOUNT;
use crate::sources::librechat::scans::{Listed, Scan, time};

crate::catalogue! {
    ACTIVE_SESSIONS: Gauge "librechat_active_sessions" [] (ACCOUNT) "Sessions that have not expired.";
}

const EXPIRATION: Field = Field::at("expiration");

/// This scan.
pub const SCAN: Listed =
    Listed::new("sessions", "sessions", ALL, |_, _| Box::<Sessions>::default());

/// Sessions that have not expired.
#[derive(Debug, Default)]
pub struct Sessions {
    now: DateTime<Utc>,
    active: u64,
}

impl Scan for Sessions {
    fn fields(&self) -> Vec<Field> {
        vec![EXPIRATION]
    }

    fn begin(&mut self, now: DateTime<Utc>) {
        *self = Sessions { now, active: 0 };
    }

    fn add(&mut self, document: &RawDocument, malformed: &mut Malformed) {
        let expires = time(document, &EXPIRATION, malformed);
        self.active += u64::from(expires.is_some_and(|expires| expires > self.now));
    }

    fn show(&mut self, writer: &mut FamilyWriter) {
        writer.value(&ACTIVE_SESSIONS, self.active as f64);
    }
}
