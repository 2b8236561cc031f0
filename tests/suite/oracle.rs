//! Computes every family slowly and obviously: all documents, plain loops, straight from the
//! definitions in docs/metrics.md.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use mongodb::Database;
use mongodb::bson::{Bson, Document};

use crate::samples::{Samples, key};
use crate::seen::{Replies, Seen, stored};

/// What the oracle must know besides the documents.
pub struct Oracle {
    pub now: DateTime<Utc>,
    pub timezone: Tz,
    pub settling_time: TimeDelta,
}

/// Over how many days the statistics go in the tests.
pub const STATISTICS_DAYS: u16 = 5;

const WINDOW: TimeDelta = TimeDelta::seconds(300);

impl Oracle {
    /// All families of LibreChat's groups, and the malformed fields: counters of what was ever `seen`,
    /// gauges of what is stored now.
    pub async fn compute(&self, database: &Database, seen: &Seen) -> Samples {
        let ever = seen.of("messages");
        let messages = stored(database, "messages").await;
        let mut samples = self.days(&messages);
        self.totals(&ever, &mut samples);
        self.active(&messages, &mut samples);
        self.models(&ever, &mut samples);
        self.windows(&messages, &ever, &mut samples);
        self.ratings(&messages, &mut samples);
        self.tools(&ever, &mut samples);
        self.recent_tools(&messages, &mut samples);
        self.malformed(&ever, &mut samples);
        self.beyond(database, seen, &mut samples).await;
        for (collection, family) in [
            ("conversations", "librechat_conversations_total"),
            ("users", "librechat_registered_users_total"),
            ("files", "librechat_uploaded_files_total"),
        ] {
            samples.insert(family.to_owned(), seen.of(collection).len() as f64);
        }
        for name in database.list_collection_names().await.expect("collections") {
            let count = stored(database, &name).await.len() as f64;
            samples.insert(key("librechat_stored_documents", &[("collection", &name)]), count);
        }
        for collection in ["messages", "conversations", "users", "files", "transactions"] {
            let labels = [("collection", collection)];
            samples.insert(key("usage_exporter_audit_late_documents_total", &labels), 0.0);
        }
        samples
    }

    /// The families that go by local days.
    pub fn days(&self, messages: &[Document]) -> Samples {
        let mut samples = Samples::new();
        self.people(messages, &mut samples);
        self.statistics(messages, &mut samples);
        self.comers(messages, &mut samples);
        samples
    }

    fn totals(&self, messages: &[Document], samples: &mut Samples) {
        let mut sums = [0.0; 4];
        for message in messages {
            sums[0] += 1.0;
            if has_error(message) {
                sums[1] += 1.0;
            }
            sums[if by_user(message) { 2 } else { 3 }] += tokens(message);
        }
        let names = [
            "librechat_messages_total",
            "librechat_error_messages_total",
            "librechat_input_tokens_total",
            "librechat_output_tokens_total",
        ];
        for (name, sum) in names.into_iter().zip(sums) {
            samples.insert(name.to_owned(), sum);
        }
    }

    fn people(&self, messages: &[Document], samples: &mut Samples) {
        let today = self.day(self.now);
        let monday = today - TimeDelta::days(i64::from(today.weekday().num_days_from_monday()));
        let first = today.with_day(1).expect("every month has a first day");
        for (name, since) in [
            ("librechat_daily_unique_users", today),
            ("librechat_weekly_unique_users", monday),
            ("librechat_monthly_unique_users", first),
        ] {
            let mut users = BTreeSet::new();
            for message in messages {
                if created(message).is_some_and(|time| self.day(time) >= since) {
                    users.extend(text(message, "user"));
                }
            }
            samples.insert(name.to_owned(), users.len() as f64);
        }
    }

