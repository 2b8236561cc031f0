//! Samples of a metrics page, in a form that can be compared.

use std::collections::BTreeMap;

use prometheus::proto::{MetricFamily, MetricType};
use usage_exporter::exposition::Families;

/// The value of every series, by name and labels as the text format writes them.
pub type Samples = BTreeMap<String, f64>;

/// `name{label="value",...}`.
pub fn key(name: &str, labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return name.to_owned();
    }
    let labels: Vec<String> = labels
        .iter()
        .map(|(label, value)| {
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            format!("{label}=\"{value}\"")
        })
        .collect();
    format!("{name}{{{}}}", labels.join(","))
}

/// The samples of families that a collector answered with.
pub fn of_families(families: &Families) -> Samples {
    families.as_slice().iter().flat_map(of_family).collect()
}

fn of_family(family: &MetricFamily) -> Vec<(String, f64)> {
    let name = family.name();
    let mut samples = Vec::new();
    for metric in family.get_metric() {
        let labels: Vec<(&str, &str)> =
            metric.get_label().iter().map(|label| (label.name(), label.value())).collect();
        match family.get_field_type() {
            MetricType::COUNTER => {
                samples.push((key(name, &labels), metric.get_counter().get_value()));
            }
            MetricType::HISTOGRAM => {
                let histogram = metric.get_histogram();
                let count = histogram.get_sample_count();
                let bounds = histogram.get_bucket().iter();
                let bounds = bounds.map(|b| (b.upper_bound().to_string(), b.cumulative_count()));
                for (bound, count) in bounds.chain([("+Inf".to_owned(), count)]) {
                    let labels = [&labels[..], &[("le", bound.as_str())]].concat();
                    samples.push((key(&format!("{name}_bucket"), &labels), count as f64));
                }
                samples.push((key(&format!("{name}_count"), &labels), count as f64));
                let sum = histogram.get_sample_sum();
                samples.push((key(&format!("{name}_sum"), &labels), sum));
            }
            _ => samples.push((key(name, &labels), metric.get_gauge().get_value())),
        }
    }
    samples
}

/// The samples of a page in the text format.
pub fn of_page(page: &str) -> Samples {
    let lines = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (key, value) = line.rsplit_once(' ').expect("a sample has a value");
            (key.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

/// A series of OpenMetrics as the text format writes it, which leaves out the fraction of a bound that is
/// zero.
pub fn as_text(key: &str) -> String {
    match key.split_once("le=\"") {
        Some((before, after)) => format!("{before}le=\"{}", after.replacen(".0\"", "\"", 1)),
        None => key.to_owned(),
    }
}

/// The name of the family of a series.
pub fn family(key: &str) -> &str {
    let name = key.split('{').next().unwrap_or(key);
    let parts = ["_bucket", "_sum", "_count"];
    let histogram = parts.iter().find_map(|part| name.strip_suffix(part));
    histogram.filter(|name| name.ends_with("_seconds")).unwrap_or(name)
}

/// Fails with the series in which two sets of samples differ.
pub fn assert_equal(found: &Samples, expected: &Samples, context: &str) {
    let mut differences = Vec::new();
    for key in found.keys().chain(expected.keys().filter(|key| !found.contains_key(*key))) {
        let (found, expected) = (found.get(key), expected.get(key));
        let same = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() <= 1e-9 * expected.abs(),
            _ => false,
        };
        if !same {
            differences.push(format!("{key}: found {found:?}, expected {expected:?}"));
        }
    }
    assert!(differences.is_empty(), "{context}\n{}", differences.join("\n"));
}
