//! How what earlier versions saved becomes what this one reads.
//!
//! Version 1 called totals a tally, named malformed fields by words of the program, kept ids of messages whole,
//! and kept label values of all classes in one list. In version 2 a field is its path, an id is its hash, and a label
//! value tells of which classes it is. Label values keep their numbers. Version 3 knows young documents by a hash and
//! not by a checksum, and some messages after the watermark that are sealed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::exposition::labels::Class;
use crate::sources::librechat::documents::classes::{ENDPOINT, MODEL, OCCASION, TAG, TOOL, USER};
use crate::sources::librechat::documents::id_hash::IdHash;

/// What version 1 called the fields that can be malformed.
const FIELDS: [(&str, &str); 30] = [
    ("MessageId", "messageId"),
    ("ConversationId", "conversationId"),
    ("ParentMessageId", "parentMessageId"),
    ("User", "user"),
    ("Model", "model"),
    ("Endpoint", "endpoint"),
    ("Sender", "sender"),
    ("IsCreatedByUser", "isCreatedByUser"),
    ("TokenCount", "tokenCount"),
    ("Error", "error"),
    ("Unfinished", "unfinished"),
    ("CreatedAt", "createdAt"),
    ("UpdatedAt", "updatedAt"),
    ("Feedback", "feedback"),
    ("FeedbackRating", "feedback.rating"),
    ("FeedbackTag", "feedback.tag"),
    ("Content", "content"),
    ("ContentType", "content.type"),
    ("ToolCallName", "content.tool_call.name"),
    ("ToolCall", "content.tool_call"),
    ("ToolCallOutput", "content.tool_call.output"),
    ("TransactionUser", "user"),
    ("TransactionModel", "model"),
    ("TransactionTokenType", "tokenType"),
    ("TransactionContext", "context"),
    ("TransactionRawAmount", "rawAmount"),
    ("TransactionTokenValue", "tokenValue"),
    ("TransactionInputTokens", "inputTokens"),
    ("TransactionWriteTokens", "writeTokens"),
    ("TransactionReadTokens", "readTokens"),
];

/// The way up of what was saved of messages.
///
/// # Errors
///
/// If it is not what that version saved.
pub fn messages(from: u32, mut saved: Value) -> Result<Value, String> {
    if from == SECOND {
        // It saved no message that was sealed and lies after the watermark.
        return Ok(saved);
    }
    must_be_first(from)?;
    name_totals(&mut saved);
    let mut used = Used::default();
    let days = saved["days"].as_object().into_iter().flat_map(Map::values);
    for totals in days.map(|day| &day["totals"]).chain([&saved["sealed"]]) {
        used.in_totals(totals);
    }
    for entry in items(&saved["entries"]).map(|pair| &pair[1]) {
        let contribution = &entry["contribution"];
        used.note(MODEL, &contribution["model"]);
        used.note(ENDPOINT, &contribution["endpoint"]);
        used.note_keys(TOOL, &contribution["tool_calls"]);
        used.note(MODEL, &entry["answer"]["model"]);
    }
    let replies = saved["first_replies"].as_object().into_iter().flat_map(Map::values);
    replies.for_each(|reply| used.note(MODEL, &reply["model"]));
    used.in_ratings(&saved["ratings"]);

    used.label(&mut saved)?;
    name_fields(&mut saved)?;
    for pair in saved.get_mut("entries").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(id) = pair.pointer_mut("/1/message_id") {
            *id = hash(id.as_str().ok_or("the id of a message is no text")?);
        }
    }
    if let Some(replies) = saved.get_mut("first_replies").and_then(Value::as_object_mut) {
        let by_id = std::mem::take(replies);
        let by_hash = by_id.into_iter().map(|(id, reply)| (IdHash::of(&id).to_string(), reply));
        *replies = by_hash.collect();
    }
    Ok(saved)
}

