//! usage-exporter tells Prometheus how self-hosted web applications are used.
//!
//! Data flows one way:
//!
//! ```text
//! environment -> settings -> sources -> collectors -> scheduler -> snapshot -> HTTP
//! ```
//!
//! * [`commands`] is what the program can be told to do: the command line, and one file for each command.
//! * [`sources`] lists the applications that are watched, a line each. Each reads its own settings, says
//!   which metric families it has, and hands out collectors; nothing else knows its name.
//! * [`http`] serves the metrics and the page for people.
//! * [`connect`] is how to reach a database, and what its errors mean.
//! * [`engine`] is what every source needs: the interface of a [source](engine::source) and of a
//!   [collector](engine::collector), the [scheduler](engine::scheduler) that asks each on its own interval,
//!   and the [state file](engine::state) with what must survive a restart.
//! * [`backfill`] tells what metrics would have shown in the past.
//! * [`exposition`] describes metric families and keeps the page that a scrape gets.
//! * [`settings`] reads and checks every setting before anything starts.
//! * [`telemetry`] writes the log.
//!
//! Imports run downwards in this list, and files never import each other in a circle.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod backfill;
pub mod commands;
pub mod connect;
pub mod engine;
pub mod exposition;
pub mod http;
pub mod settings;
pub mod sources;
pub mod telemetry;

/// The version of the exporter.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git revision it was built from, or `unknown`.
pub const REVISION: &str = env!("USAGE_EXPORTER_REVISION");
