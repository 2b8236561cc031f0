//! The families of all collectors as a scrape sees them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::body::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;

use super::exporter::ExporterMetrics;
use super::families::Families;

/// How old a rendered page may be. Answers of collectors show at once; this bounds only how often the
/// exporter's own metrics are read when it is scraped many times a second.
const PAGE_LIFETIME: Duration = Duration::from_secs(1);

/// The last answers of all collectors and the page made of them.
///
/// Publishing swaps pointers, so a scrape never waits for a refresh.
pub struct Snapshot {
    exporter: Arc<ExporterMetrics>,
    answers: ArcSwap<BTreeMap<&'static str, Published>>,
    version: AtomicU64,
    page: ArcSwap<Page>,
}

/// The last answer of one collector.
#[derive(Clone)]
struct Published {
    families: Arc<Families>,
    complete: bool,
    /// From then on the families are too old to be shown; `None`: they never are.
    stale_at: Option<Instant>,
}

impl Published {
    fn is_fresh(&self, now: Instant) -> bool {
        self.stale_at.is_none_or(|stale_at| now < stale_at)
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

    /// Prometheus's text format 0.0.4.
    pub fn text(&self) -> Bytes {
        self.text.clone()
    }

    /// The same, compressed for whoever asks first.
    pub fn gzip(&self) -> Bytes {
        self.gzip.get_or_init(|| compressed(&self.text)).clone()
    }
}

/// One family of the samples that several collectors have of it.
fn joined<'a>(parts: &[&'a MetricFamily]) -> Cow<'a, MetricFamily> {
    let mut parts = parts.iter();
    let mut family = parts
        .next()
        .map_or_else(|| Cow::Owned(MetricFamily::default()), |first| Cow::Borrowed(*first));
    for part in parts {
        family.to_mut().mut_metric().extend_from_slice(part.get_metric());
    }
    family
}

fn compressed(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default().into()
}

impl Snapshot {
    /// A snapshot of `collectors`, none of which has answered yet.
    pub fn new(exporter: Arc<ExporterMetrics>, collectors: &[&'static str]) -> Snapshot {
        let waiting = Published { families: Arc::default(), complete: false, stale_at: None };
        let answers = collectors.iter().map(|name| (*name, waiting.clone())).collect();
        Snapshot {
            exporter,
            answers: ArcSwap::from_pointee(answers),
            version: AtomicU64::new(1),
            page: ArcSwap::from_pointee(Page::new(String::new(), 0)),
        }
    }

    /// Replaces the families of `collector`. `complete` says that its answer is whole, `stale_at`
    /// when it becomes too old to be shown.
    pub fn publish(
        &self,
        collector: &'static str,
        families: Families,
        complete: bool,
        stale_at: Option<Instant>,
    ) {
        let published = Published { families: Arc::new(families), complete, stale_at };
        self.answers.rcu(|answers| {
            let mut answers = BTreeMap::clone(answers);
            answers.insert(collector, published.clone());
            answers
        });
        self.changed();
    }

    /// Makes the next scrape render the page anew.
    pub fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The families sorted by name, without answers that are stale.
    pub fn page(&self) -> Arc<Page> {
        let version = self.version.load(Ordering::Acquire);
        let page = self.page.load();
        if page.version == version && page.rendered.elapsed() < PAGE_LIFETIME {
            return Arc::clone(&page);
        }
        let page = Arc::new(Page::new(self.render(), version));
        self.page.store(Arc::clone(&page));
        page
    }

    fn render(&self) -> String {
        let now = Instant::now();
        let answers = self.answers.load();
        let own = self.exporter.gather();
        let mut families: Vec<&MetricFamily> = answers
            .values()
            .filter(|answer| answer.is_fresh(now))
            .flat_map(|answer| answer.families.as_slice())
            .chain(&own)
            .collect();
        families.sort_by_key(|family| family.name());
        let mut text = String::new();
        for parts in families.chunk_by(|one, other| one.name() == other.name()) {
            let family = joined(parts);
            // The only errors are a family without a name or samples, and `Families` adds none.
            if let Err(error) =
                TextEncoder::new().encode_utf8(std::slice::from_ref(&*family), &mut text)
            {
                tracing::error!(family = family.name(), %error, "left out of the page");
            }
        }
        text
    }

    /// The collectors whose answer is missing, incomplete or stale.
    pub fn not_ready(&self) -> Vec<&'static str> {
        let now = Instant::now();
        let answers = self.answers.load();
        answers
            .iter()
            .filter(|(_, answer)| !answer.complete || !answer.is_fresh(now))
            .map(|(name, _)| *name)
            .collect()
    }
}
