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

/// The day on which an `_id` was minted, in days since 1970 (UTC).
pub fn day_of(id: ObjectId) -> u32 {
    u32::try_from(time_of(id).timestamp() / SECONDS_A_DAY).unwrap_or(0)
}

/// The smallest `_id` that can be minted on a day, in days since 1970 (UTC).
pub fn start_of(day: u32) -> ObjectId {
    at(DateTime::from_timestamp(i64::from(day) * SECONDS_A_DAY, 0).unwrap_or_default())
}

/// The next larger `_id`.
pub fn after(id: ObjectId) -> ObjectId {
    let mut bytes = id.bytes();
    for byte in bytes.iter_mut().rev() {
        let (next, overflows) = byte.overflowing_add(1);
        *byte = next;
        if !overflows {
            return ObjectId::from_bytes(bytes);
        }
    }
    // There is none after the largest.
    id
}

const SECONDS_A_DAY: i64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_between_an_id_and_the_one_after_it() {
        let after = |bytes| after(ObjectId::from_bytes(bytes)).bytes();
        assert_eq!(after([0; 12]), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(after([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff])[9..], [1, 0, 0]);
        assert_eq!(after([0xff; 12]), [0xff; 12]);
    }
}
