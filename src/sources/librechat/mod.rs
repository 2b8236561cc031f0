//! LibreChat: what its documents mean and which metric families come of them.
//!
//! * [`settings`] and [`groups`]: what is read, and which metrics are wanted;
//! * [`catalogue`]: the families; [`peers`]: other exporters for LibreChat;
//! * [`documents`]: reading one document; [`database`]: asking MongoDB for them;
//! * [`messages`]: every message entered once, and what messages add up to; [`days`]: what happened on which
//!   local day; [`appended`]: sums over collections to which documents are only ever added; [`scans`]:
//!   collections whose documents change and go;
//! * [`families`](mod@families): what is shown of all that;
//! * [`memory`]: what the collectors share and the state file keeps in [`sections`], with [`saved_upgrade`]
//!   for what earlier versions kept, and [`edition`]: of which database it is; [`names`]: those of people
//!   who are shown;
//! * [`collectors`]: the questions asked;
//! * [`backfill`]: what the metrics would have shown at earlier moments.

pub mod appended;
pub mod backfill;
pub mod catalogue;
pub mod collectors;
pub mod database;
pub mod days;
pub mod documents;
pub mod edition;
pub mod families;
pub mod groups;
pub mod memory;
pub mod messages;
pub mod names;
pub mod peers;
pub mod saved_upgrade;
pub mod scans;
pub mod sections;
pub mod settings;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use prometheus::IntCounter;
use tracing::info;

pub use settings::Settings;

use crate::backfill::{Error as PastError, Recording, Request};
use crate::connect::mongo::Mongo;
use crate::engine::collector::{Collector, Failure, Refresh};
use crate::engine::settings::General;
use crate::engine::source::{self, Context, Kind, Late, Watched};
use crate::exposition::Description;
use crate::exposition::family_writer::FamilyWriter;
use crate::exposition::series::Shown;
use crate::sources::librechat::appended::collections::{AnyCollection, Collection, Collections};
use crate::sources::librechat::appended::spending::Spending;
use crate::sources::librechat::appended::spending_of_users::SpendingOfUsers;
use crate::sources::librechat::appended::sums::Sums;
use crate::sources::librechat::catalogue::{CONVERSATIONS, REGISTERED_USERS, UPLOADED_FILES};
use crate::sources::librechat::collectors::appended::{AppendedCollector, FamiliesOf};
use crate::sources::librechat::collectors::audit::Audit;
use crate::sources::librechat::collectors::baseline::Baseline;
use crate::sources::librechat::collectors::days::DaysCollector;
use crate::sources::librechat::collectors::feedback::Feedback;
use crate::sources::librechat::collectors::inventory::Inventory;
use crate::sources::librechat::collectors::messages::Messages;
use crate::sources::librechat::collectors::scan::ScanCollector;
use crate::sources::librechat::database::store::Store;
use crate::sources::librechat::groups::{
    ACCOUNT, AGENT, BASIC, COST, FILE, MODEL, RATING, RESPONSE, TIME_WINDOW, TOKEN, TOOL, USER,
};
use crate::sources::librechat::memory::Memory;
use crate::sources::librechat::settings::NamedBy;

/// LibreChat.
pub const KIND: Kind = Kind {
    name: "librechat",
    title: "LibreChat",
    settings: settings::all,
    is_given: Settings::are_given,
    read: |reader| Some(Arc::new(Settings::read(reader)?)),
    peers: peers::ALL,
};

impl Watched for Settings {
    fn authorities(&self) -> Option<&Path> {
        self.uri.authorities()
    }

    fn open(&self, context: Context) -> Box<dyn source::Source> {
        Box::new(LibreChat::new(self, context))
    }
}

/// How long an audit by hand may take.
const AUDIT_DEADLINE: Duration = Duration::from_secs(60 * 60);

/// The groups that need the messages stored before the first start.
const NEED_HISTORY: [&str; 8] = [BASIC, TOKEN, USER, MODEL, TOOL, RESPONSE, AGENT, ACCOUNT];

/// One LibreChat.
pub struct LibreChat {
    settings: Settings,
    general: General,
    store: Store,
    memory: Memory,
    /// Whether a metric needs the messages stored before the first start.
    history_needed: bool,
}

impl LibreChat {
    /// The LibreChat of `settings`, with what the state file knows of it.
    pub fn new(settings: &Settings, context: Context) -> LibreChat {
        let Context { general, clock, state } = context;
        let mongo = Mongo::new(
            settings.uri.clone(),
            settings.database.clone(),
            settings.read_preference.clone(),
        );
        let history_needed = settings.groups.has_any(&NEED_HISTORY);
        LibreChat {
            store: Store::new(Arc::new(mongo), settings.tenant.clone(), clock),
            memory: Memory::open(state, settings, &general, history_needed),
            settings: settings.clone(),
            general,
            history_needed,
        }
    }

    fn auditor(&self) -> Audit {
        Audit::new(
            self.store.clone(),
            self.memory.clone(),
            &self.settings,
            self.general.timezone,
            self.history_needed,
        )
    }

    fn appended(&self) -> Vec<Box<dyn Collector>> {
        if let Some(by) = self.settings.per_user {
            let by = by.as_str();
            info!(by, "tokens and cost of single people are exported: PER_USER_METRICS is on");
        }
        self.each_counted(&AppendedCollectors(self))
    }

