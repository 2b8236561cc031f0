//! Families of every kind with odd names, labels and values: what is written is read again by our own parser, and
//! by Prometheus's.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};
use usage_exporter::exposition::family::{Distribution, Family, Quantiles, Sample, Value};
use usage_exporter::exposition::parse::parse;
use usage_exporter::exposition::{Description, Format, Kind, open_metrics, text};

use crate::prometheus::{Prometheus, create_blocks, dump};

const FORMATS: [Format; 2] = [Format::Text, Format::OpenMetrics];

const KINDS: [Kind; 6] =
    [Kind::Counter, Kind::Gauge, Kind::Histogram, Kind::Summary, Kind::Info, Kind::Unknown];

/// Counts that a float can have.
const COUNTS: u64 = 1 << 50;

fn odd_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("\\n".to_owned()),
        Just("{a=\"b\",}".to_owned()),
        Just(" # EOF\n".to_owned()),
        Just("\r".to_owned()),
        Just("\0".to_owned()),
        Just("é\u{1F600}\u{202e}".to_owned()),
        "[ -~]{0,8}",
        "\\PC{0,4}",
    ];
    prop_oneof![
        1 => Just(String::new()),
        6 => proptest::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat()),
    ]
}

fn odd_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(-0.0),
        Just(f64::MAX),
        Just(5e-324),
        (-1000_i32..1000).prop_map(f64::from),
        any::<i64>().prop_map(|whole| whole as f64),
        any::<f64>().prop_filter("a stale mark of Prometheus", |number| !number.is_nan()),
    ]
}

fn value(kind: Kind) -> BoxedStrategy<Value> {
    let parts = proptest::collection::vec((odd_number(), odd_number(), 0..COUNTS / 16), 0..5);
    match kind {
        Kind::Histogram => (parts, 0..COUNTS / 2, odd_number())
            .prop_map(|(parts, beyond, sum)| {
                let bounds = parts.iter().map(|(bound, _, _)| *bound + 0.0);
                let mut bounds: Vec<f64> = bounds.filter(|bound| bound.is_finite()).collect();
                bounds.sort_by(f64::total_cmp);
                bounds.dedup();
                let mut count = 0;
                let counts = parts.iter().map(|(_, _, more)| {
                    count += more;
                    count
                });
                let buckets: Vec<(f64, u64)> = bounds.into_iter().zip(counts).collect();
                let count = buckets.last().map_or(0, |(_, count)| *count) + beyond;
                Value::Histogram(Distribution { buckets, count, sum })
            })
            .boxed(),
        Kind::Summary => (parts, 0..COUNTS, odd_number())
            .prop_map(|(parts, count, sum)| {
                let shares = (0..).map(|place: u8| f64::from(place) / 4.0);
                let quantiles = shares.zip(parts.iter().map(|(_, value, _)| *value)).collect();
                Value::Summary(Quantiles { quantiles, count, sum })
            })
            .boxed(),
        Kind::Counter | Kind::Gauge | Kind::Info | Kind::Unknown => {
            odd_number().prop_map(Value::Number).boxed()
        }
    }
}

/// A family that no other one has the name of.
fn family(number: usize) -> impl Strategy<Value = Family> {
    let kind = proptest::sample::select(&KINDS[..]);
    let labels = proptest::sample::subsequence(vec!["name", "_", "le_", "Z9", "code"], 0..4);
    (kind, labels).prop_flat_map(move |(kind, labels)| {
        let label_values = proptest::collection::vec(odd_text(), labels.len());
        let samples = proptest::collection::vec((label_values, value(kind)), 1..6);
        (samples, odd_text(), any::<bool>()).prop_map(move |(samples, help, is_named_well)| {
            let ending = match kind {
                Kind::Counter if is_named_well => "_total",
                Kind::Info if is_named_well => "_info",
                _ => "",
            };
            let labels: Vec<Cow<'static, str>> = labels.iter().copied().map(Cow::from).collect();
            let name = format!("tested:{number}{ending}");
            let described = Description::new(kind, name, labels, help).expect("names");
            let samples = samples.into_iter();
            Family::of(&described, samples.map(|(labels, value)| Sample { labels, value }))
        })
    })
}

fn families(from: usize, count: usize) -> impl Strategy<Value = Vec<Family>> {
    (from..from + count).map(family).collect::<Vec<_>>()
}

fn since() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).expect("a time")
}

fn page(families: &[Family], format: Format) -> String {
    let mut page = String::new();
    for family in families {
        match format {
            Format::Text => text::write_family(family, &mut page),
            Format::OpenMetrics => open_metrics::write_family(family, Some(since()), &mut page),
        }
    }
    if format == Format::OpenMetrics {
        page.push_str(open_metrics::END);
    }
    page
}

/// The kind that a page in a format gives to a family.
fn kind_in(family: &Family, format: Format) -> Kind {
    match (family.kind(), format) {
        (Kind::Info, Format::Text) => Kind::Gauge,
        (Kind::Info, Format::OpenMetrics) if !family.name().ends_with("_info") => Kind::Gauge,
        (Kind::Counter, Format::OpenMetrics) if !family.name().ends_with("_total") => Kind::Unknown,
        (kind, _) => kind,
    }
}

/// Labels without those that are empty, which are none.
type Labels = BTreeMap<String, String>;

