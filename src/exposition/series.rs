//! What the series of a source have shown so far, and the two promises that follow from it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::AddAssign;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::exposition::description::{Description, Kind};
use crate::exposition::families::{Distribution, Families};

/// The label value under which the rarest label sets are folded together.
pub const OTHER: &str = "other";

/// The label values of one series, in the order of the family's label names.
pub type Labels = Vec<String>;

/// Remembers what was shown, so that no counter falls and no family grows without bound.
///
/// A counter is computed anew at every refresh, and a correction in the database can make it smaller:
/// LibreChat inserts a question with an estimated token count and corrects it when the reply ends.
/// Prometheus would take the smaller value for a restart and count everything once more, so a counter
/// stays at the highest value shown until the true one has caught up.
#[derive(Debug)]
pub struct Series {
    max_label_sets: usize,
    shown: Shown,
    changed: bool,
    dropped: BTreeMap<&'static str, usize>,
}

/// What must survive a restart, by the name of the family.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Shown {
    /// The highest value of each series of a counter.
    #[serde(serialize_with = "as_lists", deserialize_with = "of_lists")]
    highest: HashMap<String, HashMap<Labels, f64>>,
    /// The label sets that are not folded into `other`, where some are.
    admitted: HashMap<String, HashSet<Labels>>,
}

impl Series {
    /// Series of which this was `shown` before; at most `max_label_sets` in a family.
    pub fn new(max_label_sets: usize, shown: Shown) -> Series {
        Series { max_label_sets, shown, changed: true, dropped: BTreeMap::new() }
    }

    /// What was shown.
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Whether what was shown has changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Adds a family of samples to `families`; a counter with at least the value it has shown before.
    pub fn add(
        &mut self,
        families: &mut Families,
        description: &Description,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        match description.kind {
            Kind::Gauge | Kind::Histogram => families.series(description, samples),
            Kind::Counter => {
                let samples: Vec<(Labels, f64)> = samples
                    .into_iter()
                    .map(|(labels, value)| {
                        let highest = self.highest(description.name, labels.clone(), value);
                        (labels, highest)
                    })
                    .collect();
                families.series(description, samples);
            }
        }
    }

    /// Adds a histogram to `families`, each number with at least the value it has shown before.
    pub fn add_distributions(
        &mut self,
        families: &mut Families,
        description: &Description,
        samples: Vec<(Labels, Distribution)>,
    ) {
        let mut shown = Vec::with_capacity(samples.len());
        for (labels, mut distribution) in samples {
            let mut highest = |part: String, value: f64| {
                let part = labels.iter().cloned().chain([part]).collect();
                self.highest(description.name, part, value)
            };
            for (bound, count) in &mut distribution.buckets {
                *count = highest(bound.to_string(), *count as f64) as u64;
            }
            distribution.count = highest("count".to_owned(), distribution.count as f64) as u64;
            distribution.sum = highest("sum".to_owned(), distribution.sum);
            shown.push((labels, distribution));
        }
        families.series(description, shown);
    }

    /// The highest value that a series of a family has shown, which is at least `value` now.
    fn highest(&mut self, family: &str, series: Labels, value: f64) -> f64 {
        if !self.shown.highest.contains_key(family) {
            self.shown.highest.insert(family.to_owned(), HashMap::new());
        }
        let Some(highest) = self.shown.highest.get_mut(family) else { return value };
        let shown = highest.entry(series).or_insert_with(|| {
            self.changed = true;
            value
        });
        self.changed |= *shown < value;
        *shown = shown.max(value);
        *shown
    }

