//! Building the metric families of one refresh.

use chrono::{DateTime, Utc};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::exposition::chart::Chart;
use crate::exposition::description::{Description, Kind};

/// The value of one series.
pub trait Value {
    /// Writes it into a sample of the kind of its family.
    fn write(self, kind: Kind, metric: &mut Metric);
}

impl Value for f64 {
    fn write(self, kind: Kind, metric: &mut Metric) {
        match kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(self);
                metric.set_counter(counter);
            }
            Kind::Gauge | Kind::Histogram => {
                let mut gauge = Gauge::default();
                gauge.set_value(self);
                metric.set_gauge(gauge);
            }
        }
    }
}

/// How many values lie below bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// The bounds in rising order, and how many values are not larger.
    pub buckets: Vec<(f64, u64)>,
    /// All values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

impl Value for Distribution {
    fn write(self, _: Kind, metric: &mut Metric) {
        let buckets = self.buckets.into_iter().map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(self.count);
        histogram.set_sample_sum(self.sum);
        metric.set_histogram(histogram);
    }
}

/// The metric families, and charts for people, that one refresh of a collector answers with.
///
/// A family without samples is left out, because an absent family cannot be mistaken for a zero.
#[derive(Debug, Default, Clone)]
pub struct Families {
    families: Vec<MetricFamily>,
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
        V: Value,
    {
        let metrics: Vec<Metric> =
            samples.into_iter().map(|(labels, value)| sample(description, labels, value)).collect();
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(description.name.to_owned());
        family.set_help(description.help.to_owned());
        family.set_field_type(match description.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(metrics);
        self.families.push(family);
    }

    /// The families, in the order in which they were added.
    pub fn as_slice(&self) -> &[MetricFamily] {
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

fn sample<S: Into<String>>(
    description: &Description,
    labels: impl IntoIterator<Item = S>,
    value: impl Value,
) -> Metric {
    let pairs = description
        .labels
        .iter()
        .zip(labels)
        .map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(value.into());
            pair
        })
        .collect();
    let mut metric = Metric::from_label(pairs);
    value.write(description.kind, &mut metric);
    metric
}
