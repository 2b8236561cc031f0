//! What messages add up to.

use std::fmt;
use std::hash::Hash;
use std::ops::AddAssign;

use rustc_hash::FxHashMap;
use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::engine::pairs;
use crate::exposition::labels::{Class, Label};
use crate::sources::librechat::appended::sums::add_each;
use crate::sources::librechat::documents::classes::{ENDPOINT, MODEL, TOOL};
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::messages::durations::Durations;

/// How many pairs of labels are kept, which bounds the memory that made-up names can take.
const MAX_PAIRS: usize = 10_000;

/// The pair of the labels that are not kept as pairs.
pub const OTHERS: (Label, Label) = (Label::OTHER, Label::OTHER);

/// A number of tokens, exact to a millionth.
///
/// Token counts may have a fraction. Floating-point sums depend on the order of their terms, and a
/// counter whose terms move from one sum into another would now and then fall by a rounding error,
/// which Prometheus takes for a restart. Sums of integers do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tokens {
    #[serde(deserialize_with = "millionths")]
    millionths: u128,
}

impl Tokens {
    const UNIT: u128 = 1_000_000;

    /// The largest number to which LibreChat can count one by one. A larger one is no count, and would
    /// drown every other in a sum.
    pub const MAX: Tokens = Tokens { millionths: ((1 << 53) - 1) * Self::UNIT };

    /// A finite number of tokens that is not negative.
    pub fn from_f64(tokens: f64) -> Option<Tokens> {
        let millionths = tokens * Self::UNIT as f64;
        // A conversion to an integer saturates, so no number is too large.
        (tokens.is_finite() && tokens >= 0.0)
            .then_some(Tokens { millionths: millionths.round() as u128 })
    }

    /// The number without its fraction.
    pub fn whole(self) -> u64 {
        u64::try_from(self.millionths / Self::UNIT).unwrap_or(u64::MAX)
    }

    /// The number as a metric has it.
    pub fn as_f64(self) -> f64 {
        let (whole, rest) = (self.millionths / Self::UNIT, self.millionths % Self::UNIT);
        whole as f64 + rest as f64 / Self::UNIT as f64
    }
}

/// Reads millionths. JSON that an upgrade has taken apart has those of more than 64 bits as floating-point
/// numbers.
fn millionths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
    struct Millionths;

    impl Visitor<'_> for Millionths {
        type Value = u128;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a number that is not negative")
        }

        fn visit_u64<E>(self, number: u64) -> Result<u128, E> {
            Ok(number.into())
        }

        fn visit_u128<E>(self, number: u128) -> Result<u128, E> {
            Ok(number)
        }

        fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<u128, E> {
            if number >= 0.0 {
                Ok(number as u128)
            } else {
                Err(E::invalid_value(Unexpected::Float(number), &self))
            }
        }
    }

    deserializer.deserialize_u128(Millionths)
}

impl From<u64> for Tokens {
    fn from(tokens: u64) -> Tokens {
        Tokens { millionths: u128::from(tokens) * Self::UNIT }
    }
}

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Tokens) {
        self.millionths = self.millionths.saturating_add(other.millionths);
    }
}

/// A sum that can be compared with one over fewer messages.
pub trait Surplus {
    /// By how much `self` is more than `known`; nothing where it is less.
    fn beyond(&self, known: &Self) -> Self;
}

impl Surplus for u64 {
    fn beyond(&self, known: &u64) -> u64 {
        self.saturating_sub(*known)
    }
}

impl Surplus for Tokens {
    fn beyond(&self, known: &Tokens) -> Tokens {
        Tokens { millionths: self.millionths.saturating_sub(known.millionths) }
    }
}

/// What is known of the answer to a user message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answer {
    /// The model that answered.
    pub model: Label,
    /// After how many milliseconds, where that can be told.
    pub waited: Option<u64>,
}

/// What one message adds to the sums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contribution {
    /// Whether a person wrote it.
    pub by_user: bool,
    /// Whether it says that something failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub error: bool,
    /// Its tokens.
    pub tokens: Tokens,
    /// Its own model, which a user message rarely has.
    pub model: Label,
    /// Its endpoint.
    pub endpoint: Label,
    /// Its tool calls: the tool, and whether the call failed.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub tool_calls: Box<[(Label, bool)]>,
    /// Its fields that could not be used.
    #[serde(default, skip_serializing_if = "Malformed::is_empty")]
    pub malformed: Malformed,
}

