//! What the series of a source may never do: multiply without bound, and fall, where that is asked for. What has
//! been `shown` decides it.

mod shown;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault};
use std::ops::AddAssign;

use chrono::Utc;
use rustc_hash::FxHasher;

use crate::exposition::description::{Description, Kind};
use crate::exposition::families::Families;
use crate::exposition::family::Distribution;
pub use crate::exposition::series::shown::Shown;

/// The label value under which the rarest label sets are folded together.
pub const OTHER: &str = "other";

const SECONDS_OF_A_DAY: i64 = 24 * 60 * 60;

/// The label values of one series, in the order of the family's label names.
pub type Labels = Vec<String>;

/// Remembers what was shown, so that no family grows without bound, and no counter falls where that is asked for.
///
/// A counter that is computed anew at every refresh can become smaller: LibreChat inserts a question with an
/// estimated token count and corrects it when the reply ends. Prometheus would take the smaller value for a
/// restart and count everything once more, so such a counter stays at the highest value shown until the true one
/// has caught up.
#[derive(Debug)]
pub struct Series {
    max_label_sets: usize,
    never_falling: bool,
    shown: Shown,
    changed: bool,
    dropped: BTreeMap<Cow<'static, str>, usize>,
    /// The hashes of the label sets of each family that were last shown without any folded or left out.
    whole: BTreeMap<Cow<'static, str>, HashSet<u64>>,
    /// The day, counted from 1970.
    today: fn() -> i64,
}

impl Series {
    /// Series of which this was `shown` before; at most `max_label_sets` in a family.
    pub fn new(max_label_sets: usize, shown: Shown) -> Series {
        Series {
            max_label_sets,
            never_falling: false,
            shown,
            changed: true,
            dropped: BTreeMap::new(),
            whole: BTreeMap::new(),
            today: || Utc::now().timestamp() / SECONDS_OF_A_DAY,
        }
    }

    /// The same, of which no counter ever falls.
    #[must_use]
    pub fn never_falling(self) -> Series {
        Series { never_falling: true, ..self }
    }

    /// What was shown.
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Whether what was shown has changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether a counter that never falls has been shown with these labels.
    pub fn has_shown(&self, description: &Description, labels: &Labels) -> bool {
        self.shown.has_highest(&description.name, labels)
    }

    /// Adds a family of samples to `families`.
    pub fn add(
        &mut self,
        families: &mut Families,
        description: &Description,
        samples: Vec<(Labels, f64)>,
    ) {
        if !self.never_falling || description.kind != Kind::Counter {
            families.series(description, samples);
            return;
        }
        let name = &description.name;
        let mut given = HashSet::with_capacity(samples.len());
        let mut shown = Vec::with_capacity(samples.len());
        for (labels, value) in samples {
            shown.push((labels.clone(), self.highest(name, &labels, value)));
            given.insert(labels);
        }
        self.changed |= self.shown.forget_highest(name, &given, (self.today)());
        families.series(description, shown);
    }

    /// Adds a histogram to `families`.
    pub fn add_distributions(
        &mut self,
        families: &mut Families,
        description: &Description,
        samples: Vec<(Labels, Distribution)>,
    ) {
        if !self.never_falling {
            families.series(description, samples);
            return;
        }
        let mut given = HashSet::new();
        let mut shown = Vec::with_capacity(samples.len());
        for (labels, mut distribution) in samples {
            let mut highest = |part: String, value: f64| {
                let part: Labels = labels.iter().cloned().chain([part]).collect();
                let highest = self.highest(&description.name, &part, value);
                given.insert(part);
                highest
            };
            for (bound, count) in &mut distribution.buckets {
                *count = highest(bound.to_string(), *count as f64) as u64;
            }
            distribution.count = highest("count".to_owned(), distribution.count as f64) as u64;
            distribution.sum = highest("sum".to_owned(), distribution.sum);
            shown.push((labels, distribution));
        }
        self.changed |= self.shown.forget_highest(&description.name, &given, (self.today)());
        families.series(description, shown);
    }

    fn highest(&mut self, family: &str, labels: &Labels, value: f64) -> f64 {
        let (highest, is_new) = self.shown.highest(family, labels, value);
        self.changed |= is_new;
        highest
    }

