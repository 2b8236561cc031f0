//! The oracle's part on what no other exporter tells: cost, response times, people, agents, accounts.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};
use mongodb::Database;
use mongodb::bson::{Bson, Document};

use crate::oracle::{
    Oracle, STATISTICS_DAYS, add, by_user, created, has_error, is_string, label, minted, model,
    text, time, tool_calls,
};
use crate::samples::{Samples, key};
use crate::seen::{Replies, Seen, stored};

const BOUNDS: [&str; 12] =
    ["0.5", "1", "2.5", "5", "10", "20", "40", "60", "120", "300", "600", "+Inf"];

const DAY: i64 = 24 * 60 * 60;

impl Oracle {
    /// All families that go beyond those of other exporters, but for those by local days.
    pub async fn beyond(&self, database: &Database, seen: &Seen, samples: &mut Samples) {
        self.responses(seen, samples);
        self.mcp(&seen.of("messages"), samples);
        spending(&seen.of("transactions"), samples);
        self.accounts(&stored(database, "users").await, samples);
        balances(&stored(database, "balances").await, samples);
        feedback(&stored(database, "messages").await, samples);
        let count = |documents: Vec<Document>, wanted: &dyn Fn(&Document) -> bool| {
            documents.iter().filter(|document| wanted(document)).count() as f64
        };
        let after = |document: &Document, field: &str| time(document, field) > Some(self.now);
        let sessions = stored(database, "sessions").await;
        samples.insert(
            "librechat_active_sessions".to_owned(),
            count(sessions, &|session| after(session, "expiration")),
        );
        let works = |link: &Document| {
            (time(link, "expiredAt").is_none() || after(link, "expiredAt"))
                && link.get_bool("isPublic").ok() != Some(false)
        };
        let links = count(stored(database, "sharedlinks").await, &works);
        samples.insert("librechat_shared_links_active".to_owned(), links);
        let displayed = |banner: &Document| {
            time(banner, "displayFrom").is_some_and(|from| from <= self.now)
                && time(banner, "displayTo").is_none_or(|to| to >= self.now)
        };
        let banners = count(stored(database, "banners").await, &displayed);
        samples.insert("librechat_banners_active".to_owned(), banners);
        for file in stored(database, "files").await {
            let source = label(&file, "source").unwrap_or("unknown".to_owned());
            let bytes = file.get("bytes").and_then(number).unwrap_or(0.0).max(0.0);
            add(samples, "librechat_stored_file_bytes", &[("source", &source)], bytes);
        }
        for agent in stored(database, "agents").await {
            let Some(id) = label(&agent, "id") else { continue };
            let field = |name| label(&agent, name).unwrap_or("unknown".to_owned());
            let (name, provider, model) = (field("name"), field("provider"), field("model"));
            let labels = [
                ("model", id.as_str()),
                ("name", name.as_str()),
                ("provider", provider.as_str()),
                ("agent_model", model.as_str()),
            ];
            samples.insert(key("librechat_agent_info", &labels), 1.0);
        }
    }

