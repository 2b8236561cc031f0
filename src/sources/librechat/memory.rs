//! What the collectors of LibreChat share: the ledger, the counts of other collections, and the state
//! file in which both survive a restart.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono_tz::Tz;
use mongodb::bson::oid::ObjectId;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracing::error;

use crate::engine::collector::Failure;
use crate::engine::settings::General;
use crate::engine::state::{Part, Section, StateFile, Unusable, encode};
use crate::exposition::Series;
use crate::exposition::series::Shown;
use crate::sources::librechat::appended::collections::{AnyCollection, Collections};
use crate::sources::librechat::days::{Days, Reach};
use crate::sources::librechat::edition::{Edition, Known, OfEdition, Verified};
use crate::sources::librechat::groups::{AGENT, TOOL};
use crate::sources::librechat::messages::saved::Saved;
use crate::sources::librechat::messages::{Ledger, Limits};
use crate::sources::librechat::names::Names;
use crate::sources::librechat::sections::{AUDIT, DATA_SET, MESSAGES, SHOWN, SOURCE};
use crate::sources::librechat::settings::Settings;

/// For how long at most a database that was compared is taken for the same.
const VERIFIED_FOR: Duration = Duration::from_secs(30);

/// What is remembered of one LibreChat.
#[derive(Clone)]
pub struct Memory(Arc<Shared>);

struct Shared {
    blank: Blank,
    ledger: OfEdition<Ledger>,
    counted: Collections,
    names: Mutex<Names>,
    shown: OfEdition<ShownNow>,
    state: StateFile,
    data_set: DataSet,
    /// Held from when something is taken to be saved until it is given to the state file, so that nothing
    /// older, and nothing of another database, is given after it. Only threads that may block take it.
    saving: Mutex<()>,
    edition: Mutex<Edition>,
    audit_due: AtomicBool,
    /// Which server processes have the database that is remembered.
    verified: tokio::sync::Mutex<Verified>,
    /// For how long the database that was found to be the right one is taken for it.
    verified_for: Duration,
    wakes: Wakes,
}

/// Ask collectors to refresh before their interval is over.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    /// The ledger has changed by other means than reading the tail.
    pub messages: Arc<Notify>,
    /// The history must be read.
    pub baseline: Arc<Notify>,
    /// Local days must be read again.
    pub days: Arc<Notify>,
    /// Nothing is known of ratings yet.
    pub feedback: Arc<Notify>,
    /// Something may lie behind the watermark.
    pub audit: Arc<Notify>,
}

/// How a new memory begins.
#[derive(Debug, Clone)]
struct Blank {
    limits: Limits,
    history_needed: bool,
    timezone: Tz,
    reach: Reach,
}

/// What the saved memory is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct DataSet {
    database: String,
    tenant: Option<String>,
    /// The groups whose fields of messages were read.
    groups: Vec<String>,
}

/// What is saved of the audit.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When the last one ended, in milliseconds since 1970.
    pub last: Option<i64>,
    /// How many documents were found late, by collection.
    pub late: BTreeMap<String, u64>,
}

/// What counters have shown, and whether it has changed since it was last saved.
#[derive(Debug, Default)]
struct ShownNow {
    shown: Shown,
    changed: bool,
}

impl Memory {
    /// The memory that `state` holds, or a new one.
    pub fn open(
        state: StateFile,
        settings: &Settings,
        general: &General,
        history_needed: bool,
    ) -> Memory {
        let data_set = DataSet {
            database: settings.database.clone(),
            tenant: settings.tenant.clone(),
            groups: settings.groups.of_messages().map(str::to_owned).collect(),
        };
        data_set.set_aside_what_is_of_others(&state);
        let counted = Collections::default();
        counted.all().into_iter().for_each(|counted| counted.load(&state));
        let saved = state.section_or_set_aside(&MESSAGES);
        let shown = state.section_or_set_aside(&SHOWN).unwrap_or_default();
        let blank = Blank {
            limits: Limits { settling_time: settings.settling_time, tail: settings.tail_limit },
            history_needed,
            timezone: general.timezone,
            reach: Reach {
                statistics: settings.statistics_days,
                people: settings.groups.days_of_people(),
            },
        };
        data_set.keep(&state);
        Memory(Arc::new(Shared {
            ledger: OfEdition::new(blank.ledger(saved)),
            blank,
            counted,
            names: Mutex::default(),
            shown: OfEdition::new(ShownNow { shown, changed: false }),
            state,
            data_set,
            saving: Mutex::default(),
            edition: Mutex::default(),
            audit_due: AtomicBool::new(false),
            verified: tokio::sync::Mutex::default(),
            verified_for: (general.interval / 2).min(VERIFIED_FOR),
            wakes: Wakes::default(),
        }))
    }

