//! Ids of any length, kept in 16 bytes.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use siphasher::sip128::SipHasher13;

/// The hash of an id that LibreChat or its client made up: of a message, a conversation or a person. Such
/// an id can be of any length, and only whether two are the same matters.
///
/// It is in the state file, so it must be the same in every run and version, which the hash of the standard
/// library is not: SipHash-1-3 with 128 bits and a fixed key. It takes 30 ns for a usual id, a tenth of a
/// second in all for the ids of a million messages, so the quicker XXH3 would gain nothing that is felt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdHash([u8; 16]);

impl IdHash {
    /// The hash of an id.
    pub fn of(id: &str) -> IdHash {
        IdHash(SipHasher13::new().hash(id.as_bytes()).as_u128().to_be_bytes())
    }
}

impl fmt::Display for IdHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl Serialize for IdHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IdHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<IdHash, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_hash = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hash = u128::from_str_radix(&text, 16).ok().filter(|_| is_hash);
        let hash = hash.map(|hash| IdHash(hash.to_be_bytes()));
        hash.ok_or_else(|| Error::custom("the hash of an id has 32 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_hash_is_the_same_in_every_version() {
        let hash = IdHash::of("5a1c8a5e-1b57-4b0e-9d6a-3f6d2b6e8f10");
        assert_eq!(hash.to_string(), "98e65216196f39289b586da52dbd88a9");
        assert_eq!(IdHash::of("").to_string(), "b91c5ed031fb33032134935d61d9b40d");
    }

    #[test]
    fn it_is_written_as_hexadecimal_digits_as_a_key_too() {
        let known = HashMap::from([(IdHash(1_u128.to_be_bytes()), IdHash::of("x"))]);
        let json = serde_json::to_string(&known).expect("JSON");
        assert!(json.starts_with(r#"{"00000000000000000000000000000001":""#), "{json}");
        assert_eq!(serde_json::from_str::<HashMap<IdHash, IdHash>>(&json).expect("JSON"), known);
        for unusable in ["x", "+0000000000000000000000000000001", "1"] {
            assert!(serde_json::from_str::<IdHash>(&format!("{unusable:?}")).is_err());
        }
    }
}
