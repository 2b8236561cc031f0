//! The families that are made of the ledger.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rustc_hash::FxHashMap;

use crate::exposition::family_writer::{Column, FamilyWriter, some};
use crate::exposition::labels::{Label, UNKNOWN};
use crate::exposition::series::{Labels, Shown};
use crate::exposition::{Description, Families, Series};
use crate::sources::librechat::catalogue as family;
use crate::sources::librechat::days::returning::TIERS;
use crate::sources::librechat::days::statistics::{Daily, Spread, Statistics};
use crate::sources::librechat::documents::mcp;
use crate::sources::librechat::documents::message::Message;
use crate::sources::librechat::families::charts;
use crate::sources::librechat::families::writer::{malformed, writer};
use crate::sources::librechat::groups::Groups;
use crate::sources::librechat::messages::Ledger;
use crate::sources::librechat::messages::durations::Durations;
use crate::sources::librechat::messages::ratings::{RatingTotals, Thumbs};
use crate::sources::librechat::messages::totals::{ModelTotals, ToolTotals, Totals};
use crate::sources::librechat::messages::windows::Windows;

/// Makes families of what the ledger knows, and remembers what they have shown.
pub struct MessageFamilies {
    writer: FamilyWriter,
}

impl MessageFamilies {
    /// The families of `groups`, each with at most `max_series` label sets, of which this was `shown`
    /// before.
    pub fn new(groups: Groups, max_series: usize, shown: Shown) -> MessageFamilies {
        MessageFamilies { writer: writer(&groups, max_series, shown) }
    }

    /// What the families have shown.
    pub fn shown(&mut self) -> &mut Series {
        self.writer.shown()
    }

    /// All families that can be told now. Sums over the history are left out until it has been read.
    pub fn families(&mut self, ledger: &mut Ledger, now: DateTime<Utc>) -> Families {
        if let Some(windows) = ledger.windows(now) {
            self.windows(ledger, &windows);
        }
        if let Some((ratings, window)) = ledger.saved.ratings.now(now, ledger.young_feedback()) {
            self.ratings(ledger, &ratings, window);
        }
        if ledger.is_complete() {
            let total = ledger.total();
            self.sums(ledger, &total, now);
            self.charts(ledger, &total, now);
        }
        self.writer.finish()
    }

    /// The families of a history that was brought to `moment`: all but those of windows and ratings.
    pub fn past(&mut self, ledger: &mut Ledger, moment: DateTime<Utc>) -> Families {
        let total = ledger.total();
        self.sums(ledger, &total, moment);
        self.writer.finish()
    }

    fn sums(&mut self, ledger: &mut Ledger, total: &Totals, now: DateTime<Utc>) {
        self.totals(total);
        let by_model = [
            &family::MESSAGES_PER_MODEL,
            &family::ERRORS_PER_MODEL,
            &family::INPUT_TOKENS_PER_MODEL,
            &family::OUTPUT_TOKENS_PER_MODEL,
        ];
        self.models(ledger, total, by_model);
        self.tools(ledger, total);
        self.responses(ledger, total);
        self.days(ledger, now);
        self.people(ledger, now);
    }

    fn charts(&mut self, ledger: &Ledger, total: &Totals, now: DateTime<Utc>) {
        let [messages, users] = charts::of_days(ledger, now);
        self.writer.chart(&family::MESSAGES, messages);
        self.writer.chart(&family::DAILY_UNIQUE_USERS, users);
        self.writer.chart(&family::OUTPUT_TOKENS_PER_MODEL, charts::of_tokens(ledger, total));
        self.writer.chart(&family::RESPONSE_DURATION, charts::of_durations(total));
    }

    /// What is told of local days, as far as they are known.
    fn days(&mut self, ledger: &mut Ledger, now: DateTime<Utc>) {
        let families = [
            &family::DAILY_UNIQUE_USERS,
            &family::WEEKLY_UNIQUE_USERS,
            &family::MONTHLY_UNIQUE_USERS,
        ];
        for (family, people) in families.into_iter().zip(ledger.unique_users(now)) {
            if let Some(people) = people {
                self.writer.value(family, people as f64);
            }
        }
        if let Some(replies) = ledger.replies_today(now) {
            let today: [Column<u64>; 1] =
                [(&family::MESSAGES_PER_MODEL_TODAY, |replies| some(*replies))];
            self.writer.table(&today, named(ledger, &replies), |replies| *replies);
        }
        if let Some(statistics) = ledger.statistics(now) {
            self.statistics(ledger, &statistics);
        }
    }

