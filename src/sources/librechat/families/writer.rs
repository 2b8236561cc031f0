//! Writing families of the groups that are on, bounded and never falling.

use std::ops::AddAssign;

use rustc_hash::FxHashMap;
use tracing::debug;

use crate::exposition::chart::Chart;
use crate::exposition::own::{MALFORMED_FIELDS, SERIES_DROPPED};
use crate::exposition::series::{Labels, Shown};
use crate::exposition::{Description, Distribution, Families, Series};
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::groups::Groups;

/// The families of one collector while they are written.
pub struct FamilyWriter {
    groups: Groups,
    series: Series,
    families: Families,
    /// The malformed fields that the log has named.
    told: Malformed,
}

/// A family and its value in a row; `None` leaves the row out.
pub type Column<'a, V> = (&'a Description, fn(&V) -> Option<f64>);

/// A count as a metric has it, where it is not zero.
pub fn some(count: u64) -> Option<f64> {
    (count > 0).then_some(count as f64)
}

impl FamilyWriter {
    /// A writer for families of `groups`, each with at most `max_series` label sets, of which this was
    /// `shown` before.
    pub fn new(groups: Groups, max_series: usize, shown: Shown) -> FamilyWriter {
        FamilyWriter {
            groups,
            series: Series::new(max_series, shown),
            families: Families::default(),
            told: Malformed::default(),
        }
    }

    /// What the families have shown.
    pub fn shown(&mut self) -> &mut Series {
        &mut self.series
    }

    /// Adds a family without labels.
    pub fn value(&mut self, description: &Description, value: f64) {
        self.series(description, vec![(Vec::new(), value)]);
    }

    /// Adds the families that are columns of the same rows.
    pub fn table<V: Default + AddAssign>(
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

    /// Adds a family whose samples need no bound.
    pub fn series(&mut self, description: &Description, samples: Vec<(Labels, f64)>) {
        if self.groups.show(description) {
            self.series.add(&mut self.families, description, samples);
        }
    }

    /// Adds a histogram.
    pub fn histogram<V: Default + AddAssign>(
        &mut self,
        description: &Description,
        rows: Vec<(Labels, V)>,
        weight: impl Fn(&V) -> u64,
        distribution: impl Fn(&V) -> Distribution,
    ) {
        if self.groups.show(description) {
            let rows = self.series.bound(&[description], rows, weight);
            let rows = rows.into_iter().map(|(labels, row)| (labels, distribution(&row)));
            self.series.add_distributions(&mut self.families, description, rows.collect());
        }
    }

    /// Adds a chart of what a family is about, where that is exported.
    pub fn chart(&mut self, family: &Description, chart: Chart) {
        if self.groups.show(family) && !chart.bars.is_empty() {
            self.families.chart(chart);
        }
    }

    /// Adds how often each field of a collection could not be used. The log names each once, and never a
    /// value, which may be of a person.
    pub fn malformed(&mut self, collection: &str, counts: &FxHashMap<Field, u64>) {
        let mut samples = Vec::new();
        for (field, count) in counts.iter().filter(|(_, count)| **count > 0) {
            samples.push((vec![collection.to_owned(), field.to_string()], *count as f64));
            if !self.told.contains(field) {
                self.told.note(field);
                let field = field.path();
                debug!(collection, field, "values of an unexpected type or range are skipped");
            }
        }
        samples.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.series(&MALFORMED_FIELDS, samples);
    }

    /// The families that were written, and how many label sets were folded.
    pub fn finish(&mut self) -> Families {
        let dropped: Vec<(Labels, f64)> = self
            .series
            .dropped()
            .map(|(family, count)| (vec![family.to_owned()], count as f64))
            .collect();
        self.families.series(&SERIES_DROPPED, dropped);
        std::mem::take(&mut self.families)
    }
}