    fn responses(&self, seen: &Seen, samples: &mut Samples) {
        let ever = seen.of("messages");
        let replies = Replies::of(&ever);
        let mut durations: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for question in ever.iter().filter(|message| by_user(message)) {
            let Some(reply) = replies.first(question) else { continue };
            if seen.was_given_up(question) {
                continue;
            }
            if has_error(reply) || reply.get_bool("unfinished").ok() == Some(true) {
                continue;
            }
            let (Some(asked), Some(mut end)) = (created(question), created(reply)) else {
                continue;
            };
            if (end.timestamp() - minted(reply)).abs() > 300 {
                // A copy.
                continue;
            }
            if let (Some(corrected), Some(written)) =
                (time(question, "updatedAt"), time(reply, "updatedAt"))
            {
                let in_time = corrected - written <= TimeDelta::seconds(5);
                if written > end && in_time && seen.was_completed(reply) {
                    end = end.max(corrected);
                }
            }
            if end >= asked {
                let seconds = (end - asked).num_milliseconds() as f64 / 1000.0;
                durations.entry(model(reply)).or_default().push(seconds);
            }
        }
        for (model, durations) in durations {
            let name = "librechat_response_duration_seconds";
            for bound in BOUNDS {
                let limit = bound.parse().unwrap_or(f64::INFINITY);
                let count = durations.iter().filter(|duration| **duration <= limit).count();
                let labels = [("model", model.as_str()), ("le", bound)];
                samples.insert(key(&format!("{name}_bucket"), &labels), count as f64);
            }
            let labels = [("model", model.as_str())];
            samples.insert(key(&format!("{name}_sum"), &labels), durations.iter().sum());
            samples.insert(key(&format!("{name}_count"), &labels), durations.len() as f64);
        }
        for reply in ever.iter().filter(|message| !by_user(message)) {
            let unfinished = reply.get_bool("unfinished").ok() == Some(true);
            if unfinished && minted(reply) < self.now.timestamp() - DAY {
                let labels = [("model", model(reply))];
                let labels = labels.each_ref().map(|(name, value)| (*name, value.as_str()));
                add(samples, "librechat_unfinished_messages_total", &labels, 1.0);
            }
        }
    }

    fn mcp(&self, messages: &[Document], samples: &mut Samples) {
        for (tool, _) in messages.iter().flat_map(tool_calls) {
            if let Some((tool, server)) = tool.rsplit_once("_mcp_") {
                let labels = [("server", server), ("tool", tool)];
                add(samples, "librechat_mcp_tool_calls_total", &labels, 1.0);
            }
        }
    }

    fn accounts(&self, users: &[Document], samples: &mut Samples) {
        let windows = [1, 7, 30].map(|days| (days, format!("{days}d")));
        for (_, window) in &windows {
            samples.insert(key("librechat_new_users", &[("window", window)]), 0.0);
        }
        for user in users {
            let field = |name| label(user, name).unwrap_or("unknown".to_owned());
            let (provider, role) = (field("provider"), field("role"));
            let labels = [("provider", provider.as_str()), ("role", role.as_str())];
            add(samples, "librechat_users", &labels, 1.0);
            for (days, window) in &windows {
                if time(user, "createdAt") >= Some(self.now - TimeDelta::days(*days)) {
                    add(samples, "librechat_new_users", &[("window", window)], 1.0);
                }
            }
            let email = text(user, "email");
            let domain = email.as_deref().and_then(|email| email.rsplit_once('@'));
            let domain = domain.map_or("unknown".to_owned(), |(_, domain)| domain.to_lowercase());
            let labels = [("email_domain", domain.as_str())];
            add(samples, "librechat_users_by_email_domain", &labels, 1.0);
        }
    }

    /// Who comes back, how much people do, and when.
    pub fn comers(&self, messages: &[Document], samples: &mut Samples) {
        let acts: Vec<(DateTime<Utc>, String)> = messages
            .iter()
            .filter_map(|message| Some((created(message)?, text(message, "user")?)))
            .collect();
        let active = |from: DateTime<Utc>, to: DateTime<Utc>| -> BTreeSet<&str> {
            let within = acts.iter().filter(|(time, _)| *time >= from && *time < to);
            within.map(|(_, user)| user.as_str()).collect()
        };
        for days in [1, 7, 30] {
            let window = format!("{days}d");
            let length = TimeDelta::days(days);
            let now_active = active(self.now - length, DateTime::<Utc>::MAX_UTC);
            let before = active(self.now - length - length, self.now - length);
            let labels = [("window", window.as_str())];
            let count = now_active.len() as f64;
            samples.insert(key("librechat_active_users_rolling", &labels), count);
            if days > 1 {
                let both = now_active.intersection(&before).count() as f64;
                samples.insert(key("librechat_returning_users", &labels), both);
            }
        }
        let first = self.day(self.now) - TimeDelta::days(29);
        let mut of_user: BTreeMap<&str, u32> = BTreeMap::new();
        for (_, user) in acts.iter().filter(|(time, _)| self.day(*time) >= first) {
            *of_user.entry(user).or_default() += 1;
        }
        for (tier, range) in [("1-10", 1..=10), ("11-100", 11..=100), ("101+", 101..=u32::MAX)] {
            let people = of_user.values().filter(|messages| range.contains(messages)).count();
            samples.insert(key("librechat_power_users", &[("tier", tier)]), people as f64);
        }
        self.users_of(messages, first, samples);
        self.hours(messages, samples);
    }