    fn statistics(&mut self, ledger: &Ledger, statistics: &Statistics) {
        let users = [&family::USERS_PER_DAY_MEAN, &family::USERS_PER_DAY_DEVIATION];
        self.spread(users, statistics.users_per_day);
        if let Some(messages) = statistics.messages_per_user {
            let families = [&family::MESSAGES_PER_USER_MEAN, &family::MESSAGES_PER_USER_DEVIATION];
            self.spread(families, messages);
        }
        let per_model: [Column<Daily>; 2] = [
            (&family::MESSAGES_PER_MODEL_PER_DAY_MEAN, |daily| Some(daily.spread().mean)),
            (&family::MESSAGES_PER_MODEL_PER_DAY_DEVIATION, |daily| Some(daily.spread().deviation)),
        ];
        self.writer.table(&per_model, named(ledger, &statistics.replies), Daily::sum);
        let hours = (0..).zip(statistics.hours);
        let hours =
            hours.map(|(hour, count): (u32, u64)| (vec![format!("{hour:02}")], count as f64));
        self.writer.series(&family::MESSAGES_BY_HOUR, hours.collect());
        let weekdays = WEEKDAYS.into_iter().zip(statistics.weekdays);
        let weekdays = weekdays.map(|(day, count)| (vec![day.to_owned()], count as f64));
        self.writer.series(&family::MESSAGES_BY_WEEKDAY, weekdays.collect());
    }

    /// Who comes back, how much people do, and who uses agents and MCP servers.
    fn people(&mut self, ledger: &mut Ledger, now: DateTime<Utc>) {
        let mut active = Vec::new();
        let mut returning = Vec::new();
        for days in [1, 7, 30] {
            let window = || vec![format!("{days}d")];
            let (people, returned) = ledger.comers(now, days);
            active.extend(people.map(|people| (window(), people as f64)));
            returning.extend(returned.filter(|_| days > 1).map(|people| (window(), people as f64)));
        }
        self.writer.series(&family::ACTIVE_USERS_ROLLING, active);
        self.writer.series(&family::RETURNING_USERS, returning);
        if let Some(people) = ledger.power_users(now) {
            let tiers = TIERS.iter().zip(people);
            let samples =
                tiers.map(|((tier, _), people)| (vec![(*tier).to_owned()], people as f64));
            self.writer.series(&family::POWER_USERS, samples.collect());
        }
        if let Some((agents, servers)) = ledger.people_of(now) {
            for (family, people) in [(&family::AGENT_USERS, agents), (&family::MCP_USERS, servers)]
            {
                let counts: FxHashMap<Label, u64> =
                    people.into_iter().map(|(label, people)| (label, people.len())).collect();
                let column: [Column<u64>; 1] = [(family, |people| some(*people))];
                self.writer.table(&column, named(ledger, &counts), |people| *people);
            }
        }
    }

    /// How long people waited for replies, and which never ended.
    fn responses(&mut self, ledger: &Ledger, total: &Totals) {
        self.writer.histogram(
            &family::RESPONSE_DURATION,
            named(ledger, &total.durations),
            Durations::count,
            Durations::distribution,
        );
        let unfinished: [Column<u64>; 1] = [(&family::UNFINISHED_MESSAGES, |count| some(*count))];
        self.writer.table(&unfinished, named(ledger, &total.unfinished), |count| *count);
    }

    fn spread(&mut self, [mean, deviation]: [&Description; 2], spread: Spread) {
        self.writer.value(mean, spread.mean);
        self.writer.value(deviation, spread.deviation);
    }

