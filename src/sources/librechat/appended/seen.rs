//! Knowing a document again without its `_id`, which may be that of a person and is not saved.

use mongodb::bson::oid::ObjectId;
use serde::{Deserialize, Serialize};
use siphasher::sip128::SipHasher13;

/// The second of an `_id` and a hash of the rest. Two of a million documents of one second have the same with a
/// probability of one in many millions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(u32, u64)", into = "(u32, u64)")]
pub struct Seen {
    /// The second.
    pub second: u32,
    hash: u64,
}

impl Seen {
    /// What is kept of an `_id`.
    pub fn of(id: ObjectId) -> Seen {
        let (second, rest) = parts(id);
        Seen { second, hash: SipHasher13::new().hash(&rest).h1 }
    }

    /// The smallest `_id` of its second.
    pub fn earliest_id(self) -> ObjectId {
        ObjectId::from_parts(self.second, [0; 5], [0; 3])
    }
}

impl From<(u32, u64)> for Seen {
    fn from((second, hash): (u32, u64)) -> Seen {
        Seen { second, hash }
    }
}

impl From<Seen> for (u32, u64) {
    fn from(seen: Seen) -> (u32, u64) {
        (seen.second, seen.hash)
    }
}

/// What version 2 of the sections kept: the second and a CRC-32 of the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checksum {
    /// The second.
    pub second: u32,
    checksum: u32,
}

impl Checksum {
    /// What was kept of an `_id`.
    pub fn of(id: ObjectId) -> Checksum {
        let (second, rest) = parts(id);
        Checksum { second, checksum: crc32fast::hash(&rest) }
    }
}

/// The second of an `_id`.
pub fn second_of(id: ObjectId) -> u32 {
    parts(id).0
}

fn parts(id: ObjectId) -> (u32, [u8; 8]) {
    let [a, b, c, d, rest @ ..] = id.bytes();
    (u32::from_be_bytes([a, b, c, d]), rest)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn three_hundred_thousand_documents_of_one_second_are_told_apart() {
        let ids = (0..300_000_u64).map(|number| {
            let mut bytes = [0; 12];
            bytes[4..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            ObjectId::from_bytes(bytes)
        });
        let ids: Vec<ObjectId> = ids.collect();
        assert_eq!(ids.iter().map(|id| Seen::of(*id)).collect::<HashSet<_>>().len(), ids.len());
        let checksums: HashSet<_> = ids.iter().map(|id| Checksum::of(*id)).collect();
        assert!(checksums.len() < ids.len(), "which a checksum does not");
    }

    #[test]
    fn a_hash_is_the_same_in_every_version() {
        let json = serde_json::to_string(&Seen::of(ObjectId::from_bytes([7; 12]))).expect("JSON");
        assert_eq!(json, "[117901063,9356824155757772648]");
    }
}
