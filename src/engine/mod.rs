//! What every source needs, whatever it watches.
//!
//! * [`source`]: one application that is watched, and what it is told;
//! * [`collector`]: one question asked on one interval;
//! * [`scheduler`]: asks every collector;
//! * [`settings`]: what holds for every source;
//! * [`state`]: the file with what must survive a restart; [`pairs`]: maps in it;
//! * [`clock`]: the time of day, and local days;
//! * [`watched_files`]: files that are read again when they change; [`fingerprint`]: texts compared without
//!   being kept.

pub mod clock;
pub mod collector;
pub mod fingerprint;
pub mod pairs;
pub mod scheduler;
pub mod settings;
pub mod source;
pub mod state;
pub mod watched_files;
