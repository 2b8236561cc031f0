//! LibreChat as a source: what its documents mean and which metric families come of them.
//!
//! * [`settings`] and [`groups`]: what is read, and which metrics are wanted;
//! * [`catalogue`]: every family;
//! * [`document`] and [`transaction`], with [`value`], [`field`], [`tool_call`] and [`mcp`]: reading one
//!   message or transaction; [`surveys`]: reading all documents of other collections;
//! * [`ledger`]: every document entered once, and what documents add up to;
//! * [`page`] and [`spending_page`]: the families of it, written on a [`sheet`], and [`charts`] for people;
//! * [`books`]: what the collectors share and the state file keeps, with a [`counted_book`] for each
//!   collection; [`names`]: those of people who are shown; [`data_set`]: whether the database is still
//!   the one that the books are about;
//! * [`migration`]: what other exporters of LibreChat say, compared;
//! * [`collectors`]: the questions asked;
//! * [`replay`]: what the metrics would have shown at earlier moments;
//! * [`store`] and [`object_id`]: asking MongoDB for documents by their place in insertion order.

pub mod books;
pub mod catalogue;
pub mod charts;
pub mod collectors;
pub mod counted_book;
pub mod data_set;
pub mod document;
pub mod field;
pub mod groups;
pub mod ledger;
pub mod mcp;
pub mod migration;
pub mod names;
pub mod object_id;
pub mod page;
pub mod replay;
pub mod settings;
pub mod sheet;
pub mod spending_page;
pub mod store;
pub mod surveys;
pub mod tool_call;
pub mod transaction;
pub mod value;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use tracing::info;

pub use settings::Settings;
pub use store::Clock;

use crate::collector::{Collector, Failure, Refresh};
use crate::config::General;
use crate::exposition::series::Shown;
use crate::mongo::Mongo;
use crate::state::StateFile;
use books::Books;
use catalogue::{CONVERSATIONS, REGISTERED_USERS, UPLOADED_FILES};
use collectors::audit::{Audit, Late};
use collectors::baseline::Baseline;
use collectors::day_reader::DayReader;
use collectors::feedback::Feedback;
use collectors::growth::{FamiliesOf, Growth};
use collectors::inventory::Inventory;
use collectors::messages::Messages;
use collectors::survey::Surveyor;
use counted_book::{CountedBook, CountedBooks, CountedCollection};
use groups::{
    ACCOUNT, AGENT, BASIC, COST, EMAIL_DOMAIN, FILE, MODEL, RATING, RESPONSE, TIME_WINDOW, TOKEN,
    TOOL, USER,
};
use ledger::counted::Sums;
use ledger::spending::Spending;
use ledger::spending_of_users::SpendingOfUsers;
use settings::NamedBy;
use sheet::Sheet;
use store::Store;
use surveys::Survey;
use surveys::agents::Agents;
use surveys::balances::Balances;
use surveys::banners::Banners;
use surveys::files::Files;
use surveys::sessions::Sessions;
use surveys::shared_links::SharedLinks;
use surveys::users::Users;

/// How long an audit by hand may take.
const AUDIT_DEADLINE: Duration = Duration::from_secs(60 * 60);

