//! The families of all collectors as a scrape sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::body::Bytes;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::exposition::chart::Chart;
use crate::exposition::families::Families;
use crate::exposition::family::Family;
use crate::exposition::format::Format;
use crate::exposition::joined::{Joined, Part, joined};
use crate::exposition::own::ExporterMetrics;
use crate::exposition::{open_metrics, text};

/// How old a rendered page may be. Answers of collectors show at once; this bounds only how often the
/// exporter's own metrics are read when it is scraped many times a second.
const PAGE_LIFETIME: Duration = Duration::from_secs(1);

/// The last answers of all collectors and the page made of them.
///
/// Publishing swaps pointers, so a scrape never waits for a refresh.
pub struct Snapshot {
    exporter: Arc<ExporterMetrics>,
    answers: ArcSwap<Answers>,
    /// What was said of families that cannot be shown as they are; each is said once.
    told: Mutex<BTreeSet<String>>,
    version: AtomicU64,
    /// The page in each format.
    pages: [ArcSwap<Page>; 2],
}

/// The last answers, and the families of all of them.
#[derive(Default)]
struct Answers {
    of: BTreeMap<Arc<str>, Published>,
    /// In the order of the names.
    families: Vec<Joined>,
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
            told: Mutex::default(),
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
        let mut refused = Vec::new();
        self.answers.rcu(|answers| {
            let mut of = answers.of.clone();
            change(&mut of);
            let parts = of.iter().flat_map(|(collector, answer)| {
                let families = answer.families.as_slice().iter();
                families.map(|family| Part {
                    collector: Arc::clone(collector),
                    family: Arc::clone(family),
                    since: answer.families.since(),
                    stale_at: answer.stale_at,
                })
            });
            let families;
            (families, refused) = joined(parts.collect());
            Answers { of, families }
        });
        self.tell(refused);
        self.changed();
    }

    /// Logs each of these once.
    fn tell(&self, refused: Vec<String>) {
        if refused.is_empty() {
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for why in refused {
            if !told.contains(&why) {
                tracing::error!("{why}");
                told.insert(why);
            }
        }
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
        let mut page = String::new();
        self.each_family(|family, since| match format {
            Format::Text => text::write_family(family, &mut page),
            Format::OpenMetrics => open_metrics::write_family(family, since, &mut page),
        });
        if format == Format::OpenMetrics {
            page.push_str(open_metrics::END);
        }
        page
    }

    /// Every family that is not stale, in the order of the names, and when it began to count.
    pub fn each_family(&self, mut show: impl FnMut(&Family, Option<DateTime<Utc>>)) {
        let now = Instant::now();
        let answers = self.answers.load();
        let started = Some(self.exporter.started());
        let mut own = self.exporter.gather().into_iter().peekable();
        for joined in &answers.families {
            while let Some(family) = own.next_if(|family| family.name() < joined.name()) {
                show(&family, started);
            }
            // What the exporter says of itself goes before what others call by the same name.
            if own.peek().is_some_and(|family| family.name() == joined.name()) {
                let name = joined.name();
                self.tell(vec![format!(
                    "{name} of a source is left out: the exporter has it itself"
                )]);
                continue;
            }
            if let Some((family, since)) = joined.at(now) {
                show(&family, since);
            }
        }
        own.for_each(|family| show(&family, started));
    }

    /// The collectors, and whether the answer of each is whole and fresh.
    pub fn collectors(&self) -> Vec<(Arc<str>, bool)> {
        let now = Instant::now();
        let answers = self.answers.load();
        let collectors = answers.of.iter();
        collectors.map(|(name, answer)| (Arc::clone(name), answer.is_ready(now))).collect()
    }

    /// The charts of all answers that are not stale.
    pub fn charts(&self) -> Vec<Chart> {
        let now = Instant::now();
        let answers = self.answers.load();
        let fresh = answers.of.values().filter(|answer| answer.is_fresh(now));
        fresh.flat_map(|answer| answer.families.charts()).cloned().collect()
    }

    /// The critical collectors whose answer is missing, incomplete or stale.
    pub fn not_ready(&self) -> Vec<Arc<str>> {
        let now = Instant::now();
        let answers = self.answers.load();
        let waiting =
            answers.of.iter().filter(|(_, answer)| answer.critical && !answer.is_ready(now));
        waiting.map(|(name, _)| Arc::clone(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::catalogue! {
        SHARED: Gauge "tested_shared" ["name"] () "A family of several.";
        OTHER_KIND: Counter "tested_shared" ["name"] () "A family of several.";
        OF_THE_EXPORTER: Gauge "usage_exporter_source_up" [] () "Of somebody else.";
        LAST: Gauge "zz" [] () "The last family.";
    }

    fn families(description: &crate::exposition::Description, names: &[&str]) -> Families {
        let mut families = Families::default();
        let names = names.iter().map(|name| (description.labels.iter().map(|_| *name), 1.0));
        families.series(description, names);
        families
    }

    #[test]
    fn no_series_is_there_twice_and_no_family_with_two_meanings() {
        let exporter = ExporterMetrics::new(false).expect("names");
        exporter.watch("tested", Duration::from_secs(60), None).expect("a name");
        let snapshot = Snapshot::new(Arc::new(exporter));
        for (collector, description, names) in [
            ("a", &SHARED, &["one", "two"][..]),
            ("b", &SHARED, &["two", "three"]),
            ("c", &OTHER_KIND, &["four"]),
            ("d", &OF_THE_EXPORTER, &["five"]),
            ("e", &LAST, &["six"]),
        ] {
            snapshot.add(collector, true);
            snapshot.publish(collector, families(description, names), true, None);
        }
        let page = String::from_utf8(snapshot.page(Format::Text).text().to_vec()).expect("text");
        let of = |name: &str| -> Vec<&str> {
            page.lines().filter(|line| line.starts_with(name)).collect()
        };
        let expected = [
            "tested_shared{name=\"one\"} 1",
            "tested_shared{name=\"two\"} 1",
            "tested_shared{name=\"three\"} 1",
        ];
        assert_eq!(of("tested_shared"), expected);
        assert_eq!(
            of("usage_exporter_source_up"),
            ["usage_exporter_source_up{source=\"tested\"} 0"]
        );
        assert!(page.ends_with("# TYPE zz gauge\nzz 1\n"), "{page}");
        let told = snapshot.told.lock().expect("no test panicked");
        assert_eq!(told.len(), 3, "{told:?}");
    }

    #[test]
    fn what_is_stale_or_gone_is_not_on_the_page() {
        let exporter = ExporterMetrics::new(false).expect("names");
        let snapshot = Snapshot::new(Arc::new(exporter));
        snapshot.add("a", true);
        snapshot.add("b", true);
        snapshot.publish("a", families(&SHARED, &["one"]), true, Some(Instant::now()));
        snapshot.publish("b", families(&LAST, &["two"]), true, None);
        let page = |format| String::from_utf8_lossy(&snapshot.page(format).text()).into_owned();
        assert!(!page(Format::Text).contains("tested_shared"));
        assert!(page(Format::OpenMetrics).contains("\nzz 1\n# EOF\n"));
        snapshot.remove("b");
        assert!(!page(Format::OpenMetrics).contains("\nzz 1\n"));
    }
}