    fn statistics(&self, messages: &[Document], samples: &mut Samples) {
        let today = self.day(self.now);
        let days: Vec<NaiveDate> =
            (1..=i64::from(STATISTICS_DAYS)).map(|back| today - TimeDelta::days(back)).collect();
        let mut users: BTreeMap<NaiveDate, BTreeSet<String>> = BTreeMap::new();
        let mut of_user: BTreeMap<String, f64> = BTreeMap::new();
        let mut replies: BTreeMap<String, BTreeMap<NaiveDate, f64>> = BTreeMap::new();
        for message in messages {
            let Some(day) = created(message).map(|time| self.day(time)) else { continue };
            let model = model(message);
            if day == today && !by_user(message) {
                add(samples, "librechat_messages_per_model_today", &[("model", &model)], 1.0);
            }
            if !days.contains(&day) {
                continue;
            }
            if let Some(user) = text(message, "user") {
                users.entry(day).or_default().insert(user.clone());
                *of_user.entry(user).or_default() += 1.0;
            }
            if !by_user(message) {
                *replies.entry(model).or_default().entry(day).or_default() += 1.0;
            }
        }
        let mut insert = |family: &str, labels: &[(&str, &str)], numbers: &[f64]| {
            let count = numbers.len() as f64;
            let mean = numbers.iter().sum::<f64>() / count;
            let variance = numbers.iter().map(|n| (n - mean) * (n - mean)).sum::<f64>() / count;
            samples.insert(key(&format!("{family}_mean"), labels), mean);
            samples.insert(key(&format!("{family}_stddev"), labels), variance.sqrt());
        };
        let per_day: Vec<f64> =
            days.iter().map(|day| users.get(day).map_or(0.0, |users| users.len() as f64)).collect();
        insert("librechat_users_per_day", &[], &per_day);
        if !of_user.is_empty() {
            let numbers: Vec<f64> = of_user.into_values().collect();
            insert("librechat_messages_per_user", &[], &numbers);
        }
        for (model, replies) in replies {
            let numbers: Vec<f64> =
                days.iter().map(|day| replies.get(day).copied().unwrap_or(0.0)).collect();
            insert("librechat_messages_per_model_per_day", &[("model", &model)], &numbers);
        }
    }

    fn active(&self, messages: &[Document], samples: &mut Samples) {
        let recent = || messages.iter().filter(|m| self.in_window(created(m)));
        for (name, field) in [
            ("librechat_active_users", "user"),
            ("librechat_active_conversations", "conversationId"),
        ] {
            let distinct: BTreeSet<_> = recent().filter_map(|m| text(m, field)).collect();
            samples.insert(name.to_owned(), distinct.len() as f64);
        }
    }

    fn models(&self, messages: &[Document], samples: &mut Samples) {
        let replies = Replies::of(messages);
        for message in messages {
            let model = model(message);
            if has_error(message) {
                add(samples, "librechat_errors_per_model_total", &[("model", &model)], 1.0);
            }
            if by_user(message) {
                if let Some(model) = self.answered_by(message, &replies) {
                    let labels = [("model", model.as_str())];
                    let name = "librechat_input_tokens_per_model_total";
                    add(samples, name, &labels, tokens(message));
                }
            } else {
                let labels = [("model", model.as_str())];
                add(samples, "librechat_messages_per_model_total", &labels, 1.0);
                add(samples, "librechat_output_tokens_per_model_total", &labels, tokens(message));
            }
        }
    }

    fn windows(&self, messages: &[Document], ever: &[Document], samples: &mut Samples) {
        for name in [
            "librechat_messages_5m",
            "librechat_error_messages_5m",
            "librechat_input_tokens_5m",
            "librechat_output_tokens_5m",
        ] {
            samples.insert(name.to_owned(), 0.0);
        }
        let replies = Replies::of(ever);
        for message in messages.iter().filter(|m| self.in_window(created(m))) {
            let model = model(message);
            add(samples, "librechat_messages_5m", &[], 1.0);
            if has_error(message) {
                add(samples, "librechat_error_messages_5m", &[], 1.0);
                add(samples, "librechat_errors_per_model_5m", &[("model", &model)], 1.0);
            }
            if by_user(message) {
                add(samples, "librechat_input_tokens_5m", &[], tokens(message));
                if let Some(model) = self.answered_by(message, &replies) {
                    let labels = [("model", model.as_str())];
                    add(samples, "librechat_model_input_tokens_5m", &labels, tokens(message));
                }
            } else {
                let labels = [("model", model.as_str())];
                add(samples, "librechat_output_tokens_5m", &[], tokens(message));
                add(samples, "librechat_messages_per_model_5m", &labels, 1.0);
                add(samples, "librechat_model_output_tokens_5m", &labels, tokens(message));
            }
        }
    }