/// The sums over some messages: the history, the last five minutes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Messages.
    pub messages: u64,
    /// Messages with an error.
    pub errors: u64,
    /// Tokens of user messages.
    pub input_tokens: Tokens,
    /// Tokens of replies.
    pub output_tokens: Tokens,
    /// The sums by model.
    #[serde(with = "pairs")]
    pub models: FxHashMap<Label, ModelTotals>,
    /// Messages with a tool call.
    pub messages_with_tools: u64,
    /// Tool calls by tool.
    #[serde(with = "pairs")]
    pub tools: FxHashMap<Label, ToolTotals>,
    /// Tool calls by model and tool.
    #[serde(with = "pairs")]
    pub tools_of_models: FxHashMap<(Label, Label), u64>,
    /// Tool calls by endpoint and tool.
    #[serde(with = "pairs")]
    pub tools_of_endpoints: FxHashMap<(Label, Label), u64>,
    /// How long people waited for the replies of each model.
    #[serde(with = "pairs")]
    pub durations: FxHashMap<Label, Durations>,
    /// Replies of each model that settled unfinished.
    #[serde(with = "pairs")]
    pub unfinished: FxHashMap<Label, u64>,
    /// How often each field could not be used.
    #[serde(with = "pairs")]
    pub malformed: FxHashMap<Field, u64>,
}

/// The sums of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModelTotals {
    /// Replies of the model.
    pub replies: u64,
    /// Messages with an error.
    pub errors: u64,
    /// User messages that the model answered.
    pub questions: u64,
    /// Tokens of these user messages.
    pub input_tokens: Tokens,
    /// Tokens of the replies.
    pub output_tokens: Tokens,
}

/// The sums of one tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ToolTotals {
    /// Calls.
    pub calls: u64,
    /// Calls that failed.
    pub errors: u64,
}

impl Totals {
    /// Adds a message. Without the first reply to it a user message is in no sum by the model that
    /// answered.
    pub fn add(&mut self, message: &Contribution, answer: Option<Answer>) {
        self.messages += 1;
        if message.error {
            self.errors += 1;
            self.models.entry(message.model).or_default().errors += 1;
        }
        if message.by_user {
            self.input_tokens += message.tokens;
            if let Some(answer) = answer {
                let model = self.models.entry(answer.model).or_default();
                model.questions += 1;
                model.input_tokens += message.tokens;
                if let Some(waited) = answer.waited {
                    self.durations.entry(answer.model).or_default().add(waited);
                }
            }
        } else {
            self.output_tokens += message.tokens;
            let model = self.models.entry(message.model).or_default();
            model.replies += 1;
            model.output_tokens += message.tokens;
        }
        self.add_tool_calls(message);
        for field in message.malformed.fields() {
            *self.malformed.entry(field.clone()).or_default() += 1;
        }
    }

    /// Adds only the tool calls of a message.
    pub fn add_tool_calls(&mut self, message: &Contribution) {
        if message.tool_calls.is_empty() {
            return;
        }
        self.messages_with_tools += 1;
        for (tool, failed) in &message.tool_calls {
            let calls = self.tools.entry(*tool).or_default();
            calls.calls += 1;
            calls.errors += u64::from(*failed);
            *of_pair(&mut self.tools_of_models, (message.model, *tool), OTHERS) += 1;
            *of_pair(&mut self.tools_of_endpoints, (message.endpoint, *tool), OTHERS) += 1;
        }
    }

    /// All tool calls together.
    pub fn tool_calls(&self) -> ToolTotals {
        let mut all = ToolTotals::default();
        for tool in self.tools.values() {
            all += *tool;
        }
        all
    }
}

impl AddAssign<&Totals> for Totals {
    fn add_assign(&mut self, other: &Totals) {
        self.messages += other.messages;
        self.errors += other.errors;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.messages_with_tools += other.messages_with_tools;
        add_each(&mut self.models, &other.models);
        add_each(&mut self.tools, &other.tools);
        add_each_pair(&mut self.tools_of_models, &other.tools_of_models);
        add_each_pair(&mut self.tools_of_endpoints, &other.tools_of_endpoints);
        add_each(&mut self.durations, &other.durations);
        add_each(&mut self.unfinished, &other.unfinished);
        add_each(&mut self.malformed, &other.malformed);
    }
}

impl Totals {
    /// By how much each of these sums is more than that of `known`; nothing where it is less.
    pub fn beyond(&self, known: &Totals) -> Totals {
        Totals {
            messages: self.messages.beyond(&known.messages),
            errors: self.errors.beyond(&known.errors),
            input_tokens: self.input_tokens.beyond(&known.input_tokens),
            output_tokens: self.output_tokens.beyond(&known.output_tokens),
            messages_with_tools: self.messages_with_tools.beyond(&known.messages_with_tools),
            models: all_beyond(&self.models, &known.models),
            tools: all_beyond(&self.tools, &known.tools),
            tools_of_models: all_beyond(&self.tools_of_models, &known.tools_of_models),
            tools_of_endpoints: all_beyond(&self.tools_of_endpoints, &known.tools_of_endpoints),
            durations: all_beyond(&self.durations, &known.durations),
            unfinished: all_beyond(&self.unfinished, &known.unfinished),
            malformed: all_beyond(&self.malformed, &known.malformed),
        }
    }
}

