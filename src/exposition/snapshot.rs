//! The families of all collectors as a scrape sees them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::body::Bytes;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;

use crate::exposition::chart::Chart;
use crate::exposition::families::Families;
use crate::exposition::open_metrics;
use crate::exposition::own::ExporterMetrics;

/// How old a rendered page may be. Answers of collectors show at once; this bounds only how often the
/// exporter's own metrics are read when it is scraped many times a second.
const PAGE_LIFETIME: Duration = Duration::from_secs(1);

/// The last answers of all collectors and the page made of them.
///
/// Publishing swaps pointers, so a scrape never waits for a refresh.
pub struct Snapshot {
    exporter: Arc<ExporterMetrics>,
    answers: ArcSwap<BTreeMap<Arc<str>, Published>>,
    version: AtomicU64,
    /// The page in each format.
    pages: [ArcSwap<Page>; 2],
}

/// The last answer of one collector.
#[derive(Clone)]
struct Published {
    families: Arc<Families>,
    /// Whether the process is not ready before it has answered.
    critical: bool,
    complete: bool,
    /// From then on the families are too old to be shown; `None`: they never are.
    stale_at: Option<Instant>,
}

impl Published {
    fn is_fresh(&self, now: Instant) -> bool {
        self.stale_at.is_none_or(|stale_at| now < stale_at)
    }

    fn is_ready(&self, now: Instant) -> bool {
        self.complete && self.is_fresh(now)
    }
}

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
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => open_metrics::CONTENT_TYPE,
        }
    }
}

/// The families as text.
pub struct Page {
    text: Bytes,
    gzip: OnceLock<Bytes>,
    version: u64,
    rendered: Instant,
}

impl Page {
    fn new(text: String, version: u64) -> Page {
        let text = Bytes::from(text);
        Page { text, gzip: OnceLock::new(), version, rendered: Instant::now() }
    }

    /// The families in the format of the page.
    pub fn text(&self) -> Bytes {
        self.text.clone()
    }

    /// The same, compressed for whoever asks first.
    pub fn gzip(&self) -> Bytes {
        self.gzip.get_or_init(|| compressed(&self.text)).clone()
    }
}

/// A family, and when its counters were zero.
type Counting<'a> = (&'a MetricFamily, Option<DateTime<Utc>>);

/// One family of the samples that several collectors have of it. Together they were zero when the first
/// of them was.
fn joined<'a>(parts: &[Counting<'a>]) -> (Cow<'a, MetricFamily>, Option<DateTime<Utc>>) {
    let since = parts.iter().filter_map(|(_, since)| *since).min();
    let mut parts = parts.iter().map(|(family, _)| *family);
    let mut family =
        parts.next().map_or_else(|| Cow::Owned(MetricFamily::default()), Cow::Borrowed);
    for part in parts {
        family.to_mut().mut_metric().extend_from_slice(part.get_metric());
    }
    (family, since)
}

fn compressed(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default().into()
}

impl Snapshot {
    /// A snapshot of no collectors.
    pub fn new(exporter: Arc<ExporterMetrics>) -> Snapshot {
        Snapshot {
            exporter,
            answers: ArcSwap::default(),
            version: AtomicU64::new(1),
            pages: [(); 2].map(|()| ArcSwap::from_pointee(Page::new(String::new(), 0))),
        }
    }

    /// Adds a collector that has not answered yet. Until it has, the process is not ready if it is
    /// `critical`.
    pub fn add(&self, collector: &str, critical: bool) {
        let waiting =
            Published { families: Arc::default(), critical, complete: false, stale_at: None };
        self.change(|answers| {
            answers.insert(collector.into(), waiting.clone());
        });
    }

    /// Removes a collector and its families.
    pub fn remove(&self, collector: &str) {
        self.change(|answers| {
            answers.remove(collector);
        });
    }