    fn users_of(&self, messages: &[Document], first: NaiveDate, samples: &mut Samples) {
        let mut agents: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut servers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for message in messages {
            let recent = created(message).is_some_and(|time| self.day(time) >= first);
            let Some(user) = text(message, "user").filter(|_| recent) else { continue };
            let model = model(message);
            if !by_user(message) && (model.starts_with("agent_") || model.starts_with("asst_")) {
                agents.entry(model).or_default().insert(user.clone());
            }
            for (tool, _) in tool_calls(message) {
                if let Some((_, server)) = tool.rsplit_once("_mcp_") {
                    servers.entry(server.to_owned()).or_default().insert(user.clone());
                }
            }
        }
        for (agent, users) in agents {
            let count = users.len() as f64;
            samples.insert(key("librechat_agent_users", &[("model", &agent)]), count);
        }
        for (server, users) in servers {
            let count = users.len() as f64;
            samples.insert(key("librechat_mcp_users", &[("server", &server)]), count);
        }
    }

    fn hours(&self, messages: &[Document], samples: &mut Samples) {
        let names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        for hour in 0..24 {
            let hour = format!("{hour:02}");
            samples.insert(key("librechat_messages_by_hour", &[("hour", &hour)]), 0.0);
        }
        for name in names {
            samples.insert(key("librechat_messages_by_weekday", &[("weekday", name)]), 0.0);
        }
        let today = self.day(self.now);
        let first = today - TimeDelta::days(STATISTICS_DAYS.into());
        for time in messages.iter().filter_map(created) {
            let local = time.with_timezone(&self.timezone);
            if (first..today).contains(&local.date_naive()) {
                let hour = format!("{:02}", local.hour());
                add(samples, "librechat_messages_by_hour", &[("hour", &hour)], 1.0);
                let name = names[local.weekday().num_days_from_monday() as usize];
                add(samples, "librechat_messages_by_weekday", &[("weekday", name)], 1.0);
            }
        }
    }
}

