//! The settings of the LibreChat source.

use std::time::Duration;

use mongodb::options::ReadPreference;

use crate::connect::mongo::is_database_name;
use crate::connect::uri::Uri;
use crate::settings::{Reader, Setting};
use crate::sources::librechat::groups::Groups;

const MONGODB_URI: Setting = Setting {
    variable: "MONGODB_URI",
    alias: Some("MONGO_URI"),
    default: "mongodb://mongodb:27017/",
    help: "The MongoDB of LibreChat.",
    secret: true,
};
const MONGODB_DATABASE: Setting = Setting::new(
    "MONGODB_DATABASE",
    "",
    "The database of LibreChat [default: the one in the URI's path, else LibreChat].",
);
const MONGO_READ_PREFERENCE: Setting = Setting::new(
    "MONGO_READ_PREFERENCE",
    "",
    "Which members of a replica set are read [default: as in the URI].",
);
const FEEDBACK_INTERVAL: Setting = Setting::new(
    "FEEDBACK_INTERVAL",
    "10m",
    "How often messages older than SETTLING_TIME are asked for their ratings.",
);
const ACCOUNT_INTERVAL: Setting = Setting::new(
    "ACCOUNT_INTERVAL",
    "5m",
    "How often users, balances, sessions, files, agents, shared links and banners are looked through.",
);
const SETTLING_TIME: Setting = Setting::new(
    "SETTLING_TIME",
    "15m",
    "How long a message may still change after it was stored.",
);
const TAIL_LIMIT: Setting = Setting::new(
    "TAIL_LIMIT",
    "50000",
    "How many young messages are read again at every refresh; beyond, the oldest count as settled.",
);
const BASELINE_MAX_MESSAGES_PER_SECOND: Setting = Setting::new(
    "BASELINE_MAX_MESSAGES_PER_SECOND",
    "",
    "How fast the first pass reads the history at most [default: as fast as it can].",
);
const AUDIT_INTERVAL: Setting = Setting::new(
    "AUDIT_INTERVAL",
    "24h",
    "How often it is checked that everything stored was counted.",
);
const STATISTICS_DAYS: Setting = Setting::new(
    "STATISTICS_DAYS",
    "30",
    "Over how many complete days means and standard deviations go.",
);
const PER_USER_METRICS: Setting = Setting::new(
    "PER_USER_METRICS",
    "off",
    "Export tokens and cost of single people, named by their id or their email address, or off.",
);
const TENANT_ID: Setting = Setting::new("TENANT_ID", "", "Read only the documents of this tenant.");

/// The settings before the switches of the groups, in the order of `--help`.
const SETTINGS: &[Setting] = &[
    MONGODB_URI,
    MONGODB_DATABASE,
    MONGO_READ_PREFERENCE,
    TENANT_ID,
    FEEDBACK_INTERVAL,
    ACCOUNT_INTERVAL,
    SETTLING_TIME,
    TAIL_LIMIT,
    BASELINE_MAX_MESSAGES_PER_SECOND,
    AUDIT_INTERVAL,
    STATISTICS_DAYS,
];

/// All settings of LibreChat, in the order of `--help`.
pub fn all() -> Vec<&'static Setting> {
    SETTINGS.iter().chain(Groups::settings()).chain([&PER_USER_METRICS]).collect()
}

const DEFAULT_DATABASE: &str = "LibreChat";

const DATABASE_NAME: &str =
    "the name of a database: at most 63 bytes, no quotes, blanks or any of / \\ . $";

/// How single people are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// By the id of their account.
    Id,
    /// By their e-mail address.
    Email,
}

impl NamedBy {
    /// The value of the setting.
    pub fn as_str(self) -> &'static str {
        match self {
            NamedBy::Id => "id",
            NamedBy::Email => "email",
        }
    }
}

/// What the LibreChat source is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The MongoDB.
    pub uri: Uri,
    /// The database on it.
    pub database: String,
    /// Which members of a replica set are read, where it is not left to the URI.
    pub read_preference: Option<ReadPreference>,
    /// The tenant whose documents are read; `None`: all.
    pub tenant: Option<String>,
    /// From one sweep for feedback on settled messages to the next.
    pub feedback_interval: Duration,
    /// From one look through the accounts to the next.
    pub account_interval: Duration,
    /// How long a document may still change.
    pub settling_time: Duration,
    /// How many young messages are read again at every refresh.
    pub tail_limit: usize,
    /// How many messages of the history are read a second at most.
    pub baseline_rate: Option<u32>,
    /// From one audit to the next.
    pub audit_interval: Duration,
    /// Over how many complete days the statistics go.
    pub statistics_days: u16,
    /// How single people are named, where they are shown.
    pub per_user: Option<NamedBy>,
    /// Which groups of metrics are on.
    pub groups: Groups,
}

