//! The people seen.

use std::collections::HashMap;

use crate::sources::librechat::documents::id_hash::IdHash;

/// The people seen, as numbers small enough for sets of them.
#[derive(Debug, Clone, Default)]
pub struct People(HashMap<IdHash, u32>);

impl People {
    /// The number of a user.
    pub fn number(&mut self, user: &str) -> u32 {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        *self.0.entry(IdHash::of(user)).or_insert(next)
    }
}
