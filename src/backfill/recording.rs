//! What each metric was at each moment.
//!
//! OpenMetrics wants all samples of a metric together, but documents are read in the order of time. So
//! what changes is noted, put in the order of the metrics on the disk, and read from there once: memory is needed
//! for the metrics, not for the moments.

use std::collections::HashMap;
use std::fs::File;
use std::io;

use chrono::{DateTime, Utc};

use crate::backfill::Moments;
use crate::backfill::runs::{Merge, Record, Runs};
use crate::backfill::writers::Writer;
use crate::exposition::family::Sample;
use crate::exposition::open_metrics::{LabelPair, bounds, values};
use crate::exposition::{Families, Family};

/// How many changes are held in memory.
const CHANGES_IN_MEMORY: usize = 500_000;

/// What metrics were at some moments.
pub struct Recording {
    moments: Moments,
    /// The families without their samples.
    families: Vec<Family>,
    metrics: Vec<Metric>,
    /// The place of each metric, by its family and the values of its labels.
    places: HashMap<(u32, Vec<String>), usize>,
    changes: Runs<Change, File>,
}

/// A set of labels of a family.
#[derive(Debug)]
struct Metric {
    family: u32,
    /// The values of its labels.
    labels: Vec<String>,
    /// The bounds of its buckets, if it is a histogram, or the shares of a summary.
    bounds: Vec<f64>,
    /// The last value of each of its lines; not a number where there is none.
    last: Vec<f64>,
    /// When it was last there.
    seen: DateTime<Utc>,
}

/// That a line of a metric has a value from some moment on. Changes are ordered as they are written: all of a
/// family, metric by metric, moment by moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    family: u32,
    metric: u32,
    seconds: i64,
    line: u32,
    /// The bits of the value.
    value: u64,
}

impl Record for Change {
    const SIZE: usize = 28;

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.family.to_le_bytes());
        bytes.extend(self.metric.to_le_bytes());
        bytes.extend(self.line.to_le_bytes());
        bytes.extend(self.seconds.to_le_bytes());
        bytes.extend(self.value.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Change> {
        let (family, bytes) = bytes.split_first_chunk()?;
        let (metric, bytes) = bytes.split_first_chunk()?;
        let (line, bytes) = bytes.split_first_chunk()?;
        let (seconds, bytes) = bytes.split_first_chunk()?;
        Some(Change {
            family: u32::from_le_bytes(*family),
            metric: u32::from_le_bytes(*metric),
            line: u32::from_le_bytes(*line),
            seconds: i64::from_le_bytes(*seconds),
            value: u64::from_le_bytes(*bytes.first_chunk()?),
        })
    }
}

impl Recording {
    /// Nothing yet, to be told of at `moments`.
    ///
    /// # Errors
    ///
    /// If there can be no temporary file.
    pub fn new(moments: Moments) -> io::Result<Recording> {
        Recording::holding(moments, CHANGES_IN_MEMORY)
    }

    fn holding(moments: Moments, limit: usize) -> io::Result<Recording> {
        Ok(Recording {
            moments,
            families: Vec::new(),
            metrics: Vec::new(),
            places: HashMap::new(),
            changes: Runs::new(tempfile::tempfile()?, limit),
        })
    }

    /// Notes what metrics are at a moment. Those which are not in `families` are not there then.
    ///
    /// # Errors
    ///
    /// If the temporary file cannot be written.
    pub fn note(&mut self, moment: DateTime<Utc>, families: &Families) -> io::Result<()> {
        for family in families.as_slice() {
            let number = self.family(family)?;
            for sample in family.samples() {
                let place = self.place(number, sample)?;
                self.change(place, moment, &values(sample))?;
            }
        }
        for place in 0..self.metrics.len() {
            let gone = match self.metrics.get(place) {
                Some(metric) if metric.seen != moment => vec![f64::NAN; metric.last.len()],
                _ => continue,
            };
            self.change(place, moment, &gone)?;
        }
        Ok(())
    }

    fn family(&mut self, family: &Family) -> io::Result<u32> {
        let known = self.families.iter().position(|known| known.name() == family.name());
        let place = known.unwrap_or_else(|| {
            self.families.push(family.only(|_| false));
            self.families.len() - 1
        });
        number(place)
    }

    fn place(&mut self, family: u32, sample: &Sample) -> io::Result<usize> {
        let key = (family, sample.labels.clone());
        if let Some(place) = self.places.get(&key) {
            return Ok(*place);
        }
        let place = self.metrics.len();
        number(place)?;
        self.metrics.push(Metric {
            family,
            labels: sample.labels.clone(),
            bounds: bounds(sample),
            last: vec![f64::NAN; values(sample).len()],
            seen: DateTime::<Utc>::MIN_UTC,
        });
        self.places.insert(key, place);
        Ok(place)
    }

