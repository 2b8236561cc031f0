//! Strings that come again and again, kept once.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::exposition::series::OTHER;

/// The most characters of a stored string that become a label value.
const MAX_CHARACTERS: usize = 128;

/// How many strings of each class are kept. Families show fewer (`MAX_SERIES_PER_METRIC`); this bounds the
/// memory that somebody who makes up names can take.
const MAX_OF_A_CLASS: usize = 10_000;

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

    /// Whether it stands for something else than its string, so that it is kept for good.
    fn stands_for_others(self) -> bool {
        self == Label::UNKNOWN || self == Label::OTHER
    }
}

/// What strings name: models, tools. Each class has a bound of its own, so that made-up names of one cannot
/// push out those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class(u8);

impl Class {
    /// How many classes [`Labels`] can hold.
    const COUNT: usize = 8;

    /// The class of all strings, where there is only one.
    pub const ONLY: Class = Class::numbered(0);

    /// The class with a number below 8. Whoever keeps strings numbers their classes.
    pub const fn numbered(number: u8) -> Class {
        assert!((number as usize) < Class::COUNT);
        Class(number)
    }

    /// Its bit in what is saved of a string.
    pub const fn bit(self) -> u8 {
        1 << self.0
    }
}

/// The label values seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Vec<Option<Name>>", into = "Vec<Option<Name>>")]
pub struct Labels {
    numbers: HashMap<Box<str>, Label>,
    /// By number; `None` where a string was forgotten.
    names: Vec<Option<Name>>,
    free: Vec<Label>,
    /// How many strings are kept of each class.
    counts: [usize; Class::COUNT],
}

/// A string, and a bit for each class to which it belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Name(Box<str>, u8);

impl Default for Labels {
    fn default() -> Labels {
        let first = [UNKNOWN, OTHER].map(Box::<str>::from);
        let numbers = [Label::UNKNOWN, Label::OTHER];
        Labels {
            numbers: first.iter().cloned().zip(numbers).collect(),
            names: first.into_iter().map(|name| Some(Name(name, 0))).collect(),
            free: Vec::new(),
            counts: [0; Class::COUNT],
        }
    }
}

impl Labels {
    /// The label of a string of a class, of which the first 128 characters count.
    pub fn label(&mut self, class: Class, name: &str) -> Label {
        let name = cut(name);
        let known = self.numbers.get(name).copied();
        if let Some(label) = known
            && (label.stands_for_others() || self.is_of(label, class))
        {
            return label;
        }
        self.admit(class, name, known).unwrap_or(Label::OTHER)
    }

    /// The label of a string that may be missing.
    pub fn label_or_unknown(&mut self, class: Class, name: Option<&str>) -> Label {
        name.map_or(Label::UNKNOWN, |name| self.label(class, name))
    }

    /// The string of a label.
    pub fn name(&self, label: Label) -> &str {
        self.kept(label).map_or(UNKNOWN, |Name(name, _)| name)
    }

    /// Forgets the strings of a class whose labels are no longer `used`. No label of them may be kept
    /// anywhere: its number becomes that of another string.
    pub fn forget_unused(&mut self, class: Class, used: impl Fn(Label) -> bool) {
        for (number, place) in (0..).zip(&mut self.names) {
            let label = Label(number);
            let Some(Name(name, classes)) = place else { continue };
            if *classes & class.bit() == 0 || used(label) {
                continue;
            }
            *classes &= !class.bit();
            if let Some(count) = self.counts.get_mut(usize::from(class.0)) {
                *count -= 1;
            }
            if *classes == 0 {
                self.numbers.remove(name);
                *place = None;
                self.free.push(label);
            }
        }
    }

    fn kept(&self, label: Label) -> Option<&Name> {
        self.names.get(label.0 as usize)?.as_ref()
    }

    fn is_of(&self, label: Label, class: Class) -> bool {
        self.kept(label).is_some_and(|Name(_, classes)| classes & class.bit() != 0)
    }

    /// Makes a string one of a class, where that has room; it may be `known` as one of another.
    fn admit(&mut self, class: Class, name: &str, known: Option<Label>) -> Option<Label> {
        let count = self.counts.get_mut(usize::from(class.0))?;
        if *count >= MAX_OF_A_CLASS {
            return None;
        }
        let label = match known.or_else(|| self.free.pop()) {
            Some(label) => label,
            None => {
                let label = Label(u32::try_from(self.names.len()).ok()?);
                self.names.push(None);
                label
            }
        };
        let place = self.names.get_mut(label.0 as usize)?;
        let Name(_, classes) = place.get_or_insert_with(|| Name(name.into(), 0));
        *classes |= class.bit();
        *count += 1;
        if known.is_none() {
            self.numbers.insert(name.into(), label);
        }
        Some(label)
    }
}

impl TryFrom<Vec<Option<Name>>> for Labels {
    type Error = &'static str;

