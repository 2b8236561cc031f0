//! The sections of the state file that are LibreChat's, and how those of earlier versions are read.

use serde_json::Value;

use crate::engine::state::Part;
use crate::engine::state::part::no_older_version;
use crate::sources::librechat::saved_upgrade;

/// The source, which all names begin with.
pub const SOURCE: &str = "librechat";

/// What the other sections are about.
pub const DATA_SET: Part = first("librechat/data_set");

/// The ledger.
pub const MESSAGES: Part = third("librechat/messages", saved_upgrade::messages);

/// What counters of messages have shown.
pub const SHOWN: Part = first("librechat/shown");

/// When an audit was made, and what it found.
pub const AUDIT: Part = first("librechat/audit");

/// Conversations ever stored.
pub const CONVERSATIONS: Part = third("librechat/conversations", saved_upgrade::numbers);

/// Users ever stored.
pub const USERS: Part = third("librechat/users", saved_upgrade::numbers);

/// Files ever stored.
pub const FILES: Part = third("librechat/files", saved_upgrade::numbers);

/// Transactions.
pub const TRANSACTIONS: Part = third("librechat/transactions", saved_upgrade::transactions);

/// Transactions of single people.
pub const TRANSACTIONS_OF_USERS: Part =
    third("librechat/transactions_of_users", saved_upgrade::transactions_of_users);

/// A section that never had another version.
const fn first(name: &'static str) -> Part {
    Part { name, version: 1, upgrade: no_older_version }
}

/// A section whose versions before the third are brought up by `upgrade`.
const fn third(
    name: &'static str,
    upgrade: fn(from: u32, json: Value) -> Result<Value, String>,
) -> Part {
    Part { name, version: 3, upgrade }
}