    fn ratings(&self, messages: &[Document], samples: &mut Samples) {
        let mut per_model: BTreeMap<String, [f64; 2]> = BTreeMap::new();
        let (mut thumbs, mut recent, mut rated) = ([0.0; 2], [0.0; 2], 0.0);
        for message in messages {
            let Ok(feedback) = message.get_document("feedback") else { continue };
            rated += 1.0;
            let tag = match feedback.get("tag") {
                Some(Bson::Document(tag)) => label(tag, "key"),
                _ => label(feedback, "tag"),
            };
            if let Some(tag) = &tag {
                add(samples, "librechat_rating_counts_per_tag", &[("tag", tag)], 1.0);
            }
            let which = match text(feedback, "rating").as_deref() {
                Some("thumbsUp") => 0,
                Some("thumbsDown") => 1,
                _ => continue,
            };
            thumbs[which] += 1.0;
            if self.in_window(time(message, "updatedAt")) {
                recent[which] += 1.0;
            }
            if let Some(model) = label(message, "model") {
                per_model.entry(model.clone()).or_default()[which] += 1.0;
                if let Some(tag) = &tag {
                    let name =
                        ["librechat_model_tag_thumbs_up", "librechat_model_tag_thumbs_down"][which];
                    add(samples, name, &[("model", &model), ("tag", tag)], 1.0);
                }
            }
        }
        let ratio =
            |[up, down]: [f64; 2]| if up + down == 0.0 { 0.0 } else { up / (up + down) * 100.0 };
        for (model, thumbs) in per_model {
            let labels = [("model", model.as_str())];
            add(samples, "librechat_thumbs_up_per_model", &labels, thumbs[0]);
            add(samples, "librechat_thumbs_down_per_model", &labels, thumbs[1]);
            add(samples, "librechat_rating_ratio_per_model", &labels, ratio(thumbs));
        }
        for (name, value) in [
            ("librechat_thumbs_up_total", thumbs[0]),
            ("librechat_thumbs_down_total", thumbs[1]),
            ("librechat_rated_messages_total", rated),
            ("librechat_overall_rating_ratio", ratio(thumbs)),
            ("librechat_thumbs_up_5m", recent[0]),
            ("librechat_thumbs_down_5m", recent[1]),
        ] {
            samples.insert(name.to_owned(), value);
        }
    }

    fn tools(&self, messages: &[Document], samples: &mut Samples) {
        for name in [
            "librechat_tool_calls_total",
            "librechat_tool_call_errors_total",
            "librechat_messages_with_tools_total",
        ] {
            samples.insert(name.to_owned(), 0.0);
        }
        let mut per_tool: BTreeMap<String, [f64; 2]> = BTreeMap::new();
        for message in messages {
            let calls = tool_calls(message);
            if !calls.is_empty() {
                add(samples, "librechat_messages_with_tools_total", &[], 1.0);
            }
            let model = model(message);
            let endpoint = label(message, "endpoint").unwrap_or("unknown".to_owned());
            for (tool, failed) in calls {
                let failed = f64::from(u8::from(failed));
                let sums = per_tool.entry(tool.clone()).or_default();
                sums[0] += 1.0;
                sums[1] += failed;
                let of_tool = ("tool_name", tool.as_str());
                add(samples, "librechat_tool_calls_total", &[], 1.0);
                add(samples, "librechat_tool_call_errors_total", &[], failed);
                add(samples, "librechat_tool_calls_per_model", &[("model", &model), of_tool], 1.0);
                let labels = [("api_endpoint", endpoint.as_str()), of_tool];
                add(samples, "librechat_tool_calls_per_endpoint", &labels, 1.0);
            }
        }
        for (tool, [calls, errors]) in per_tool {
            let labels = [("tool_name", tool.as_str())];
            add(samples, "librechat_tool_calls_per_tool", &labels, calls);
            if errors > 0.0 {
                add(samples, "librechat_tool_call_errors_per_tool_total", &labels, errors);
            }
            let rate = (calls - errors) / calls * 100.0;
            add(samples, "librechat_tool_success_rate_per_tool", &labels, rate);
        }
    }

    fn recent_tools(&self, messages: &[Document], samples: &mut Samples) {
        for name in ["librechat_tool_calls_5m", "librechat_tool_call_errors_5m"] {
            samples.insert(name.to_owned(), 0.0);
        }
        let mut users = BTreeSet::new();
        for message in messages {
            let young = minted(message) >= self.now.timestamp() - self.settling_time.num_seconds();
            if !young || !self.in_window(time(message, "updatedAt")) {
                continue;
            }
            for (tool, failed) in tool_calls(message) {
                users.extend(text(message, "user"));
                add(samples, "librechat_tool_calls_5m", &[], 1.0);
                add(samples, "librechat_tool_call_errors_5m", &[], f64::from(u8::from(failed)));
                add(samples, "librechat_tool_calls_per_tool_5m", &[("tool_name", &tool)], 1.0);
            }
        }
        samples.insert("librechat_active_tool_users".to_owned(), users.len() as f64);
    }

