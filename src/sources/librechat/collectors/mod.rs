//! The questions that are asked of LibreChat's MongoDB, one file each.
//!
//! * [`messages`] reads what is new;
//! * [`baseline`] reads the history, once;
//! * [`days`] reads days again after a restart;
//! * [`feedback`] asks for ratings of old messages;
//! * [`appended`] adds up conversations, users, files and transactions;
//! * [`scan`] looks through users, balances and other collections whose documents change;
//! * [`inventory`] counts what is stored now;
//! * [`audit`] looks for what was missed.

pub mod appended;
pub mod audit;
pub mod baseline;
pub mod days;
pub mod feedback;
pub mod inventory;
pub mod messages;
pub mod scan;
