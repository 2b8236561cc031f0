//! How single people are named in metrics, where the settings ask for them by name.

use std::collections::HashMap;

/// How people are named who are shown. Never saved.
#[derive(Debug, Default)]
pub struct Names {
    names: Option<HashMap<String, String>>,
    version: u64,
}

impl Names {
    /// The names by the ids of the accounts; `None` until these were asked for.
    pub fn get(&self) -> Option<&HashMap<String, String>> {
        self.names.as_ref()
    }

    /// Another number after somebody's name has changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Replaces them.
    pub fn set(&mut self, names: HashMap<String, String>) {
        if self.names.as_ref() != Some(&names) {
            self.names = Some(names);
            self.version += 1;
        }
    }
}
