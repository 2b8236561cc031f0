//! What the program can be told to do.
//!
//! * [`command_line`] and [`config`]: what was asked for, and the settings; [`documents`]: the manual page and
//!   completions;
//! * [`serve`], [`once`], [`audit`], [`history`], [`migrate`] with [`comparison`], and [`healthcheck`]: one
//!   command each;
//! * [`opened`]: the sources that most of them need; [`runtime`] and [`signals`]: the threads on which they
//!   run, and what ends them.

pub mod audit;
pub mod command_line;
pub mod comparison;
pub mod config;
pub mod documents;
pub mod healthcheck;
pub mod history;
pub mod migrate;
pub mod once;
pub mod opened;
pub mod runtime;
pub mod serve;
pub mod signals;

pub use command_line::Task;
pub use config::Config;
