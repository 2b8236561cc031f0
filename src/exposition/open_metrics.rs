//! OpenMetrics 1.0: the text format in which a counter tells since when it counts and a sample may tell
//! its time. Prometheus asks for it before its own.
//!
//! A counter's family has no `_total` there and its sample has, and likewise an info's and `_info`. What has a
//! name without them is written with a type that asks for no ending, so that every series has the same name
//! in both formats.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use crate::exposition::description::Kind;
use crate::exposition::family::{Family, Sample, Value};
use crate::exposition::format::{Number, SampleName, escape};

/// What the last line of a page says.
pub const END: &str = "# EOF\n";

/// The name and value of a label.
pub type LabelPair = (String, String);

/// Writes a family; `since` is when it began to count, where that is known.
pub fn write_family(family: &Family, since: Option<DateTime<Utc>>, page: &mut String) {
    let kind = family.kind();
    write_header(family.name(), kind, family.help(), page);
    let (base, word) = declared(family.name(), kind);
    let since = since.filter(|_| kind.counts() && word == kind_word(kind));
    for sample in family.samples() {
        let labels: Vec<(&str, &str)> = family.labels_of(sample).collect();
        let names = sample_names(family.name(), kind, &bounds(sample), &labels);
        for (name, value) in names.iter().zip(values(sample)) {
            let _ = writeln!(page, "{name} {}", Number(value));
        }
        if let Some(since) = since {
            let series =
                SampleName { name: base, suffix: "_created", labels: labels.iter().copied() };
            let _ = writeln!(page, "{series} {}", since.timestamp());
        }
    }
}

/// Writes the lines that say what a family is.
pub fn write_header(name: &str, kind: Kind, help: &str, page: &mut String) {
    let (name, kind) = declared(name, kind);
    // Writing to a string does not fail.
    let _ = writeln!(page, "# TYPE {name} {kind}");
    let _ = write!(page, "# HELP {name} ");
    let _ = escape(help, true, page);
    page.push('\n');
}

/// The bounds of the buckets of a histogram, or the shares of a summary; none of other samples.
pub fn bounds(sample: &Sample) -> Vec<f64> {
    match &sample.value {
        Value::Number(_) => Vec::new(),
        Value::Histogram(distribution) => distribution.buckets.iter().map(|(b, _)| *b).collect(),
        Value::Summary(summary) => summary.quantiles.iter().map(|(share, _)| *share).collect(),
    }
}

/// The lines that a sample has: their names, with labels.
pub fn sample_names<L: AsRef<str>>(
    family: &str,
    kind: Kind,
    bounds: &[f64],
    labels: &[(L, L)],
) -> Vec<String> {
    let series = |suffix| SampleName { name: family, suffix, labels: pairs(labels) }.to_string();
    let bounded = |suffix, label, bound: f64| {
        let bound = Number(bound).canonical();
        let labels = pairs(labels).chain([(label, bound.as_str())]);
        SampleName { name: family, suffix, labels }.to_string()
    };
    let mut names: Vec<String> = match kind {
        Kind::Histogram => {
            let bounds = bounds.iter().copied().chain([f64::INFINITY]);
            bounds.map(|bound| bounded("_bucket", "le", bound)).collect()
        }
        Kind::Summary => bounds.iter().map(|share| bounded("", "quantile", *share)).collect(),
        Kind::Counter | Kind::Gauge | Kind::Info | Kind::Unknown => return vec![series("")],
    };
    names.extend([series("_count"), series("_sum")]);
    names
}

fn pairs<L: AsRef<str>>(labels: &[(L, L)]) -> impl Iterator<Item = (&str, &str)> + Clone {
    labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
}

/// The values of these lines.
pub fn values(sample: &Sample) -> Vec<f64> {
    match &sample.value {
        Value::Number(number) => vec![*number],
        Value::Histogram(distribution) => {
            let count = distribution.count as f64;
            let buckets = distribution.buckets.iter().map(|(_, count)| *count as f64);
            buckets.chain([count, count, distribution.sum]).collect()
        }
        Value::Summary(summary) => {
            let quantiles = summary.quantiles.iter().map(|(_, value)| *value);
            quantiles.chain([summary.count as f64, summary.sum]).collect()
        }
    }
}

/// The name and the type that the lines have which describe a family.
fn declared(name: &str, kind: Kind) -> (&str, &'static str) {
    let (ending, otherwise) = match kind {
        Kind::Counter => ("_total", Kind::Unknown),
        Kind::Info => ("_info", Kind::Gauge),
        Kind::Gauge | Kind::Histogram | Kind::Summary | Kind::Unknown => {
            return (name, kind_word(kind));
        }
    };
    match name.strip_suffix(ending).filter(|base| !base.is_empty()) {
        Some(base) => (base, kind_word(kind)),
        None => (name, kind_word(otherwise)),
    }
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Info => "info",
        Kind::Unknown => "unknown",
        Kind::Counter | Kind::Gauge | Kind::Histogram | Kind::Summary => kind.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::families::Families;
    use crate::exposition::family::{Distribution, Quantiles};

    crate::catalogue! {
        COUNTED: Counter "tested_total" ["name"] () "A \"counter\"\nof the tests.";
        TIMED: Histogram "tested_seconds" [] () "A histogram of the tests.";
        NOW: Gauge "tested_now_total" [] () "A gauge of the tests.";
        SUMMED: Summary "tested_bytes" [] () "A summary of the tests.";
        ABOUT: Info "tested_info" ["version"] () "An info of the tests.";
        LATE: Counter "tested_late" [] () "A counter by a name that counters do not have.";
        OTHER: Info "tested_other" [] () "An info likewise.";
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
    fn every_series_has_the_name_that_the_text_format_gives_it() {
        let mut families = Families::default();
        families.series(&ABOUT, [(["1"], 1.0)]);
        families.value(&LATE, 2.0);
        families.value(&OTHER, 1.0);
        let expected = r#"# TYPE tested info
# HELP tested An info of the tests.
tested_info{version="1"} 1
# TYPE tested_late unknown
# HELP tested_late A counter by a name that counters do not have.
tested_late 2
# TYPE tested_other gauge
# HELP tested_other An info likewise.
tested_other 1
"#;
        assert_eq!(page(&families), expected);
    }

    #[test]
    fn the_bounds_of_a_histogram_have_a_fraction_and_the_last_is_infinite() {
        let buckets = vec![(0.5, 1), (10.0, 2)];
        let mut families = Families::default();
        families.series(&TIMED, [([""; 0], Distribution { buckets, count: 3, sum: 70.25 })]);
        let quantiles = vec![(1.0, 7.5)];
        families.series(&SUMMED, [([""; 0], Quantiles { quantiles, count: 3, sum: 9.0 })]);
        let page = page(&families);
        let samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "tested_seconds_bucket{le=\"0.5\"} 1",
            "tested_seconds_bucket{le=\"10.0\"} 2",
            "tested_seconds_bucket{le=\"+Inf\"} 3",
            "tested_seconds_count 3",
            "tested_seconds_sum 70.25",
            "tested_seconds_created 1700000000",
            "tested_bytes{quantile=\"1.0\"} 7.5",
            "tested_bytes_count 3",
            "tested_bytes_sum 9",
            "tested_bytes_created 1700000000",
        ];
        assert_eq!(samples, expected);
    }
}