    fn malformed(&self, messages: &[Document], samples: &mut Samples) {
        for message in messages {
            for (field, good) in [
                ("messageId", is_string as fn(&Bson) -> bool),
                ("conversationId", is_string),
                ("parentMessageId", is_string),
                ("user", is_string),
                ("model", is_string),
                ("endpoint", is_string),
                ("sender", is_string),
                ("isCreatedByUser", is_boolean),
                ("error", is_boolean),
                ("unfinished", is_boolean),
                ("createdAt", is_date),
                ("updatedAt", is_date),
                ("tokenCount", |value| token_count(value).is_some()),
                // MongoDB leaves out of a projection on parts what is neither array nor document.
                ("content", |value| value.as_document().is_none()),
                ("feedback", |value| value.as_document().is_some()),
            ] {
                let value = message.get(field).unwrap_or(&Bson::Null);
                if *value != Bson::Null && !good(value) {
                    let labels = [("collection", "messages"), ("field", field)];
                    add(samples, "usage_exporter_malformed_fields_total", &labels, 1.0);
                }
            }
        }
    }

    /// The model of the first reply within a day; `unknown` if the day is over without one.
    fn answered_by(&self, question: &Document, replies: &Replies<'_>) -> Option<String> {
        const DAY: i64 = 24 * 60 * 60;
        match replies.first(question) {
            Some(reply) => Some(model(reply)),
            None if self.now.timestamp() - minted(question) > DAY => Some("unknown".to_owned()),
            None => None,
        }
    }

    fn in_window(&self, time: Option<DateTime<Utc>>) -> bool {
        time.is_some_and(|time| time >= self.now - WINDOW && time <= self.now + WINDOW)
    }

    pub fn day(&self, time: DateTime<Utc>) -> NaiveDate {
        time.with_timezone(&self.timezone).date_naive()
    }
}

pub fn add(samples: &mut Samples, name: &str, labels: &[(&str, &str)], value: f64) {
    *samples.entry(key(name, labels)).or_default() += value;
}

pub fn minted(message: &Document) -> i64 {
    message.get_object_id("_id").expect("an _id").timestamp().timestamp_millis() / 1000
}

pub fn text(document: &Document, field: &str) -> Option<String> {
    document.get_str(field).ok().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// What a label shows of a text.
pub fn label(document: &Document, field: &str) -> Option<String> {
    text(document, field).map(|text| text.chars().take(128).collect())
}

pub fn model(message: &Document) -> String {
    label(message, "model").unwrap_or("unknown".to_owned())
}

pub fn by_user(message: &Document) -> bool {
    message.get_bool("isCreatedByUser").unwrap_or(message.get_str("sender").ok() == Some("User"))
}

pub fn time(message: &Document, field: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(message.get_datetime(field).ok()?.timestamp_millis())
}

pub fn created(message: &Document) -> Option<DateTime<Utc>> {
    time(message, "createdAt").filter(|time| time.timestamp() <= minted(message) + 86_400)
}

fn tokens(message: &Document) -> f64 {
    message.get("tokenCount").and_then(token_count).unwrap_or(0.0)
}

fn token_count(value: &Bson) -> Option<f64> {
    let count = match value {
        Bson::Int32(count) => f64::from(*count),
        Bson::Int64(count) => *count as f64,
        Bson::Double(count) => *count,
        _ => return None,
    };
    (0.0..9_007_199_254_740_992.0).contains(&count).then_some(count)
}

fn parts(message: &Document) -> Vec<&Document> {
    let content = message.get_array("content").map(Vec::as_slice).unwrap_or_default();
    content.iter().filter_map(Bson::as_document).collect()
}

pub fn has_error(message: &Document) -> bool {
    message.get_bool("error").ok() == Some(true)
        || parts(message).iter().any(|part| part.get_str("type").ok() == Some("error"))
}

pub fn tool_calls(message: &Document) -> Vec<(String, bool)> {
    let mut calls = Vec::new();
    for part in parts(message) {
        if part.get_str("type").ok() == Some("tool_call") {
            let empty = Document::new();
            let call = part.get_document("tool_call").unwrap_or(&empty);
            let output = text(call, "output").unwrap_or_default().to_lowercase();
            let failed = output.contains("error processing tool")
                || output.contains("please fix your mistakes");
            calls.push((label(call, "name").unwrap_or("unknown".to_owned()), failed));
        }
    }
    calls
}

pub fn is_string(value: &Bson) -> bool {
    value.as_str().is_some()
}

fn is_boolean(value: &Bson) -> bool {
    value.as_bool().is_some()
}

fn is_date(value: &Bson) -> bool {
    value.as_datetime().is_some()
}