    /// The ledger of an edition of the database: the way in for whoever enters what was read.
    ///
    /// # Errors
    ///
    /// If the database was exchanged since.
    pub fn ledger_at(&self, edition: Edition) -> Result<Known<'_, Ledger>, Failure> {
        self.0.ledger.at(edition)
    }

    /// The ledger of the database as it is now: for whoever enters nothing that was read.
    pub fn ledger_now(&self) -> Known<'_, Ledger> {
        self.0.ledger.now()
    }

    /// A ledger beside this one, in which a history that ends at `end` is looked back on.
    pub fn ledger_of_past(&self, end: ObjectId) -> Ledger {
        let Blank { limits, timezone, reach, .. } = self.0.blank;
        Ledger::of_past(limits, Days::new(timezone, reach), end)
    }

    /// What was counted of other collections.
    pub fn counted(&self) -> &Collections {
        &self.0.counted
    }

    /// How people are named who are shown. Never saved.
    pub fn names(&self) -> MutexGuard<'_, Names> {
        lock(&self.0.names)
    }

    /// What the counters had shown when the memory was opened.
    pub fn shown(&self) -> Shown {
        self.0.shown.now().shown.clone()
    }

    /// Asks collectors to refresh.
    pub fn wakes(&self) -> &Wakes {
        &self.0.wakes
    }

    /// Which server processes have the database that is remembered.
    pub async fn verified(&self) -> tokio::sync::MutexGuard<'_, Verified> {
        self.0.verified.lock().await
    }

    /// For how long the database that was found to be the right one is taken for it: no longer than until the
    /// next refresh.
    pub fn verified_for(&self) -> Duration {
        self.0.verified_for
    }

    /// The edition of the database that is watched now.
    pub fn edition(&self) -> Edition {
        *lock(&self.0.edition)
    }

    /// Begins anew with another database: what was known is set aside.
    pub async fn begin_anew(&self, why: String) {
        let shared = Arc::clone(&self.0);
        // A thread that may block, because what is being saved now is of the database before.
        let begun = tokio::task::spawn_blocking(move || shared.begin_anew(&why)).await;
        if let Err(error) = begun {
            error!("the database was exchanged, but nothing begins anew: {error}");
        }
    }

    /// Asks for an audit before its time.
    pub fn want_audit(&self) {
        self.0.audit_due.store(true, Ordering::Release);
        self.0.wakes.audit.notify_one();
    }

    /// Whether an audit was asked for.
    pub fn is_audit_wanted(&self) -> bool {
        self.0.audit_due.load(Ordering::Acquire)
    }

    /// Notes that an audit begins: one that is asked for from now on comes after it.
    pub fn begin_audit(&self) {
        self.0.audit_due.store(false, Ordering::Release);
    }

    /// Saves the ledger, and what the counters of an edition have shown, where one of them has changed. When
    /// this returns, all that was in them when it was called is on the disk, or cannot be saved.
    pub async fn save_ledger(&self, series: Option<(Edition, &mut Series)>) {
        if let Some((edition, series)) = series
            && series.take_changed()
            && let Ok(mut shown) = self.0.shown.at(edition)
        {
            *shown = ShownNow { shown: series.shown().clone(), changed: true };
        }
        self.save(|shared| {
            let shown = {
                let mut shown = shared.shown.now();
                std::mem::take(&mut shown.changed).then(|| shown.shown.clone())
            };
            // A copy, because whoever enters messages would wait until all of it is encoded.
            let messages = {
                let mut ledger = shared.ledger.now();
                ledger.take_changed().then(|| ledger.saved.clone())
            };
            let shown = shown.and_then(|shown| encoded(&SHOWN, &shown));
            let messages = messages.and_then(|messages| encoded(&MESSAGES, &messages));
            shown.into_iter().chain(messages).collect()
        })
        .await;
    }

    /// Saves what was counted of a collection, where it has changed.
    pub async fn save_counted(&self, counted: &dyn AnyCollection) {
        let name = counted.section_name();
        self.save(move |shared| {
            let all = shared.counted.all().into_iter();
            let named = all.filter(|counted| counted.section_name() == name);
            named.filter_map(|counted| counted.changed_section()).collect()
        })
        .await;
    }

    /// Saves what `changed` gives, which is encoded where that may take its time. The refresh that waits for
    /// it may be dropped.
    async fn save(&self, changed: impl FnOnce(&Shared) -> Vec<Section> + Send + 'static) {
        if !self.0.state.is_on() {
            return;
        }
        let shared = Arc::clone(&self.0);
        let giving = tokio::task::spawn_blocking(move || {
            let _saving = lock(&shared.saving);
            shared.state.save(changed(&shared))
        });
        match giving.await {
            // The state file tells when it cannot be written, and the next save tries again.
            Ok(saving) => drop(saving.await),
            Err(error) if error.is_panic() => error!("the state cannot be encoded: {error}"),
            // The process ends before anything of it was shown.
            Err(_) => {}
        }
    }

    /// What is saved of the audit.
    pub fn audit_record(&self) -> AuditRecord {
        self.0.state.section_or_set_aside(&AUDIT).unwrap_or_default()
    }

    /// Saves what is to be remembered of the audit.
    pub async fn save_audit(&self, record: &AuditRecord) {
        let record = record.clone();
        self.save(move |_| encoded(&AUDIT, &record).into_iter().collect()).await;
    }
}

