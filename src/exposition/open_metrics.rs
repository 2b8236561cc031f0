//! OpenMetrics 1.0: the text format in which a counter tells since when it counts and a sample may tell
//! its time. Prometheus asks for it before its own.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use prometheus::proto::{Metric, MetricFamily, MetricType};

/// The content type of the format.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the last line of a page says.
pub const END: &str = "# EOF\n";

/// The name and value of a label.
pub type LabelPair = (String, String);

/// Writes a family; `since` is when its counters were zero, where that is known.
pub fn write_family(family: &MetricFamily, since: Option<DateTime<Utc>>, text: &mut String) {
    let kind = family.get_field_type();
    write_header(family.name(), kind, family.help(), text);
    for metric in family.get_metric() {
        let labels = labels(metric);
        let bounds = bounds(kind, metric);
        let names = sample_names(family.name(), kind, &bounds, &labels);
        for (name, value) in names.iter().zip(values(kind, metric)) {
            let _ = writeln!(text, "{name} {}", Number(value));
        }
        if let Some(since) = since.filter(|_| kind != MetricType::GAUGE) {
            let name = format!("{}_created", base_name(family.name(), kind));
            let _ = writeln!(text, "{} {}", series(&name, &labels, None), since.timestamp());
        }
    }
}

/// Writes the lines that say what a family is.
pub fn write_header(name: &str, kind: MetricType, help: &str, text: &mut String) {
    let name = base_name(name, kind);
    let kind = match kind {
        MetricType::COUNTER => "counter",
        MetricType::HISTOGRAM => "histogram",
        MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => "gauge",
    };
    // Writing to a string does not fail.
    let _ = writeln!(text, "# TYPE {name} {kind}");
    let _ = writeln!(text, "# HELP {name} {}", escaped(help));
}

/// The labels of a metric.
pub fn labels(metric: &Metric) -> Vec<LabelPair> {
    let pairs = metric.get_label().iter();
    pairs.map(|pair| (pair.name().to_owned(), pair.value().to_owned())).collect()
}

/// The bounds of the buckets of a histogram; none of other metrics.
pub fn bounds(kind: MetricType, metric: &Metric) -> Vec<f64> {
    match kind {
        MetricType::HISTOGRAM => {
            metric.get_histogram().get_bucket().iter().map(|bucket| bucket.upper_bound()).collect()
        }
        _ => Vec::new(),
    }
}

/// The samples that a metric has at each time: their names, with labels.
pub fn sample_names(
    family: &str,
    kind: MetricType,
    bounds: &[f64],
    labels: &[LabelPair],
) -> Vec<String> {
    if kind != MetricType::HISTOGRAM {
        return vec![series(family, labels, None)];
    }
    let bucket = format!("{family}_bucket");
    let bounds = bounds.iter().copied().chain([f64::INFINITY]);
    let mut names: Vec<String> = bounds.map(|bound| series(&bucket, labels, Some(bound))).collect();
    names.extend(["count", "sum"].map(|part| series(&format!("{family}_{part}"), labels, None)));
    names
}

/// The values of these samples.
pub fn values(kind: MetricType, metric: &Metric) -> Vec<f64> {
    match kind {
        MetricType::COUNTER => vec![metric.get_counter().get_value()],
        MetricType::HISTOGRAM => {
            let histogram = metric.get_histogram();
            let count = histogram.get_sample_count() as f64;
            let buckets = histogram.get_bucket().iter();
            let buckets = buckets.map(|bucket| bucket.cumulative_count() as f64);
            buckets.chain([count, count, histogram.get_sample_sum()]).collect()
        }
        _ => vec![metric.get_gauge().get_value()],
    }
}

/// The name of a family in the lines that describe it: that of a counter has no `_total`.
fn base_name(name: &str, kind: MetricType) -> &str {
    let without = name.strip_suffix("_total").filter(|_| kind == MetricType::COUNTER);
    without.unwrap_or(name)
}

fn series(name: &str, labels: &[LabelPair], bound: Option<f64>) -> String {
    let mut series = name.to_owned();
    let bound = bound.map(|bound| ("le", Number(bound).canonical()));
    let labels = labels.iter().map(|(name, value)| (name.as_str(), value.clone())).chain(bound);
    for (place, (name, value)) in labels.enumerate() {
        series.push(if place == 0 { '{' } else { ',' });
        let _ = write!(series, "{name}=\"{}\"", escaped(&value));
    }
    if series.len() > name.len() {
        series.push('}');
    }
    series
}

fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('\n', r"\n").replace('"', "\\\"")
}

/// A number as both formats write it.
pub struct Number(pub f64);

impl Number {
    /// As the bound of a bucket, which always has a fraction.
    fn canonical(self) -> String {
        if self.0.is_infinite() { self.to_string() } else { format!("{:?}", self.0) }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            f64::INFINITY => formatter.write_str("+Inf"),
            f64::NEG_INFINITY => formatter.write_str("-Inf"),
            number => write!(formatter, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::families::{Distribution, Families};

    crate::catalogue! {
        COUNTED: Counter "tested_total" ["name"] () "A \"counter\"\nof the tests.";
        TIMED: Histogram "tested_seconds" [] () "A histogram of the tests.";
        NOW: Gauge "tested_now_total" [] () "A gauge of the tests.";
    }

    fn page(families: &Families) -> String {
        let mut text = String::new();
        let since = DateTime::from_timestamp(1_700_000_000, 0);
        families.as_slice().iter().for_each(|family| write_family(family, since, &mut text));
        text
    }

    #[test]
    fn a_counter_says_since_when_it_counts() {
        let mut families = Families::default();
        families.series(&COUNTED, [(["a\\b\"c"], 3.5)]);
        families.value(&NOW, f64::INFINITY);
        let expected = r#"# TYPE tested counter
# HELP tested A \"counter\"\nof the tests.
tested_total{name="a\\b\"c"} 3.5
tested_created{name="a\\b\"c"} 1700000000
# TYPE tested_now_total gauge
# HELP tested_now_total A gauge of the tests.
tested_now_total +Inf
"#;
        assert_eq!(page(&families), expected);
    }

    #[test]
    fn the_bounds_of_a_histogram_have_a_fraction_and_the_last_is_infinite() {
        let buckets = vec![(0.5, 1), (10.0, 2)];
        let mut families = Families::default();
        families.series(&TIMED, [([""; 0], Distribution { buckets, count: 3, sum: 70.25 })]);
        let page = page(&families);
        let samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "tested_seconds_bucket{le=\"0.5\"} 1",
            "tested_seconds_bucket{le=\"10.0\"} 2",
            "tested_seconds_bucket{le=\"+Inf\"} 3",
            "tested_seconds_count 3",
            "tested_seconds_sum 70.25",
            "tested_seconds_created 1700000000",
        ];
        assert_eq!(samples, expected);
    }
}