    /// The labels with these names, which keep their numbers.
    fn try_from(names: Vec<Option<Name>>) -> Result<Labels, &'static str> {
        let mut labels = Labels::default();
        let (first, others) = names.split_at_checked(labels.names.len()).ok_or("labels are cut")?;
        if first != labels.names {
            return Err("its labels are in another order");
        }
        for name in others {
            let label = Label(u32::try_from(labels.names.len()).map_err(|_| "too many labels")?);
            match name {
                Some(Name(name, classes)) => {
                    if labels.numbers.insert(name.clone(), label).is_some() {
                        return Err("two of its labels have the same name");
                    }
                    for (class, count) in (0..).zip(&mut labels.counts) {
                        *count += usize::from(classes & Class(class).bit() != 0);
                    }
                }
                None => labels.free.push(label),
            }
            labels.names.push(name.clone());
        }
        Ok(labels)
    }
}

impl From<Labels> for Vec<Option<Name>> {
    fn from(labels: Labels) -> Vec<Option<Name>> {
        labels.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: Class = Class::numbered(0);
    const TAG: Class = Class::numbered(7);

    fn saved_and_read(labels: &Labels) -> Labels {
        let json = serde_json::to_string(labels).expect("JSON");
        serde_json::from_str(&json).expect("labels")
    }

    #[test]
    fn a_label_is_cut_at_whole_characters() {
        let mut labels = Labels::default();
        let long = labels.label(MODEL, &"é".repeat(200));
        assert_eq!(labels.name(long), "é".repeat(128));
        assert_eq!(labels.label(MODEL, &"é".repeat(129)), long);
    }

    #[test]
    fn no_more_labels_of_a_class_are_kept_than_fit() {
        let mut labels = Labels::default();
        let first = labels.label(TAG, "first");
        for number in 0..2 * MAX_OF_A_CLASS {
            labels.label(TAG, &number.to_string());
        }
        assert_eq!(labels.names.len(), MAX_OF_A_CLASS + 2);
        assert_eq!(labels.label(TAG, "first"), first);
        assert_eq!(labels.label(TAG, "one more"), Label::OTHER);
        assert_eq!(labels.name(Label::OTHER), "other");
        let model = labels.label(MODEL, "gpt-4o");
        assert_eq!(labels.name(model), "gpt-4o", "made-up tags do not push out models");
    }

    #[test]
    fn a_string_may_be_of_several_classes() {
        let mut labels = Labels::default();
        let label = labels.label(MODEL, "both");
        assert_eq!(labels.label(TAG, "both"), label);
        labels.forget_unused(TAG, |_| false);
        assert_eq!(labels.label(MODEL, "both"), label);
        assert_eq!(labels.name(label), "both");
    }

    #[test]
    fn what_is_not_used_makes_room() {
        let mut labels = Labels::default();
        let tags: Vec<Label> =
            (0..MAX_OF_A_CLASS).map(|number| labels.label(TAG, &number.to_string())).collect();
        labels.forget_unused(TAG, |label| label == tags[3]);
        labels = saved_and_read(&labels);
        assert_eq!((labels.counts[7], labels.label(TAG, "3")), (1, tags[3]));
        for number in 0..MAX_OF_A_CLASS {
            labels.label(TAG, &format!("new {number}"));
        }
        assert_eq!((labels.counts[7], labels.names.len()), (MAX_OF_A_CLASS, MAX_OF_A_CLASS + 2));
        assert_eq!(labels.label(TAG, "one more"), Label::OTHER);
    }

    #[test]
    fn labels_keep_their_numbers_in_the_state_file() {
        let mut labels = Labels::default();
        let made = ["a", "b", "c"].map(|name| labels.label(TAG, name));
        labels.forget_unused(TAG, |label| label != made[1]);
        let mut read = saved_and_read(&labels);
        assert_eq!(made.map(|label| read.name(label).to_owned()), ["a", "unknown", "c"]);
        assert_eq!(read.label(MODEL, "d"), made[1], "the number that has become free");
        for unusable in ["[]", r#"[["unknown",0],["x",1]]"#] {
            assert!(serde_json::from_str::<Labels>(unusable).is_err(), "{unusable}");
        }
        let twice = r#"[["unknown",0],["other",0],["x",1],["x",2]]"#;
        assert!(serde_json::from_str::<Labels>(twice).is_err());
    }

    #[test]
    fn what_has_no_name_is_unknown() {
        let mut labels = Labels::default();
        assert_eq!(labels.label_or_unknown(MODEL, None), Label::UNKNOWN);
        assert_eq!(labels.label(MODEL, "unknown"), Label::UNKNOWN);
        assert_eq!(labels.label(MODEL, "other"), Label::OTHER);
        assert_eq!(labels.name(Label::UNKNOWN), "unknown");
    }
}
