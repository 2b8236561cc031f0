//! LibreChat's MongoDB.
//!
//! * [`store`]: documents, by their place in insertion order;
//! * [`identity`]: whether the database is still the one that the memory is about.

pub mod identity;
pub mod store;
