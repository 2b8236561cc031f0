//! What the collectors of LibreChat share: the ledger, the counts of other collections, and the state
//! file in which both survive a restart.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono_tz::Tz;
use mongodb::bson::oid::ObjectId;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracing::error;

use crate::engine::collector::Failure;
use crate::engine::settings::General;
use crate::engine::state::{Section, StateFile, Unusable, encode};
use crate::exposition::Series;
use crate::exposition::series::Shown;
use crate::sources::librechat::appended::collections::{AnyCollection, Collections};
use crate::sources::librechat::days::{Days, Reach};
use crate::sources::librechat::edition::{Edition, Known, OfEdition, Verified};
use crate::sources::librechat::groups::{AGENT, TOOL};
use crate::sources::librechat::messages::saved::Saved;
use crate::sources::librechat::messages::{Ledger, Limits};
use crate::sources::librechat::names::Names;
use crate::sources::librechat::settings::Settings;

const DATA_SET: &str = "librechat.data_set";
const MESSAGES: &str = "librechat.messages";
const SHOWN: &str = "librechat.shown";
const AUDIT: &str = "librechat.audit";

/// What is remembered of one LibreChat.
#[derive(Clone)]
pub struct Memory(Arc<Shared>);

struct Shared {
    blank: Blank,
    ledger: OfEdition<Ledger>,
    counted: Collections,
    names: Mutex<Names>,
    shown: Mutex<Shown>,
    state: StateFile,
    data_set: DataSet,
    /// Held while the ledger is saved, so that nobody takes a save for done that still goes on.
    saving: tokio::sync::Mutex<()>,
    edition: Mutex<Edition>,
    audit_due: AtomicBool,
    /// The server processes whose database was found to be the one that is remembered.
    verified: tokio::sync::Mutex<Verified>,
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

/// What was saved.
struct Found {
    saved: Option<Saved>,
    shown: Option<Shown>,
    counted: Collections,
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
        let saved = read(&state, &data_set).unwrap_or_else(|unusable| {
            state.set_aside(&unusable.0);
            Found { saved: None, shown: None, counted: Collections::default() }
        });
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
            ledger: OfEdition::new(blank.ledger(saved.saved)),
            blank,
            counted: saved.counted,
            names: Mutex::default(),
            shown: Mutex::new(saved.shown.unwrap_or_default()),
            state,
            data_set,
            saving: tokio::sync::Mutex::default(),
            edition: Mutex::default(),
            audit_due: AtomicBool::new(false),
            verified: tokio::sync::Mutex::default(),
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
        lock(&self.0.shown).clone()
    }

    /// Asks collectors to refresh.
    pub fn wakes(&self) -> &Wakes {
        &self.0.wakes
    }

    /// Which server processes have the database that is remembered.
    pub async fn verified(&self) -> tokio::sync::MutexGuard<'_, Verified> {
        self.0.verified.lock().await
    }

    /// The edition of the database that is watched now.
    pub fn edition(&self) -> Edition {
        *lock(&self.0.edition)
    }

    /// Begins anew with another database: what was known is set aside.
    pub async fn begin_anew(&self, why: &str) {
        // What is being saved is of the database before.
        let _saving = self.0.saving.lock().await;
        if self.0.state.is_on() {
            self.0.state.set_aside(why);
            self.0.data_set.keep(&self.0.state);
        } else {
            error!("{why}; counters begin again at what is stored");
        }
        *lock(&self.0.shown) = Shown::default();
        let mut edition = lock(&self.0.edition);
        *edition = edition.next();
        self.0.ledger.begin(*edition, self.0.blank.ledger(None));
        for counted in self.0.counted.all() {
            counted.begin(*edition);
        }
        for wake in [&self.0.wakes.baseline, &self.0.wakes.messages] {
            wake.notify_one();
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

    /// Saves the ledger, and what the counters have shown, where one of them has changed. When this
    /// returns, all that was in them when it was called is on the disk, or cannot be saved.
    pub async fn save_ledger(&self, mut series: Option<&mut Series>) {
        if !self.0.state.is_on() {
            return;
        }
        let shown = series.as_mut().and_then(|series| {
            series.take_changed().then(|| encoded(SHOWN, series.shown())).flatten()
        });
        let memory = self.clone();
        // A task of its own, because the refresh that waits for it may be dropped.
        let saved = tokio::spawn(async move { memory.save_changed(shown).await }).await;
        if let (Ok(false), Some(series)) = (saved, series) {
            series.not_saved();
        }
    }

    async fn save_changed(&self, shown: Option<Section>) -> bool {
        let _saving = self.0.saving.lock().await;
        let mut sections: Vec<Section> = Vec::from_iter(shown);
        {
            let mut ledger = self.ledger_now();
            if ledger.take_changed() {
                sections.extend(encoded(MESSAGES, &ledger.saved));
            }
        }
        let saved = sections.is_empty() || self.0.state.save(sections).await;
        if !saved {
            self.ledger_now().not_saved();
        }
        saved
    }

    /// Saves what was counted of a collection, where it has changed.
    pub async fn save_counted(&self, counted: &dyn AnyCollection) {
        if !self.0.state.is_on() {
            return;
        }
        let _saving = self.0.saving.lock().await;
        if let Some(section) = counted.changed_section()
            && !self.0.state.save(vec![section]).await
        {
            counted.not_saved();
        }
    }

    /// What is saved of the audit.
    pub fn audit_record(&self) -> AuditRecord {
        self.0.state.section(AUDIT).ok().flatten().unwrap_or_default()
    }

    /// Saves what is to be remembered of the audit.
    pub async fn save_audit(&self, record: &AuditRecord) {
        if let Some(section) = encoded(AUDIT, record) {
            self.0.state.save(vec![section]).await;
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

fn read(state: &StateFile, data_set: &DataSet) -> Result<Found, Unusable> {
    if let Some(saved) = state.section::<DataSet>(DATA_SET)? {
        saved.must_cover(data_set)?;
    }
    let counted = Collections::default();
    for saved in counted.all() {
        saved.load(state)?;
    }
    Ok(Found { saved: state.section(MESSAGES)?, shown: state.section(SHOWN)?, counted })
}

impl DataSet {
    /// Makes it part of the next save.
    fn keep(&self, state: &StateFile) {
        if let Some(section) = encoded(DATA_SET, self) {
            state.keep(section);
        }
    }

    /// Whether the sums of a group were made. Those of agents are made of the calls of tools.
    fn covers(&self, group: &String) -> bool {
        self.groups.contains(group)
            || (group == AGENT && self.groups.iter().any(|group| group == TOOL))
    }

    /// Fails unless what was saved of this serves a run with `wanted`.
    fn must_cover(&self, wanted: &DataSet) -> Result<(), Unusable> {
        if self.database != wanted.database {
            return Err(Unusable(format!(
                "it is about the database {:?}, not {:?}",
                self.database, wanted.database
            )));
        }
        if self.tenant != wanted.tenant {
            return Err(Unusable("it is about another tenant".to_owned()));
        }
        let new: Vec<&str> =
            wanted.groups.iter().filter(|group| !self.covers(group)).map(String::as_str).collect();
        if new.is_empty() {
            return Ok(());
        }
        Err(Unusable(format!(
            "the metrics of the groups {} were switched off when it was written",
            new.join(", ")
        )))
    }
}

fn encoded<T: Serialize>(name: &'static str, state: &T) -> Option<Section> {
    encode(name, state)
        .inspect_err(|error| error!(section = name, "the state cannot be encoded: {error}"))
        .ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
