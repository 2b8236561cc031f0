//! Samples of a metrics page, in a form that can be compared.

use std::collections::BTreeMap;

use usage_exporter::exposition::{Families, Family, text};

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
    families.as_slice().iter().flat_map(|family| of_family(family)).collect()
}

/// The samples of a family, as the text format writes them.
pub fn of_family(family: &Family) -> Samples {
    let mut page = String::new();
    text::write_family(family, &mut page);
    of_page(&page)
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