    /// Replaces the families of `collector`. `complete` says that its answer is whole, `stale_at`
    /// when it becomes too old to be shown. Of a collector that was removed nothing is shown any more.
    pub fn publish(
        &self,
        collector: &str,
        families: Families,
        complete: bool,
        stale_at: Option<Instant>,
    ) {
        let families = Arc::new(families);
        self.change(|answers| {
            if let Some(answer) = answers.get_mut(collector) {
                *answer = Published {
                    families: Arc::clone(&families),
                    critical: answer.critical,
                    complete,
                    stale_at,
                };
            }
        });
    }

    fn change(&self, change: impl Fn(&mut BTreeMap<Arc<str>, Published>)) {
        self.answers.rcu(|answers| {
            let mut answers = BTreeMap::clone(answers);
            change(&mut answers);
            answers
        });
        self.changed();
    }

    /// Makes the next scrape render the page anew.
    pub fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The families sorted by name, without answers that are stale.
    pub fn page(&self, format: Format) -> Arc<Page> {
        let [text, open_metrics] = &self.pages;
        let kept = match format {
            Format::Text => text,
            Format::OpenMetrics => open_metrics,
        };
        let version = self.version.load(Ordering::Acquire);
        let page = kept.load();
        if page.version == version && page.rendered.elapsed() < PAGE_LIFETIME {
            return Arc::clone(&page);
        }
        let page = Arc::new(Page::new(self.render(format), version));
        kept.store(Arc::clone(&page));
        page
    }

    fn render(&self, format: Format) -> String {
        let mut text = String::new();
        self.each_family(|family, since| match format {
            Format::Text => {
                // The only errors are a family without a name or samples, and `Families` adds none.
                if let Err(error) =
                    TextEncoder::new().encode_utf8(std::slice::from_ref(family), &mut text)
                {
                    tracing::error!(family = family.name(), %error, "left out of the page");
                }
            }
            Format::OpenMetrics => open_metrics::write_family(family, since, &mut text),
        });
        if format == Format::OpenMetrics {
            text.push_str(open_metrics::END);
        }
        text
    }

    /// Every family that is not stale, in the order of the names, and when its counters were zero.
    pub fn each_family(&self, mut show: impl FnMut(&MetricFamily, Option<DateTime<Utc>>)) {
        let now = Instant::now();
        let answers = self.answers.load();
        let own = self.exporter.gather();
        let started = Some(self.exporter.started());
        let mut families: Vec<Counting<'_>> = answers
            .values()
            .filter(|answer| answer.is_fresh(now))
            .flat_map(|answer| {
                let since = answer.families.since();
                answer.families.as_slice().iter().map(move |family| (family, since))
            })
            .chain(own.iter().map(|family| (family, started)))
            .collect();
        families.sort_by_key(|(family, _)| family.name());
        for parts in families.chunk_by(|(one, _), (other, _)| one.name() == other.name()) {
            let (family, since) = joined(parts);
            show(&family, since);
        }
    }

    /// The collectors, and whether the answer of each is whole and fresh.
    pub fn collectors(&self) -> Vec<(Arc<str>, bool)> {
        let now = Instant::now();
        let answers = self.answers.load();
        let collectors = answers.iter();
        collectors.map(|(name, answer)| (Arc::clone(name), answer.is_ready(now))).collect()
    }

    /// The charts of all answers that are not stale.
    pub fn charts(&self) -> Vec<Chart> {
        let now = Instant::now();
        let answers = self.answers.load();
        let fresh = answers.values().filter(|answer| answer.is_fresh(now));
        fresh.flat_map(|answer| answer.families.charts()).cloned().collect()
    }

    /// The critical collectors whose answer is missing, incomplete or stale.
    pub fn not_ready(&self) -> Vec<Arc<str>> {
        let now = Instant::now();
        let answers = self.answers.load();
        let waiting = answers.iter().filter(|(_, answer)| answer.critical && !answer.is_ready(now));
        waiting.map(|(name, _)| Arc::clone(name)).collect()
    }
}
