//! Points in insertion order, made of times.

use chrono::{DateTime, Utc};
use mongodb::bson::oid::ObjectId;

/// The smallest `_id` that can be minted at `time`, to the second.
pub fn at(time: DateTime<Utc>) -> ObjectId {
    let seconds = time.timestamp().clamp(0, i64::from(u32::MAX));
    ObjectId::from_parts(u32::try_from(seconds).unwrap_or(0), [0; 5], [0; 3])
}

/// When an `_id` was minted, to the second.
pub fn time_of(id: ObjectId) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(id.timestamp().timestamp_millis()).unwrap_or_default()
}

/// The seconds from the minting of one `_id` to that of another.
pub fn seconds_between(from: ObjectId, to: ObjectId) -> i64 {
    (time_of(to) - time_of(from)).num_seconds()
}
