//! The two text formats in which families are served, and what both write alike.

use std::fmt::{self, Display};

/// The text formats in which families are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// Its content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A number as both formats write it.
#[derive(Debug, Clone, Copy)]
pub struct Number(pub f64);

/// From here on a number is written with its power of ten.
const LARGE: f64 = 1e21;

/// Below this a number is written with its power of ten.
const SMALL: f64 = 1e-7;

impl Number {
    /// As the bound of a bucket or a quantile in OpenMetrics, which always has a fraction.
    pub fn canonical(self) -> String {
        if self.0.is_finite() { format!("{:?}", self.0) } else { self.to_string() }
    }
}

impl Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => formatter.write_str("+Inf"),
            f64::NEG_INFINITY => formatter.write_str("-Inf"),
            number if number.abs() >= LARGE || (number != 0.0 && number.abs() < SMALL) => {
                write!(formatter, "{number:e}")
            }
            number => write!(formatter, "{number}"),
        }
    }
}

/// A sample as a line names it: its name and labels.
pub struct SampleName<'a, L> {
    /// The name of the sample.
    pub name: &'a str,
    /// What the name of the family is followed by.
    pub suffix: &'a str,
    /// The labels.
    pub labels: L,
}

impl<L, N, V> Display for SampleName<'_, L>
where
    L: IntoIterator<Item = (N, V)> + Clone,
    N: Display,
    V: AsRef<str>,
{
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.name, self.suffix)?;
        let mut before = '{';
        for (name, value) in self.labels.clone() {
            write!(formatter, "{before}{name}=\"")?;
            escape(value.as_ref(), true, formatter)?;
            formatter.write_str("\"")?;
            before = ',';
        }
        if before == ',' { formatter.write_str("}") } else { Ok(()) }
    }
}

/// Writes a text in one line.
pub fn escape(text: &str, quotes: bool, to: &mut dyn fmt::Write) -> fmt::Result {
    let mut rest = text;
    while let Some(place) = rest.find(|c| matches!(c, '\\' | '\n') || (c == '"' && quotes)) {
        let (plain, special) = rest.split_at(place);
        to.write_str(plain)?;
        let mut special = special.chars();
        match special.next() {
            Some('\n') => to.write_str("\\n")?,
            Some(other) => write!(to, "\\{other}")?,
            None => {}
        }
        rest = special.as_str();
    }
    to.write_str(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_prometheus_reads_them() {
        for (number, written) in [
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (-0.0, "-0"),
            (123_456_789_012_345_680.0, "123456789012345680"),
            (1e300, "1e300"),
            (-5e-324, "-5e-324"),
            (0.1, "0.1"),
        ] {
            assert_eq!(Number(number).to_string(), written);
        }
        assert_eq!(Number(10.0).canonical(), "10.0");
        assert_eq!(Number(f64::INFINITY).canonical(), "+Inf");
    }

    #[test]
    fn a_series_is_one_line_whatever_its_labels_say() {
        let labels = [("a", "b\\c\"d\ne"), ("f", "")];
        let series = SampleName { name: "tested", suffix: "_total", labels };
        assert_eq!(series.to_string(), r#"tested_total{a="b\\c\"d\ne",f=""}"#);
        let none: [(&str, &str); 0] = [];
        assert_eq!(SampleName { name: "tested", suffix: "", labels: none }.to_string(), "tested");
    }
}
