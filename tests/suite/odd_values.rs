//! Values that no field of LibreChat should have, and what of them may count.

use std::ops::Range;

use chrono::NaiveDate;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{
    Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, Regex, Timestamp, cstr,
    doc,
};

/// What is right in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Flag,
    Date,
    /// A date that is not in the future.
    Created,
    Count,
    /// A document or, in `content`, an array of documents, of which MongoDB leaves scalars out of what it
    /// sends.
    Feedback,
    Tag,
    Content,
    Part,
    ToolCall,
    /// Anything.
    Output,
}

/// Every field of a message that is read.
pub const FIELDS: [(&str, Kind); 22] = [
    ("messageId", Kind::Text),
    ("conversationId", Kind::Text),
    ("parentMessageId", Kind::Text),
    ("user", Kind::Text),
    ("model", Kind::Text),
    ("endpoint", Kind::Text),
    ("sender", Kind::Text),
    ("isCreatedByUser", Kind::Flag),
    ("tokenCount", Kind::Count),
    ("error", Kind::Flag),
    ("unfinished", Kind::Flag),
    ("createdAt", Kind::Created),
    ("updatedAt", Kind::Date),
    ("feedback", Kind::Feedback),
    ("feedback.rating", Kind::Text),
    ("feedback.tag", Kind::Tag),
    ("content", Kind::Content),
    ("content.0", Kind::Part),
    ("content.0.type", Kind::Text),
    ("content.0.tool_call", Kind::ToolCall),
    ("content.0.tool_call.name", Kind::Text),
    ("content.0.tool_call.output", Kind::Output),
];

/// The odd values with their names.
pub fn odd_values() -> Vec<(&'static str, Bson)> {
    let text = |text: &str| Bson::String(text.to_owned());
    let time = |millis| Bson::DateTime(DateTime::from_millis(millis));
    let bytes = |subtype, bytes: &[u8]| Bson::Binary(Binary { subtype, bytes: bytes.to_vec() });
    let regex = Regex { pattern: cstr!("^a.*").into(), options: cstr!("i").into() };
    let scope = JavaScriptCodeWithScope { code: "f()".to_owned(), scope: doc! { "a": 1 } };
    vec![
        ("missing", Bson::Undefined),
        ("null", Bson::Null),
        ("true", Bson::Boolean(true)),
        ("false", Bson::Boolean(false)),
        ("0", Bson::Int32(0)),
        ("-1", Bson::Int32(-1)),
        ("largest of 32 bits", Bson::Int32(i32::MAX)),
        ("smallest of 32 bits", Bson::Int32(i32::MIN)),
        ("0 of 64 bits", Bson::Int64(0)),
        ("-1 of 64 bits", Bson::Int64(-1)),
        ("largest of 64 bits", Bson::Int64(i64::MAX)),
        ("smallest of 64 bits", Bson::Int64(i64::MIN)),
        ("a fraction", Bson::Double(0.5)),
        ("a negative fraction", Bson::Double(-0.5)),
        ("negative zero", Bson::Double(-0.0)),
        ("the smallest fraction", Bson::Double(5e-324)),
        ("1e308", Bson::Double(1e308)),
        ("NaN", Bson::Double(f64::NAN)),
        ("infinite", Bson::Double(f64::INFINITY)),
        ("negative infinite", Bson::Double(f64::NEG_INFINITY)),
        ("a decimal", Bson::Decimal128("1.5".parse().expect("a decimal"))),
        ("no decimal", Bson::Decimal128("NaN".parse().expect("a decimal"))),
        ("a broken decimal", Bson::Decimal128(Decimal128::from_bytes([0xff; 16]))),
        ("1970", time(0)),
        ("1969", time(-1)),
        ("the year 1", time(beginning(1))),
        ("the year -1", time(beginning(-1))),
        ("the year 9999", time(beginning(9999))),
        ("the year 10000", time(beginning(10_000))),
        ("the earliest date", time(i64::MIN)),
        ("the latest date", time(i64::MAX)),
        ("a timestamp", Bson::Timestamp(Timestamp { time: u32::MAX, increment: 1 })),
        ("an id", Bson::ObjectId(ObjectId::from_bytes([7; 12]))),
        ("bytes", bytes(BinarySubtype::Generic, &[0, 159, 146, 150])),
        ("a UUID", bytes(BinarySubtype::Uuid, &[1; 16])),
        ("encrypted bytes", bytes(BinarySubtype::Encrypted, &[])),
        ("a regular expression", Bson::RegularExpression(regex)),
        ("code", Bson::JavaScriptCode("f()".to_owned())),
        ("code with scope", Bson::JavaScriptCodeWithScope(scope)),
        ("a symbol", Bson::Symbol("User".to_owned())),
        ("the least key", Bson::MinKey),
        ("the greatest key", Bson::MaxKey),
        ("an empty text", text("")),
        ("a space", text(" ")),
        ("a number as text", text("7")),
        ("User", text("User")),
        ("quotes", text("a\"b'c`d\"")),
        ("newlines", text("a\nb\r\nc\u{2028}")),
        ("backslashes", text("\\a\\n\\\"\\")),
        ("NUL", text("a\0b\0")),
        ("control characters", text("\u{1}\u{7f}\t\u{1b}[31m")),
        ("emoji", text("\u{1f469}\u{200d}\u{1f52c} \u{1f1e9}\u{1f1ea}")),
        ("right to left", text("\u{202e}abc\u{2066}")),
        ("combining characters", text(&"e\u{301}".repeat(100))),
        ("no characters", text("\u{ffff}\u{fffd}\u{feff}")),
        ("markup", text("<script>alert(1)</script>{{x}}${y}")),
        ("127 characters", text(&"ä".repeat(127))),
        ("128 characters", text(&"ö".repeat(128))),
        ("129 characters", text(&"ü".repeat(129))),
        ("100,000 characters", text(&"x".repeat(100_000))),
        ("an empty array", Bson::Array(vec![])),
        ("an array of numbers", Bson::Array(vec![1.into(), 2.into()])),
        ("an array of nulls", Bson::Array(vec![Bson::Null, Bson::Undefined])),
        ("an array of texts", Bson::Array(vec!["error".into(), "tool_call".into()])),
        ("an array of arrays", Bson::Array(vec![Bson::Array(vec![]), vec![Bson::Null].into()])),
        ("an array of empty documents", Bson::Array(vec![doc! {}.into(), doc! {}.into()])),
        ("an empty document", doc! {}.into()),
        ("a document", doc! { "a": 1, "b": { "c": [1, 2, { "d": null }] } }.into()),
        ("a document with odd keys", doc! { "": 1, "$x": 2, "a.b": 3, "é": 4 }.into()),
        ("a document with numbers as keys", doc! { "0": { "type": 1 }, "length": 3 }.into()),
        ("a deep document", deep(20)),
        ("a deep array", (0..20).fold(Bson::Null, |inner, _| Bson::Array(vec![inner]))),
    ]
}