impl Totals {
    /// The same sums with other numbers for the labels, of which several may become one.
    pub fn relabelled(&self, mut other: impl FnMut(Class, Label) -> Label) -> Totals {
        Totals {
            models: rekeyed(&self.models, |model| other(MODEL, model)),
            durations: rekeyed(&self.durations, |model| other(MODEL, model)),
            unfinished: rekeyed(&self.unfinished, |model| other(MODEL, model)),
            tools: rekeyed(&self.tools, |tool| other(TOOL, tool)),
            tools_of_models: rekeyed(&self.tools_of_models, |(model, tool)| {
                (other(MODEL, model), other(TOOL, tool))
            }),
            tools_of_endpoints: rekeyed(&self.tools_of_endpoints, |(endpoint, tool)| {
                (other(ENDPOINT, endpoint), other(TOOL, tool))
            }),
            ..self.clone()
        }
    }
}

fn rekeyed<K: Eq + Hash + Copy, V: AddAssign + Copy + Default>(
    sums: &FxHashMap<K, V>,
    mut other: impl FnMut(K) -> K,
) -> FxHashMap<K, V> {
    let mut rekeyed: FxHashMap<K, V> = FxHashMap::default();
    for (key, sum) in sums {
        *rekeyed.entry(other(*key)).or_default() += *sum;
    }
    rekeyed
}

/// The sum of a pair of labels; one that is new where no more are kept belongs to `others`.
pub fn of_pair<K: Eq + Hash, V: Default>(sums: &mut FxHashMap<K, V>, pair: K, others: K) -> &mut V {
    let known = sums.len() < MAX_PAIRS || sums.contains_key(&pair);
    sums.entry(if known { pair } else { others }).or_default()
}

fn add_each_pair(sums: &mut FxHashMap<(Label, Label), u64>, more: &FxHashMap<(Label, Label), u64>) {
    for (pair, sum) in more {
        *of_pair(sums, *pair, OTHERS) += sum;
    }
}

/// By how much each sum is more than that of the same key of `known`.
pub fn all_beyond<K: Eq + Hash + Clone, V: Surplus + Default>(
    sums: &FxHashMap<K, V>,
    known: &FxHashMap<K, V>,
) -> FxHashMap<K, V> {
    let nothing = V::default();
    let beyond =
        |(key, sum): (&K, &V)| (key.clone(), sum.beyond(known.get(key).unwrap_or(&nothing)));
    sums.iter().map(beyond).collect()
}

impl Surplus for Durations {
    fn beyond(&self, known: &Durations) -> Durations {
        Durations::beyond(self, known)
    }
}

impl Surplus for ModelTotals {
    fn beyond(&self, known: &ModelTotals) -> ModelTotals {
        ModelTotals {
            replies: self.replies.beyond(&known.replies),
            errors: self.errors.beyond(&known.errors),
            questions: self.questions.beyond(&known.questions),
            input_tokens: self.input_tokens.beyond(&known.input_tokens),
            output_tokens: self.output_tokens.beyond(&known.output_tokens),
        }
    }
}

impl Surplus for ToolTotals {
    fn beyond(&self, known: &ToolTotals) -> ToolTotals {
        ToolTotals {
            calls: self.calls.beyond(&known.calls),
            errors: self.errors.beyond(&known.errors),
        }
    }
}

impl AddAssign for ModelTotals {
    fn add_assign(&mut self, other: ModelTotals) {
        self.replies += other.replies;
        self.errors += other.errors;
        self.questions += other.questions;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
    }
}

impl AddAssign for ToolTotals {
    fn add_assign(&mut self, other: ToolTotals) {
        self.calls += other.calls;
        self.errors += other.errors;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::labels::Labels;

    #[test]
    fn sums_of_fractions_do_not_depend_on_the_order() {
        let terms = [0.1, 0.2, 0.3, 1e9].map(|t| Tokens::from_f64(t).expect("finite"));
        let sum = |terms: &mut dyn Iterator<Item = &Tokens>| {
            let mut sum = Tokens::default();
            terms.for_each(|term| sum += *term);
            sum
        };
        assert_eq!(sum(&mut terms.iter()), sum(&mut terms.iter().rev()));
        assert_eq!(sum(&mut terms.iter()).as_f64(), 1_000_000_000.6);
    }

    #[test]
    fn sums_of_labels_that_become_one_are_added_up() {
        let mut labels = Labels::default();
        let (one, two) = (labels.label(MODEL, "one"), labels.label(MODEL, "two"));
        let mut totals = Totals::default();
        for (model, replies) in [(one, 2), (two, 3)] {
            totals.models.insert(model, ModelTotals { replies, ..ModelTotals::default() });
        }
        let merged = totals.relabelled(|_, _| Label::OTHER);
        assert_eq!((merged.models.len(), merged.models[&Label::OTHER].replies), (1, 5));
    }

    #[test]
    fn huge_counts_saturate() {
        let mut tokens = Tokens::from_f64(1e300).expect("finite");
        let before = tokens;
        tokens += Tokens::from(u64::MAX);
        assert!(tokens >= before);
    }
}
