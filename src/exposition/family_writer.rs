//! Writing the families of one collector, refresh by refresh: those that are wanted, bounded, and with counters
//! that never fall where that is asked for.

use std::ops::AddAssign;

use crate::exposition::chart::Chart;
use crate::exposition::description::Description;
use crate::exposition::families::Families;
use crate::exposition::family::Distribution;
use crate::exposition::own::SERIES_DROPPED;
use crate::exposition::series::{Labels, Series, Shown};

/// The families of one collector while they are written.
pub struct FamilyWriter {
    is_wanted: Box<dyn Fn(&Description) -> bool + Send + Sync>,
    series: Series,
    families: Families,
}

/// A family and its value in a row; `None` leaves the row out.
pub type Column<'a, V> = (&'a Description, fn(&V) -> Option<f64>);

/// A count as a metric has it, where it is not zero.
pub fn some(count: u64) -> Option<f64> {
    (count > 0).then_some(count as f64)
}

impl FamilyWriter {
    /// A writer for families of at most `max_series` label sets, of which this was `shown` before.
    pub fn new(max_series: usize, shown: Shown) -> FamilyWriter {
        FamilyWriter {
            is_wanted: Box::new(|_| true),
            series: Series::new(max_series, shown),
            families: Families::default(),
        }
    }

    /// The same, which writes only the families that are wanted.
    #[must_use]
    pub fn only(
        self,
        is_wanted: impl Fn(&Description) -> bool + Send + Sync + 'static,
    ) -> FamilyWriter {
        FamilyWriter { is_wanted: Box::new(is_wanted), ..self }
    }

    /// The same, whose counters and histograms never fall: of each series it shows the highest value so far. A
    /// series that was not there for 30 days begins anew.
    #[must_use]
    pub fn never_falling(self) -> FamilyWriter {
        FamilyWriter { series: self.series.never_falling(), ..self }
    }

    /// What the families have shown.
    pub fn shown(&mut self) -> &mut Series {
        &mut self.series
    }

    /// Adds a family without labels.
    pub fn value(&mut self, description: &Description, value: f64) {
        self.series(description, vec![(Vec::new(), value)]);
    }

    /// Adds the families that are columns of the same rows. Rows beyond the bound are added up.
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
        if (self.is_wanted)(description) {
            self.series.add(&mut self.families, description, samples);
        }
    }

    /// Adds a family whose samples cannot be added up. Those beyond the bound are left out.
    pub fn capped(&mut self, description: &Description, samples: Vec<(Labels, f64)>) {
        if (self.is_wanted)(description) {
            let samples = self.series.cap(description, samples);
            self.series.add(&mut self.families, description, samples);
        }
    }

    /// Adds a histogram. Rows beyond the bound are added up.
    pub fn histogram<V: Default + AddAssign>(
        &mut self,
        description: &Description,
        rows: Vec<(Labels, V)>,
        weight: impl Fn(&V) -> u64,
        distribution: impl Fn(&V) -> Distribution,
    ) {
        if (self.is_wanted)(description) {
            let rows = self.series.bound(&[description], rows, weight);
            let rows = rows.into_iter().map(|(labels, row)| (labels, distribution(&row)));
            self.series.add_distributions(&mut self.families, description, rows.collect());
        }
    }

    /// Adds a chart of what a family is about, where that is exported.
    pub fn chart(&mut self, family: &Description, chart: Chart) {
        if (self.is_wanted)(family) && !chart.bars.is_empty() {
            self.families.chart(chart);
        }
    }

    /// The families that were written, and how many label sets were folded or left out.
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
