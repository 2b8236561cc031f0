//! The groups in which metrics are switched on and off.

use std::collections::BTreeSet;

use crate::exposition::Description;
use crate::settings::{Reader, Setting};

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
/// Transactions and balances.
pub const COST: &str = "cost";
/// How long people wait.
pub const RESPONSE: &str = "response";
/// Agents and MCP servers.
pub const AGENT: &str = "agent";
/// Accounts, and the people who come back.
pub const ACCOUNT: &str = "account";
/// Mail domains; off unless asked for.
pub const EMAIL_DOMAIN: &str = "email_domain";
/// Single people; off unless asked for.
pub const PER_USER: &str = "per_user";

/// The groups and their switches. [`PER_USER`] is no switch: its setting tells how people are named.
static SWITCHES: &[(&str, Setting)] = &[
    (
        BASIC,
        on("ENABLE_BASIC_METRICS", "Export the numbers of messages, errors and conversations."),
    ),
    (TOKEN, on("ENABLE_TOKEN_METRICS", "Export tokens; by model only with the models too.")),
    (USER, on("ENABLE_USER_METRICS", "Export registered, active and unique users.")),
    (MODEL, on("ENABLE_MODEL_METRICS", "Export messages, errors and tokens by model.")),
    (
        TIME_WINDOW,
        on("ENABLE_TIME_WINDOW_METRICS", "Export the last five minutes of each other group."),
    ),
    (RATING, on("ENABLE_RATING_METRICS", "Export thumbs up and down, by model and tag.")),
    (TOOL, on("ENABLE_TOOL_METRICS", "Export tool calls.")),
    (FILE, on("ENABLE_FILE_METRICS", "Export uploaded files.")),
    (COST, on("ENABLE_COST_METRICS", "Export transactions, what they cost, and balances.")),
    (RESPONSE, on("ENABLE_RESPONSE_METRICS", "Export how long people wait for a reply.")),
    (AGENT, on("ENABLE_AGENT_METRICS", "Export agents, MCP servers and who uses them.")),
    (
        ACCOUNT,
        on("ENABLE_ACCOUNT_METRICS", "Export accounts, and how many people come back and when."),
    ),
    (
        EMAIL_DOMAIN,
        Setting::new(
            "EMAIL_DOMAIN_METRICS",
            "false",
            "Export users by the domain of their e-mail address.",
        ),
    ),
];

/// The groups that are on. What only a group needs that is off is not asked of MongoDB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups(BTreeSet<&'static str>);

impl Groups {
    /// A switch for each group.
    pub fn settings() -> impl Iterator<Item = &'static Setting> {
        SWITCHES.iter().map(|(_, setting)| setting)
    }

    /// All groups.
    pub fn all() -> Groups {
        Groups(SWITCHES.iter().map(|(group, _)| *group).chain([PER_USER]).collect())
    }

    /// Only these groups.
    pub fn only(groups: &[&'static str]) -> Groups {
        Groups(groups.iter().copied().collect())
    }

    /// The groups that are on; `None` if a setting is wrong. `per_user` tells whether single people are
    /// shown.
    pub fn read(reader: &mut Reader, per_user: bool) -> Option<Groups> {
        let switches: Vec<(&'static str, Option<bool>)> =
            SWITCHES.iter().map(|(group, setting)| (*group, reader.switch(setting))).collect();
        let mut groups = BTreeSet::new();
        for (group, on) in switches {
            if on? {
                groups.insert(group);
            }
        }
        if per_user {
            groups.insert(PER_USER);
        }
        Some(Groups(groups))
    }

    /// The groups that are on and whose sums over messages the state file keeps.
    pub fn of_messages(&self) -> impl Iterator<Item = &'static str> {
        let elsewhere = [FILE, COST, ACCOUNT, EMAIL_DOMAIN, PER_USER];
        self.0.iter().copied().filter(move |group| !elsewhere.contains(group))
    }

    /// Over how many days before today it must be known who was active.
    pub fn days_of_people(&self) -> u16 {
        if self.has(ACCOUNT) {
            // Twice 30 times 24 hours, which reach a day further where the clocks went forward.
            61
        } else if self.has(AGENT) {
            30
        } else {
            0
        }
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

const fn on(variable: &'static str, help: &'static str) -> Setting {
    Setting::new(variable, "true", help)
}
