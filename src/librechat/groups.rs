//! The groups in which metrics are switched on and off.

use std::collections::BTreeSet;

use crate::config::{Reader, Setting};
use crate::exposition::Description;

/// Messages and conversations.
pub const BASIC: &str = "basic";
/// Tokens.
pub const TOKEN: &str = "token";
/// People.
pub const USER: &str = "user";
/// Everything by model.
pub const MODEL: &str = "model";
/// The last five minutes.
pub const TIME_WINDOW: &str = "time_window";
/// Ratings.
pub const RATING: &str = "rating";
/// Tool calls.
pub const TOOL: &str = "tool";
/// Files.
pub const FILE: &str = "file";

const ALL: [&str; 8] = [BASIC, TOKEN, USER, MODEL, TIME_WINDOW, RATING, TOOL, FILE];

/// The groups that are on. What only a group needs that is off is not asked of MongoDB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups(BTreeSet<&'static str>);

impl Groups {
    /// A switch for each group.
    pub const SETTINGS: [Setting; 8] = [
        switch("ENABLE_BASIC_METRICS", "Export the numbers of messages, errors and conversations."),
        switch("ENABLE_TOKEN_METRICS", "Export tokens; by model only with the models too."),
        switch("ENABLE_USER_METRICS", "Export registered, active and unique users."),
        switch("ENABLE_MODEL_METRICS", "Export messages, errors and tokens by model."),
        switch("ENABLE_TIME_WINDOW_METRICS", "Export the last five minutes of each other group."),
        switch("ENABLE_RATING_METRICS", "Export thumbs up and down, by model and tag."),
        switch("ENABLE_TOOL_METRICS", "Export tool calls."),
        switch("ENABLE_FILE_METRICS", "Export uploaded files."),
    ];

    /// All groups.
    pub fn all() -> Groups {
        Groups(ALL.into())
    }

    /// Only these groups.
    pub fn only(groups: &[&'static str]) -> Groups {
        Groups(groups.iter().copied().collect())
    }

    /// The groups that are on; `None` if a setting is wrong.
    pub fn read(reader: &mut Reader) -> Option<Groups> {
        let switches = Self::SETTINGS.map(|setting| reader.switch(&setting));
        let mut groups = BTreeSet::new();
        for (group, on) in ALL.into_iter().zip(switches) {
            if on? {
                groups.insert(group);
            }
        }
        Some(Groups(groups))
    }

    /// The groups that are on and for which messages are read.
    pub fn of_messages(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied().filter(|group| *group != FILE)
    }

    /// Whether a group is on.
    pub fn has(&self, group: &str) -> bool {
        self.0.contains(group)
    }

    /// Whether at least one of the groups is on.
    pub fn has_any(&self, groups: &[&str]) -> bool {
        groups.iter().any(|group| self.has(group))
    }

    /// Whether a family is exported: all of its groups are on.
    pub fn show(&self, description: &Description) -> bool {
        description.groups.iter().all(|group| self.has(group))
    }
}

const fn switch(variable: &'static str, help: &'static str) -> Setting {
    Setting::new(variable, "true", help)
}
