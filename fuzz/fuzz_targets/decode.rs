//! What becomes of any bytes that MongoDB might send as a message.

use chrono::{DateTime, TimeDelta};
use chrono_tz::Tz;
use mongodb::bson::RawDocument;
use mongodb::bson::oid::ObjectId;
use usage_exporter::exposition::series::Shown;
use usage_exporter::sources::librechat::days::{Days, Reach};
use usage_exporter::sources::librechat::documents::field::Malformed;
use usage_exporter::sources::librechat::documents::message::Message;
use usage_exporter::sources::librechat::documents::transaction::Transaction;
use usage_exporter::sources::librechat::families::messages::MessageFamilies;
use usage_exporter::sources::librechat::groups::Groups;
use usage_exporter::sources::librechat::messages::saved::Saved;
use usage_exporter::sources::librechat::messages::totals::Tokens;
use usage_exporter::sources::librechat::messages::{Ledger, Limits};
use usage_exporter::sources::librechat::scans::Scan;
use usage_exporter::sources::librechat::scans::agents::Agents;
use usage_exporter::sources::librechat::scans::balances::Balances;
use usage_exporter::sources::librechat::scans::banners::Banners;
use usage_exporter::sources::librechat::scans::files::Files;
use usage_exporter::sources::librechat::scans::sessions::Sessions;
use usage_exporter::sources::librechat::scans::shared_links::SharedLinks;

/// When MongoDB stored the message.
const STORED: u32 = 1_770_000_000;

/// Reads the bytes as the fields of a message, of a transaction and of a document of each collection that is
/// looked through.
pub fn decode(fields: &[u8]) {
    read_as_others(&document(fields));
    with_message(fields, |message| {
        assert_eq!(message.id.timestamp().timestamp_millis(), i64::from(STORED) * 1_000);
        assert!(message.tokens.as_f64() < (1_u64 << 53) as f64);
    });
}

/// Takes the message through everything that is done with one: read as young, shown, settled and shown
/// again.
pub fn count(fields: &[u8]) {
    with_message(fields, enter);
}

fn read_as_others(document: &[u8]) {
    let Ok(document) = RawDocument::from_bytes(document) else { return };
    let transaction = Transaction::read(document);
    assert!(transaction.amount.size <= Tokens::MAX && transaction.value.size <= Tokens::MAX);
    let scans: [&mut dyn Scan; 6] = [
        &mut Balances::default(),
        &mut Sessions::default(),
        &mut Files::default(),
        &mut Agents::default(),
        &mut SharedLinks::default(),
        &mut Banners::default(),
    ];
    for scan in scans {
        scan.add(document, &mut Malformed::default());
    }
}

fn with_message(fields: &[u8], check: impl FnOnce(Message<'_>)) {
    let document = document(fields);
    if let Ok(document) = RawDocument::from_bytes(&document)
        && let Some(message) = Message::read(document)
    {
        check(message);
    }
}

fn enter(message: Message<'_>) {
    let stored = DateTime::from_timestamp(STORED.into(), 0).unwrap_or_default();
    let limits = Limits { settling_time: std::time::Duration::from_secs(900), tail: 1_000 };
    let mut ledger = Ledger::new(
        limits,
        Saved::new(false),
        Days::new(Tz::UTC, Reach { statistics: 30, people: 60 }),
    );
    let mut page = MessageFamilies::new(Groups::all(), 1_000, Shown::default());
    ledger.begin_read(stored);
    ledger.enter_read([message], stored);
    for now in [stored, stored + TimeDelta::days(2)] {
        ledger.end_read(now);
        page.families(&mut ledger, now);
        let total = ledger.total();
        assert_eq!(total.messages, 1);
        assert!(
            total.input_tokens.as_f64().is_finite() && total.output_tokens.as_f64().is_finite()
        );
    }
}

/// A document with an `_id` and these bytes after it.
fn document(fields: &[u8]) -> Vec<u8> {
    let id = ObjectId::from_parts(STORED, [1; 5], [0, 0, 1]).bytes();
    let mut document = [&[0; 4][..], b"\x07_id\0", &id, fields, &[0]].concat();
    let length = i32::try_from(document.len()).unwrap_or(i32::MAX).to_le_bytes();
    document[..4].copy_from_slice(&length);
    document
}