fn labels(family: &Family, sample: &Sample) -> Labels {
    let labels = family.labels_of(sample).filter(|(_, value)| !value.is_empty());
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// All that a family says. As text, in which a number that is none equals itself.
fn told(family: &Family, kind: Kind) -> (String, Kind, String, Vec<(Labels, String)>) {
    let samples = family.samples().iter();
    let samples = samples.map(|sample| (labels(family, sample), format!("{:?}", sample.value)));
    (family.name().to_owned(), kind, family.help().to_owned(), samples.collect())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(4),
        cases: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_written_is_read_again(families in families(0, 6)) {
        for format in FORMATS {
            let page = page(&families, format);
            let read = parse(&page, format);
            let read = read.unwrap_or_else(|error| panic!("{error}\n{page}"));
            let found: Vec<_> =
                read.families.iter().map(|family| told(family, family.kind())).collect();
            let expected: Vec<_> =
                families.iter().map(|family| told(family, kind_in(family, format))).collect();
            prop_assert_eq!(found, expected, "{}", page);
            prop_assert_eq!((read.timestamps, read.duplicates), (0, 0));
        }
    }
}

/// Many families, always the same.
fn many() -> Vec<Family> {
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    });
    families(0, 300).new_tree(&mut runner).expect("families").current()
}

/// The series of a page, as Prometheus should know them: their names and labels, and the values.
type Known = BTreeMap<(String, Labels), String>;

fn number(number: f64) -> String {
    format!("{number:?}")
}

/// What Prometheus should know of families, computed without the writers.
fn expected(families: &[Family], format: Format) -> Known {
    let mut known = Known::new();
    for family in families {
        let kind = kind_in(family, format);
        for sample in family.samples() {
            let labels = labels(family, sample);
            let mut put = |ending: &str, own: Option<(&str, f64)>, value: f64| {
                let own = own.map(|(name, bound)| (name.to_owned(), number(bound)));
                let labels = labels.clone().into_iter().chain(own).collect();
                let name = format!("{}{ending}", family.name());
                assert!(known.insert((name, labels), number(value)).is_none());
            };
            match &sample.value {
                Value::Number(value) => put("", None, *value),
                Value::Histogram(distribution) => {
                    let finite = distribution.buckets.iter().copied();
                    for (bound, count) in finite.chain([(f64::INFINITY, distribution.count)]) {
                        put("_bucket", Some(("le", bound)), count as f64);
                    }
                    put("_sum", None, distribution.sum);
                    put("_count", None, distribution.count as f64);
                }
                Value::Summary(summary) => {
                    for (share, value) in &summary.quantiles {
                        put("", Some(("quantile", *share)), *value);
                    }
                    put("_sum", None, summary.sum);
                    put("_count", None, summary.count as f64);
                }
            }
            let counts = [Kind::Counter, Kind::Histogram, Kind::Summary].contains(&kind);
            if format == Format::OpenMetrics && counts {
                let base = family.name().trim_end_matches("_total");
                let name = format!("{base}_created");
                known.insert((name, labels), number(since().timestamp() as f64));
            }
        }
    }
    known
}

/// What Prometheus knows of a job.
fn found(prometheus: &Prometheus, job: &str) -> Known {
    let series = prometheus.query(&format!("{{job=\"{job}\",__name__=~\"tested:.*\"}}"), None);
    let series = series.into_iter().map(|series| {
        let mut labels: Labels = serde_json::from_value(series.labels).expect("labels");
        let name = labels.remove("__name__").expect("a name");
        for of_prometheus in ["job", "instance"] {
            labels.remove(of_prometheus);
        }
        for own in ["le", "quantile"] {
            labels.entry(own.to_owned()).and_modify(|bound| {
                *bound = number(bound.parse().expect("a bound"));
            });
        }
        ((name, labels), number(series.samples[0].1))
    });
    series.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_in_either_format_what_was_written() {
    let families = many();
    let kinds: BTreeSet<&str> = families.iter().map(|family| family.kind().as_str()).collect();
    assert_eq!(kinds.len(), 5, "every word for a kind");
    let mut router = Router::new();
    for format in FORMATS {
        let page = page(&families, format);
        let answer = move || async move { ([(CONTENT_TYPE, format.content_type())], page) };
        router = router.route(&format!("/{format:?}"), get(answer));
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    let jobs: Vec<String> = FORMATS
        .iter()
        .map(|format| {
            format!(
                "- job_name: {format:?}\n  metrics_path: /{format:?}\n  static_configs:\n  \
                 - targets: ['{target}']\n"
            )
        })
        .collect();
    let config = format!("global:\n  scrape_interval: 1s\nscrape_configs:\n{}", jobs.join(""));
    let prometheus = Prometheus::start_with(&Prometheus::data("exposition"), &config);
    for format in FORMATS {
        let job = format!("{format:?}");
        prometheus.wait_until_scraped(&job);
        let (found, expected) = (found(&prometheus, &job), expected(&families, format));
        for (series, value) in &expected {
            assert_eq!(found.get(series), Some(value), "{format:?}: {series:?}");
        }
        assert_eq!(found.len(), expected.len(), "{format:?}");
    }
    server.abort();
}

#[test]
fn promtool_reads_what_was_written() {
    let families = many();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool (Debian's package prometheus) is installed");
    let mut input = promtool.stdin.take().expect("an input");
    std::io::Write::write_all(&mut input, page(&families, Format::Text).as_bytes())
        .expect("a pipe");
    drop(input);
    let output = promtool.wait_with_output().expect("promtool");
    let told = String::from_utf8_lossy(&output.stderr);
    // 3: it would like other names.
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(!told.contains("parsing error"), "{told}");

    let mut with_times = String::new();
    for line in page(&families, Format::OpenMetrics).lines() {
        with_times.push_str(line);
        with_times.push_str(if line.starts_with('#') { "\n" } else { " 1700000000\n" });
    }
    let data = Prometheus::data("exposition-past");
    create_blocks(&with_times, &data);
    assert_eq!(dump(&data).lines().count(), expected(&families, Format::OpenMetrics).len());
    std::fs::remove_dir_all(&data).expect("a folder");
}
