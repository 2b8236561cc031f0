//! The sections of the state file that are LibreChat's, and how those of earlier versions are read.

use serde_json::Value;

use crate::engine::state::Part;
use crate::engine::state::part::no_older_version;

/// The source, which all names begin with.
pub const SOURCE: &str = "librechat";

/// What the other sections are about.
pub const DATA_SET: Part = first("librechat/data_set");

/// The ledger. Version 1 called the totals of a day, and those of a sweep for feedback, its tally.
pub const MESSAGES: Part =
    Part { name: "librechat/messages", version: 2, upgrade: upgrade_messages };

/// What counters of messages have shown.
pub const SHOWN: Part = first("librechat/shown");

/// When an audit was made, and what it found.
pub const AUDIT: Part = first("librechat/audit");

/// Conversations ever stored.
pub const CONVERSATIONS: Part = first("librechat/conversations");

/// Users ever stored.
pub const USERS: Part = first("librechat/users");

/// Files ever stored.
pub const FILES: Part = first("librechat/files");

/// Transactions.
pub const TRANSACTIONS: Part = first("librechat/transactions");

/// Transactions of single people.
pub const TRANSACTIONS_OF_USERS: Part = first("librechat/transactions_of_users");

/// A section that never had another version.
const fn first(name: &'static str) -> Part {
    Part { name, version: 1, upgrade: no_older_version }
}

fn upgrade_messages(from: u32, mut json: Value) -> Result<Value, String> {
    if from != 1 {
        return no_older_version(from, json);
    }
    let days = json.get_mut("days").and_then(Value::as_object_mut);
    days.into_iter().flat_map(|days| days.values_mut()).for_each(rename_tally);
    if let Some(sweep) = json.pointer_mut("/ratings/sweep") {
        rename_tally(sweep);
    }
    Ok(json)
}

fn rename_tally(of: &mut Value) {
    if let Some(of) = of.as_object_mut()
        && let Some(totals) = of.remove("tally")
    {
        of.insert("totals".to_owned(), totals);
    }
}
