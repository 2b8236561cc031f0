//! Every setting: its name, default and help, and what is accepted.
//!
//! A setting is an environment variable, a line in `.env` or a flag of the same name. Whoever has settings
//! declares them as [`Setting`]s and reads them with a [`Reader`]; [`Problems`] lists everything that is
//! wrong at once. Nothing here knows whose settings they are.

pub mod dotenv;
pub mod given;
pub mod misspelt;
pub mod problems;
pub mod reader;
pub mod setting;

pub use problems::{Problem, Problems};
pub use reader::Reader;
pub use setting::Setting;
