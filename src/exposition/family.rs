//! One metric family with its samples, as both writers write it and the parser gives it.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::exposition::description::{Description, Kind};

/// A metric family with its samples. No two samples have the same labels, and each has a value of the
/// family's kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    name: Cow<'static, str>,
    help: Cow<'static, str>,
    kind: Kind,
    labels: Cow<'static, [Cow<'static, str>]>,
    samples: Vec<Sample>,
    left_out: usize,
}

/// The value that a family has for one set of labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The values of the labels, in the order of [`Family::labels`].
    pub labels: Vec<String>,
    /// The value.
    pub value: Value,
}

/// What a sample says.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a counter, a gauge, an info, or of nobody knows what.
    Number(f64),
    /// Of a histogram.
    Histogram(Distribution),
    /// Of a summary.
    Summary(Quantiles),
}

/// How many values lie below bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// The finite bounds in rising order, and how many values are not larger.
    pub buckets: Vec<(f64, u64)>,
    /// All values.
    pub count: u64,
    /// Their sum; not a number where it is not known.
    pub sum: f64,
}

/// Which values a share of all values does not exceed.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantiles {
    /// The shares, 0 to 1, and the value of each.
    pub quantiles: Vec<(f64, f64)>,
    /// All values.
    pub count: u64,
    /// Their sum; not a number where it is not known.
    pub sum: f64,
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Number(number)
    }
}

impl From<Distribution> for Value {
    fn from(distribution: Distribution) -> Value {
        Value::Histogram(distribution)
    }
}

impl From<Quantiles> for Value {
    fn from(quantiles: Quantiles) -> Value {
        Value::Summary(quantiles)
    }
}

impl Value {
    fn is_of(&self, kind: Kind) -> bool {
        match self {
            Value::Number(_) => !matches!(kind, Kind::Histogram | Kind::Summary),
            Value::Histogram(_) => kind == Kind::Histogram,
            Value::Summary(_) => kind == Kind::Summary,
        }
    }
}

impl From<&Description> for Family {
    /// A family without samples.
    fn from(description: &Description) -> Family {
        let Description { name, kind, labels, groups: _, help } = description.clone();
        Family { name, help, kind, labels, samples: Vec::new(), left_out: 0 }
    }
}

impl Family {
    /// A family of these samples. One that has the labels of another before it, a label too many or too few, or
    /// a value of another kind is left out.
    pub fn of(description: &Description, samples: impl IntoIterator<Item = Sample>) -> Family {
        let mut family = Family::from(description);
        family.extend(samples);
        family
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the value means.
    pub fn help(&self) -> &str {
        &self.help
    }

    /// What kind of family it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The names of its labels.
    pub fn labels(&self) -> &[Cow<'static, str>] {
        &self.labels
    }

    /// The samples, in the order in which they came.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// How many samples were left out.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The names and values of the labels of a sample.
    pub fn labels_of<'a>(
        &'a self,
        sample: &'a Sample,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + Clone {
        let names = self.labels.iter().map(|name| &**name);
        names.zip(sample.labels.iter().map(String::as_str))
    }

    /// The same family with the samples whose labels are wanted.
    pub fn only(&self, is_wanted: impl Fn(&[String]) -> bool) -> Family {
        let samples = self.samples.iter().filter(|sample| is_wanted(&sample.labels));
        let samples = samples.cloned().collect();
        Family {
            samples,
            labels: self.labels.clone(),
            name: self.name.clone(),
            help: self.help.clone(),
            ..*self
        }
    }

    /// How another family differs of which this one cannot be a part; `None` if it can.
    pub fn difference(&self, other: &Family) -> Option<&'static str> {
        if self.kind != other.kind {
            Some("type")
        } else if self.help != other.help {
            Some("help")
        } else if self.labels != other.labels {
            Some("labels")
        } else {
            None
        }
    }
}

impl Extend<Sample> for Family {
    /// Adds samples, as [`Family::of`] does.
    fn extend<T: IntoIterator<Item = Sample>>(&mut self, samples: T) {
        let mut left_out = 0;
        let (kind, width) = (self.kind, self.labels.len());
        let fits = |sample: &Sample| sample.labels.len() == width && sample.value.is_of(kind);
        let mut all = std::mem::take(&mut self.samples);
        all.extend(samples);
        // Most families have a few samples that differ: then nothing has to be left out.
        let keep: Vec<bool> = {
            let mut seen: HashSet<&[String]> = HashSet::with_capacity(all.len());
            all.iter().map(|sample| fits(sample) && seen.insert(&sample.labels)).collect()
        };
        let mut keep = keep.into_iter();
        all.retain(|_| {
            let kept = keep.next().unwrap_or(false);
            left_out += usize::from(!kept);
            kept
        });
        self.samples = all;
        self.left_out += left_out;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::catalogue! {
        NOW: Gauge "tested" ["name"] () "A gauge of the tests.";
    }

    fn sample(labels: &[&str], value: impl Into<Value>) -> Sample {
        Sample {
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            value: value.into(),
        }
    }

    #[test]
    fn what_is_no_sample_of_the_family_or_comes_twice_is_left_out() {
        let distribution = Distribution { buckets: Vec::new(), count: 0, sum: 0.0 };
        let mut family = Family::of(
            &NOW,
            [
                sample(&["a"], 1.0),
                sample(&["a"], 2.0),
                sample(&[], 3.0),
                sample(&["b", "c"], 4.0),
                sample(&["d"], distribution),
                sample(&["e"], 5.0),
            ],
        );
        assert_eq!(family.samples(), [sample(&["a"], 1.0), sample(&["e"], 5.0)]);
        assert_eq!(family.left_out(), 4);
        family.extend([sample(&["e"], 6.0), sample(&["f"], 7.0)]);
        assert_eq!(family.samples().len(), 3);
        assert_eq!(family.left_out(), 5);
    }
}
