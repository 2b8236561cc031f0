//! The questions that are asked of LibreChat's MongoDB, one file each.
//!
//! * [`messages`] reads what is new;
//! * [`baseline`] reads the history, once;
//! * [`day_reader`] reads days again after a restart;
//! * [`feedback`] asks for ratings of old messages;
//! * [`growth`] adds up conversations, users, files and transactions;
//! * [`survey`] looks through users, balances and other collections whose documents change;
//! * [`inventory`] counts what is stored now;
//! * [`audit`] looks for what was missed.

pub mod audit;
pub mod baseline;
pub mod day_reader;
pub mod feedback;
pub mod growth;
pub mod inventory;
pub mod messages;
pub mod survey;