fn spending(transactions: &[Document], samples: &mut Samples) {
    for transaction in transactions {
        let model = model(transaction);
        let size = |field: &str| transaction.get(field).and_then(number).unwrap_or(0.0);
        let (tokens, credits) = (size("rawAmount"), size("tokenValue"));
        let spends = matches!(transaction.get_str("tokenType"), Ok("prompt" | "completion"));
        // What is spent is negative.
        let most = if spends { 0.0 } else { f64::INFINITY };
        let (tokens, credits) =
            if spends { (tokens.min(0.0), credits.min(0.0)) } else { (tokens, credits) };
        match transaction.get_str("tokenType") {
            Ok("credits") => {
                let context = label(transaction, "context").unwrap_or("unknown".to_owned());
                let name = "librechat_credits_granted_usd_total";
                add(samples, name, &[("context", &context)], tokens.max(0.0) / 1e6);
            }
            Ok(token_type @ ("prompt" | "completion")) => {
                let labels = [("model", model.as_str()), ("token_type", token_type)];
                add(samples, "librechat_transaction_tokens_total", &labels, tokens.abs());
                let cost = credits.abs() / 1e6;
                add(samples, "librechat_transaction_cost_usd_total", &labels, cost);
                let user = match transaction.get("user") {
                    Some(Bson::ObjectId(id)) => id.to_hex(),
                    _ => label(transaction, "user").unwrap_or("unknown".to_owned()),
                };
                let labels = [("user", user.as_str()), ("token_type", token_type)];
                add(samples, "librechat_user_tokens_total", &labels, tokens.abs());
                let other = if token_type == "prompt" { "completion" } else { "prompt" };
                let labels = [("user", user.as_str()), ("token_type", other)];
                add(samples, "librechat_user_tokens_total", &labels, 0.0);
                add(samples, "librechat_user_cost_usd_total", &[("user", &user)], cost);
                let kinds =
                    [("read", "readTokens"), ("write", "writeTokens"), ("uncached", "inputTokens")];
                let told = |(_, field): &(&str, &str)| transaction.get(*field).and_then(number);
                if token_type == "prompt" && kinds.iter().any(|kind| told(kind).is_some()) {
                    for (kind, field) in kinds {
                        let labels = [("model", model.as_str()), ("kind", kind)];
                        let name = "librechat_prompt_cache_tokens_total";
                        add(samples, name, &labels, size(field).abs());
                    }
                }
            }
            _ => {}
        }
        let known =
            |value: &Bson| matches!(value.as_str(), Some("prompt" | "completion" | "credits"));
        let amount = |value: &Bson| number(value).is_some();
        let spent = |value: &Bson| number(value).is_some_and(|number| number <= most);
        let user = |value: &Bson| is_string(value) || value.as_object_id().is_some();
        for (field, good) in [
            ("user", &user as &dyn Fn(&Bson) -> bool),
            ("model", &is_string),
            ("tokenType", &known),
            ("context", &is_string),
            ("rawAmount", &spent),
            ("tokenValue", &spent),
            ("inputTokens", &amount),
            ("writeTokens", &amount),
            ("readTokens", &amount),
        ] {
            let value = transaction.get(field).unwrap_or(&Bson::Null);
            if *value != Bson::Null && !good(value) {
                let labels = [("collection", "transactions"), ("field", field)];
                add(samples, "usage_exporter_malformed_fields_total", &labels, 1.0);
            }
        }
    }
}

fn balances(balances: &[Document], samples: &mut Samples) {
    if balances.is_empty() {
        return;
    }
    let credits = balances.iter().map(|b| b.get("tokenCredits").and_then(number).unwrap_or(0.0));
    let sum = credits.clone().sum::<f64>() / 1e6;
    samples.insert("librechat_balance_credits_usd".to_owned(), sum);
    let used_up = credits.filter(|credits| *credits <= 0.0).count() as f64;
    samples.insert("librechat_users_without_credit".to_owned(), used_up);
}

fn feedback(messages: &[Document], samples: &mut Samples) {
    for message in messages {
        let Ok(feedback) = message.get_document("feedback") else { continue };
        let Some(rating @ ("thumbsUp" | "thumbsDown")) = feedback.get_str("rating").ok() else {
            continue;
        };
        let tag = match feedback.get("tag") {
            Some(Bson::Document(tag)) => label(tag, "key"),
            _ => label(feedback, "tag"),
        };
        let (model, tag) = (model(message), tag.unwrap_or("none".to_owned()));
        let labels = [("model", model.as_str()), ("rating", rating), ("tag", tag.as_str())];
        add(samples, "librechat_feedback", &labels, 1.0);
    }
}

/// A finite number that LibreChat can count to.
pub fn number(value: &Bson) -> Option<f64> {
    let number = match value {
        Bson::Int32(number) => f64::from(*number),
        Bson::Int64(number) => *number as f64,
        Bson::Double(number) => *number,
        _ => return None,
    };
    (number.abs() < 9_007_199_254_740_992.0).then_some(number)
}
