//! The families that are made of the ledger.

use chrono::{DateTime, Utc};
use tracing::debug;

use super::catalogue as family;
use super::collectors::messages::Messages;
use super::field::{Field, Malformed};
use super::groups::Groups;
use super::ledger::Ledger;
use super::ledger::labels::Label;
use super::ledger::ratings::{RatingTally, Thumbs};
use super::ledger::statistics::{Daily, Spread, Statistics};
use super::ledger::tally::{ModelTally, Tally, ToolTally};
use super::ledger::windows::Windows;
use crate::exposition::exporter::{MALFORMED_FIELDS, SERIES_DROPPED};
use crate::exposition::series::{Labels, Shown};
use crate::exposition::{Description, Families, Series};

/// Makes families of what the ledger knows, and remembers what they have shown.
pub struct Page {
    groups: Groups,
    series: Series,
    families: Families,
    /// The malformed fields that the log has named.
    told: Malformed,
}

impl Page {
    /// The families of `groups`, each with at most `max_series` label sets, of which this was `shown`
    /// before.
    pub fn new(groups: Groups, max_series: usize, shown: Shown) -> Page {
        let series = Series::new(max_series, shown);
        Page { groups, series, families: Families::default(), told: Malformed::default() }
    }

    /// What the families have shown.
    pub fn shown(&mut self) -> &mut Series {
        &mut self.series
    }

