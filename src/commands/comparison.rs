//! Comparing what another exporter says with what this one says.
//!
//! What answers each of their families is read from the tables in `migrations-notes/`, so that the notes
//! and the comparison cannot differ.

use std::collections::BTreeMap;
use std::fmt;

use crate::engine::source::Peer;
use crate::exposition::Format;
use crate::exposition::family::Value;
use crate::exposition::parse::{self, parse};
use crate::sources;

/// A family of another exporter and what answers it here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The family there.
    pub theirs: String,
    /// A family or a PromQL expression here.
    pub ours: String,
    /// What differs.
    pub note: String,
}

/// The rows of the table under `| there | here | what differs |` in a migration note.
pub fn answers(notes: &str) -> Vec<Answer> {
    let table = notes.lines().skip_while(|line| *line != "| there | here | what differs |").skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| {
        // A pipe within a cell is written `\|`.
        let row = row.replace("\\|", "\0");
        let cells: Vec<String> =
            row.split('|').map(|cell| cell.trim().replace('\0', "|")).collect();
        let [_, theirs, ours, note, _] = cells.try_into().ok()?;
        let code = |cell: String| cell.trim_matches('`').to_owned();
        Some(Answer { theirs: code(theirs), ours: code(ours), note })
    })
    .collect()
}

/// A page could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{of} is no page of metrics: {cause}")]
pub struct NoPage {
    /// Whose page.
    of: &'static str,
    cause: parse::Error,
}

/// What one of their families says and what answers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    answer: Answer,
    outcome: Outcome,
}

/// How two families compare.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All values are the same.
    Equal(f64),
    /// Some are not: the labels, the value there and the value here.
    Differs(Vec<(String, Option<f64>, Option<f64>)>),
    /// It is exported there and not here.
    Missing(f64),
    /// It has no samples there.
    Nothing,
    /// One page does not answer it: it takes Prometheus.
    Query(f64),
}

/// Compares their page with ours, family by family.
///
/// # Errors
///
/// If one of them is no page of metrics.
pub fn compare(theirs: &str, ours: &str) -> Result<Vec<Compared>, NoPage> {
    let theirs = Samples::parse(theirs, "the page of the other exporter")?;
    let ours = Samples::parse(ours, "the page of this exporter")?;
    let all = sources::ALL.iter().flat_map(|kind| kind.peers);
    let (marked, others): (Vec<&Peer>, Vec<&Peer>) = all.partition(|peer| peer.mark.is_some());
    let has_mark = |peer: &Peer| peer.mark.is_some_and(|mark| theirs.0.contains_key(mark));
    let peer = marked.into_iter().find(|peer| has_mark(peer)).or(others.first().copied());
    let table = peer.map(|peer| answers(peer.notes)).unwrap_or_default();
    let compared = table.into_iter().map(|answer| {
        let outcome = outcome(&answer, &theirs, &ours);
        Compared { answer, outcome }
    });
    Ok(compared.collect())
}

fn outcome(answer: &Answer, theirs: &Samples, ours: &Samples) -> Outcome {
    let Some(there) = theirs.0.get(&answer.theirs).filter(|series| !series.is_empty()) else {
        return Outcome::Nothing;
    };
    let total = there.values().sum();
    let Some(selector) = Selector::of(&answer.ours) else { return Outcome::Query(total) };
    let here: Series = selector.select(ours);
    if here.is_empty() {
        return Outcome::Missing(total);
    }
    let names = |series: &Series| -> Option<Vec<String>> {
        let labels = series.keys().next()?;
        Some(labels.iter().map(|(name, _)| name.clone()).collect())
    };
    let mut differences = Vec::new();
    if !selector.is_sum && names(there) == names(&here) {
        for labels in there.keys().chain(here.keys().filter(|labels| !there.contains_key(*labels)))
        {
            let (one, other) = (there.get(labels).copied(), here.get(labels).copied());
            if !same(one.unwrap_or(0.0), other.unwrap_or(0.0)) {
                differences.push((text(labels), one, other));
            }
        }
    } else {
        let sum: f64 = here.values().sum();
        if !same(total, sum) {
            differences.push(("all together".to_owned(), Some(total), Some(sum)));
        }
    }
    if differences.is_empty() { Outcome::Equal(total) } else { Outcome::Differs(differences) }
}

fn same(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs())
}

type LabelSet = Vec<(String, String)>;
type Series = BTreeMap<LabelSet, f64>;

fn text(labels: &LabelSet) -> String {
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    labels.join(",")
}

/// The samples of a page by family.
struct Samples(BTreeMap<String, Series>);

impl Samples {
    fn parse(page: &str, of: &'static str) -> Result<Samples, NoPage> {
        // Only OpenMetrics has an end, and pages come from files too, which have no content type.
        let is_open_metrics = page.trim_end().ends_with("\n# EOF");
        let format = if is_open_metrics { Format::OpenMetrics } else { Format::Text };
        let page = parse(page, format).map_err(|cause| NoPage { of, cause })?;
        let mut families: BTreeMap<String, Series> = BTreeMap::new();
        for family in &page.families {
            for sample in family.samples() {
                let Value::Number(value) = sample.value else { continue };
                let labels = family.labels_of(sample).filter(|(_, value)| !value.is_empty());
                let mut labels: LabelSet =
                    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                labels.sort();
                families.entry(family.name().to_owned()).or_default().insert(labels, value);
            }
        }
        Ok(Samples(families))
    }
}