/// The way up of what was saved of transactions.
///
/// # Errors
///
/// If it is not what that version saved.
pub fn transactions(from: u32, mut saved: Value) -> Result<Value, String> {
    if from == SECOND {
        return keep_checksums(saved);
    }
    must_be_first(from)?;
    let mut used = Used::default();
    let days = saved["days"].as_object().into_iter().flat_map(Map::values);
    for sums in days.chain([&saved["settled"]]) {
        items(&sums["spent"]).for_each(|pair| used.note(MODEL, &pair[0][0]));
        used.note_keys(MODEL, &sums["cache"]);
        used.note_keys(OCCASION, &sums["granted"]);
    }
    for entry in items(&saved["young"]).map(|pair| &pair[1]) {
        let class = if entry["token_type"] == "Credits" { OCCASION } else { MODEL };
        used.note(class, &entry["label"]);
    }
    used.label(&mut saved)?;
    name_fields(&mut saved)?;
    Ok(saved)
}

/// The way up of what was saved of the transactions of single people.
///
/// # Errors
///
/// If it is not what that version saved.
pub fn transactions_of_users(from: u32, mut saved: Value) -> Result<Value, String> {
    if from == SECOND {
        return keep_checksums(saved);
    }
    must_be_first(from)?;
    let mut used = Used::default();
    used.note_keys(USER, &saved["settled"]["users"]);
    items(&saved["young"]).for_each(|pair| used.note(USER, &pair[1]["user"]));
    used.label(&mut saved)?;
    name_fields(&mut saved)?;
    Ok(saved)
}

/// The way up of what was saved of a collection of which nothing but the number of documents matters.
///
/// # Errors
///
/// If it is not what that version saved.
pub fn numbers(from: u32, mut saved: Value) -> Result<Value, String> {
    if from == SECOND {
        return keep_checksums(saved);
    }
    must_be_first(from)?;
    Used::default().label(&mut saved)?;
    Ok(saved)
}

const SECOND: u32 = 2;

/// Keeps what was known of young documents beside what is known of those to come.
fn keep_checksums(mut saved: Value) -> Result<Value, String> {
    let sums = saved.as_object_mut().ok_or("it is no sums")?;
    let young = sums.insert("young".to_owned(), json!([])).ok_or("it has no young documents")?;
    sums.insert("young_by_checksum".to_owned(), young);
    Ok(saved)
}

fn must_be_first(from: u32) -> Result<(), String> {
    if from == 1 { Ok(()) } else { Err(format!("there is no way up from version {from}")) }
}

