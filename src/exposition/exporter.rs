//! The families in which the exporter tells about itself.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, Opts, Registry};

use super::catalogue::Description;
use crate::collector::Failure;

crate::catalogue! {
    BUILD_INFO: Gauge "usage_exporter_build_info" ["version", "revision"] () "Always 1; the labels tell the version and the git revision of the exporter.";
    COLLECTOR_SUCCESS: Gauge "usage_exporter_collector_success" ["collector"] () "1 if the last refresh of the collector worked, 0 if not.";
    COLLECTOR_DURATION: Gauge "usage_exporter_collector_duration_seconds" ["collector"] () "How long the last refresh of the collector took.";
    COLLECTOR_LAST_SUCCESS: Gauge "usage_exporter_collector_last_success_timestamp_seconds" ["collector"] () "When the collector last answered.";
    COLLECTOR_FAILURES: Counter "usage_exporter_collector_failures_total" ["collector", "reason"] () "Refreshes that failed, by reason: timeout, connection, authorization or query.";
    DOCUMENTS_READ: Counter "usage_exporter_documents_read_total" ["collector"] () "Documents received from the database.";
    BASELINE_PROGRESS: Gauge "usage_exporter_baseline_progress_ratio" [] () "How much of the history the first pass has read, 0 to 1.";
    MALFORMED_FIELDS: Counter "usage_exporter_malformed_fields_total" ["collection", "field"] () "Fields skipped because their value has an unexpected type or range.";
    SERIES_DROPPED: Gauge "usage_exporter_series_dropped" ["family"] () "Label sets folded into `other` because the family has more than MAX_SERIES_PER_METRIC.";
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
    up: Gauge,
    success: GaugeVec,
    duration: GaugeVec,
    last_success: GaugeVec,
    failures: IntCounterVec,
    documents_read: IntCounterVec,
    http_requests: IntCounterVec,
    last: Mutex<BTreeMap<String, LastRefresh>>,
}

/// What is known of the last refresh of a collector.
#[derive(Debug, Clone, PartialEq)]
pub struct LastRefresh {
    /// How long it took.
    pub took: Duration,
    /// When one last worked, in seconds since 1970.
    pub worked: Option<f64>,
    /// Why it failed; `None` if it worked.
    pub failure: Option<Failure>,
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
    /// Metrics that start at nothing; `up` describes the family that tells whether the source's
    /// database answers. With `process`, the `process_*` families are exported too.
    ///
    /// # Errors
    ///
    /// If a description is no valid metric name or label name.
    pub fn new(up: &Description, process: bool) -> prometheus::Result<ExporterMetrics> {
        let registry = Registry::new();
        if process {
            registry.register(Box::new(ProcessCollector::for_self()))?;
        }
        let build_info = gauges(&registry, &BUILD_INFO)?;
        build_info.with_label_values(&[crate::VERSION, crate::REVISION]).set(1.0);
        Ok(ExporterMetrics {
            started: Utc::now(),
            up: register(&registry, Gauge::with_opts(options(up))?)?,
            success: gauges(&registry, &COLLECTOR_SUCCESS)?,
            duration: gauges(&registry, &COLLECTOR_DURATION)?,
            last_success: gauges(&registry, &COLLECTOR_LAST_SUCCESS)?,
            failures: counters(&registry, &COLLECTOR_FAILURES)?,
            documents_read: counters(&registry, &DOCUMENTS_READ)?,
            http_requests: counters(&registry, &HTTP_REQUESTS)?,
            registry,
            last: Mutex::default(),
        })
    }

    /// When they started at nothing.
    pub fn started(&self) -> DateTime<Utc> {
        self.started
    }

    /// Notes the end of a refresh of `collector` that took `took`; `now` is the time of day in
    /// seconds since 1970.
    pub fn refreshed(&self, collector: &str, took: Duration, now: f64, failure: Option<&Failure>) {
        let labels = &[collector];
        self.duration.with_label_values(labels).set(took.as_secs_f64());
        self.success.with_label_values(labels).set(if failure.is_some() { 0.0 } else { 1.0 });
        let answered = failure.is_none_or(|failure| failure.answered);
        self.up.set(if answered { 1.0 } else { 0.0 });
        self.note(collector, took, now, failure);
        match failure {
            None => self.last_success.with_label_values(labels).set(now),
            Some(failure) => {
                let labels = &[collector, failure.reason.as_str()];
                self.failures.with_label_values(labels).inc();
            }
        }
    }

    fn note(&self, collector: &str, took: Duration, now: f64, failure: Option<&Failure>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let worked = match failure {
            None => Some(now),
            Some(_) => last.get(collector).and_then(|last| last.worked),
        };
        let refresh = LastRefresh { took, worked, failure: failure.cloned() };
        last.insert(collector.to_owned(), refresh);
    }

    /// The last refresh of each collector that was asked.
    pub fn last_refreshes(&self) -> BTreeMap<String, LastRefresh> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

    /// All families as they are now.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

fn options(description: &Description) -> Opts {
    Opts::new(description.name, description.help)
}

fn gauges(registry: &Registry, description: &Description) -> prometheus::Result<GaugeVec> {
    register(registry, GaugeVec::new(options(description), description.labels)?)
}

fn counters(registry: &Registry, description: &Description) -> prometheus::Result<IntCounterVec> {
    register(registry, IntCounterVec::new(options(description), description.labels)?)
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