/// A family, or some of its series, or their sums: what one page can answer.
struct Selector {
    family: String,
    /// A label and the value that it must have.
    with: Option<(String, String)>,
    is_sum: bool,
}

impl Selector {
    /// The selector that a PromQL expression is; `None` if it is anything else.
    fn of(expression: &str) -> Option<Selector> {
        let summed = expression.strip_prefix("sum").and_then(|rest| {
            let rest = rest
                .strip_prefix(" by (")
                .and_then(|by| by.split_once(") "))
                .map_or(rest, |by| by.1);
            rest.strip_prefix('(')?.strip_suffix(')')
        });
        let selector = summed.unwrap_or(expression);
        let (family, with) = match selector.split_once('{') {
            None => (selector, None),
            Some((family, rest)) => {
                let (label, value) = rest.strip_suffix("\"}")?.split_once("=\"")?;
                (family, Some((label.to_owned(), value.to_owned())))
            }
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let plain = family.chars().all(is_name)
            && with.iter().all(|(label, value)| label.chars().all(is_name) && !value.contains('"'));
        plain.then(|| Selector { family: family.to_owned(), with, is_sum: summed.is_some() })
    }

    fn select(&self, samples: &Samples) -> Series {
        let series = samples.0.get(&self.family).into_iter().flatten();
        let wanted = series
            .filter(|(labels, _)| self.with.as_ref().is_none_or(|with| labels.contains(with)));
        wanted
            .map(|(labels, value)| {
                let others = labels.iter().filter(|label| Some(*label) != self.with.as_ref());
                (others.cloned().collect(), *value)
            })
            .collect()
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answer { theirs, ours, note } = &self.answer;
        let name = if theirs == ours { theirs.clone() } else { format!("{theirs} -> {ours}") };
        match &self.outcome {
            Outcome::Equal(value) => write!(formatter, "equal      {name}: {value}"),
            Outcome::Nothing => write!(formatter, "nothing    {theirs}: no samples there"),
            Outcome::Missing(value) => {
                write!(formatter, "not here   {name}: {value} there, nothing here")?;
                explain(formatter, note)
            }
            Outcome::Query(value) => {
                write!(formatter, "prometheus {name}: {value} there; ask Prometheus for ours")?;
                explain(formatter, note)
            }
            Outcome::Differs(differences) => {
                write!(formatter, "differs    {name}")?;
                explain(formatter, note)?;
                let value = |value: &Option<f64>| {
                    value.map_or("nothing".to_owned(), |value| value.to_string())
                };
                for (labels, there, here) in differences {
                    let (there, here) = (value(there), value(here));
                    write!(formatter, "\n           {labels}: {there} there, {here} here")?;
                }
                Ok(())
            }
        }
    }
}

fn explain(formatter: &mut fmt::Formatter<'_>, note: &str) -> fmt::Result {
    if note.is_empty() { Ok(()) } else { write!(formatter, " ({note})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(theirs: &str, ours: &str) -> Vec<String> {
        let compared = compare(theirs, ours).expect("pages");
        let told = compared.iter().filter(|compared| compared.outcome != Outcome::Nothing);
        told.map(ToString::to_string).collect()
    }

    #[test]
    fn series_of_the_same_labels_are_compared_one_by_one() {
        let theirs = "# TYPE librechat_messages_per_model_total gauge\n\
                      librechat_messages_per_model_total{model=\"a\"} 2\n\
                      librechat_messages_per_model_total{model=\"b\"} 3\n";
        let ours = theirs.replace(" 3", " 4").replace("gauge", "counter");
        let told = compared(theirs, &ours);
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("differs    librechat_messages_per_model_total"), "{told:?}");
        assert!(told[0].ends_with("model=\"b\": 3 there, 4 here"), "{told:?}");
        assert!(compared(theirs, theirs)[0].starts_with("equal"));
    }

    #[test]
    fn labels_with_commas_quotes_and_braces_are_told_apart() {
        let theirs = "librechat_messages_per_model_total{model=\"a,b\"} 2\n\
                      librechat_messages_per_model_total{model=\"a,\\\"c}\"} 3\n";
        assert!(compared(theirs, theirs)[0].starts_with("equal"));
        assert!(compared(theirs, theirs)[0].ends_with(": 5"));
        let told = compared(theirs, &theirs.replace(" 3", " 4"));
        assert!(told[0].contains("model=\"a,\\\"c}\": 3 there, 4 here"), "{told:?}");
    }

    #[test]
    fn a_page_that_cannot_be_read_is_named_with_the_line() {
        let error = compare("a 1\n", "a 1\n<html>\n").expect_err("no page");
        let expected =
            "the page of this exporter is no page of metrics: line 2: there is no name of a metric";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn other_names_are_compared_by_their_sums_and_expressions_are_left_to_prometheus() {
        let theirs = "librechat_exporter_mongo_connected 1\n\
                      librechat_user_provider_count{provider=\"local\"} 2\n\
                      librechat_user_provider_count{provider=\"openid\"} 3\n\
                      librechat_message_count 7\n\
                      librechat_messages_total_24h 4\n";
        let ours = "librechat_up 1\n\
                    librechat_users{provider=\"local\",role=\"USER\"} 5\n\
                    librechat_stored_documents{collection=\"messages\"} 8\n\
                    librechat_stored_documents{collection=\"users\"} 5\n";
        let told = compared(theirs, ours);
        let starts = ["differs", "equal", "prometheus", "equal"];
        assert_eq!(told.len(), starts.len(), "{told:?}");
        for (line, start) in told.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
        assert!(told[0].contains("7 there, 8 here"), "{told:?}");
    }
}
