//! The metrics as the page shows them: grouped, the largest values first, and not too many.

use crate::exposition::open_metrics::values;
use crate::exposition::{Family, Kind, Snapshot};
use crate::http::status::readable::{number, shortened};

/// How many samples of a metric are shown.
pub const MOST_SAMPLES: usize = 8;

/// How many characters of labels are shown.
const MOST_CHARACTERS: usize = 80;

/// Metrics whose names begin alike.
pub struct Section {
    pub title: &'static str,
    pub metrics: Vec<Metric>,
}

/// A metric family.
pub struct Metric {
    pub name: String,
    pub help: String,
    /// The value, where it has no labels.
    pub value: String,
    pub samples: Vec<Sample>,
}

/// One series.
pub struct Sample {
    pub labels: String,
    pub value: String,
}

/// All metrics, and how many series they have together.
pub fn sections(snapshot: &Snapshot) -> (Vec<Section>, usize) {
    let mut source = Section { title: "Of the application", metrics: Vec::new() };
    let mut own = Section { title: "Of the exporter", metrics: Vec::new() };
    let mut series = 0;
    snapshot.each_family(|family, _| {
        series += family.samples().len();
        let name = family.name();
        let is_own = name.starts_with("usage_exporter_") || name.starts_with("process_");
        let section = if is_own { &mut own } else { &mut source };
        section.metrics.push(metric(family));
    });
    let sections = [source, own].into_iter().filter(|section| !section.metrics.is_empty());
    (sections.collect(), series)
}

fn metric(family: &Family) -> Metric {
    let kind = family.kind();
    let mut samples: Vec<(String, Vec<f64>)> = family
        .samples()
        .iter()
        .map(|sample| {
            let pairs = family.labels_of(sample).filter(|(_, value)| !value.is_empty());
            let pairs: Vec<String> =
                pairs.map(|(name, value)| format!("{name}: {value}")).collect();
            (shortened(&pairs.join(", "), MOST_CHARACTERS), values(sample))
        })
        .collect();
    // Of a histogram or a summary, the last but one is how many there are.
    let place = usize::from(kind == Kind::Histogram || kind == Kind::Summary);
    let weight = |values: &[f64]| values.iter().rev().nth(place).copied().unwrap_or(0.0);
    samples.sort_by(|(_, one), (_, other)| weight(other).total_cmp(&weight(one)));
    let value = match samples.as_slice() {
        [(labels, values)] if labels.is_empty() => shown(kind, values),
        _ => String::new(),
    };
    let with_labels = samples.into_iter().filter(|(labels, _)| !labels.is_empty());
    Metric {
        name: family.name().to_owned(),
        help: family.help().to_owned(),
        value,
        samples: with_labels
            .take(MOST_SAMPLES)
            .map(|(labels, values)| Sample { labels, value: shown(kind, &values) })
            .collect(),
    }
}

fn shown(kind: Kind, values: &[f64]) -> String {
    match (kind, values) {
        (Kind::Histogram | Kind::Summary, [.., count, sum]) if *count > 0.0 => {
            format!("{} of {} on average", number(*count), number(sum / count))
        }
        (_, [.., value]) => number(*value),
        _ => String::new(),
    }
}
