//! Reading one value of a document. Missing and null are no mistakes; what has another type or range is
//! noted as malformed and counts as missing.

use chrono::{DateTime, Datelike, Utc};
use mongodb::bson::{RawBsonRef, RawDocument};

use crate::sources::librechat::documents::field::{Field, Malformed};

/// The value of a key of a part of a document; none where the bytes are broken, which is noted.
pub fn value_in<'a>(
    document: &'a RawDocument,
    key: &str,
    field: &Field,
    malformed: &mut Malformed,
) -> Option<RawBsonRef<'a>> {
    document.get(key).unwrap_or_else(|_| {
        malformed.note(field);
        None
    })
}

/// The text of a key of a part of a document, where it is not empty.
pub fn text_in<'a>(
    document: &'a RawDocument,
    key: &str,
    field: &Field,
    malformed: &mut Malformed,
) -> Option<&'a str> {
    value_in(document, key, field, malformed).and_then(|value| text(value, field, malformed))
}

/// A text that is not empty.
pub fn text<'a>(
    value: RawBsonRef<'a>,
    field: &Field,
    malformed: &mut Malformed,
) -> Option<&'a str> {
    match value {
        RawBsonRef::String(text) => Some(text).filter(|text| !text.is_empty()),
        RawBsonRef::Null | RawBsonRef::Undefined => None,
        _ => {
            malformed.note(field);
            None
        }
    }
}

/// A boolean.
pub fn boolean(value: RawBsonRef<'_>, field: &Field, malformed: &mut Malformed) -> Option<bool> {
    match value {
        RawBsonRef::Boolean(value) => Some(value),
        RawBsonRef::Null | RawBsonRef::Undefined => None,
        _ => {
            malformed.note(field);
            None
        }
    }
}

/// A date of a year with at most four digits. Times near the end of what a date can hold have no local
/// time in some zones.
pub fn time(
    value: RawBsonRef<'_>,
    field: &Field,
    malformed: &mut Malformed,
) -> Option<DateTime<Utc>> {
    let time = match value {
        RawBsonRef::Null | RawBsonRef::Undefined => return None,
        RawBsonRef::DateTime(time) => DateTime::from_timestamp_millis(time.timestamp_millis())
            .filter(|time| (0..=9999).contains(&time.year())),
        _ => None,
    };
    if time.is_none() {
        malformed.note(field);
    }
    time
}