    /// Bounds the rows from which the families `shown_by` are made, which may be added up: past the maximum, the
    /// rows of least weight are added up in one whose labels all read `other`.
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
        self.note_given(first, rows.iter().map(|(labels, _)| labels));
        for description in shown_by {
            self.dropped.remove(&description.name);
        }
        if rows.len() <= self.max_label_sets {
            self.note_whole(first, rows.iter().map(|(labels, _)| labels));
            return rows;
        }
        self.admit_what_was_shown(first, rows.iter().map(|(labels, _)| labels));
        let admitted = self.shown.admitted(&first.name);
        rows.sort_by_cached_key(|(labels, value)| {
            (!admitted.contains(labels), Reverse(weight(value)), labels.clone())
        });
        let folded = rows.split_off(self.max_label_sets.saturating_sub(1));
        for (labels, _) in &rows {
            self.changed |= admitted.insert(labels.clone());
        }
        for description in shown_by {
            self.dropped.insert(description.name.clone(), folded.len());
        }
        let other = vec![OTHER.to_owned(); first.labels.len()];
        let mut sum = V::default();
        for (_, value) in folded {
            sum += value;
        }
        match rows.iter_mut().find(|(labels, _)| *labels == other) {
            Some((_, value)) => *value += sum,
            None => rows.push((other, sum)),
        }
        rows
    }

    /// Bounds samples that may not be added up: past the maximum, those are left out that come last and were not
    /// shown before.
    pub fn cap<V>(
        &mut self,
        description: &Description,
        samples: Vec<(Labels, V)>,
    ) -> Vec<(Labels, V)> {
        self.note_given(description, samples.iter().map(|(labels, _)| labels));
        self.dropped.remove(&description.name);
        let left_out = samples.len().saturating_sub(self.max_label_sets);
        if left_out == 0 {
            self.note_whole(description, samples.iter().map(|(labels, _)| labels));
            return samples;
        }
        self.admit_what_was_shown(description, samples.iter().map(|(labels, _)| labels));
        let admitted = self.shown.admitted(&description.name);
        let known = samples.iter().filter(|(labels, _)| admitted.contains(labels)).count();
        let mut places = self.max_label_sets.saturating_sub(known);
        let mut kept = Vec::with_capacity(self.max_label_sets);
        for (labels, value) in samples {
            let is_new = !admitted.contains(&labels);
            if kept.len() == self.max_label_sets || (is_new && places == 0) {
                continue;
            }
            if is_new {
                places -= 1;
                admitted.insert(labels.clone());
                self.changed = true;
            }
            kept.push((labels, value));
        }
        self.dropped.insert(description.name.clone(), left_out);
        kept
    }

    /// Notes label sets of which none is folded or left out.
    fn note_whole<'a>(&mut self, family: &Description, given: impl Iterator<Item = &'a Labels>) {
        let whole = self.whole.entry(family.name.clone()).or_default();
        whole.clear();
        whole.extend(given.map(hash));
    }

    /// Where the maximum is passed for the first time, what was shown until then keeps its place: as far as is
    /// known, which after a restart are the counters.
    fn admit_what_was_shown<'a>(
        &mut self,
        family: &Description,
        given: impl Iterator<Item = &'a Labels>,
    ) {
        if !self.shown.admitted(&family.name).is_empty() {
            return;
        }
        let whole = self.whole.remove(&family.name).unwrap_or_default();
        let was_shown = |labels: &&Labels| {
            whole.contains(&hash(labels)) || self.shown.has_highest(&family.name, labels)
        };
        let before: Vec<Labels> = given.filter(was_shown).cloned().collect();
        self.changed |= !before.is_empty();
        self.shown.admitted(&family.name).extend(before);
    }

    fn note_given<'a>(&mut self, family: &Description, given: impl Iterator<Item = &'a Labels>) {
        self.changed |= self.shown.forget_admitted(&family.name, given, (self.today)());
    }

    /// How many label sets are folded into `other` or left out, by family name.
    pub fn dropped(&self) -> impl Iterator<Item = (&str, usize)> {
        self.dropped.iter().map(|(name, count)| (&**name, *count))
    }
}

