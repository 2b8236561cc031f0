//! What each metric was at each moment.
//!
//! OpenMetrics wants all samples of a metric together, but documents are read in the order of time. So
//! what changes is noted in a temporary file, and read from it again metric by metric, some of them at
//! a time: memory is needed for the metrics, not for the moments.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use chrono::{DateTime, Utc};
use prometheus::proto::MetricType;

use crate::backfill::Moments;
use crate::backfill::writers::{Family, Writer};
use crate::exposition::Families;
use crate::exposition::open_metrics::{LabelPair, bounds, labels, values};

/// How many changes are held in memory while they are written.
const CHANGES_IN_MEMORY: usize = 500_000;

/// What metrics were at some moments.
pub struct Recording {
    moments: Moments,
    families: Vec<Family>,
    metrics: Vec<Metric>,
    /// The place of each metric, by its family and labels.
    places: HashMap<(usize, Vec<LabelPair>), usize>,
    /// The last value of each row; not a number where there is none.
    last: Vec<f64>,
    changes: BufWriter<File>,
    limit: usize,
}

/// A set of labels of a family.
#[derive(Debug)]
struct Metric {
    family: usize,
    labels: Vec<LabelPair>,
    /// The bounds of its buckets, if it is a histogram.
    bounds: Vec<f64>,
    /// Its rows: one for each sample that it has at a moment.
    rows: std::ops::Range<usize>,
    /// How many changes were noted.
    changes: usize,
    /// When it was last there.
    seen: DateTime<Utc>,
}

/// That a row has a value from some moment on.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Change {
    seconds: i64,
    row: usize,
    value: f64,
}

impl Change {
    const SIZE: usize = 24;

    fn bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let (seconds, rest) = bytes.split_at_mut(8);
        let (row, value) = rest.split_at_mut(8);
        seconds.copy_from_slice(&self.seconds.to_le_bytes());
        row.copy_from_slice(&(self.row as u64).to_le_bytes());
        value.copy_from_slice(&self.value.to_le_bytes());
        bytes
    }

    fn of(bytes: [u8; Self::SIZE]) -> Change {
        let [seconds, row, value] = [0, 8, 16].map(|start| {
            let mut part = [0; 8];
            part.copy_from_slice(&bytes[start..start + 8]);
            part
        });
        Change {
            seconds: i64::from_le_bytes(seconds),
            row: u64::from_le_bytes(row) as usize,
            value: f64::from_le_bytes(value),
        }
    }
}

impl Recording {
    /// Nothing yet, to be told of at `moments`.
    ///
    /// # Errors
    ///
    /// If there can be no temporary file.
    pub fn new(moments: Moments) -> io::Result<Recording> {
        Ok(Recording {
            moments,
            families: Vec::new(),
            metrics: Vec::new(),
            places: HashMap::new(),
            last: Vec::new(),
            changes: BufWriter::with_capacity(1 << 16, tempfile::tempfile()?),
            limit: CHANGES_IN_MEMORY,
        })
    }

    /// Notes what metrics are at a moment. Those which are not in `families` are not there then.
    ///
    /// # Errors
    ///
    /// If the temporary file cannot be written.
    pub fn note(&mut self, moment: DateTime<Utc>, families: &Families) -> io::Result<()> {
        for family in families.as_slice() {
            let kind = family.get_field_type();
            let number = self.family(family.name(), kind, family.help());
            for metric in family.get_metric() {
                let place = self.place(number, labels(metric), bounds(kind, metric));
                self.metrics[place].seen = moment;
                self.change(place, moment, &values(kind, metric))?;
            }
        }
        for place in 0..self.metrics.len() {
            if self.metrics[place].seen != moment {
                let gone = vec![f64::NAN; self.metrics[place].rows.len()];
                self.change(place, moment, &gone)?;
            }
        }
        Ok(())
    }

    fn family(&mut self, name: &str, kind: MetricType, help: &str) -> usize {
        self.families.iter().position(|family| family.name == name).unwrap_or_else(|| {
            let (name, help) = (name.to_owned(), help.to_owned());
            self.families.push(Family { name, kind, help });
            self.families.len() - 1
        })
    }

