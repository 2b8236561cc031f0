//! usage-exporter tells Prometheus how a self-hosted web application is used.
//!
//! Data flows one way:
//!
//! ```text
//! environment -> Config -> source (LibreChat) -> Scheduler -> Snapshot -> HTTP
//! ```
//!
//! * [`config`] reads and checks every setting before anything starts.
//! * [`librechat`] is the one source so far: its collectors read LibreChat's MongoDB and answer with
//!   metric families. Nothing outside it knows LibreChat's collections, fields or metric names.
//! * [`mongo`] is the connection to a MongoDB, and what its errors mean.
//! * [`collector`] is the interface of a collector; [`scheduler`] asks each on its own interval.
//! * [`exposition`] describes metric families and keeps the page that a scrape gets.
//! * [`http`] serves that page.
//! * [`history`] tells what metrics would have shown in the past; [`calendar`] knows local days.
//! * [`state`] is the file in which a source keeps what must survive a restart.
//! * [`telemetry`] writes the log.
//!
//! `run` puts the parts together.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod calendar;
pub mod collector;
pub mod config;
pub mod exposition;
pub mod history;
pub mod http;
pub mod librechat;
pub mod mongo;
pub mod scheduler;
pub mod state;
pub mod telemetry;

mod run;

pub use run::{audit, check_health, migrate, print_once, serve, write_history};

/// The version of the exporter.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git revision it was built from, or `unknown`.
pub const REVISION: &str = env!("USAGE_EXPORTER_REVISION");
