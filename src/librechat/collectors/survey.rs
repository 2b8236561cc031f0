//! The collector that looks through a collection whose documents change and go.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::Document;
use rustc_hash::FxHashMap;

use crate::collector::{Answer, Collector, Failure, Refresh, Schedule};
use crate::librechat::field::{Field, Malformed};
use crate::librechat::sheet::Sheet;
use crate::librechat::store::{Store, documents};
use crate::librechat::surveys::Survey;
use crate::mongo::failure;

/// The largest share of the time that it may take.
const SHARE: f64 = 0.02;

/// Reads a few fields of all documents of a collection.
pub struct Surveyor {
    store: Store,
    interval: Duration,
    survey: Box<dyn Survey>,
    sheet: Sheet,
}

impl Surveyor {
    /// A collector that makes the survey every `interval` and writes on `sheet`.
    pub fn new(
        store: Store,
        interval: Duration,
        survey: Box<dyn Survey>,
        sheet: Sheet,
    ) -> Surveyor {
        Surveyor { store, interval, survey, sheet }
    }
}

#[async_trait]
impl Collector for Surveyor {
    fn name(&self) -> &'static str {
        self.survey.name()
    }

    fn schedule(&self) -> Schedule {
        Schedule { share: SHARE, on_scrape: false, ..Schedule::every(self.interval) }
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let survey = &mut self.survey;
        let collection = survey.collection();
        let mut malformed: FxHashMap<Field, u64> = FxHashMap::default();
        survey.begin(self.store.now());
        let mut cursor =
            self.store.find(collection, Document::new(), survey.projection(), refresh).await?;
        while let Some(batch) = cursor.try_next().await.map_err(failure)? {
            refresh.count_documents(documents(&batch).count());
            for document in documents(&batch) {
                let mut of_document = Malformed::default();
                survey.add(document, &mut of_document);
                for field in of_document.fields() {
                    *malformed.entry(field).or_default() += 1;
                }
            }
        }
        survey.show(&mut self.sheet);
        self.sheet.malformed(collection, &malformed);
        Ok(self.sheet.finish().into())
    }
}
