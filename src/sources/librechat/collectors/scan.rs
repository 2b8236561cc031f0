//! The collector that looks through a collection whose documents change and go.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::Document;
use rustc_hash::FxHashMap;

use crate::connect::mongo::failure;
use crate::engine::collector::{Answer, Collector, Failure, Refresh, Schedule};
use crate::exposition::family_writer::FamilyWriter;
use crate::sources::librechat::database::store::{Store, documents};
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::families;
use crate::sources::librechat::scans::{Listed, Scan, projection};

/// The largest share of the time that it may take.
const SHARE: f64 = 0.02;

/// Reads a few fields of all documents of a collection.
pub struct ScanCollector {
    store: Store,
    interval: Duration,
    listed: &'static Listed,
    scan: Box<dyn Scan>,
    writer: FamilyWriter,
}

impl ScanCollector {
    /// A collector that makes `scan`, which is the `listed` one, every `interval` and writes on `writer`.
    pub fn new(
        store: Store,
        interval: Duration,
        listed: &'static Listed,
        scan: Box<dyn Scan>,
        writer: FamilyWriter,
    ) -> ScanCollector {
        ScanCollector { store, interval, listed, scan, writer }
    }
}

#[async_trait]
impl Collector for ScanCollector {
    fn name(&self) -> &str {
        self.listed.name
    }

    fn is_critical(&self) -> bool {
        false
    }

    fn schedule(&self) -> Schedule {
        Schedule { share: SHARE, on_scrape: false, ..Schedule::every(self.interval) }
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let scan = &mut self.scan;
        let collection = self.listed.collection;
        let mut malformed: FxHashMap<Field, u64> = FxHashMap::default();
        scan.begin(self.store.now());
        let projection = projection(&scan.fields());
        let mut cursor = self.store.find(collection, Document::new(), projection, refresh).await?;
        while let Some(batch) = cursor.try_next().await.map_err(failure)? {
            refresh.count_documents(documents(&batch).count());
            for document in documents(&batch) {
                let mut of_document = Malformed::default();
                scan.add(document, &mut of_document);
                for field in of_document.fields() {
                    *malformed.entry(field.clone()).or_default() += 1;
                }
            }
        }
        scan.show(&mut self.writer);
        families::writer::malformed(&mut self.writer, collection, &malformed);
        Ok(self.writer.finish().into())
    }
}