    fn totals(&mut self, total: &Totals) {
        self.writer.value(&family::MESSAGES, total.messages as f64);
        self.writer.value(&family::ERROR_MESSAGES, total.errors as f64);
        self.writer.value(&family::INPUT_TOKENS, total.input_tokens.as_f64());
        self.writer.value(&family::OUTPUT_TOKENS, total.output_tokens.as_f64());
        malformed(&mut self.writer, Message::COLLECTION, &total.malformed);
    }

    /// The families of messages, errors, input tokens and output tokens by model.
    fn models(&mut self, ledger: &Ledger, totals: &Totals, families: [&Description; 4]) {
        let [messages, errors, input_tokens, output_tokens] = families;
        let columns: [Column<ModelTotals>; 4] = [
            (messages, |m| some(m.replies)),
            (errors, |m| some(m.errors)),
            (input_tokens, |m| (m.questions > 0).then(|| m.input_tokens.as_f64())),
            (output_tokens, |m| (m.replies > 0).then(|| m.output_tokens.as_f64())),
        ];
        let rows = named(ledger, &totals.models);
        self.writer.table(&columns, rows, |model| model.replies + model.errors + model.questions);
    }

    fn windows(&mut self, ledger: &Ledger, windows: &Windows) {
        let created = &windows.created;
        self.writer.value(&family::ACTIVE_USERS, windows.users.len() as f64);
        self.writer.value(&family::ACTIVE_CONVERSATIONS, windows.conversations.len() as f64);
        self.writer.value(&family::MESSAGES_5M, created.messages as f64);
        self.writer.value(&family::ERROR_MESSAGES_5M, created.errors as f64);
        self.writer.value(&family::INPUT_TOKENS_5M, created.input_tokens.as_f64());
        self.writer.value(&family::OUTPUT_TOKENS_5M, created.output_tokens.as_f64());
        let by_model = [
            &family::MESSAGES_PER_MODEL_5M,
            &family::ERRORS_PER_MODEL_5M,
            &family::MODEL_INPUT_TOKENS_5M,
            &family::MODEL_OUTPUT_TOKENS_5M,
        ];
        self.models(ledger, created, by_model);

        let updated = windows.updated.tool_calls();
        self.writer.value(&family::TOOL_CALLS_5M, updated.calls as f64);
        self.writer.value(&family::TOOL_CALL_ERRORS_5M, updated.errors as f64);
        self.writer.value(&family::ACTIVE_TOOL_USERS, windows.tool_users.len() as f64);
        let columns: [Column<ToolTotals>; 1] =
            [(&family::TOOL_CALLS_PER_TOOL_5M, |tool| some(tool.calls))];
        let rows = named(ledger, &windows.updated.tools);
        self.writer.table(&columns, rows, |tool| tool.calls);
    }

    /// Every rating with its model and tag.
    fn feedback(&mut self, ledger: &Ledger, ratings: &RatingTotals) {
        let mut rows: Vec<(Labels, u64)> = Vec::new();
        for ((model, tag), thumbs) in &ratings.all {
            let name = |label: Option<Label>, none: &str| {
                label.map_or(none, |label| ledger.saved.labels.name(label)).to_owned()
            };
            for (rating, count) in [("thumbsUp", thumbs.up), ("thumbsDown", thumbs.down)] {
                let labels = vec![name(*model, UNKNOWN), rating.to_owned(), name(*tag, NO_TAG)];
                rows.extend((count > 0).then_some((labels, count)));
            }
        }
        rows.sort();
        let column: [Column<u64>; 1] = [(&family::FEEDBACK, |count| some(*count))];
        self.writer.table(&column, rows, |count| *count);
    }