impl Shared {
    fn begin_anew(&self, why: &str) {
        let _saving = lock(&self.saving);
        if self.state.is_on() {
            self.state.set_aside_all_of(SOURCE, why);
            self.data_set.keep(&self.state);
        } else {
            error!("{why}; counters begin again at what is stored");
        }
        let mut edition = lock(&self.edition);
        *edition = edition.next();
        self.shown.begin(*edition, ShownNow::default());
        self.ledger.begin(*edition, self.blank.ledger(None));
        for counted in self.counted.all() {
            counted.begin(*edition);
        }
        for wake in [&self.wakes.baseline, &self.wakes.messages] {
            wake.notify_one();
        }
    }
}

impl Blank {
    fn ledger(&self, saved: Option<Saved>) -> Ledger {
        let days = Days::new(self.timezone, self.reach);
        let saved = saved.unwrap_or_else(|| Saved::new(self.history_needed));
        Ledger::new(self.limits, saved, days)
    }
}

impl DataSet {
    /// Makes it part of the next save.
    fn keep(&self, state: &StateFile) {
        if let Some(section) = encoded(&DATA_SET, self) {
            state.keep(section);
        }
    }

    /// Whether the sums of a group were made. Those of agents are made of the calls of tools.
    fn covers(&self, group: &String) -> bool {
        self.groups.contains(group)
            || (group == AGENT && self.groups.iter().any(|group| group == TOOL))
    }

    /// Sets aside what `state` holds of another database or tenant, and the messages where they were read
    /// without what is wanted now. What counters have shown stays then, so that none falls.
    fn set_aside_what_is_of_others(&self, state: &StateFile) {
        let saved = match state.section::<DataSet>(&DATA_SET) {
            Ok(Some(saved)) => saved,
            Ok(None) => return,
            // Nobody knows what the other sections are about.
            Err(Unusable(why)) => return state.set_aside_all_of(SOURCE, &why),
        };
        if saved.database != self.database {
            let why =
                format!("it is about the database {:?}, not {:?}", saved.database, self.database);
            return state.set_aside_all_of(SOURCE, &why);
        }
        if saved.tenant != self.tenant {
            return state.set_aside_all_of(SOURCE, "it is about another tenant");
        }
        let wanted = self.groups.iter().filter(|group| !saved.covers(group));
        let new: Vec<&str> = wanted.map(String::as_str).collect();
        if !new.is_empty() {
            let new = new.join(", ");
            let why =
                format!("the metrics of the groups {new} were switched off when it was written");
            state.set_aside(&MESSAGES, &why);
        }
    }
}

fn encoded<T: Serialize>(part: &Part, state: &T) -> Option<Section> {
    encode(part, state)
        .inspect_err(|error| error!(section = part.name, "the state cannot be encoded: {error}"))
        .ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
