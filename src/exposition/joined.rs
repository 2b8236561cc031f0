//! Families of one name that several collectors have, as one family.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};

use crate::exposition::family::Family;

/// What one collector has of a family.
#[derive(Debug, Clone)]
pub struct Part {
    /// The collector.
    pub collector: Arc<str>,
    /// Its family.
    pub family: Arc<Family>,
    /// When it began to count, where that is known.
    pub since: Option<DateTime<Utc>>,
    /// From then on it is too old to be shown; `None`: it never is.
    pub stale_at: Option<Instant>,
}

/// The parts that can be shown as one family: of one type, help and labels, no label set twice.
#[derive(Debug)]
pub struct Joined {
    /// Never empty.
    parts: Vec<Part>,
}

impl Joined {
    /// The name of the family.
    pub fn name(&self) -> &str {
        self.parts.first().map_or("", |part| part.family.name())
    }

    /// The family of the parts that are not stale, and when the first of them began to count; none if all are
    /// stale.
    pub fn at(&self, now: Instant) -> Option<(Cow<'_, Family>, Option<DateTime<Utc>>)> {
        let fresh = |part: &&Part| part.stale_at.is_none_or(|stale_at| now < stale_at);
        let mut parts = self.parts.iter().filter(fresh);
        let first = parts.next()?;
        let (mut family, mut since) = (Cow::Borrowed(&*first.family), first.since);
        for part in parts {
            family.to_mut().extend(part.family.samples().iter().cloned());
            since = since.into_iter().chain(part.since).min();
        }
        Some((family, since))
    }
}

/// The families that are made of these parts, in the order of the names, and what cannot be shown. What comes
/// earlier goes before what comes later, also while it is stale: else a series would change its meaning
/// whenever a collector fails.
pub fn joined(mut parts: Vec<Part>) -> (Vec<Joined>, Vec<String>) {
    let mut refused = Vec::new();
    for part in &parts {
        let (name, left_out) = (part.family.name(), part.family.left_out());
        if left_out > 0 {
            let collector = &part.collector;
            refused.push(format!(
                "samples of {name} by {collector} come twice or do not fit: left out"
            ));
        }
    }
    parts.sort_by(|one, other| one.family.name().cmp(other.family.name()));
    let mut families: Vec<Joined> = Vec::new();
    for part in parts {
        match families.last_mut().filter(|last| last.name() == part.family.name()) {
            None => families.push(Joined { parts: vec![part] }),
            Some(family) => refused.extend(add(family, part)),
        }
    }
    (families, refused)
}

/// Adds a part as far as it fits to those that are there, and says what does not.
fn add(joined: &mut Joined, mut part: Part) -> Option<String> {
    let first = joined.parts.first()?;
    let (name, collector) = (part.family.name().to_owned(), Arc::clone(&part.collector));
    if let Some(difference) = first.family.difference(&part.family) {
        let other = &first.collector;
        return Some(format!(
            "{name} by {collector} has another {difference} than by {other}: left out"
        ));
    }
    let there: HashSet<&[String]> = joined
        .parts
        .iter()
        .flat_map(|part| part.family.samples().iter().map(|sample| &*sample.labels))
        .collect();
    let is_new = |labels: &[String]| !there.contains(labels);
    if part.family.samples().iter().all(|sample| is_new(&sample.labels)) {
        joined.parts.push(part);
        return None;
    }
    part.family = Arc::new(part.family.only(is_new));
    joined.parts.push(part);
    Some(format!("label sets of {name} by {collector} are there already: left out"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exposition::description::{Description, Kind};
    use crate::exposition::families::Families;

    crate::catalogue! {
        SHARED: Gauge "tested_shared" ["name"] () "A family of several.";
        OTHER_KIND: Counter "tested_shared" ["name"] () "A family of several.";
        OTHER_HELP: Gauge "tested_shared" ["name"] () "Another family.";
        OTHER_LABELS: Gauge "tested_shared" ["names"] () "A family of several.";
        BEFORE: Gauge "tested_before" [] () "A family of one.";
    }

    fn part(collector: &str, description: &Description, names: &[&str]) -> Part {
        let mut families = Families::default();
        let value = collector.len() as f64;
        families.series(description, names.iter().map(|name| (Vec::from_iter(Some(*name)), value)));
        Part {
            collector: collector.into(),
            family: Arc::clone(&families.as_slice()[0]),
            since: None,
            stale_at: None,
        }
    }

    fn names(family: &Joined, now: Instant) -> Vec<String> {
        let (family, _) = family.at(now).expect("a fresh part");
        assert_eq!(family.left_out(), 0);
        family.samples().iter().map(|sample| sample.labels[0].clone()).collect()
    }

    #[test]
    fn parts_are_joined_without_what_is_there_already() {
        let parts = vec![part("one", &SHARED, &["a", "b"]), part("three", &SHARED, &["b", "c"])];
        let (families, refused) = joined(parts);
        assert_eq!(refused, ["label sets of tested_shared by three are there already: left out"]);
        assert_eq!(families.len(), 1);
        assert_eq!(names(&families[0], Instant::now()), ["a", "b", "c"]);
    }

    #[test]
    fn what_says_something_else_under_the_name_is_left_out() {
        for (other, difference) in
            [(&OTHER_KIND, "type"), (&OTHER_HELP, "help"), (&OTHER_LABELS, "labels")]
        {
            let (families, refused) =
                joined(vec![part("one", &SHARED, &["a"]), part("other", other, &["b"])]);
            let expected =
                format!("tested_shared by other has another {difference} than by one: left out");
            assert_eq!(refused, [expected]);
            assert_eq!(names(&families[0], Instant::now()), ["a"]);
            assert_eq!(families[0].parts[0].family.kind(), Kind::Gauge);
        }
    }

    #[test]
    fn a_stale_part_is_not_there_and_takes_nothing_over() {
        let mut old = part("one", &SHARED, &["a"]);
        let now = Instant::now();
        old.stale_at = Some(now);
        let parts = vec![old, part("other", &SHARED, &["a", "b"])];
        let (families, _) = joined(parts);
        assert_eq!(names(&families[0], now), ["b"]);
        assert!(
            now.checked_sub(Duration::from_secs(1))
                .is_none_or(|earlier| { names(&families[0], earlier) == ["a", "b"] })
        );
    }

    #[test]
    fn families_come_in_the_order_of_their_names() {
        let mut before = Families::default();
        before.value(&BEFORE, 1.0);
        let mut last = part("one", &SHARED, &["a"]);
        last.family = Arc::clone(&before.as_slice()[0]);
        let (families, _) = joined(vec![part("other", &SHARED, &["a"]), last]);
        let names: Vec<&str> = families.iter().map(Joined::name).collect();
        assert_eq!(names, ["tested_before", "tested_shared"]);
    }
}