    fn change(&mut self, place: usize, moment: DateTime<Utc>, values: &[f64]) -> io::Result<()> {
        let Some(metric) = self.metrics.get_mut(place) else { return Ok(()) };
        metric.seen = moment;
        let lines = (0..).zip(&mut metric.last).zip(values);
        for ((line, last), value) in lines {
            // Bits, because what is not a number does not equal itself.
            if last.to_bits() != value.to_bits() {
                *last = *value;
                self.changes.add(Change {
                    family: metric.family,
                    metric: number(place)?,
                    seconds: moment.timestamp(),
                    line,
                    value: value.to_bits(),
                })?;
            }
        }
        Ok(())
    }

    /// Hands everything to `writer`, one metric after the other.
    ///
    /// # Errors
    ///
    /// If the temporary file cannot be read, or the writer cannot write.
    pub fn write(self, writer: &mut dyn Writer) -> io::Result<()> {
        let mut changes = self.changes.merge()?;
        let mut family = None;
        while let Some(first) = changes.peek() {
            let Some(metric) = self.metrics.get(first.metric as usize) else { return Ok(()) };
            let Some(of) = self.families.get(metric.family as usize) else { return Ok(()) };
            if family != Some(metric.family) {
                family = Some(metric.family);
                writer.begin_family(of)?;
            }
            let names = of.labels().iter().map(|name| (**name).to_owned());
            let labels: Vec<LabelPair> = names.zip(metric.labels.iter().cloned()).collect();
            writer.begin_metric(&labels, &metric.bounds)?;
            write_metric(first.metric, metric, &self.moments, &mut changes, writer)?;
        }
        Ok(())
    }
}

fn number(place: usize) -> io::Result<u32> {
    u32::try_from(place).map_err(|_| io::Error::other("too many metrics"))
}

/// Takes the changes of a metric, and writes what it was at each moment.
fn write_metric(
    number: u32,
    metric: &Metric,
    moments: &Moments,
    changes: &mut Merge<Change, File>,
    writer: &mut dyn Writer,
) -> io::Result<()> {
    let mut values = vec![f64::NAN; metric.last.len()];
    for moment in moments.clone() {
        while let Some(change) = changes
            .peek()
            .filter(|next| next.metric == number && next.seconds <= moment.timestamp())
        {
            if let Some(value) = values.get_mut(change.line as usize) {
                *value = f64::from_bits(change.value);
            }
            changes.take()?;
        }
        if values.iter().all(|value| !value.is_nan()) {
            writer.point(moment, &values)?;
        }
    }
    // Whatever was noted of a later time is of no moment.
    while changes.peek().is_some_and(|next| next.metric == number) {
        changes.take()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use chrono_tz::Tz;

    use super::*;
    use crate::backfill::Step;
    use crate::backfill::writers::OpenMetrics;
    use crate::exposition::Distribution;

    crate::catalogue! {
        COUNTED: Counter "tested_total" ["name"] () "A counter of the tests.";
        TIMED: Histogram "tested_seconds" [] () "A histogram of the tests.";
    }

    fn moments() -> Moments {
        let day = |day| NaiveDate::from_ymd_opt(2026, 3, day).expect("a date");
        Moments::new(day(1), day(3), Step::Days(1), Tz::UTC, DateTime::<Utc>::MAX_UTC)
    }

    fn at(counts: &[(&str, f64)], timed: u64) -> Families {
        let mut families = Families::default();
        families.series(&COUNTED, counts.iter().map(|(name, count)| ([*name], *count)));
        let buckets = vec![(1.0, timed)];
        let distribution = Distribution { buckets, count: timed, sum: 0.5 };
        families.series(&TIMED, [([""; 0], distribution)]);
        families
    }

    fn recorded(limit: usize) -> String {
        let mut recording = Recording::holding(moments(), limit).expect("a file");
        let [first, second, third] = moments().collect::<Vec<_>>()[..] else { panic!("3 days") };
        recording.note(first, &at(&[("a", 1.0)], 1)).expect("a file");
        recording.note(second, &at(&[("a", 1.0), ("b", 2.0)], 2)).expect("a file");
        recording.note(third, &at(&[("b", 3.0)], 2)).expect("a file");
        let mut text = Vec::new();
        let mut writer = OpenMetrics::new(&mut text, Vec::new());
        recording.write(&mut writer).expect("a string");
        writer.end().expect("a string");
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn each_metric_is_told_of_while_it_was_there() {
        let expected = r#"# TYPE tested counter
# HELP tested A counter of the tests.
tested_total{name="a"} 1 1772409599
tested_total{name="a"} 1 1772495999
tested_total{name="b"} 2 1772495999
tested_total{name="b"} 3 1772582399
# TYPE tested_seconds histogram
# HELP tested_seconds A histogram of the tests.
tested_seconds_bucket{le="1.0"} 1 1772409599
tested_seconds_bucket{le="+Inf"} 1 1772409599
tested_seconds_count 1 1772409599
tested_seconds_sum 0.5 1772409599
"#;
        let text = recorded(CHANGES_IN_MEMORY);
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with("tested_seconds_sum 0.5 1772582399\n# EOF\n"), "{text}");
    }

    #[test]
    fn how_much_is_held_in_memory_changes_nothing() {
        assert_eq!(recorded(1), recorded(CHANGES_IN_MEMORY));
    }
}
