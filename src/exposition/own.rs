//! The families in which the exporter tells about itself.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, Opts, Registry};

use crate::exposition::description::{Description, Kind};
use crate::exposition::family::{Distribution, Family, Quantiles, Sample, Value};

crate::catalogue! {
    BUILD_INFO: Gauge "usage_exporter_build_info" ["version", "revision"] () "Always 1; the labels tell the version and the git revision of the exporter.";
    SOURCE_UP: Gauge "usage_exporter_source_up" ["source"] () "1 if anything of the source answered within its last interval, else 0.";
    COLLECTOR_SUCCESS: Gauge "usage_exporter_collector_success" ["collector"] () "1 if the last refresh of the collector worked, 0 if not.";
    COLLECTOR_DURATION: Gauge "usage_exporter_collector_duration_seconds" ["collector"] () "How long the last refresh of the collector took.";
    COLLECTOR_LAST_SUCCESS: Gauge "usage_exporter_collector_last_success_timestamp_seconds" ["collector"] () "When the collector last answered.";
    COLLECTOR_FAILURES: Counter "usage_exporter_collector_failures_total" ["collector", "reason"] () "Refreshes that failed, by reason: timeout, connection, authorization, query or panic.";
    DOCUMENTS_READ: Counter "usage_exporter_documents_read_total" ["collector"] () "Documents received from the database.";
    BASELINE_PROGRESS: Gauge "usage_exporter_baseline_progress_ratio" [] () "How much of the history the first pass has read, 0 to 1.";
    MALFORMED_FIELDS: Counter "usage_exporter_malformed_fields_total" ["collection", "field"] () "Fields skipped because their value has an unexpected type or range.";
    SERIES_DROPPED: Gauge "usage_exporter_series_dropped" ["family"] () "Label sets folded into `other` or left out because the family has more than MAX_SERIES_PER_METRIC.";
    STATE_SAVED: Gauge "usage_exporter_state_saved_timestamp_seconds" [] () "When the state file was last written.";
    STATE_FAILURES: Counter "usage_exporter_state_failures_total" [] () "Writes of the state file that failed.";
    AUDIT_LATE_DOCUMENTS: Counter "usage_exporter_audit_late_documents_total" ["collection"] () "Documents that an audit found behind the watermark and counted.";
    HTTP_REQUESTS: Counter "usage_exporter_http_requests_total" ["path", "code"] () "HTTP requests answered, by path and status code.";
}

/// What the exporter counts and measures about itself.
///
/// [`MALFORMED_FIELDS`], [`SERIES_DROPPED`], [`BASELINE_PROGRESS`] and [`AUDIT_LATE_DOCUMENTS`] are
/// described here and exported by the source that reads the documents.
pub struct ExporterMetrics {
    started: DateTime<Utc>,
    registry: Registry,
    source_up: GaugeVec,
    success: GaugeVec,
    duration: GaugeVec,
    last_success: GaugeVec,
    failures: IntCounterVec,
    documents_read: IntCounterVec,
    http_requests: IntCounterVec,
    sources: Mutex<BTreeMap<String, Answering>>,
    last: Mutex<BTreeMap<String, LastRefresh>>,
}

/// Whether a source answers.
#[derive(Debug, Clone)]
struct Answering {
    /// The family of its own that tells this too.
    up: Option<Gauge>,
    interval: Duration,
    /// When something of it last answered.
    answered: Option<Instant>,
    /// When something of it last did not.
    silent: Option<Instant>,
}

impl Answering {
    /// It is up if something of it answered within its last interval. Where nothing was asked since, it is as
    /// it was then.
    fn is_up(&self) -> bool {
        match (self.answered, self.silent) {
            (None, _) => false,
            (Some(answered), Some(silent)) if silent > answered => {
                answered.elapsed() < self.interval
            }
            (Some(_), _) => true,
        }
    }
}

/// A collector, and the source whose question it asks.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The source.
    pub source: &'a str,
    /// The collector.
    pub collector: &'a str,
}

/// How a refresh ended.
#[derive(Debug, Clone, Copy)]
pub struct Refreshed<'a> {
    /// How long it took.
    pub took: Duration,
    /// The time of day, in seconds since 1970.
    pub now: f64,
    /// Whether the source answered, if only with a refusal.
    pub answered: bool,
    /// The kind of the failure and what happened, if it failed.
    pub failure: Option<(&'static str, &'a str)>,
}