/// The groups that need the messages stored before the first start.
const NEED_HISTORY: [&str; 8] = [BASIC, TOKEN, USER, MODEL, TOOL, RESPONSE, AGENT, ACCOUNT];

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
        let history_needed = settings.groups.has_any(&NEED_HISTORY);
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
        if groups.has_any(&[USER, MODEL, AGENT, ACCOUNT]) {
            collectors.push(Box::new(DayReader::new(store.clone(), books.clone(), groups)));
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
        collectors.extend(self.surveys());
        if self.history_needed || groups.has_any(&[FILE, COST]) {
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
        if let Some(by) = self.settings.per_user {
            let by = by.as_str();
            info!(by, "tokens and cost of single people are exported: PER_USER_METRICS is on");
        }
        self.each_counted(&GrowthOf(self))
    }

    /// What `make` makes of each collection whose documents are added up.
    fn each_counted<M: MakeOfCounted>(&self, make: &M) -> Vec<M::Made> {
        let mut made = Vec::new();
        let CountedBooks { conversations, users, files, transactions, transactions_of_users } =
            self.books.counted();
        for (group, book, family) in [
            (BASIC, conversations, &CONVERSATIONS),
            (USER, users, &REGISTERED_USERS),
            (FILE, files, &UPLOADED_FILES),
        ] {
            if self.settings.groups.has(group) {
                let count: FamiliesOf<u64> =
                    Box::new(|counted, sheet| sheet.value(family, counted.total() as f64));
                made.push(make.make(book.collection(), book, count));
            }
        }
        if self.settings.groups.has(COST) {
            let families: FamiliesOf<Spending> = Box::new(spending_page::spending);
            made.push(make.make("transactions", transactions, families));
        }
        if let Some(named_by) = self.settings.per_user {
            let families = self.families_of_users(named_by);
            made.push(make.make("transactions_of_users", transactions_of_users, families));
        }
        made
    }

    fn families_of_users(&self, named_by: NamedBy) -> FamiliesOf<SpendingOfUsers> {
        let books = self.books.clone();
        Box::new(move |counted, sheet| {
            let ids = HashMap::new();
            let names = books.names();
            match (named_by, names.get()) {
                (NamedBy::Id, _) => spending_page::spending_of_users(counted, &ids, sheet),
                (NamedBy::Email, Some(names)) => {
                    spending_page::spending_of_users(counted, names, sheet);
                }
                (NamedBy::Email, None) => {}
            }
        })
    }

    /// An empty sheet for the families of one collector.
    fn sheet(&self, shown: Shown) -> Sheet {
        Sheet::new(self.settings.groups.clone(), self.general.max_series, shown)
    }

    fn surveys(&self) -> Vec<Box<dyn Collector>> {
        let Source { settings, store, books, .. } = self;
        let groups = &settings.groups;
        let mut surveys: Vec<Box<dyn Survey>> = Vec::new();
        if groups.has_any(&[ACCOUNT, EMAIL_DOMAIN]) || settings.per_user == Some(NamedBy::Email) {
            surveys.push(Box::new(Users::new(books.clone(), groups, settings.per_user)));
        }
        if groups.has(COST) {
            surveys.push(Box::<Balances>::default());
        }
        if groups.has(ACCOUNT) {
            surveys.push(Box::<Sessions>::default());
            surveys.push(Box::<SharedLinks>::default());
            surveys.push(Box::<Banners>::default());
        }
        if groups.has(FILE) {
            surveys.push(Box::<Files>::default());
        }
        if groups.has(AGENT) {
            surveys.push(Box::<Agents>::default());
        }
        let collectors = surveys.into_iter().map(|survey| -> Box<dyn Collector> {
            let sheet = self.sheet(Shown::default());
            let interval = settings.account_interval;
            Box::new(Surveyor::new(store.clone(), interval, survey, sheet))
        });
        collectors.collect()
    }
}

/// Makes something of each collection whose documents are added up, whatever they add up to.
trait MakeOfCounted {
    /// What is made.
    type Made;

    /// Makes it of what was counted in `book`, of which `families` are made.
    fn make<S: Sums>(
        &self,
        name: &'static str,
        book: &Arc<CountedBook<S>>,
        families: FamiliesOf<S>,
    ) -> Self::Made;
}

/// The collectors of these collections.
struct GrowthOf<'a>(&'a Source);

impl MakeOfCounted for GrowthOf<'_> {
    type Made = Box<dyn Collector>;

    fn make<S: Sums>(
        &self,
        name: &'static str,
        book: &Arc<CountedBook<S>>,
        families: FamiliesOf<S>,
    ) -> Box<dyn Collector> {
        let Source { settings, general, store, books, .. } = self.0;
        let limits = collectors::growth::Limits {
            interval: general.interval,
            settling_time: settings.settling_time,
            tail: settings.tail_limit,
        };
        let (groups, max_series) = (settings.groups.clone(), general.max_series);
        let sheet = move |shown| Sheet::new(groups.clone(), max_series, shown);
        let (store, books, book) = (store.clone(), books.clone(), Arc::clone(book));
        Box::new(Growth::new(name, store, books, book, limits, families, sheet))
    }
}