    fn tools(&mut self, ledger: &Ledger, total: &Totals) {
        let all = total.tool_calls();
        self.writer.value(&family::TOOL_CALLS, all.calls as f64);
        self.writer.value(&family::TOOL_CALL_ERRORS, all.errors as f64);
        self.writer.value(&family::MESSAGES_WITH_TOOLS, total.messages_with_tools as f64);
        let columns: [Column<ToolTotals>; 3] = [
            (&family::TOOL_CALLS_PER_TOOL, |tool| some(tool.calls)),
            (&family::TOOL_CALL_ERRORS_PER_TOOL, |tool| some(tool.errors)),
            (&family::TOOL_SUCCESS_RATE_PER_TOOL, |tool| {
                some(tool.calls).map(|calls| (calls - tool.errors as f64) / calls * 100.0)
            }),
        ];
        self.writer.table(&columns, named(ledger, &total.tools), |tool| tool.calls);
        let per_model: [Column<u64>; 1] = [(&family::TOOL_CALLS_PER_MODEL, |calls| some(*calls))];
        self.writer.table(&per_model, named(ledger, &total.tools_of_models), |calls| *calls);
        let mcp: BTreeMap<Labels, u64> = total
            .tools
            .iter()
            .filter_map(|(tool, totals)| {
                let (tool, server) = mcp::parts(ledger.saved.labels.name(*tool))?;
                Some((vec![server.to_owned(), tool.to_owned()], totals.calls))
            })
            .collect();
        let calls: [Column<u64>; 1] = [(&family::MCP_TOOL_CALLS, |calls| some(*calls))];
        self.writer.table(&calls, mcp.into_iter().collect(), |calls| *calls);
        let per_endpoint: [Column<u64>; 1] =
            [(&family::TOOL_CALLS_PER_ENDPOINT, |calls| some(*calls))];
        self.writer.table(&per_endpoint, named(ledger, &total.tools_of_endpoints), |calls| *calls);
    }

    fn ratings(&mut self, ledger: &Ledger, ratings: &RatingTotals, window: Thumbs) {
        self.writer.value(&family::THUMBS_UP, ratings.thumbs.up as f64);
        self.writer.value(&family::THUMBS_DOWN, ratings.thumbs.down as f64);
        self.writer.value(&family::RATED_MESSAGES, ratings.rated as f64);
        self.writer.value(&family::OVERALL_RATING_RATIO, ratings.thumbs.percent_up());
        self.writer.value(&family::THUMBS_UP_5M, window.up as f64);
        self.writer.value(&family::THUMBS_DOWN_5M, window.down as f64);
        let per_model: [Column<Thumbs>; 3] = [
            (&family::THUMBS_UP_PER_MODEL, |thumbs| Some(thumbs.up as f64)),
            (&family::THUMBS_DOWN_PER_MODEL, |thumbs| Some(thumbs.down as f64)),
            (&family::RATING_RATIO_PER_MODEL, |thumbs| Some(thumbs.percent_up())),
        ];
        self.writer.table(&per_model, named(ledger, &ratings.models), |thumbs| thumbs.all());
        let per_tag: [Column<u64>; 1] = [(&family::RATING_COUNTS_PER_TAG, |count| some(*count))];
        self.writer.table(&per_tag, named(ledger, &ratings.tags), |count| *count);
        let both: [Column<Thumbs>; 2] = [
            (&family::MODEL_TAG_THUMBS_UP, |thumbs| some(thumbs.up)),
            (&family::MODEL_TAG_THUMBS_DOWN, |thumbs| some(thumbs.down)),
        ];
        self.writer.table(&both, named(ledger, &ratings.tags_of_models), |thumbs| thumbs.all());
        self.feedback(ledger, ratings);
    }
}

/// The value of the label `tag` where a rating has none.
const NO_TAG: &str = "none";

/// The values of the label `weekday`.
const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// The rows of a totals with the names of their labels, in the order of the names.
fn named<'a, K: LabelSet + 'a, V: Clone + 'a>(
    ledger: &Ledger,
    rows: impl IntoIterator<Item = (&'a K, &'a V)>,
) -> Vec<(Labels, V)> {
    let mut rows: Vec<(Labels, V)> =
        rows.into_iter().map(|(key, value)| (key.names(ledger), value.clone())).collect();
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    rows
}

/// The key of a row.
trait LabelSet {
    /// The names of its labels.
    fn names(&self, ledger: &Ledger) -> Labels;
}

impl LabelSet for Label {
    fn names(&self, ledger: &Ledger) -> Labels {
        vec![ledger.saved.labels.name(*self).to_owned()]
    }
}

impl LabelSet for (Label, Label) {
    fn names(&self, ledger: &Ledger) -> Labels {
        vec![
            ledger.saved.labels.name(self.0).to_owned(),
            ledger.saved.labels.name(self.1).to_owned(),
        ]
    }
}
