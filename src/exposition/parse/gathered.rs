//! The lines of one family, until all have been read.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::exposition::description::{Description, Kind};
use crate::exposition::family::{Distribution, Family, Quantiles, Sample, Value};
use crate::exposition::format::Format;
use crate::exposition::parse::line::{self, number};
use crate::exposition::parse::{Fault, MOST_LABELS};

/// What a line tells of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its value.
    Value,
    /// How many are not larger than a bound.
    Bucket,
    /// What a share does not exceed.
    Quantile,
    /// How many there are.
    Count,
    /// What they add up to.
    Sum,
    /// Since when they are counted, which is not kept.
    Created,
}

/// A family of which not all lines may have been read.
#[derive(Debug)]
pub struct Gathered {
    name: String,
    /// The first line that names it.
    pub line: usize,
    /// What was declared.
    pub kind: Option<Kind>,
    /// What it means, where that was said.
    pub help: Option<String>,
    /// The labels of all its samples.
    labels: Vec<String>,
    rows: Vec<Row>,
    /// The place of each row, by its labels.
    places: HashMap<Labels, usize>,
}

/// The places of labels that are not empty, in their order, and their values.
type Labels = Vec<(usize, String)>;

/// What is known for one set of labels.
#[derive(Debug, Default)]
struct Row {
    labels: Labels,
    value: Option<f64>,
    /// Bounds and counts.
    buckets: Vec<(f64, u64)>,
    /// Shares and values.
    quantiles: Vec<(f64, f64)>,
    count: Option<u64>,
    sum: Option<f64>,
}

impl Gathered {
    /// A family of which nothing is known but its name and where it stands first.
    pub fn new(name: &str, line: usize) -> Gathered {
        Gathered {
            name: name.to_owned(),
            line,
            kind: None,
            help: None,
            labels: Vec::new(),
            rows: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// Notes its type.
    pub fn declare(&mut self, kind: Kind) -> Result<(), Fault> {
        if !self.rows.is_empty() || self.kind.is_some_and(|known| known != kind) {
            return Err(Fault::LateType);
        }
        self.kind = Some(kind);
        Ok(())
    }

    /// Adds a line; false if the same was told before.
    pub fn add(&mut self, part: Part, sample: line::SampleLine<'_>) -> Result<bool, Fault> {
        let own = match part {
            Part::Bucket => Some("le"),
            Part::Quantile => Some("quantile"),
            Part::Value | Part::Count | Part::Sum | Part::Created => None,
        };
        let mut bound = None;
        let mut labels = Labels::new();
        for (name, value) in sample.labels {
            if own == Some(name) {
                bound = number(&value).filter(|bound| !bound.is_nan());
            } else if !value.is_empty() {
                labels.push((self.label(name)?, value.into_owned()));
            }
        }
        labels.sort_unstable();
        if part == Part::Created {
            return Ok(true);
        }
        let value = number(sample.value).ok_or(Fault::NoNumber)?;
        let row = self.row(labels);
        let is_new = match part {
            Part::Value => put(&mut row.value, value),
            Part::Count => put(&mut row.count, whole(sample.value)?),
            Part::Sum => put(&mut row.sum, value),
            Part::Bucket => {
                let bound = bound.ok_or(Fault::NoBound("le"))?;
                row.buckets.push((bound, whole(sample.value)?));
                true
            }
            Part::Quantile => {
                let share = bound.ok_or(Fault::NoBound("quantile"))?;
                row.quantiles.push((share, value));
                true
            }
            Part::Created => true,
        };
        Ok(is_new)
    }

    /// The place of a label.
    fn label(&mut self, name: &str) -> Result<usize, Fault> {
        if let Some(place) = self.labels.iter().position(|known| known == name) {
            return Ok(place);
        }
        if self.labels.len() == MOST_LABELS {
            return Err(Fault::TooManyLabels);
        }
        self.labels.push(name.to_owned());
        Ok(self.labels.len() - 1)
    }

    fn row(&mut self, labels: Labels) -> &mut Row {
        let place = match self.places.get(&labels) {
            Some(place) => *place,
            None => {
                self.rows.push(Row { labels: labels.clone(), ..Row::default() });
                self.places.insert(labels, self.rows.len() - 1);
                self.rows.len() - 1
            }
        };
        &mut self.rows[place]
    }

    /// The family, and how many of its lines told the same again; none if it has no samples.
    pub fn finish(self, format: Format) -> Result<Option<(Family, usize)>, Fault> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let kind = self.kind.unwrap_or(Kind::Unknown);
        let ending = match (kind, format) {
            (Kind::Counter, Format::OpenMetrics) => "_total",
            (Kind::Info, Format::OpenMetrics) => "_info",
            _ => "",
        };
        let mut name = self.name;
        if !name.ends_with(ending) {
            name.push_str(ending);
        }
        let width = self.labels.len();
        let labels: Vec<Cow<'static, str>> = self.labels.into_iter().map(Cow::Owned).collect();
        let described = Description::new(kind, name, labels, self.help.unwrap_or_default())?;
        let mut again = 0;
        let mut samples = Vec::with_capacity(self.rows.len());
        for row in self.rows {
            let (sample, of_row) = row.finish(kind, width)?;
            samples.push(sample);
            again += of_row;
        }
        Ok(Some((Family::of(&described, samples), again)))
    }
}

impl Row {
    fn finish(self, kind: Kind, width: usize) -> Result<(Sample, usize), Fault> {
        let mut labels = vec![String::new(); width];
        for (place, value) in self.labels {
            if let Some(label) = labels.get_mut(place) {
                *label = value;
            }
        }
        let sum = self.sum.unwrap_or(f64::NAN);
        let mut again = 0;
        let value = match kind {
            Kind::Histogram => {
                let mut buckets;
                (buckets, again) = sorted(self.buckets);
                let all = buckets.iter().find(|(bound, _)| *bound == f64::INFINITY);
                let count = self.count.or(all.map(|(_, count)| *count)).ok_or(Fault::NoCount)?;
                buckets.retain(|(bound, _)| bound.is_finite());
                Value::Histogram(Distribution { buckets, count, sum })
            }
            Kind::Summary => {
                let count = self.count.ok_or(Fault::NoCount)?;
                let quantiles;
                (quantiles, again) = sorted(self.quantiles);
                Value::Summary(Quantiles { quantiles, count, sum })
            }
            Kind::Counter | Kind::Gauge | Kind::Info | Kind::Unknown => {
                Value::Number(self.value.ok_or(Fault::NoNumber)?)
            }
        };
        Ok((Sample { labels, value }, again))
    }
}

/// Puts a value where none is; false if one is.
fn put<T>(place: &mut Option<T>, value: T) -> bool {
    let is_new = place.is_none();
    place.get_or_insert(value);
    is_new
}

/// What is told of bounds, in their order and of each once, and how often one was told again.
fn sorted<T>(mut parts: Vec<(f64, T)>) -> (Vec<(f64, T)>, usize) {
    let all = parts.len();
    parts.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    parts.dedup_by(|(other, _), (one, _)| one == other);
    let again = all - parts.len();
    (parts, again)
}

/// The largest number below which a float has every whole one.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// A count, which some write as a float.
fn whole(text: &str) -> Result<u64, Fault> {
    if let Ok(count) = text.parse() {
        return Ok(count);
    }
    let count = number(text).filter(|n| (0.0..=LARGEST_WHOLE).contains(n) && n.fract() == 0.0);
    count.map(|count| count as u64).ok_or(Fault::NoWholeNumber)
}