fn hash(labels: &Labels) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::family::Value;

    crate::catalogue! {
        TESTED: Counter "tested_total" ["name"] () "A family of the tests.";
        LARGEST: Gauge "tested_largest" ["name"] () "A family that cannot be added up.";
    }

    fn rows(counts: &[(&str, u64)]) -> Vec<(Labels, u64)> {
        counts.iter().map(|(name, count)| (vec![(*name).to_owned()], *count)).collect()
    }

    fn shown(series: &mut Series, value: f64) -> f64 {
        let mut families = Families::default();
        series.add(&mut families, &TESTED, vec![(vec!["a".to_owned()], value)]);
        let Value::Number(value) = families.as_slice()[0].samples()[0].value else {
            panic!("a number");
        };
        value
    }

    fn show(series: &mut Series, names: &[&str]) {
        let samples = names.iter().map(|name| (vec![(*name).to_owned()], 1.0)).collect();
        series.add(&mut Families::default(), &TESTED, samples);
    }

    #[test]
    fn a_counter_stays_where_it_was_until_the_sum_has_caught_up() {
        let mut series = Series::new(10, Shown::default()).never_falling();
        let values = [5.0, 3.0, 6.0].map(|value| shown(&mut series, value));
        assert_eq!(values, [5.0, 5.0, 6.0]);
        let mut series = Series::new(10, Shown::default());
        let values = [5.0, 3.0, 6.0].map(|value| shown(&mut series, value));
        assert_eq!(values, [5.0, 3.0, 6.0], "where nobody asked for it");
    }

    #[test]
    fn what_was_not_there_for_long_is_forgotten() {
        let mut series = Series::new(10, Shown::default()).never_falling();
        series.today = || 100;
        show(&mut series, &["a", "b"]);
        show(&mut series, &["a"]);
        assert!(series.take_changed());
        show(&mut series, &["a"]);
        assert!(!series.take_changed(), "nothing is other than it was");
        series.today = || 129;
        show(&mut series, &["a"]);
        let b = vec!["b".to_owned()];
        assert!(series.has_shown(&TESTED, &b));
        series.today = || 130;
        show(&mut series, &["a"]);
        assert!(!series.has_shown(&TESTED, &b) && series.take_changed());
        assert!(series.shown.is_complete("tested_total"));
    }

    #[test]
    fn what_comes_back_is_remembered_from_then_on() {
        let mut series = Series::new(10, Shown::default()).never_falling();
        series.today = || 100;
        show(&mut series, &["a", "b"]);
        show(&mut series, &["a"]);
        series.today = || 129;
        show(&mut series, &["b"]);
        series.today = || 131;
        show(&mut series, &["a"]);
        show(&mut series, &["a"]);
        assert!(series.has_shown(&TESTED, &vec!["b".to_owned()]));
    }

    #[test]
    fn label_sets_that_are_gone_make_room() {
        let mut series = Series::new(2, Shown::default());
        series.today = || 100;
        let all = series.cap(&LARGEST, rows(&[("a", 1), ("b", 2), ("c", 3)]));
        assert_eq!(all, rows(&[("a", 1), ("b", 2)]));
        assert_eq!(series.dropped().collect::<Vec<_>>(), [("tested_largest", 1)]);
        let all = series.cap(&LARGEST, rows(&[("c", 3), ("d", 4), ("b", 2)]));
        assert_eq!(all, rows(&[("c", 3), ("b", 2)]), "what was shown stays");
        series.today = || 130;
        series.cap(&LARGEST, rows(&[("b", 2), ("c", 3)]));
        assert_eq!(series.dropped().count(), 0);
        assert_eq!(series.shown.admitted("tested_largest").len(), 2);
    }

    #[test]
    fn what_an_earlier_version_saved_is_read() {
        let saved =
            r#"{"highest":{"tested_total":[[["a"],5.0]]},"admitted":{"tested_total":[["a"]]}}"#;
        let shown_before: Shown = serde_json::from_str(saved).expect("what was saved");
        let again = serde_json::to_string(&shown_before).expect("JSON");
        let shown_before: Shown = serde_json::from_str(&again).expect("what was saved");
        let mut series = Series::new(10, shown_before).never_falling();
        assert_eq!(shown(&mut series, 3.0), 5.0);
    }

    #[test]
    fn the_rarest_rows_are_folded_and_a_row_once_shown_stays() {
        let mut series = Series::new(3, Shown::default());
        let first =
            series.bound(&[&TESTED], rows(&[("a", 5), ("b", 4), ("c", 3), ("d", 2)]), |v| *v);
        assert_eq!(first, rows(&[("a", 5), ("b", 4), (OTHER, 5)]));
        assert_eq!(series.dropped().collect::<Vec<_>>(), [("tested_total", 2)]);
        let then =
            series.bound(&[&TESTED], rows(&[("a", 5), ("b", 4), ("c", 30), ("d", 2)]), |v| *v);
        assert_eq!(then, rows(&[("a", 5), ("b", 4), (OTHER, 32)]));
    }

    #[test]
    fn what_was_shown_before_the_maximum_is_passed_keeps_its_place() {
        let mut series = Series::new(3, Shown::default());
        series.bound(&[&TESTED], rows(&[("a", 1), ("b", 1)]), |v| *v);
        let names = [("a", 1), ("b", 1), ("c", 30), ("d", 40)];
        let then = series.bound(&[&TESTED], rows(&names), |v| *v);
        assert_eq!(then, rows(&[("a", 1), ("b", 1), (OTHER, 70)]));
        let gauges = series.cap(&LARGEST, rows(&[("x", 1), ("z", 1)]));
        assert_eq!(gauges.len(), 2);
        let gauges = series.cap(&LARGEST, rows(&[("w", 9), ("x", 1), ("y", 8), ("z", 1)]));
        assert_eq!(gauges, rows(&[("w", 9), ("x", 1), ("z", 1)]));

        let mut series = Series::new(3, Shown::default()).never_falling();
        show(&mut series, &["a", "b"]);
        let mut restarted = Series::new(3, series.shown.clone()).never_falling();
        let then = restarted.bound(&[&TESTED], rows(&names), |v| *v);
        assert_eq!(then, rows(&[("a", 1), ("b", 1), (OTHER, 70)]), "after a restart");
    }

    #[test]
    fn a_family_within_the_bound_is_left_alone() {
        let mut series = Series::new(2, Shown::default());
        assert_eq!(series.bound(&[&TESTED], rows(&[("a", 1), ("b", 2)]), |v| *v).len(), 2);
        assert_eq!(series.dropped().count(), 0);
    }
}
