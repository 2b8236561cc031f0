//! Building the metric families of one refresh.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::exposition::chart::Chart;
use crate::exposition::description::Description;
use crate::exposition::family::{Family, Sample, Value};

/// The metric families, and charts for people, that one refresh of a collector answers with.
///
/// A family without samples is left out, because an absent family cannot be mistaken for a zero.
#[derive(Debug, Default, Clone)]
pub struct Families {
    families: Vec<Arc<Family>>,
    since: Option<DateTime<Utc>>,
    charts: Vec<Chart>,
}

impl Families {
    /// Adds a family without labels.
    pub fn value(&mut self, description: &Description, value: f64) {
        self.series(description, [([""; 0], value)]);
    }

    /// Adds a family with one sample for each set of label values, given in the order of
    /// [`Description::labels`].
    pub fn series<L, S, V>(
        &mut self,
        description: &Description,
        samples: impl IntoIterator<Item = (L, V)>,
    ) where
        L: IntoIterator<Item = S>,
        S: Into<String>,
        V: Into<Value>,
    {
        let samples = samples.into_iter().map(|(labels, value)| Sample {
            labels: labels.into_iter().map(Into::into).collect(),
            value: value.into(),
        });
        self.add(Family::of(description, samples));
    }

    /// Adds a family that was made elsewhere.
    pub fn add(&mut self, family: Family) {
        if !family.samples().is_empty() {
            self.families.push(Arc::new(family));
        }
    }

    /// The families, in the order in which they were added.
    pub fn as_slice(&self) -> &[Arc<Family>] {
        &self.families
    }

    /// Adds a chart that is made of what they are about.
    pub fn chart(&mut self, chart: Chart) {
        self.charts.push(chart);
    }

    /// The charts, in the order in which they were added.
    pub fn charts(&self) -> &[Chart] {
        &self.charts
    }

    /// When their counters were zero; `None` where nobody knows.
    pub fn since(&self) -> Option<DateTime<Utc>> {
        self.since
    }

    /// Notes when their counters were zero.
    #[must_use]
    pub fn counting_since(self, since: Option<DateTime<Utc>>) -> Families {
        Families { since, ..self }
    }
}
