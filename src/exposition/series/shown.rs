//! What was shown of each family.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::exposition::series::Labels;

/// After how many days a label set that was not there any more is forgotten. Until then a counter that comes
/// back goes on from where it was.
const DAYS_REMEMBERED: i64 = 30;

/// What must survive a restart, by the name of the family.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Shown {
    /// The highest value of each series of a counter.
    #[serde(serialize_with = "as_lists", deserialize_with = "of_lists")]
    highest: ByLabels<f64>,
    /// The label sets that are not folded into `other` or left out, where some are.
    admitted: HashMap<String, HashSet<Labels>>,
    /// Since which day those of `highest` have been absent that are.
    #[serde(default, serialize_with = "as_lists", deserialize_with = "of_lists")]
    absent: ByLabels<i64>,
    /// Since which day those of `admitted` have been absent that are.
    #[serde(default, serialize_with = "as_lists", deserialize_with = "of_lists")]
    absent_admitted: ByLabels<i64>,
}

impl Shown {
    /// Whether a series of a family has shown a highest value.
    pub(super) fn has_highest(&self, family: &str, labels: &Labels) -> bool {
        self.highest.get(family).is_some_and(|highest| highest.contains_key(labels))
    }

    /// The highest value that a series of a family has shown, which is at least `value` now; and whether that is
    /// new.
    pub(super) fn highest(&mut self, family: &str, labels: &Labels, value: f64) -> (f64, bool) {
        if !self.highest.contains_key(family) {
            self.highest.insert(family.to_owned(), HashMap::new());
        }
        let Some(highest) = self.highest.get_mut(family) else { return (value, false) };
        let Some(shown) = highest.get_mut(labels) else {
            highest.insert(labels.clone(), value);
            return (value, true);
        };
        let is_new = *shown < value;
        *shown = shown.max(value);
        (*shown, is_new)
    }

    /// Forgets the highest values of what was absent for long; `given` is what is there now. Whether anything is
    /// other than it was.
    pub(super) fn forget_highest(
        &mut self,
        family: &str,
        given: &HashSet<Labels>,
        today: i64,
    ) -> bool {
        let Some(highest) = self.highest.get_mut(family) else { return false };
        let gone = gone(&mut self.absent, family, highest.keys(), given, today);
        let Some(gone) = gone else { return false };
        highest.retain(|labels, _| !gone.contains(labels));
        true
    }

    /// The label sets of a family that are not folded or left out.
    pub(super) fn admitted(&mut self, family: &str) -> &mut HashSet<Labels> {
        self.admitted.entry(family.to_owned()).or_default()
    }

    /// Forgets of these what was absent for long, likewise.
    pub(super) fn forget_admitted<'a>(
        &mut self,
        family: &str,
        given: impl Iterator<Item = &'a Labels>,
        today: i64,
    ) -> bool {
        let Some(admitted) = self.admitted.get_mut(family) else { return false };
        let given = given.cloned().collect();
        let gone = gone(&mut self.absent_admitted, family, admitted.iter(), &given, today);
        let Some(gone) = gone else { return false };
        admitted.retain(|labels| !gone.contains(labels));
        true
    }

    #[cfg(test)]
    pub(super) fn is_complete(&self, family: &str) -> bool {
        self.absent.get(family).is_none_or(HashMap::is_empty)
    }
}

/// Notes which of the known label sets of a family are absent, and tells which have been for long. `None` if
/// nothing is other than it was.
fn gone<'a>(
    absent: &mut ByLabels<i64>,
    family: &str,
    known: impl Iterator<Item = &'a Labels>,
    given: &HashSet<Labels>,
    today: i64,
) -> Option<HashSet<Labels>> {
    let mut missing = known.filter(|labels| !given.contains(*labels)).peekable();
    if missing.peek().is_none() {
        return absent.remove(family).map(|_| HashSet::new());
    }
    let since = absent.entry(family.to_owned()).or_default();
    let before = since.len();
    since.retain(|labels, _| !given.contains(labels));
    let mut changed = since.len() != before;
    let mut gone = HashSet::new();
    for labels in missing {
        match since.get(labels) {
            None => {
                since.insert(labels.clone(), today);
                changed = true;
            }
            Some(day) if today - day >= DAYS_REMEMBERED => {
                gone.insert(labels.clone());
            }
            Some(_) => {}
        }
    }
    since.retain(|labels, _| !gone.contains(labels));
    (changed || !gone.is_empty()).then_some(gone)
}

type ByLabels<T> = HashMap<String, HashMap<Labels, T>>;

/// The series of each family as a list: label values cannot be the keys of a JSON object.
fn as_lists<T: Serialize, S: Serializer>(
    families: &ByLabels<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let lists = families.iter().map(|(family, series)| (family, Vec::from_iter(series)));
    serializer.collect_map(lists)
}

fn of_lists<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ByLabels<T>, D::Error> {
    let lists: HashMap<String, Vec<(Labels, T)>> = HashMap::deserialize(deserializer)?;
    Ok(lists.into_iter().map(|(family, series)| (family, series.into_iter().collect())).collect())
}
