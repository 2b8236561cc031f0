//! What is told of collections whose documents change and go, so that they are looked through now and then.
//!
//! * [`users`], [`balances`], [`sessions`], [`files`], [`agents`], [`shared_links`] and [`banners`]: what
//!   each collection is asked for, one file each;
//! * [`collectors::scan`](crate::sources::librechat::collectors::scan) asks.

pub mod agents;
pub mod balances;
pub mod banners;
pub mod files;
pub mod sessions;
pub mod shared_links;
pub mod users;

use chrono::{DateTime, Utc};
use mongodb::bson::{Document, RawBsonRef, RawDocument};

use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::families::writer::FamilyWriter;

/// What a collection is asked for.
pub trait Scan: Send {
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
    fn show(&mut self, writer: &mut FamilyWriter);
}

/// The value of a key; none where the bytes of the document are broken, which is noted.
fn get<'a>(
    document: &'a RawDocument,
    field: &Field,
    malformed: &mut Malformed,
) -> Option<RawBsonRef<'a>> {
    crate::sources::librechat::documents::value::value_in(document, field.path(), field, malformed)
}

/// The text of a key, where it is not empty.
fn text<'a>(
    document: &'a RawDocument,
    field: &Field,
    malformed: &mut Malformed,
) -> Option<&'a str> {
    crate::sources::librechat::documents::value::text_in(document, field.path(), field, malformed)
}

/// The time of a key.
fn time(document: &RawDocument, field: &Field, malformed: &mut Malformed) -> Option<DateTime<Utc>> {
    let value = get(document, field, malformed)?;
    crate::sources::librechat::documents::value::time(value, field, malformed)
}
