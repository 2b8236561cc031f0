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
    let counter = family.get_field_type() == MetricType::COUNTER;
    let metrics = family.get_metric().iter();
    metrics
        .map(|metric| {
            let labels: Vec<(&str, &str)> =
                metric.get_label().iter().map(|label| (label.name(), label.value())).collect();
            let value = if counter {
                metric.get_counter().get_value()
            } else {
                metric.get_gauge().get_value()
            };
            (key(family.name(), &labels), value)
        })
        .collect()
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

/// The name of the family of a series.
pub fn family(key: &str) -> &str {
    key.split('{').next().unwrap_or(key)
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