fn deep(levels: u32) -> Bson {
    (0..levels).fold(Bson::Int32(1), |inner, _| doc! { "a": inner }.into())
}

/// The first moment of a year.
fn beginning(year: i32) -> i64 {
    let day = NaiveDate::from_ymd_opt(year, 1, 1).expect("a day");
    day.and_hms_opt(0, 0, 0).expect("midnight").and_utc().timestamp_millis()
}

fn is_date_in(years: Range<i32>, value: &Bson) -> bool {
    let times = beginning(years.start)..beginning(years.end);
    value.as_datetime().is_some_and(|time| times.contains(&time.timestamp_millis()))
}

/// Whether a value of a field of this kind counts; what does not is like a missing one.
pub fn counts(kind: Kind, value: &Bson) -> bool {
    match kind {
        Kind::Text => matches!(value, Bson::String(_)),
        Kind::Flag => matches!(value, Bson::Boolean(_)),
        Kind::Date => is_date_in(0..10_000, value),
        Kind::Created => is_date_in(0..2_026, value),
        Kind::Count => match value {
            Bson::Int32(count) => *count >= 0,
            Bson::Int64(count) => (0..1 << 53).contains(count),
            Bson::Double(count) => *count >= 0.0 && *count < (1_u64 << 53) as f64,
            _ => false,
        },
        Kind::Feedback | Kind::Part | Kind::ToolCall => matches!(value, Bson::Document(_)),
        Kind::Tag => matches!(value, Bson::String(_) | Bson::Document(_)),
        Kind::Content => matches!(value, Bson::Array(_)),
        Kind::Output => true,
    }
}

/// Whether a value that does not count is told as malformed: missing and null are no mistakes, and MongoDB
/// does not send what is no document where parts of documents are asked for.
pub fn is_malformed(kind: Kind, value: &Bson) -> bool {
    let missing = matches!(value, Bson::Null | Bson::Undefined);
    let sent = match kind {
        Kind::Content => matches!(value, Bson::Document(_)),
        Kind::Part | Kind::ToolCall => matches!(value, Bson::Array(_)),
        _ => true,
    };
    let of_parts = |part: &Bson| matches!(part, Bson::Array(_));
    match (kind, value) {
        (Kind::Content, Bson::Array(parts)) => parts.iter().any(of_parts),
        _ => !missing && sent && !counts(kind, value),
    }
}

/// Puts a value at a path; `Undefined` takes away what is there.
pub fn put(document: &mut Document, path: &str, value: Bson) {
    let Some((first, rest)) = path.split_once('.') else {
        if value == Bson::Undefined {
            document.remove(path);
        } else {
            document.insert(path, value);
        }
        return;
    };
    match document.get_mut(first) {
        Some(Bson::Document(inner)) => put(inner, rest, value),
        Some(Bson::Array(parts)) => {
            let part = rest.strip_prefix("0.");
            match (part, parts.first_mut()) {
                (Some(rest), Some(Bson::Document(part))) => put(part, rest, value),
                _ if value == Bson::Undefined => parts.clear(),
                (None, Some(part)) => *part = value,
                _ => panic!("no part at {path}"),
            }
        }
        other => panic!("{path}: {other:?}"),
    }
}
