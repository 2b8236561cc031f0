//! The forms in which the past is written.

use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::exposition::format::Number;
use crate::exposition::open_metrics::{self, LabelPair, sample_names, write_header};
use crate::exposition::{Family, Kind};

/// Writes metrics one after the other, each moment by moment.
pub trait Writer {
    /// Begins with the metrics of a family, of which only what describes it matters.
    ///
    /// # Errors
    ///
    /// If the output cannot be written.
    fn begin_family(&mut self, family: &Family) -> io::Result<()>;

    /// Begins with a metric of that family: its labels, and the bounds of its buckets if it is a histogram.
    ///
    /// # Errors
    ///
    /// If the output cannot be written.
    fn begin_metric(&mut self, labels: &[LabelPair], bounds: &[f64]) -> io::Result<()>;

    /// Writes what the metric was at a moment: a value for each of its samples.
    ///
    /// # Errors
    ///
    /// If the output cannot be written.
    fn point(&mut self, moment: DateTime<Utc>, values: &[f64]) -> io::Result<()>;
}

/// OpenMetrics with timestamps, as `promtool tsdb create-blocks-from openmetrics` reads it.
pub struct OpenMetrics<W> {
    output: W,
    /// Labels that every sample gets.
    labels: Vec<LabelPair>,
    family: (String, Kind),
    samples: Vec<String>,
}

impl<W: Write> OpenMetrics<W> {
    /// A writer that gives `labels` to every sample.
    pub fn new(output: W, labels: Vec<LabelPair>) -> OpenMetrics<W> {
        let family = (String::new(), Kind::Unknown);
        OpenMetrics { output, labels, family, samples: Vec::new() }
    }

    /// Writes the last line.
    ///
    /// # Errors
    ///
    /// If the output cannot be written.
    pub fn end(mut self) -> io::Result<()> {
        self.output.write_all(open_metrics::END.as_bytes())?;
        self.output.flush()
    }
}

impl<W: Write> Writer for OpenMetrics<W> {
    fn begin_family(&mut self, family: &Family) -> io::Result<()> {
        self.family = (family.name().to_owned(), family.kind());
        let mut header = String::new();
        write_header(family.name(), family.kind(), family.help(), &mut header);
        self.output.write_all(header.as_bytes())
    }

    fn begin_metric(&mut self, labels: &[LabelPair], bounds: &[f64]) -> io::Result<()> {
        let labels = [labels, &self.labels].concat();
        let (name, kind) = &self.family;
        self.samples = sample_names(name, *kind, bounds, &labels);
        Ok(())
    }

    fn point(&mut self, moment: DateTime<Utc>, values: &[f64]) -> io::Result<()> {
        let seconds = moment.timestamp();
        for (sample, value) in self.samples.iter().zip(values) {
            writeln!(self.output, "{sample} {} {seconds}", Number(*value))?;
        }
        Ok(())
    }
}

/// A row for each sample: time, metric, labels, value.
pub struct Csv<W: Write> {
    output: csv::Writer<W>,
    family: (String, Kind),
    samples: Vec<(String, String)>,
}

impl<W: Write> Csv<W> {
    /// A writer that begins with the names of the columns.
    ///
    /// # Errors
    ///
    /// If the output cannot be written.
    pub fn new(output: W) -> io::Result<Csv<W>> {
        let mut output = csv::Writer::from_writer(output);
        output.write_record(["time", "metric", "labels", "value"]).map_err(of_output)?;
        let family = (String::new(), Kind::Unknown);
        Ok(Csv { output, family, samples: Vec::new() })
    }

    /// Writes what is left.
    ///
    /// # Errors
    ///
    /// If the output cannot be written.
    pub fn end(mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl<W: Write> Writer for Csv<W> {
    fn begin_family(&mut self, family: &Family) -> io::Result<()> {
        self.family = (family.name().to_owned(), family.kind());
        Ok(())
    }

    fn begin_metric(&mut self, labels: &[LabelPair], bounds: &[f64]) -> io::Result<()> {
        let (name, kind) = &self.family;
        let samples = sample_names(name, *kind, bounds, labels).into_iter();
        let parts = samples.map(|sample| match sample.split_once('{') {
            Some((name, labels)) => {
                (name.to_owned(), labels.strip_suffix('}').unwrap_or(labels).to_owned())
            }
            None => (sample, String::new()),
        });
        self.samples = parts.collect();
        Ok(())
    }

    fn point(&mut self, moment: DateTime<Utc>, values: &[f64]) -> io::Result<()> {
        let time = moment.to_rfc3339_opts(SecondsFormat::Secs, true);
        for ((name, labels), value) in self.samples.iter().zip(values) {
            let value = Number(*value).to_string();
            self.output.write_record([&time, name, labels, &value]).map_err(of_output)?;
        }
        Ok(())
    }
}

/// The error of the output itself, which tells whether anybody still reads it.
fn of_output(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
