//! LibreChat as a source: what its documents mean and which metric families come of them.
//!
//! * [`settings`] and [`groups`]: what is read, and which metrics are wanted;
//! * [`catalogue`]: every family;
//! * [`document`], [`value`], [`field`] and [`tool_call`]: reading one message;
//! * [`ledger`]: every message entered once, and what messages add up to; [`page`]: the families of it;
//! * [`books`]: what the collectors share and the state file keeps, and [`data_set`]: whether the
//!   database is still the one that it is about;
//! * [`collectors`]: the questions asked;
//! * [`store`] and [`object_id`]: asking MongoDB for documents by their place in insertion order.

pub mod books;
pub mod catalogue;
pub mod collectors;
pub mod data_set;
pub mod document;
pub mod field;
pub mod groups;
pub mod ledger;
pub mod object_id;
pub mod page;
pub mod settings;
pub mod store;
pub mod tool_call;
pub mod value;

use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;

pub use settings::Settings;
pub use store::Clock;

use crate::collector::{Collector, Failure, Refresh};
use crate::config::General;
use crate::mongo::Mongo;
use crate::state::StateFile;
use books::Books;
use catalogue::{CONVERSATIONS, REGISTERED_USERS, UPLOADED_FILES};
use collectors::audit::{Audit, Late};
use collectors::baseline::Baseline;
use collectors::day_reader::DayReader;
use collectors::feedback::Feedback;
use collectors::growth::Growth;
use collectors::inventory::Inventory;
use collectors::messages::Messages;
use groups::{BASIC, FILE, MODEL, RATING, TIME_WINDOW, TOKEN, TOOL, USER};
use store::Store;

/// How long an audit by hand may take.
const AUDIT_DEADLINE: Duration = Duration::from_secs(60 * 60);

/// One LibreChat.
pub struct Source {
    settings: Settings,
    general: General,
    store: Store,
    books: Books,
    /// Whether a metric needs the messages stored before the first start.
    history_needed: bool,
}

impl Source {
    /// The LibreChat of `settings`, with what `state` knows of it.
    pub fn new(settings: &Settings, general: &General, clock: Clock, state: StateFile) -> Source {
        let mongo = Mongo::new(
            settings.uri.clone(),
            settings.database.clone(),
            settings.read_preference.clone(),
        );
        let history_needed = settings.groups.has_any(&[BASIC, TOKEN, USER, MODEL, TOOL]);
        Source {
            store: Store::new(Arc::new(mongo), settings.tenant.clone(), clock),
            books: Books::open(state, settings, general, history_needed),
            settings: settings.clone(),
            general: general.clone(),
            history_needed,
        }
    }

    /// The collectors that the enabled groups need, in the order in which a single refresh asks them.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let Source { settings, general, store, books, .. } = self;
        let groups = &settings.groups;
        let interval = general.interval;
        let mut collectors = self.growth();
        collectors.push(Box::new(Inventory::new(store.clone(), interval)));
        if self.history_needed {
            let rate = settings.baseline_rate;
            let baseline = Baseline::new(store.clone(), books.clone(), groups, rate);
            collectors.push(Box::new(baseline));
        }
        if groups.has_any(&[USER, MODEL]) {
            collectors.push(Box::new(DayReader::new(store.clone(), books.clone())));
        }
        if groups.has(RATING) {
            let every = settings.feedback_interval;
            let (store, books) = (store.clone(), books.clone());
            collectors.push(Box::new(Feedback::new(store, books, every, general.stale_after)));
        }
        if self.history_needed || groups.has_any(&[RATING, TIME_WINDOW]) {
            let (store, books) = (store.clone(), books.clone());
            let messages = Messages::new(store, books, groups, interval, general.max_series);
            collectors.push(Box::new(messages));
        }
        if self.history_needed || groups.has(FILE) {
            collectors.push(Box::new(self.auditor()));
        }
        collectors
    }

    /// Compares what is stored with what was counted, and counts what is missing.
    ///
    /// # Errors
    ///
    /// If the database does not answer or refuses.
    pub async fn audit(&self, documents_read: IntCounter) -> Result<Vec<Late>, Failure> {
        self.auditor().run(&Refresh::new(AUDIT_DEADLINE, documents_read)).await
    }

    fn auditor(&self) -> Audit {
        Audit::new(self.store.clone(), self.books.clone(), &self.settings, self.history_needed)
    }

    fn growth(&self) -> Vec<Box<dyn Collector>> {
        let mut collectors: Vec<Box<dyn Collector>> = Vec::new();
        for (group, collection, family) in [
            (BASIC, "conversations", &CONVERSATIONS),
            (USER, "users", &REGISTERED_USERS),
            (FILE, "files", &UPLOADED_FILES),
        ] {
            if self.settings.groups.has(group) {
                let (store, books) = (self.store.clone(), self.books.clone());
                let (settings, interval) = (&self.settings, self.general.interval);
                let growth = Growth::new(store, books, collection, family, settings, interval);
                collectors.push(Box::new(growth));
            }
        }
        collectors
    }
}
