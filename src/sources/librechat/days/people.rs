//! The people seen.

use std::collections::HashMap;

/// The people seen, as numbers small enough for sets of them.
#[derive(Debug, Clone, Default)]
pub struct People(HashMap<Box<str>, u32>);

impl People {
    /// The number of a user.
    pub fn number(&mut self, user: &str) -> u32 {
        if let Some(number) = self.0.get(user) {
            return *number;
        }
        let number = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(user.into(), number);
        number
    }
}