impl Settings {
    /// Whether the address of a MongoDB is given.
    pub fn are_given(reader: &Reader) -> bool {
        reader.given(&MONGODB_URI).is_some()
    }

    /// Reads the settings; `None` if one is wrong.
    pub fn read(reader: &mut Reader) -> Option<Settings> {
        let uri = Uri::read(reader, &MONGODB_URI);
        let read_preference = reader.read(
            &MONGO_READ_PREFERENCE,
            "primary, primaryPreferred, secondary, secondaryPreferred or nearest",
            read_preference,
        );
        let database = database(reader, uri.as_ref());
        let tenant = reader.read(&TENANT_ID, "an id without the quotes around it", |value| {
            let quoted = ['"', '\'']
                .iter()
                .any(|quote| value.starts_with(*quote) && value.ends_with(*quote));
            (!quoted).then(|| Some(value.to_owned()).filter(|tenant| !tenant.is_empty()))
        });
        let feedback_interval = reader.duration(&FEEDBACK_INTERVAL);
        let account_interval = reader.duration(&ACCOUNT_INTERVAL);
        let settling_time = reader.duration(&SETTLING_TIME);
        let tail_limit = reader.read(&TAIL_LIMIT, "a number from 1000 to 1000000", |value| {
            value.parse().ok().filter(|limit| (1_000..=1_000_000).contains(limit))
        });
        let baseline_rate =
            reader.read(&BASELINE_MAX_MESSAGES_PER_SECOND, "a number from 1 on", |value| {
                if value.is_empty() {
                    return Some(None);
                }
                value.parse().ok().filter(|rate| *rate >= 1).map(Some)
            });
        let audit_interval = reader.long_duration(&AUDIT_INTERVAL);
        let statistics_days = reader.read(&STATISTICS_DAYS, "a number from 1 to 366", |value| {
            value.parse().ok().filter(|days| (1..=366).contains(days))
        });
        let per_user = reader.read(&PER_USER_METRICS, "off, id or email", |value| match value {
            "off" => Some(None),
            _ => [NamedBy::Id, NamedBy::Email]
                .into_iter()
                .find(|named_by| named_by.as_str() == value)
                .map(Some),
        });
        let groups = Groups::read(reader, per_user.flatten().is_some());
        Some(Settings {
            uri: uri?,
            database: database?,
            read_preference: read_preference?,
            tenant: tenant?,
            feedback_interval: feedback_interval?,
            account_interval: account_interval?,
            settling_time: settling_time?,
            tail_limit: tail_limit?,
            baseline_rate: baseline_rate?,
            audit_interval: audit_interval?,
            statistics_days: statistics_days?,
            per_user: per_user?,
            groups: groups?,
        })
    }
}

/// The name of the database: that of its setting, else that of the URI.
fn database(reader: &mut Reader, uri: Option<&Uri>) -> Option<String> {
    if reader.given(&MONGODB_DATABASE).is_some() {
        return reader.read(&MONGODB_DATABASE, DATABASE_NAME, |value| {
            is_database_name(value).then(|| value.to_owned())
        });
    }
    let name = uri?.connection.default_database.as_deref().unwrap_or(DEFAULT_DATABASE);
    if !is_database_name(name) {
        reader.refuse(
            &MONGODB_URI,
            "the name of a database in its path, or MONGODB_DATABASE beside it",
        );
        return None;
    }
    Some(name.to_owned())
}

/// The read preference of that name; `Some(None)` for no name.
fn read_preference(name: &str) -> Option<Option<ReadPreference>> {
    let preference = match name.to_ascii_lowercase().as_str() {
        "" => return Some(None),
        "primary" => ReadPreference::Primary,
        "primarypreferred" => ReadPreference::PrimaryPreferred { options: None },
        "secondary" => ReadPreference::Secondary { options: None },
        "secondarypreferred" => ReadPreference::SecondaryPreferred { options: None },
        "nearest" => ReadPreference::Nearest { options: None },
        _ => return None,
    };
    Some(Some(preference))
}
