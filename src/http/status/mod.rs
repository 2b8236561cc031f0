//! The page for people: what runs, what each collector did last, and the values at a glance.
//!
//! One page that loads nothing, whose only style is its own and whose header forbids everything else.
//!
//! * here: what the page says; `chart`: how its charts are drawn; `metrics`: its metrics;
//!   `readable`: numbers and names;
//! * `status.html` and `status.css`: how it looks.

mod chart;
mod metrics;
mod readable;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use askama::Template;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::exposition::own::LastRefresh;
use crate::exposition::{ExporterMetrics, Snapshot};
use crate::http::status::chart::Drawing;
use crate::http::status::metrics::Section;

const STYLE: &str = include_str!("status.css");

/// Nothing is loaded, run, framed or sent; only the style of the page itself is applied.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
});

#[derive(Template)]
#[template(path = "status.html")]
struct Status<'a> {
    style: &'static str,
    watching: &'a str,
    version: &'static str,
    revision: &'static str,
    since: String,
    uptime: String,
    now: String,
    waiting_for: String,
    charts: Vec<Drawing>,
    collectors: Vec<Row>,
    sections: Vec<Section>,
    series: usize,
    most: usize,
}

/// A collector.
struct Row {
    name: Arc<str>,
    state: &'static str,
    class: &'static str,
    worked: String,
    took: String,
    error: String,
}

/// The page; `watching` says what the metrics are about.
pub fn page(watching: &str, snapshot: &Snapshot, exporter: &ExporterMetrics) -> Response {
    let now = Utc::now();
    let (sections, series) = metrics::sections(snapshot);
    let mut charts: Vec<Drawing> = snapshot.charts().iter().map(Drawing::of).collect();
    // The tall ones come last, so that the short ones stand side by side.
    charts.sort_by_key(|chart| chart.is_ranking);
    let status = Status {
        style: STYLE,
        watching,
        version: crate::VERSION,
        revision: crate::REVISION,
        since: time(exporter.started()),
        uptime: rounded(now - exporter.started()),
        now: time(now),
        waiting_for: snapshot.not_ready().join(", "),
        charts,
        collectors: collectors(snapshot, exporter, now),
        sections,
        series,
        most: metrics::MOST_SAMPLES,
    };
    match status.render() {
        Ok(html) => (
            [
                (CONTENT_SECURITY_POLICY, POLICY.clone()),
                (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
                (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ],
            Html(html),
        )
            .into_response(),
        Err(error) => {
            tracing::error!("the page for people cannot be made: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn collectors(snapshot: &Snapshot, exporter: &ExporterMetrics, now: DateTime<Utc>) -> Vec<Row> {
    let last = exporter.last_refreshes();
    let row = |(name, ready): (Arc<str>, bool)| match last.get(&*name) {
        Some(refresh) => told(name, ready, refresh, now),
        None => Row {
            name,
            state: if ready { "rests" } else { "not asked yet" },
            class: "quiet",
            worked: String::new(),
            took: String::new(),
            error: String::new(),
        },
    };
    snapshot.collectors().into_iter().map(row).collect()
}

fn told(name: Arc<str>, ready: bool, refresh: &LastRefresh, now: DateTime<Utc>) -> Row {
    let LastRefresh { took, worked, failure } = refresh;
    let (state, class) = match (failure, ready) {
        (Some(_), _) => ("fails", "bad"),
        (None, true) => ("works", "good"),
        (None, false) => ("is at work", "quiet"),
    };
    let worked = worked.and_then(|seconds| DateTime::from_timestamp_millis((seconds * 1e3) as i64));
    Row {
        name,
        state,
        class,
        worked: worked
            .map_or_else(|| "never".to_owned(), |then| format!("{} ago", rounded(now - then))),
        took: format!("{:.1} ms", took.as_secs_f64() * 1e3),
        error: failure.clone().unwrap_or_default(),
    }
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A time span to its second.
fn rounded(span: chrono::TimeDelta) -> String {
    let seconds = u64::try_from(span.num_seconds()).unwrap_or(0);
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}
