//! What is told of collections whose documents change and go, so that they are looked through now and then.
//!
//! * [`users`], [`balances`], [`sessions`], [`files`], [`agents`], [`shared_links`] and [`banners`]: what
//!   each collection is asked for, one file each;
//! * [`collectors::survey`](crate::librechat::collectors::survey) asks.

pub mod agents;
pub mod balances;
pub mod banners;
pub mod files;
pub mod sessions;
pub mod shared_links;
pub mod users;

use chrono::{DateTime, Utc};
use mongodb::bson::{Document, RawBsonRef, RawDocument};

use super::field::{Field, Malformed};
use super::sheet::Sheet;

/// What a collection is asked for.
pub trait Survey: Send {
    /// The name of its collector.
    fn name(&self) -> &'static str;

    /// The name of the collection.
    fn collection(&self) -> &'static str;

    /// The fields of documents that it needs.
    fn projection(&self) -> Document;

    /// Forgets what it was told, because all documents are read again.
    fn begin(&mut self, now: DateTime<Utc>);

    /// Adds a document.
    fn add(&mut self, document: &RawDocument, malformed: &mut Malformed);

    /// Writes its families.
    fn show(&mut self, sheet: &mut Sheet);
}

/// The value of a key; none where the bytes of the document are broken, which is noted.
fn get<'a>(
    document: &'a RawDocument,
    field: Field,
    malformed: &mut Malformed,
) -> Option<RawBsonRef<'a>> {
    super::value::value_in(document, field.name(), field, malformed)
}

/// The text of a key, where it is not empty.
fn text<'a>(document: &'a RawDocument, field: Field, malformed: &mut Malformed) -> Option<&'a str> {
    super::value::text_in(document, field.name(), field, malformed)
}

/// The time of a key.
fn time(document: &RawDocument, field: Field, malformed: &mut Malformed) -> Option<DateTime<Utc>> {
    let value = get(document, field, malformed)?;
    super::value::time(value, field, malformed)
}
