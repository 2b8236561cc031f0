//! The last five minutes, of which many families tell.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// How far a window reaches back, and forward where clocks differ.
pub const WINDOW: Duration = Duration::from_secs(300);

/// Whether a time lies in the five minutes of `now`.
pub fn contains(now: DateTime<Utc>, time: DateTime<Utc>) -> bool {
    (now - WINDOW..=now + WINDOW).contains(&time)
}