/// What is known of the last refresh of a collector.
#[derive(Debug, Clone, PartialEq)]
pub struct LastRefresh {
    /// How long it took.
    pub took: Duration,
    /// When one last worked, in seconds since 1970.
    pub worked: Option<f64>,
    /// Why it failed; `None` if it worked.
    pub failure: Option<String>,
}

/// What is told of the state file.
#[derive(Debug, Clone)]
pub struct StateMetrics {
    /// When it was last written, in seconds since 1970.
    pub saved: Gauge,
    /// Writes that failed.
    pub failures: IntCounter,
}

impl ExporterMetrics {
    /// Metrics that start at nothing. With `process`, the `process_*` families are exported too.
    ///
    /// # Errors
    ///
    /// If a description is no valid metric name or label name.
    pub fn new(process: bool) -> prometheus::Result<ExporterMetrics> {
        let registry = Registry::new();
        if process {
            registry.register(Box::new(ProcessCollector::for_self()))?;
        }
        let build_info = gauges(&registry, &BUILD_INFO)?;
        build_info.with_label_values(&[crate::VERSION, crate::REVISION]).set(1.0);
        Ok(ExporterMetrics {
            started: Utc::now(),
            source_up: gauges(&registry, &SOURCE_UP)?,
            success: gauges(&registry, &COLLECTOR_SUCCESS)?,
            duration: gauges(&registry, &COLLECTOR_DURATION)?,
            last_success: gauges(&registry, &COLLECTOR_LAST_SUCCESS)?,
            failures: counters(&registry, &COLLECTOR_FAILURES)?,
            documents_read: counters(&registry, &DOCUMENTS_READ)?,
            http_requests: counters(&registry, &HTTP_REQUESTS)?,
            registry,
            sources: Mutex::default(),
            last: Mutex::default(),
        })
    }

    /// When they started at nothing.
    pub fn started(&self) -> DateTime<Utc> {
        self.started
    }

    /// Tells from now on whether a source answers, which is asked every `interval`; in a family of its own
    /// too, where it has one.
    ///
    /// # Errors
    ///
    /// If that is no valid name of a family, or another source has it.
    pub fn watch(
        &self,
        source: &str,
        interval: Duration,
        up: Option<&Description>,
    ) -> prometheus::Result<()> {
        let up =
            up.map(|up| register(&self.registry, Gauge::with_opts(options(up))?)).transpose()?;
        let answering = Answering { up, interval, answered: None, silent: None };
        lock(&self.sources).insert(source.to_owned(), answering);
        Ok(())
    }

    /// Begins to tell of a collector: its counters are there, at 0, before anything can be counted.
    pub fn begin(&self, collector: &str, reasons: &[&str]) {
        for reason in reasons {
            self.failures.with_label_values(&[collector, reason]);
        }
        self.documents_read.with_label_values(&[collector]);
    }

    /// Tells of a collector no more.
    pub fn end(&self, collector: &str, reasons: &[&str]) {
        lock(&self.last).remove(collector);
        // What was never told is not there to be removed.
        for reason in reasons {
            let _ = self.failures.remove_label_values(&[collector, reason]);
        }
        let _ = self.documents_read.remove_label_values(&[collector]);
        for gauges in [&self.success, &self.duration, &self.last_success] {
            let _ = gauges.remove_label_values(&[collector]);
        }
    }

    /// Notes the end of a refresh.
    pub fn refreshed(&self, asked: Asked<'_>, refreshed: &Refreshed<'_>) {
        let Refreshed { took, now, answered, failure } = *refreshed;
        let labels = &[asked.collector];
        self.duration.with_label_values(labels).set(took.as_secs_f64());
        self.success.with_label_values(labels).set(if failure.is_some() { 0.0 } else { 1.0 });
        if let Some(answering) = lock(&self.sources).get_mut(asked.source) {
            let end = if answered { &mut answering.answered } else { &mut answering.silent };
            *end = Some(Instant::now());
        }
        let mut last = lock(&self.last);
        let worked = match failure {
            None => {
                self.last_success.with_label_values(labels).set(now);
                Some(now)
            }
            Some((reason, _)) => {
                self.failures.with_label_values(&[asked.collector, reason]).inc();
                last.get(asked.collector).and_then(|last| last.worked)
            }
        };
        let failure = failure.map(|(_, why)| why.to_owned());
        last.insert(asked.collector.to_owned(), LastRefresh { took, worked, failure });
    }

