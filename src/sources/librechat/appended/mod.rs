//! What the documents of collections add up to, to which documents are only ever added.
//!
//! * [`sums`]: documents counted once, which [`seen`] knows again;
//! * [`spending`] and [`spending_of_users`]: what transactions add up to;
//! * [`collections`]: what is kept of each collection.

pub mod collections;
pub mod seen;
pub mod spending;
pub mod spending_of_users;
pub mod sums;
