//! Reading a page of metrics that another program wrote.
//!
//! * `line`: what one line says;
//! * `gathered`: the lines of one family.
//!
//! What Prometheus itself reads is read, also where the specification is stricter; but a page of OpenMetrics
//! must have its end, because the rest of a page that was cut off would be taken for all of it.

mod gathered;
mod line;

use std::collections::{HashMap, HashSet};

use crate::exposition::description::{Invalid, Kind};
use crate::exposition::family::Family;
use crate::exposition::format::Format;
use crate::exposition::parse::gathered::{Gathered, Part};
use crate::exposition::parse::line::{Comment, Line};

/// How many different labels the samples of a family may have together: each sample is kept with all of them.
const MOST_LABELS: usize = 100;

/// What a page says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parsed {
    /// The families, in the order in which they are first named. A sample that lacks a label that others of its
    /// family have is given an empty one, which means the same.
    pub families: Vec<Family>,
    /// How many samples have a time of their own, which is not kept.
    pub timestamps: usize,
    /// How many samples were left out because the same series had come before.
    pub duplicates: usize,
}

/// A page that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct Error {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It should begin with a name.
    #[error("there is no name of a metric")]
    NoName,
    /// There should be a label.
    #[error("there is no name of a label")]
    NoLabelName,
    /// The value of a label is not in quotes.
    #[error("the value of the label {0} is not in quotes")]
    NoLabelValue(String),
    /// The quotes or the braces of the labels have no end.
    #[error("the labels have no end")]
    Unclosed,
    /// A label is given twice.
    #[error("the label {0} comes twice")]
    LabelTwice(String),
    /// The samples of a family have too many labels.
    #[error("the samples of this metric have more than {MOST_LABELS} labels")]
    TooManyLabels,
    /// The value is no number.
    #[error("the value is no number")]
    NoNumber,
    /// The number of values in a bucket, or of all, is no whole number.
    #[error("the count is no whole number")]
    NoWholeNumber,
    /// The time is no number.
    #[error("the time is no number")]
    NoTime,
    /// Something comes after the sample.
    #[error("something comes after the sample")]
    Trailing,
    /// A type that the format does not know.
    #[error("there is no type {0:?}")]
    NoType(String),
    /// The type of a family comes when it is too late, or is not what was said before.
    #[error("the type comes after a sample or another type of this metric")]
    LateType,
    /// A sample of a name that its type does not have.
    #[error("this metric is a {0}, which has no sample of this name")]
    NoSuchSample(&'static str),
    /// A bucket without a bound, or a quantile without a share.
    #[error("there is no number in the label {0}")]
    NoBound(&'static str),
    /// A histogram or summary does not say how many there are.
    #[error("this metric does not say how many values there are")]
    NoCount,
    /// Two families have one name.
    #[error("another metric has the same name")]
    SameName,
    /// There can be no such family.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The page goes on after its end.
    #[error("something comes after the end")]
    AfterEnd,
    /// The page is not whole.
    #[error("the page has no end: # EOF")]
    NoEnd,
}

/// What a page says that was written in a format.
///
/// # Errors
///
/// Names the first line that cannot be read.
pub fn parse(page: &str, format: Format) -> Result<Parsed, Error> {
    let mut reading = Reading::new(format);
    for line in page.split('\n') {
        reading.line += 1;
        reading.add(line).map_err(|fault| Error { line: reading.line, fault })?;
    }
    if format == Format::OpenMetrics && !reading.ended {
        return Err(Error { line: reading.line, fault: Fault::NoEnd });
    }
    reading.finish()
}

/// A page that is read.
struct Reading {
    format: Format,
    families: Vec<Gathered>,
    /// The place of each family, by the name under which it is declared.
    places: HashMap<String, usize>,
    /// The number of the line that is read.
    line: usize,
    ended: bool,
    timestamps: usize,
    duplicates: usize,
}

impl Reading {
    fn new(format: Format) -> Reading {
        Reading {
            format,
            families: Vec::new(),
            places: HashMap::new(),
            line: 0,
            ended: false,
            timestamps: 0,
            duplicates: 0,
        }
    }

    fn add(&mut self, line: &str) -> Result<(), Fault> {
        let line = line::read(line, self.format)?;
        if self.ended && !matches!(line, Line::Empty) {
            return Err(Fault::AfterEnd);
        }
        match line {
            Line::Empty => {}
            Line::Comment(Comment::End) => self.ended = true,
            Line::Comment(Comment::Help { name, help }) => {
                self.family(name).help.get_or_insert(help);
            }
            Line::Comment(Comment::Type { name, declared }) => {
                self.family(name).declare(declared)?;
            }
            Line::Sample(sample) => {
                self.timestamps += usize::from(sample.has_time);
                let (name, part) = self.part_of(sample.name)?;
                let is_new = self.family(name).add(part, sample)?;
                self.duplicates += usize::from(!is_new);
            }
        }
        Ok(())
    }

    /// The family that is declared under a name.
    fn family(&mut self, name: &str) -> &mut Gathered {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => {
                self.families.push(Gathered::new(name, self.line));
                self.places.insert(name.to_owned(), self.families.len() - 1);
                self.families.len() - 1
            }
        };
        &mut self.families[place]
    }

    fn kind(&self, name: &str) -> Option<Kind> {
        self.families.get(*self.places.get(name)?)?.kind
    }

    /// The family to which a sample of this name belongs, and as what.
    fn part_of<'a>(&self, name: &'a str) -> Result<(&'a str, Part), Fault> {
        let in_text = self.format == Format::Text;
        if let Some(kind) = self.kind(name) {
            let part = match kind {
                Kind::Gauge | Kind::Unknown => Part::Value,
                Kind::Summary => Part::Quantile,
                // Some that write OpenMetrics declare a counter by the name of its samples.
                Kind::Counter if in_text || name.ends_with("_total") => Part::Value,
                Kind::Counter | Kind::Histogram | Kind::Info => {
                    return Err(Fault::NoSuchSample(kind.as_str()));
                }
            };
            return Ok((name, part));
        }
        let of_format = if in_text { 3 } else { PARTS.len() };
        for (ending, kinds, part) in &PARTS[..of_format] {
            let base = name.strip_suffix(ending).filter(|base| !base.is_empty());
            if let Some(base) = base
                && self.kind(base).is_some_and(|kind| kinds.contains(&kind))
            {
                return Ok((base, *part));
            }
        }
        Ok((name, Part::Value))
    }

    fn finish(self) -> Result<Parsed, Error> {
        let mut duplicates = self.duplicates;
        let mut families = Vec::with_capacity(self.families.len());
        let mut names: HashSet<String> = HashSet::new();
        for gathered in self.families {
            let line = gathered.line;
            let Some((family, again)) =
                gathered.finish(self.format).map_err(|fault| Error { line, fault })?
            else {
                continue;
            };
            if !names.insert(family.name().to_owned()) {
                return Err(Error { line, fault: Fault::SameName });
            }
            families.push(family);
            duplicates += again;
        }
        Ok(Parsed { families, timestamps: self.timestamps, duplicates })
    }
}

/// The endings of the names of samples, the kinds that have them, and what they are. Those of the text format
/// come first.
const PARTS: [(&str, &[Kind], Part); 6] = [
    ("_bucket", &[Kind::Histogram], Part::Bucket),
    ("_count", &[Kind::Histogram, Kind::Summary], Part::Count),
    ("_sum", &[Kind::Histogram, Kind::Summary], Part::Sum),
    ("_total", &[Kind::Counter], Part::Value),
    ("_info", &[Kind::Info], Part::Value),
    ("_created", &[Kind::Counter, Kind::Histogram, Kind::Summary], Part::Created),
];

#[cfg(test)]
mod tests;