    /// The last refresh of each collector that was asked.
    pub fn last_refreshes(&self) -> BTreeMap<String, LastRefresh> {
        lock(&self.last).clone()
    }

    /// The counter of the documents that `collector` receives.
    pub fn documents_read(&self, collector: &str) -> IntCounter {
        self.documents_read.with_label_values(&[collector])
    }

    /// Counts an answered HTTP request.
    pub fn answered(&self, path: &str, code: u16) {
        self.http_requests.with_label_values(&[path, code.to_string().as_str()]).inc();
    }

    /// The metrics of the state file, which are exported from now on.
    ///
    /// # Errors
    ///
    /// If they were asked for before.
    pub fn state_file(&self) -> prometheus::Result<StateMetrics> {
        Ok(StateMetrics {
            saved: register(&self.registry, Gauge::with_opts(options(&STATE_SAVED))?)?,
            failures: register(&self.registry, IntCounter::with_opts(options(&STATE_FAILURES))?)?,
        })
    }

    /// All families as they are now, in the order of the names.
    pub fn gather(&self) -> Vec<Family> {
        for (source, answering) in &*lock(&self.sources) {
            let up = if answering.is_up() { 1.0 } else { 0.0 };
            self.source_up.with_label_values(&[source]).set(up);
            if let Some(own) = &answering.up {
                own.set(up);
            }
        }
        let mut families: Vec<Family> = self.registry.gather().iter().filter_map(family).collect();
        families.sort_by(|one, other| one.name().cmp(other.name()));
        families
    }
}

/// A family of the crate `prometheus` as one of ours; none where it has no samples or cannot be written.
fn family(theirs: &MetricFamily) -> Option<Family> {
    let kind = match theirs.get_field_type() {
        MetricType::COUNTER => Kind::Counter,
        MetricType::GAUGE => Kind::Gauge,
        MetricType::HISTOGRAM => Kind::Histogram,
        MetricType::SUMMARY => Kind::Summary,
        MetricType::UNTYPED => Kind::Unknown,
    };
    let names = theirs.get_metric().first()?.get_label().iter();
    let names: Vec<Cow<'static, str>> = names.map(|pair| pair.name().to_owned().into()).collect();
    let (name, help) = (theirs.name().to_owned(), theirs.help().to_owned());
    let described = Description::new(kind, name, names, help)
        .inspect_err(|invalid| tracing::error!("left out of the page: {invalid}"))
        .ok()?;
    let samples = theirs.get_metric().iter().map(|metric| Sample {
        labels: metric.get_label().iter().map(LabelPair::value).map(str::to_owned).collect(),
        value: value(kind, metric),
    });
    Some(Family::of(&described, samples))
}

fn value(kind: Kind, metric: &Metric) -> Value {
    match kind {
        Kind::Counter => metric.get_counter().get_value().into(),
        Kind::Gauge | Kind::Info | Kind::Unknown => metric.get_gauge().get_value().into(),
        Kind::Histogram => {
            let histogram = metric.get_histogram();
            let buckets = histogram.get_bucket().iter();
            let buckets = buckets.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
            Value::Histogram(Distribution {
                buckets: buckets.filter(|(bound, _)| bound.is_finite()).collect(),
                count: histogram.get_sample_count(),
                sum: histogram.get_sample_sum(),
            })
        }
        Kind::Summary => {
            let summary = metric.get_summary();
            let quantiles = summary.get_quantile().iter();
            Value::Summary(Quantiles {
                quantiles: quantiles.map(|part| (part.quantile(), part.value())).collect(),
                count: summary.sample_count(),
                sum: summary.sample_sum(),
            })
        }
    }
}

fn options(description: &Description) -> Opts {
    Opts::new(&*description.name, &*description.help)
}

fn gauges(registry: &Registry, description: &Description) -> prometheus::Result<GaugeVec> {
    register(registry, GaugeVec::new(options(description), &labels(description))?)
}

fn counters(registry: &Registry, description: &Description) -> prometheus::Result<IntCounterVec> {
    register(registry, IntCounterVec::new(options(description), &labels(description))?)
}

fn labels(description: &Description) -> Vec<&str> {
    description.labels.iter().map(|label| &**label).collect()
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
