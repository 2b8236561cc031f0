//! Strings that come again and again, kept once.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::exposition::series::OTHER;

/// The most characters of a stored string that become a label value.
const MAX_CHARACTERS: usize = 128;

/// How many strings are kept. Families show fewer (`MAX_SERIES_PER_METRIC`); this bounds the memory that
/// somebody who makes up names can take.
const MAX_LABELS: usize = 10_000;

/// The label value of what a document does not name.
pub const UNKNOWN: &str = "unknown";

/// What of a stored string becomes a label value.
pub fn cut(name: &str) -> &str {
    let end = name.char_indices().nth(MAX_CHARACTERS).map_or(name.len(), |(end, _)| end);
    &name[..end]
}

/// A string kept in [`Labels`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub struct Label(u32);

impl Label {
    /// What stands for a model, tool or endpoint that a document does not name.
    pub const UNKNOWN: Label = Label(0);

    /// What stands for all strings that come when no more are kept.
    pub const OTHER: Label = Label(1);
}

/// The label values seen: models, tools and endpoints.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Vec<Box<str>>", into = "Vec<Box<str>>")]
pub struct Labels {
    numbers: HashMap<Box<str>, Label>,
    names: Vec<Box<str>>,
}

impl Default for Labels {
    fn default() -> Labels {
        let mut labels = Labels { numbers: HashMap::new(), names: Vec::new() };
        labels.label(UNKNOWN);
        labels.label(OTHER);
        labels
    }
}

impl Labels {
    /// The label of a string, of which the first 128 characters count.
    pub fn label(&mut self, name: &str) -> Label {
        let name = cut(name);
        if let Some(label) = self.numbers.get(name) {
            return *label;
        }
        let Some(label) = self.next() else { return Label::OTHER };
        self.numbers.insert(name.into(), label);
        self.names.push(name.into());
        label
    }

    fn next(&self) -> Option<Label> {
        let number = u32::try_from(self.names.len()).ok();
        number.filter(|_| self.names.len() < MAX_LABELS).map(Label)
    }

    /// The label of a string that may be missing.
    pub fn label_or_unknown(&mut self, name: Option<&str>) -> Label {
        name.map_or(Label::UNKNOWN, |name| self.label(name))
    }

    /// The string of a label.
    pub fn name(&self, label: Label) -> &str {
        self.names.get(label.0 as usize).map_or(UNKNOWN, |name| name)
    }
}

impl TryFrom<Vec<Box<str>>> for Labels {
    type Error = &'static str;

    /// The labels with these names, which keep their numbers.
    fn try_from(names: Vec<Box<str>>) -> Result<Labels, &'static str> {
        let mut labels = Labels::default();
        for name in &names {
            labels.label(name);
        }
        if labels.names == names { Ok(labels) } else { Err("its labels are in another order") }
    }
}

impl From<Labels> for Vec<Box<str>> {
    fn from(labels: Labels) -> Vec<Box<str>> {
        labels.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_cut_at_whole_characters() {
        let mut labels = Labels::default();
        let long = labels.label(&"é".repeat(200));
        assert_eq!(labels.name(long), "é".repeat(128));
        assert_eq!(labels.label(&"é".repeat(129)), long);
    }

    #[test]
    fn no_more_labels_are_kept_than_fit() {
        let mut labels = Labels::default();
        let first = labels.label("first");
        for number in 0..2 * MAX_LABELS {
            labels.label(&number.to_string());
        }
        assert_eq!(labels.names.len(), MAX_LABELS);
        assert_eq!(labels.label("first"), first);
        assert_eq!(labels.label("one more"), Label::OTHER);
        assert_eq!(labels.name(Label::OTHER), "other");
    }

    #[test]
    fn what_has_no_name_is_unknown() {
        let mut labels = Labels::default();
        assert_eq!(labels.label_or_unknown(None), Label::UNKNOWN);
        assert_eq!(labels.label("unknown"), Label::UNKNOWN);
        assert_eq!(labels.name(Label::UNKNOWN), "unknown");
    }
}