    fn place(&mut self, family: usize, labels: Vec<LabelPair>, bounds: Vec<f64>) -> usize {
        let key = (family, labels);
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        // A histogram has a bucket without bound, a count and a sum besides.
        let width = if bounds.is_empty() { 1 } else { bounds.len() + 3 };
        let rows = self.last.len()..self.last.len() + width;
        self.last.resize(rows.end, f64::NAN);
        let (labels, seen) = (key.1.clone(), DateTime::<Utc>::MIN_UTC);
        self.metrics.push(Metric { family, labels, bounds, rows, changes: 0, seen });
        self.places.insert(key, self.metrics.len() - 1);
        self.metrics.len() - 1
    }

    fn change(&mut self, place: usize, moment: DateTime<Utc>, values: &[f64]) -> io::Result<()> {
        let Metric { rows, changes, .. } = &mut self.metrics[place];
        for (row, value) in rows.clone().zip(values) {
            // Bits, because what is not a number does not equal itself.
            if self.last[row].to_bits() != value.to_bits() {
                self.last[row] = *value;
                *changes += 1;
                let change = Change { seconds: moment.timestamp(), row, value: *value };
                self.changes.write_all(&change.bytes())?;
            }
        }
        Ok(())
    }

    /// Hands everything to `writer`, one metric after the other.
    ///
    /// # Errors
    ///
    /// If the temporary file cannot be read, or the writer cannot write.
    pub fn write(mut self, writer: &mut dyn Writer) -> io::Result<()> {
        self.changes.flush()?;
        // The metrics of a family may have come at different times.
        let mut order: Vec<usize> = (0..self.metrics.len()).collect();
        order.sort_by_key(|place| (self.metrics[*place].family, *place));
        let mut rest = order.as_slice();
        let mut family = usize::MAX;
        while !rest.is_empty() {
            let mut held = 0;
            let some = rest
                .iter()
                .take_while(|place| {
                    let fits = held == 0 || held + self.metrics[**place].changes <= self.limit;
                    held += self.metrics[**place].changes;
                    fits
                })
                .count();
            let (now, later) = rest.split_at(some);
            let changes = self.changes_of(now)?;
            for place in now {
                let metric = &self.metrics[*place];
                if metric.family != family {
                    family = metric.family;
                    writer.begin_family(&self.families[family])?;
                }
                writer.begin_metric(&metric.labels, &metric.bounds)?;
                self.write_metric(metric, &changes, writer)?;
            }
            rest = later;
        }
        Ok(())
    }

    /// The changes of each row of some metrics.
    fn changes_of(&mut self, places: &[usize]) -> io::Result<HashMap<usize, Vec<Change>>> {
        let rows = places.iter().flat_map(|place| self.metrics[*place].rows.clone());
        let mut changes: HashMap<usize, Vec<Change>> = rows.map(|row| (row, Vec::new())).collect();
        let file = self.changes.get_mut();
        file.rewind()?;
        let mut file = BufReader::with_capacity(1 << 16, file);
        let mut bytes = [0; Change::SIZE];
        loop {
            match file.read_exact(&mut bytes) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(changes),
                Err(error) => return Err(error),
            }
            let change = Change::of(bytes);
            if let Some(changes) = changes.get_mut(&change.row) {
                changes.push(change);
            }
        }
    }

    fn write_metric(
        &self,
        metric: &Metric,
        changes: &HashMap<usize, Vec<Change>>,
        writer: &mut dyn Writer,
    ) -> io::Result<()> {
        let mut rows: Vec<_> = metric
            .rows
            .clone()
            .map(|row| changes.get(&row).into_iter().flatten().peekable())
            .collect();
        let mut values = vec![f64::NAN; rows.len()];
        for moment in self.moments.clone() {
            for (row, value) in rows.iter_mut().zip(&mut values) {
                while let Some(change) = row.next_if(|c| c.seconds <= moment.timestamp()) {
                    *value = change.value;
                }
            }
            if values.iter().all(|value| !value.is_nan()) {
                writer.point(moment, &values)?;
            }
        }
        Ok(())
    }
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
        let mut recording = Recording::new(moments()).expect("a file");
        recording.limit = limit;
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
