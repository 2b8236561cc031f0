//! Prometheus's text format 0.0.4.

use std::fmt::Write;

use crate::exposition::family::{Family, Value};
use crate::exposition::format::{Number, SampleName, escape};

/// Writes a family.
pub fn write_family(family: &Family, page: &mut String) {
    // Writing to a string does not fail.
    let _ = write(family, page);
}

fn write(family: &Family, page: &mut String) -> std::fmt::Result {
    let (name, kind) = (family.name(), family.kind());
    if !family.help().is_empty() {
        write!(page, "# HELP {name} ")?;
        escape(family.help(), false, page)?;
        page.push('\n');
    }
    writeln!(page, "# TYPE {name} {}", kind.as_str())?;
    for sample in family.samples() {
        let series = |suffix| SampleName { name, suffix, labels: family.labels_of(sample) };
        match &sample.value {
            Value::Number(number) => writeln!(page, "{} {}", series(""), Number(*number))?,
            Value::Histogram(distribution) => {
                let finite = distribution.buckets.iter().copied();
                for (bound, count) in finite.chain([(f64::INFINITY, distribution.count)]) {
                    let bound = Number(bound).to_string();
                    let labels = family.labels_of(sample).chain([("le", bound.as_str())]);
                    writeln!(page, "{} {count}", SampleName { name, suffix: "_bucket", labels })?;
                }
                writeln!(page, "{} {}", series("_sum"), Number(distribution.sum))?;
                writeln!(page, "{} {}", series("_count"), distribution.count)?;
            }
            Value::Summary(summary) => {
                for (share, value) in &summary.quantiles {
                    let share = Number(*share).to_string();
                    let labels = family.labels_of(sample).chain([("quantile", share.as_str())]);
                    writeln!(
                        page,
                        "{} {}",
                        SampleName { name, suffix: "", labels },
                        Number(*value)
                    )?;
                }
                writeln!(page, "{} {}", series("_sum"), Number(summary.sum))?;
                writeln!(page, "{} {}", series("_count"), summary.count)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::family::{Distribution, Quantiles, Sample};

    crate::catalogue! {
        COUNTED: Counter "tested_total" ["name"] () "A \"counter\" \\ of\nthe tests.";
        TIMED: Histogram "tested_seconds" [] () "A histogram.";
        SUMMED: Summary "tested_bytes" ["name"] () "A summary.";
        ABOUT: Info "tested_info" ["version"] () "An info.";
        FOUND: Unknown "tested" [] () "Anything.";
    }

    #[test]
    fn every_kind_is_written_with_the_word_that_the_format_has_for_it() {
        let sample = |labels: &[&str], value: Value| Sample {
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            value,
        };
        let buckets = vec![(0.5, 1), (10.0, 2)];
        let distribution = Distribution { buckets, count: 3, sum: 70.25 };
        let quantiles =
            Quantiles { quantiles: vec![(0.5, 1.5), (1.0, f64::NAN)], count: 2, sum: 3.0 };
        let mut page = String::new();
        for (description, labels, value) in [
            (&COUNTED, &["a\\b\"c"][..], Value::from(3.5)),
            (&TIMED, &[], distribution.into()),
            (&SUMMED, &["d"], quantiles.into()),
            (&ABOUT, &["1"], 1.0.into()),
            (&FOUND, &[], f64::NEG_INFINITY.into()),
        ] {
            write_family(&Family::of(description, [sample(labels, value)]), &mut page);
        }
        let expected = r#"# HELP tested_total A "counter" \\ of\nthe tests.
# TYPE tested_total counter
tested_total{name="a\\b\"c"} 3.5
# HELP tested_seconds A histogram.
# TYPE tested_seconds histogram
tested_seconds_bucket{le="0.5"} 1
tested_seconds_bucket{le="10"} 2
tested_seconds_bucket{le="+Inf"} 3
tested_seconds_sum 70.25
tested_seconds_count 3
# HELP tested_bytes A summary.
# TYPE tested_bytes summary
tested_bytes{name="d",quantile="0.5"} 1.5
tested_bytes{name="d",quantile="1"} NaN
tested_bytes_sum{name="d"} 3
tested_bytes_count{name="d"} 2
# HELP tested_info An info.
# TYPE tested_info gauge
tested_info{version="1"} 1
# HELP tested Anything.
# TYPE tested untyped
tested -Inf
"#;
        assert_eq!(page, expected);
    }
}