/// Gives the totals of each day, and of a sweep for feedback, their name.
fn name_totals(saved: &mut Value) {
    let rename = |of: &mut Value| {
        if let Some(of) = of.as_object_mut()
            && let Some(totals) = of.remove("tally")
        {
            of.insert("totals".to_owned(), totals);
        }
    };
    let days = saved.get_mut("days").and_then(Value::as_object_mut);
    days.into_iter().flat_map(Map::values_mut).for_each(rename);
    saved.pointer_mut("/ratings/sweep").into_iter().for_each(rename);
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn hash(id: &str) -> Value {
    IdHash::of(id).to_string().into()
}

/// Gives the fields in every `malformed` their paths: in lists of fields, and of fields with their counts.
fn name_fields(json: &mut Value) -> Result<(), String> {
    let members: Vec<(bool, &mut Value)> = match json {
        Value::Array(items) => items.iter_mut().map(|item| (false, item)).collect(),
        Value::Object(members) => {
            members.iter_mut().map(|(key, value)| (key == "malformed", value)).collect()
        }
        _ => return Ok(()),
    };
    for (malformed, value) in members {
        match value {
            Value::Array(fields) if malformed => fields.iter_mut().try_for_each(name_field)?,
            other => name_fields(other)?,
        }
    }
    Ok(())
}

fn name_field(field: &mut Value) -> Result<(), String> {
    let name = match field {
        Value::Array(pair) => pair.first_mut().ok_or("a field has no name")?,
        name => name,
    };
    let path = FIELDS.iter().find(|(old, _)| name == old).map(|(_, path)| *path);
    *name = path.ok_or_else(|| format!("no field is called {name}"))?.into();
    Ok(())
}

/// The classes of the label values that something counts, by number. What nothing counts is forgotten: it
/// is read again where it comes again.
#[derive(Default)]
struct Used(BTreeMap<u64, u8>);

impl Used {
    fn note(&mut self, class: Class, label: &Value) {
        if let Some(number) = label.as_u64() {
            *self.0.entry(number).or_default() |= class.bit();
        }
    }

    /// Notes the labels by which a list of pairs is kept.
    fn note_keys(&mut self, class: Class, list: &Value) {
        items(list).for_each(|pair| self.note(class, &pair[0]));
    }

    /// Notes the pairs of labels by which a list of pairs is kept.
    fn note_both(&mut self, [first, second]: [Class; 2], list: &Value) {
        for pair in items(list).map(|item| &item[0]) {
            self.note(first, &pair[0]);
            self.note(second, &pair[1]);
        }
    }

    fn in_totals(&mut self, totals: &Value) {
        for sums in ["models", "durations", "unfinished"] {
            self.note_keys(MODEL, &totals[sums]);
        }
        self.note_keys(TOOL, &totals["tools"]);
        self.note_both([MODEL, TOOL], &totals["tools_of_models"]);
        self.note_both([ENDPOINT, TOOL], &totals["tools_of_endpoints"]);
    }

    fn in_ratings(&mut self, ratings: &Value) {
        let totals = &ratings["sweep"]["totals"];
        self.note_keys(MODEL, &totals["models"]);
        self.note_keys(TAG, &totals["tags"]);
        self.note_both([MODEL, TAG], &totals["tags_of_models"]);
        self.note_both([MODEL, TAG], &totals["all"]);
        for rated in items(&ratings["since"]).map(|pair| &pair[1]) {
            self.note(MODEL, &rated["model"]);
            self.note(TAG, &rated["tag"]);
        }
    }

    /// Makes the label values of `saved` tell of which classes they are.
    fn label(&self, saved: &mut Value) -> Result<(), String> {
        let labels = saved.get_mut("labels").and_then(Value::as_array_mut);
        for (number, label) in (0..).zip(labels.ok_or("it has no label values")?) {
            let name = label.take();
            *label = match (number, self.0.get(&number)) {
                (0 | 1, _) => json!([name, 0]),
                (_, Some(classes)) => json!([name, classes]),
                (_, None) => Value::Null,
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::librechat::appended::spending::Spending;
    use crate::sources::librechat::appended::spending_of_users::SpendingOfUsers;
    use crate::sources::librechat::appended::sums::{Appended, Sums};
    use crate::sources::librechat::documents::field::Field;
    use crate::sources::librechat::messages::saved::Saved;

    /// What the last version before this one saved.
    macro_rules! saved_by_version_1 {
        ($section:literal) => {
            serde_json::from_str(include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/fixtures/state/",
                $section,
                "-1.json"
            )))
            .expect("JSON")
        };
    }

    fn read<S: Sums>(upgraded: Result<Value, String>) -> Appended<S> {
        let upgraded = keep_checksums(upgraded.expect("a way up")).expect("a way up");
        serde_json::from_value(upgraded).expect("what this version saves")
    }

    fn counts(malformed: &rustc_hash::FxHashMap<Field, u64>) -> BTreeMap<&str, u64> {
        malformed.iter().map(|(field, count)| (field.path(), *count)).collect()
    }

    #[test]
    fn messages_keep_their_sums_and_their_labels() {
        let json: Value = saved_by_version_1!("messages");
        let upgraded = messages(1, json.clone()).expect("a way up");
        let mut saved: Saved = serde_json::from_value(upgraded.clone()).expect("of this version");
        let as_saved = serde_json::to_value(&saved).expect("JSON");
        for part in ["labels", "entries", "first_replies", "ratings"] {
            assert_eq!(as_saved[part], upgraded[part], "{part}");
        }
        let expected = [("content", 1), ("content.tool_call.name", 1), ("tokenCount", 1)]
            .into_iter()
            .collect();
        assert_eq!(counts(&saved.sealed.malformed), expected);
        let model = saved.labels.label(MODEL, "gpt-4o");
        assert_eq!(saved.sealed.models[&model].replies, 1);
        let names = json["labels"].as_array().expect("labels").iter().filter_map(Value::as_str);
        let kept: Vec<bool> = names
            .zip(upgraded["labels"].as_array().expect("labels"))
            .map(|(old, new)| new[0] == old)
            .collect();
        // The MCP server, and the tag of a rating that is read again, are in nothing that is saved.
        let forgotten = [3, 9];
        let expected: Vec<bool> = (0..kept.len()).map(|n| !forgotten.contains(&n)).collect();
        assert_eq!(kept, expected);
        for (class, name) in
            [(MODEL, "o1"), (ENDPOINT, "openAI"), (TAG, "kind"), (TOOL, "search_mcp_web")]
        {
            let known = saved.labels.clone();
            let label = saved.labels.label(class, name);
            assert_eq!(known.name(label), name);
        }
    }

    #[test]
    fn a_question_finds_its_first_reply() {
        let upgraded = messages(1, saved_by_version_1!("messages")).expect("a way up");
        let saved: Saved = serde_json::from_value(upgraded).expect("of this version");
        let question = saved.entries.values().find_map(|entry| entry.question());
        assert_eq!(question, Some(IdHash::of("q2")));
        assert!(saved.first_replies.contains_key(&IdHash::of("q2")));
    }

    #[test]
    fn transactions_keep_their_sums() {
        let mut spending: Appended<Spending> =
            read(transactions(1, saved_by_version_1!("transactions")));
        let total = spending.total();
        let fields = ["model", "rawAmount", "user", "writeTokens"];
        assert_eq!(counts(&total.malformed).into_keys().collect::<Vec<_>>(), fields);
        let claude = spending.labels.label(MODEL, "claude");
        assert_eq!(total.cache[&claude].uncached.whole(), 40);
        let occasion = spending.labels.label(OCCASION, "autoRefill");
        assert_eq!(total.granted[&occasion].whole(), 500);

        let mut of_users: Appended<SpendingOfUsers> =
            read(transactions_of_users(1, saved_by_version_1!("transactions_of_users")));
        let total = of_users.total();
        assert_eq!(counts(&total.malformed), [("user", 2)].into_iter().collect());
        let user = of_users.labels.label(USER, &"07".repeat(12));
        assert_eq!(total.users[&user].prompt.whole(), 2940);
    }

    #[test]
    fn numbers_of_documents_stay() {
        assert_eq!(read::<u64>(numbers(1, saved_by_version_1!("conversations"))).total(), 3);
    }

    #[test]
    fn sums_beyond_64_bits_are_kept_to_the_precision_of_a_metric() {
        let mut json: Value = saved_by_version_1!("messages");
        let text = json.to_string().replace("7000000", "9007199254740991000000");
        json = serde_json::from_str(&text).expect("JSON");
        let upgraded = messages(1, json).expect("a way up");
        let saved: Saved = serde_json::from_value(upgraded).expect("of this version");
        assert_eq!(saved.sealed.output_tokens.as_f64(), 9_007_199_254_740_991.0);
    }

    #[test]
    fn what_version_1_did_not_save_is_refused() {
        let odd = [
            json!(null),
            json!({ "labels": "x" }),
            json!({ "labels": [], "sealed": { "malformed": [["Strange", 1]] } }),
            json!({ "labels": [], "sealed": { "malformed": [[]] } }),
            json!({ "labels": [], "entries": [[0, { "message_id": 5 }]] }),
        ];
        for json in odd {
            assert!(messages(1, json.clone()).is_err(), "{json}");
        }
        assert!(numbers(2, json!({ "labels": [] })).is_err());
        assert!(numbers(3, json!({ "labels": [], "young": [] })).is_err());
    }
}