    /// All families that can be told now. Sums over the history are left out until it has been read.
    pub fn families(&mut self, ledger: &mut Ledger, now: DateTime<Utc>) -> Families {
        if let Some(windows) = ledger.windows(now) {
            self.windows(ledger, &windows);
        }
        if let Some((ratings, window)) = ledger.book.ratings.now(now, ledger.young_feedback()) {
            self.ratings(ledger, &ratings, window);
        }
        if ledger.is_complete() {
            let total = ledger.total();
            self.totals(&total);
            let by_model = [
                &family::MESSAGES_PER_MODEL,
                &family::ERRORS_PER_MODEL,
                &family::INPUT_TOKENS_PER_MODEL,
                &family::OUTPUT_TOKENS_PER_MODEL,
            ];
            self.models(ledger, &total, by_model);
            self.tools(ledger, &total);
            self.days(ledger, now);
        }
        let dropped: Vec<(Labels, f64)> = self
            .series
            .dropped()
            .map(|(family, count)| (vec![family.to_owned()], count as f64))
            .collect();
        self.families.series(&SERIES_DROPPED, dropped);
        std::mem::take(&mut self.families)
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
                self.value(family, people as f64);
            }
        }
        if let Some(replies) = ledger.replies_today(now) {
            let today: [Column<u64>; 1] =
                [(&family::MESSAGES_PER_MODEL_TODAY, |replies| some(*replies))];
            self.table(&today, named(ledger, &replies), |replies| *replies);
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
        self.table(&per_model, named(ledger, &statistics.replies), Daily::sum);
    }

    fn spread(&mut self, [mean, deviation]: [&Description; 2], spread: Spread) {
        self.value(mean, spread.mean);
        self.value(deviation, spread.deviation);
    }

    fn totals(&mut self, total: &Tally) {
        self.value(&family::MESSAGES, total.messages as f64);
        self.value(&family::ERROR_MESSAGES, total.errors as f64);
        self.value(&family::INPUT_TOKENS, total.input_tokens.as_f64());
        self.value(&family::OUTPUT_TOKENS, total.output_tokens.as_f64());
        self.malformed(total);
    }

    /// The malformed fields. The log names each once, and never a value, which may be of a person.
    fn malformed(&mut self, total: &Tally) {
        let collection = Messages::COLLECTION;
        let mut samples = Vec::new();
        for field in Field::ALL {
            let count = total.malformed.get(&field).copied().unwrap_or_default();
            if count == 0 {
                continue;
            }
            samples.push((vec![collection.to_owned(), field.name().to_owned()], count as f64));
            if !self.told.contains(field) {
                self.told.note(field);
                let field = field.name();
                debug!(collection, field, "values of an unexpected type or range are skipped");
            }
        }
        self.series(&MALFORMED_FIELDS, samples);
    }

    /// The families of messages, errors, input tokens and output tokens by model.
    fn models(&mut self, ledger: &Ledger, tally: &Tally, families: [&Description; 4]) {
        let [messages, errors, input_tokens, output_tokens] = families;
        let columns: [Column<ModelTally>; 4] = [
            (messages, |m| some(m.replies)),
            (errors, |m| some(m.errors)),
            (input_tokens, |m| (m.questions > 0).then(|| m.input_tokens.as_f64())),
            (output_tokens, |m| (m.replies > 0).then(|| m.output_tokens.as_f64())),
        ];
        let rows = named(ledger, &tally.models);
        self.table(&columns, rows, |model| model.replies + model.errors + model.questions);
    }

    fn windows(&mut self, ledger: &Ledger, windows: &Windows) {
        let created = &windows.created;
        self.value(&family::ACTIVE_USERS, windows.users.len() as f64);
        self.value(&family::ACTIVE_CONVERSATIONS, windows.conversations.len() as f64);
        self.value(&family::MESSAGES_5M, created.messages as f64);
        self.value(&family::ERROR_MESSAGES_5M, created.errors as f64);
        self.value(&family::INPUT_TOKENS_5M, created.input_tokens.as_f64());
        self.value(&family::OUTPUT_TOKENS_5M, created.output_tokens.as_f64());
        let by_model = [
            &family::MESSAGES_PER_MODEL_5M,
            &family::ERRORS_PER_MODEL_5M,
            &family::MODEL_INPUT_TOKENS_5M,
            &family::MODEL_OUTPUT_TOKENS_5M,
        ];
        self.models(ledger, created, by_model);

        let updated = windows.updated.tool_calls();
        self.value(&family::TOOL_CALLS_5M, updated.calls as f64);
        self.value(&family::TOOL_CALL_ERRORS_5M, updated.errors as f64);
        self.value(&family::ACTIVE_TOOL_USERS, windows.tool_users.len() as f64);
        let columns: [Column<ToolTally>; 1] =
            [(&family::TOOL_CALLS_PER_TOOL_5M, |tool| some(tool.calls))];
        let rows = named(ledger, &windows.updated.tools);
        self.table(&columns, rows, |tool| tool.calls);
    }

    fn tools(&mut self, ledger: &Ledger, total: &Tally) {
        let all = total.tool_calls();
        self.value(&family::TOOL_CALLS, all.calls as f64);
        self.value(&family::TOOL_CALL_ERRORS, all.errors as f64);
        self.value(&family::MESSAGES_WITH_TOOLS, total.messages_with_tools as f64);
        let columns: [Column<ToolTally>; 3] = [
            (&family::TOOL_CALLS_PER_TOOL, |tool| some(tool.calls)),
            (&family::TOOL_CALL_ERRORS_PER_TOOL, |tool| some(tool.errors)),
            (&family::TOOL_SUCCESS_RATE_PER_TOOL, |tool| {
                some(tool.calls).map(|calls| (calls - tool.errors as f64) / calls * 100.0)
            }),
        ];
        self.table(&columns, named(ledger, &total.tools), |tool| tool.calls);
        let per_model: [Column<u64>; 1] = [(&family::TOOL_CALLS_PER_MODEL, |calls| some(*calls))];
        self.table(&per_model, named(ledger, &total.tools_of_models), |calls| *calls);
        let per_endpoint: [Column<u64>; 1] =
            [(&family::TOOL_CALLS_PER_ENDPOINT, |calls| some(*calls))];
        self.table(&per_endpoint, named(ledger, &total.tools_of_endpoints), |calls| *calls);
    }

    fn ratings(&mut self, ledger: &Ledger, ratings: &RatingTally, window: Thumbs) {
        self.value(&family::THUMBS_UP, ratings.thumbs.up as f64);
        self.value(&family::THUMBS_DOWN, ratings.thumbs.down as f64);
        self.value(&family::RATED_MESSAGES, ratings.rated as f64);
        self.value(&family::OVERALL_RATING_RATIO, ratings.thumbs.percent_up());
        self.value(&family::THUMBS_UP_5M, window.up as f64);
        self.value(&family::THUMBS_DOWN_5M, window.down as f64);
        let per_model: [Column<Thumbs>; 3] = [
            (&family::THUMBS_UP_PER_MODEL, |thumbs| Some(thumbs.up as f64)),
            (&family::THUMBS_DOWN_PER_MODEL, |thumbs| Some(thumbs.down as f64)),
            (&family::RATING_RATIO_PER_MODEL, |thumbs| Some(thumbs.percent_up())),
        ];
        self.table(&per_model, named(ledger, &ratings.models), |thumbs| thumbs.all());
        let per_tag: [Column<u64>; 1] = [(&family::RATING_COUNTS_PER_TAG, |count| some(*count))];
        self.table(&per_tag, named(ledger, &ratings.tags), |count| *count);
        let both: [Column<Thumbs>; 2] = [
            (&family::MODEL_TAG_THUMBS_UP, |thumbs| some(thumbs.up)),
            (&family::MODEL_TAG_THUMBS_DOWN, |thumbs| some(thumbs.down)),
        ];
        self.table(&both, named(ledger, &ratings.tags_of_models), |thumbs| thumbs.all());
    }

    fn value(&mut self, description: &Description, value: f64) {
        self.series(description, vec![(Vec::new(), value)]);
    }

    /// Adds the families that are columns of the same rows.
    fn table<V: Default + std::ops::AddAssign>(
        &mut self,
        columns: &[Column<V>],
        rows: Vec<(Labels, V)>,
        weight: impl Fn(&V) -> u64,
    ) {
        let families: Vec<&Description> = columns.iter().map(|(family, _)| *family).collect();
        let rows = self.series.bound(&families, rows, weight);
        for (family, value) in columns {
            let samples =
                rows.iter().filter_map(|(labels, row)| Some((labels.clone(), value(row)?)));
            self.series(family, samples.collect());
        }
    }

    fn series(&mut self, description: &Description, samples: Vec<(Labels, f64)>) {
        if self.groups.show(description) {
            self.series.add(&mut self.families, description, samples);
        }
    }
}

/// A family and its value in a row; `None` leaves the row out.
type Column<'a, V> = (&'a Description, fn(&V) -> Option<f64>);

/// A count as a metric has it, where it is not zero.
fn some(count: u64) -> Option<f64> {
    (count > 0).then_some(count as f64)
}

/// The rows of a tally with the names of their labels, in the order of the names.
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
        vec![ledger.book.labels.name(*self).to_owned()]
    }
}

impl LabelSet for (Label, Label) {
    fn names(&self, ledger: &Ledger) -> Labels {
        vec![ledger.book.labels.name(self.0).to_owned(), ledger.book.labels.name(self.1).to_owned()]
    }
}