    /// What `make` makes of each collection whose documents are added up.
    fn each_counted<M: MakeOfCounted>(&self, make: &M) -> Vec<M::Made> {
        let mut made = Vec::new();
        let Collections { conversations, users, files, transactions, transactions_of_users } =
            self.memory.counted();
        for (group, collection, family) in [
            (BASIC, conversations, &CONVERSATIONS),
            (USER, users, &REGISTERED_USERS),
            (FILE, files, &UPLOADED_FILES),
        ] {
            if self.settings.groups.has(group) {
                let count: FamiliesOf<u64> =
                    Box::new(|counted, writer| writer.value(family, counted.total() as f64));
                made.push(make.make(collection.name(), collection, count));
            }
        }
        if self.settings.groups.has(COST) {
            let families: FamiliesOf<Spending> = Box::new(families::spending::spending);
            made.push(make.make("transactions", transactions, families));
        }
        if let Some(named_by) = self.settings.per_user {
            let families = self.families_of_users(named_by);
            made.push(make.make("transactions_of_users", transactions_of_users, families));
        }
        made
    }

    fn families_of_users(&self, named_by: NamedBy) -> FamiliesOf<SpendingOfUsers> {
        let memory = self.memory.clone();
        Box::new(move |counted, writer| {
            let ids = HashMap::new();
            let names = memory.names();
            match (named_by, names.get()) {
                (NamedBy::Id, _) => families::spending::spending_of_users(counted, &ids, writer),
                (NamedBy::Email, Some(names)) => {
                    families::spending::spending_of_users(counted, names, writer);
                }
                (NamedBy::Email, None) => {}
            }
        })
    }

    /// An empty writer for the families of one collector.
    fn writer(&self, shown: Shown) -> FamilyWriter {
        families::writer::writer(&self.settings.groups, self.general.max_series, shown)
    }

    fn scans(&self) -> Vec<Box<dyn Collector>> {
        let LibreChat { settings, store, memory, .. } = self;
        let wanted = scans::ALL.iter().filter(|listed| listed.is_wanted(settings));
        let collectors = wanted.map(|listed| -> Box<dyn Collector> {
            let scan = (listed.make)(settings, memory);
            let writer = self.writer(Shown::default());
            let interval = settings.account_interval;
            Box::new(ScanCollector::new(store.clone(), interval, listed, scan, writer))
        });
        collectors.collect()
    }
}

/// Every family that a LibreChat can have.
pub fn families() -> impl Iterator<Item = &'static Description> {
    catalogue::ALL.iter().chain(scans::families())
}

#[async_trait]
impl source::Source for LibreChat {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn title(&self) -> String {
        format!("{}, database {}", KIND.title, self.settings.database)
    }

    fn families(&self) -> Vec<&'static Description> {
        families().collect()
    }

    fn up(&self) -> Option<&'static Description> {
        Some(&catalogue::UP)
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let LibreChat { settings, general, store, memory, .. } = self;
        let groups = &settings.groups;
        let interval = general.interval;
        let mut collectors = self.appended();
        collectors.push(Box::new(Inventory::new(store.clone(), interval)));
        if self.history_needed {
            let rate = settings.baseline_rate;
            let shown_for = settings.feedback_interval * general.stale_after;
            let baseline = Baseline::new(store.clone(), memory.clone(), groups, rate, shown_for);
            collectors.push(Box::new(baseline));
        }
        if groups.has_any(&[USER, MODEL, AGENT, ACCOUNT]) {
            collectors.push(Box::new(DaysCollector::new(store.clone(), memory.clone(), groups)));
        }
        if groups.has(RATING) {
            let every = settings.feedback_interval;
            let (store, memory) = (store.clone(), memory.clone());
            collectors.push(Box::new(Feedback::new(store, memory, every, general.stale_after)));
        }
        if self.history_needed || groups.has_any(&[RATING, TIME_WINDOW]) {
            let (store, memory) = (store.clone(), memory.clone());
            let messages = Messages::new(store, memory, groups, interval, general.max_series);
            collectors.push(Box::new(messages));
        }
        collectors.extend(self.scans());
        if self.history_needed || groups.has_any(&[FILE, COST]) {
            collectors.push(Box::new(self.auditor()));
        }
        collectors
    }

    async fn audit(&self, documents_read: IntCounter) -> Result<Vec<Late>, Failure> {
        self.auditor().run(&Refresh::new(AUDIT_DEADLINE, documents_read)).await
    }

    async fn past(
        &self,
        request: &Request,
        documents_read: IntCounter,
        entered: &(dyn Fn(usize, u64) + Sync),
    ) -> Result<Vec<Recording>, PastError> {
        self.look_back(request, documents_read, entered).await
    }
}

/// Makes something of each collection whose documents are added up, whatever they add up to.
trait MakeOfCounted {
    /// What is made.
    type Made;

    /// Makes it of what was counted in `collection`, of which `families` are made.
    fn make<S: Sums>(
        &self,
        name: &'static str,
        collection: &Arc<Collection<S>>,
        families: FamiliesOf<S>,
    ) -> Self::Made;
}

/// The collectors of these collections.
struct AppendedCollectors<'a>(&'a LibreChat);

impl MakeOfCounted for AppendedCollectors<'_> {
    type Made = Box<dyn Collector>;

    fn make<S: Sums>(
        &self,
        name: &'static str,
        collection: &Arc<Collection<S>>,
        families: FamiliesOf<S>,
    ) -> Box<dyn Collector> {
        let LibreChat { settings, general, store, memory, .. } = self.0;
        let limits = collectors::appended::Limits {
            interval: general.interval,
            settling_time: settings.settling_time,
            tail: settings.tail_limit,
        };
        let (groups, max_series) = (settings.groups.clone(), general.max_series);
        let writer = move |shown| families::writer::writer(&groups, max_series, shown);
        let (store, memory, collection) = (store.clone(), memory.clone(), Arc::clone(collection));
        Box::new(AppendedCollector::new(name, store, memory, collection, limits, families, writer))
    }
}
