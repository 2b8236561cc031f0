//! LibreChat as a source: what its documents mean and which metric families come of them.
//!
//! * [`settings`] and [`groups`]: what is read, and which metrics are wanted;
//! * [`catalogue`]: every family;
//! * [`document`], [`field`] and [`tool_call`]: reading one message;
//! * [`ledger`]: every message entered once, with [`entry`], [`tally`], [`user_days`], [`windows`] and
//!   [`ratings`] for what they add up to, and [`page`] for the families of it;
//! * the collectors: [`messages`] reads what is new, [`baseline`] the history, [`feedback`] ratings of
//!   old messages, [`growth`] counts conversations, users and files, [`inventory`] what is stored;
//! * [`store`] and [`object_id`]: asking MongoDB for documents by their place in insertion order.

pub mod baseline;
pub mod catalogue;
pub mod document;
pub mod entry;
pub mod feedback;
pub mod field;
pub mod groups;
pub mod growth;
pub mod inventory;
pub mod labels;
pub mod ledger;
pub mod messages;
pub mod object_id;
pub mod page;
pub mod ratings;
pub mod settings;
pub mod store;
pub mod tally;
pub mod tool_call;
pub mod user_days;
pub mod windows;

use std::sync::Arc;

pub use settings::Settings;
pub use store::Clock;

use crate::collector::Collector;
use crate::config::General;
use crate::mongo::Mongo;
use baseline::Baseline;
use catalogue::{CONVERSATIONS, REGISTERED_USERS, UPLOADED_FILES};
use feedback::Feedback;
use groups::{BASIC, FILE, MODEL, RATING, TIME_WINDOW, TOKEN, TOOL, USER};
use growth::Growth;
use inventory::Inventory;
use ledger::Ledger;
use messages::{Messages, SharedLedger};
use store::Store;

/// The collectors that the enabled groups need, in the order in which a single refresh asks them.
pub fn collectors(settings: &Settings, general: &General, clock: Clock) -> Vec<Box<dyn Collector>> {
    let mongo = Mongo::new(
        settings.uri.clone(),
        settings.database.clone(),
        settings.read_preference.clone(),
    );
    let store = Store::new(Arc::new(mongo), settings.tenant.clone(), clock);
    let groups = &settings.groups;
    let interval = general.interval;
    let mut collectors: Vec<Box<dyn Collector>> = Vec::new();

    for (group, collection, family) in [
        (BASIC, "conversations", &CONVERSATIONS),
        (USER, "users", &REGISTERED_USERS),
        (FILE, "files", &UPLOADED_FILES),
    ] {
        if groups.has(group) {
            let store = store.clone();
            let settling_time = settings.settling_time;
            collectors.push(Box::new(Growth::new(
                store,
                collection,
                family,
                settling_time,
                interval,
            )));
        }
    }
    collectors.push(Box::new(Inventory::new(store.clone(), interval)));

    let history_needed = groups.has_any(&[BASIC, TOKEN, USER, MODEL, TOOL]);
    let ledger = Ledger::new(settings.settling_time, general.timezone, history_needed);
    let ledger = SharedLedger::new(ledger);
    if history_needed {
        collectors.push(Box::new(Baseline::new(store.clone(), ledger.clone(), groups)));
    }
    if groups.has(RATING) {
        let every = settings.feedback_interval;
        collectors.push(Box::new(Feedback::new(store.clone(), ledger.clone(), every)));
    }
    if history_needed || groups.has_any(&[RATING, TIME_WINDOW]) {
        collectors.push(Box::new(Messages::new(
            store,
            ledger,
            groups,
            interval,
            general.max_series,
        )));
    }
    collectors
}
