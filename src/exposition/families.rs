//! Building the metric families of one refresh.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::catalogue::{Description, Kind};

/// The metric families that one refresh of a collector answers with.
///
/// A family without samples is left out, because an absent family cannot be mistaken for a zero.
#[derive(Debug, Default, Clone)]
pub struct Families(Vec<MetricFamily>);

impl Families {
    /// Adds a family without labels.
    pub fn value(&mut self, description: &Description, value: f64) {
        self.series(description, [([""; 0], value)]);
    }

    /// Adds a family with one sample for each set of label values, given in the order of
    /// [`Description::labels`].
    pub fn series<L, S>(
        &mut self,
        description: &Description,
        samples: impl IntoIterator<Item = (L, f64)>,
    ) where
        L: IntoIterator<Item = S>,
        S: Into<String>,
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
        });
        family.set_metric(metrics);
        self.0.push(family);
    }

    /// The families, in the order in which they were added.
    pub fn as_slice(&self) -> &[MetricFamily] {
        &self.0
    }
}

fn sample<S: Into<String>>(
    description: &Description,
    labels: impl IntoIterator<Item = S>,
    value: f64,
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
    match description.kind {
        Kind::Counter => {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        Kind::Gauge => {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
    }
    metric
}