    /// Bounds the rows from which the families `shown_by` are made: past the maximum, the rows of
    /// least weight are added up in one whose labels all read `other`.
    ///
    /// Once the maximum is passed, a row that has labels of its own keeps them. Otherwise `other` would
    /// fall whenever one of its rows overtook another.
    pub fn bound<V: AddAssign + Default>(
        &mut self,
        shown_by: &[&Description],
        mut rows: Vec<(Labels, V)>,
        weight: impl Fn(&V) -> u64,
    ) -> Vec<(Labels, V)> {
        let Some(first) = shown_by.first() else {
            return rows;
        };
        for description in shown_by {
            self.dropped.remove(description.name);
        }
        if rows.len() <= self.max_label_sets {
            return rows;
        }
        let admitted = self.shown.admitted.entry(first.name.to_owned()).or_default();
        rows.sort_by_cached_key(|(labels, value)| {
            (!admitted.contains(labels), Reverse(weight(value)), labels.clone())
        });
        let folded = rows.split_off(self.max_label_sets.saturating_sub(1));
        for (labels, _) in &rows {
            self.changed |= admitted.insert(labels.clone());
        }
        for description in shown_by {
            self.dropped.insert(description.name, folded.len());
        }
        let other = vec![OTHER.to_owned(); first.labels.len()];
        let place = rows.iter().position(|(labels, _)| *labels == other).unwrap_or_else(|| {
            rows.push((other, V::default()));
            rows.len() - 1
        });
        for (_, value) in folded {
            rows[place].1 += value;
        }
        rows
    }

    /// How many label sets are folded into `other`, by family name.
    pub fn dropped(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.dropped.iter().map(|(name, count)| (*name, *count))
    }
}

type Highest = HashMap<String, HashMap<Labels, f64>>;

/// The series of each family as a list: label values cannot be the keys of a JSON object.
fn as_lists<S: Serializer>(highest: &Highest, serializer: S) -> Result<S::Ok, S::Error> {
    let lists = highest.iter().map(|(family, series)| (family, Vec::from_iter(series)));
    serializer.collect_map(lists)
}

fn of_lists<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Highest, D::Error> {
    let lists: HashMap<String, Vec<(Labels, f64)>> = HashMap::deserialize(deserializer)?;
    Ok(lists.into_iter().map(|(family, series)| (family, series.into_iter().collect())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::catalogue! {
        TESTED: Counter "tested_total" ["name"] () "A family of the tests.";
    }

    fn rows(counts: &[(&str, u64)]) -> Vec<(Labels, u64)> {
        counts.iter().map(|(name, count)| (vec![(*name).to_owned()], *count)).collect()
    }

    fn shown(series: &mut Series, value: f64) -> f64 {
        let mut families = Families::default();
        series.add(&mut families, &ALL[0], [(vec!["a".to_owned()], value)]);
        families.as_slice()[0].get_metric()[0].get_counter().get_value()
    }

    #[test]
    fn a_counter_stays_where_it_was_until_the_sum_has_caught_up() {
        let mut series = Series::new(10, Shown::default());
        let values = [5.0, 3.0, 6.0].map(|value| shown(&mut series, value));
        assert_eq!(values, [5.0, 5.0, 6.0]);
    }

    #[test]
    fn the_rarest_rows_are_folded_and_a_row_once_shown_stays() {
        let mut series = Series::new(3, Shown::default());
        let first =
            series.bound(&[&ALL[0]], rows(&[("a", 5), ("b", 4), ("c", 3), ("d", 2)]), |v| *v);
        assert_eq!(first, rows(&[("a", 5), ("b", 4), (OTHER, 5)]));
        assert_eq!(series.dropped().collect::<Vec<_>>(), [("tested_total", 2)]);
        let then =
            series.bound(&[&ALL[0]], rows(&[("a", 5), ("b", 4), ("c", 30), ("d", 2)]), |v| *v);
        assert_eq!(then, rows(&[("a", 5), ("b", 4), (OTHER, 32)]));
    }

    #[test]
    fn a_family_within_the_bound_is_left_alone() {
        let mut series = Series::new(2, Shown::default());
        assert_eq!(series.bound(&[&ALL[0]], rows(&[("a", 1), ("b", 2)]), |v| *v).len(), 2);
        assert_eq!(series.dropped().count(), 0);
    }
}
