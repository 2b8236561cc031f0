//! Which source says what under which name. A name belongs to one: nobody could tell two apart.

use std::collections::HashMap;

use crate::exposition::description::{Description, Kind};

/// Two say different things under one name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{owner} has a metric {name} {why} of {other}: one of them needs another name")]
pub struct Conflict {
    owner: String,
    name: String,
    why: String,
    other: String,
}

/// Who has a name, and as what.
struct Claim<'a> {
    owner: &'a str,
    description: &'a Description,
}

/// Checks that no name is claimed twice with another type, help or labels, and that the samples of no family have
/// the name of another one.
///
/// # Errors
///
/// Names the first two that cannot be together.
pub fn check<'a>(
    claims: impl IntoIterator<Item = (&'a str, &'a Description)>,
) -> Result<(), Conflict> {
    let mut names: HashMap<String, Claim<'a>> = HashMap::new();
    for (owner, description) in claims {
        for name in names_of(description) {
            let Some(earlier) = names.get(&name) else {
                names.insert(name, Claim { owner, description });
                continue;
            };
            let Some(difference) = difference(earlier.description, description) else { continue };
            let why = if earlier.description.name == description.name {
                format!("with another {difference} than that")
            } else {
                format!("whose lines {name} are also those of {}", earlier.description.name)
            };
            let (name, other) = (description.name.clone().into_owned(), earlier.owner.to_owned());
            return Err(Conflict { owner: owner.to_owned(), name, why, other });
        }
    }
    Ok(())
}

fn difference(one: &Description, other: &Description) -> Option<&'static str> {
    if one.name != other.name {
        Some("name")
    } else if one.kind != other.kind {
        Some("type")
    } else if one.help != other.help {
        Some("help")
    } else if one.labels != other.labels {
        Some("labels")
    } else {
        None
    }
}

/// The names that the lines of a family have in either format.
fn names_of(description: &Description) -> Vec<String> {
    let name = &*description.name;
    let parts: &[&str] = match description.kind {
        Kind::Counter | Kind::Gauge | Kind::Info | Kind::Unknown => &[],
        Kind::Histogram => &["_bucket", "_count", "_sum", "_created"],
        Kind::Summary => &["_count", "_sum", "_created"],
    };
    let base = match description.kind {
        Kind::Counter => name.strip_suffix("_total"),
        Kind::Info => name.strip_suffix("_info"),
        Kind::Gauge | Kind::Histogram | Kind::Summary | Kind::Unknown => None,
    };
    let created = base.filter(|_| description.kind == Kind::Counter);
    let created = created.map(|base| format!("{base}_created"));
    let parts = parts.iter().map(|part| format!("{name}{part}"));
    parts.chain([name.to_owned()]).chain(base.map(str::to_owned)).chain(created).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::catalogue! {
        SHARED: Gauge "tested" ["name"] () "A family.";
        OTHER_KIND: Unknown "tested" ["name"] () "A family.";
        OTHER_HELP: Gauge "tested" ["name"] () "Another family.";
        OTHER_LABELS: Gauge "tested" [] () "A family.";
        COUNTED: Counter "tested_total" [] () "A counter.";
        TIMED: Histogram "tested_seconds" [] () "A histogram.";
        COUNT: Gauge "tested_seconds_count" [] () "A gauge.";
    }

    fn checked(one: &Description, other: &Description) -> Option<String> {
        check([("one", one), ("other", other)]).err().map(|conflict| conflict.to_string())
    }

    #[test]
    fn what_is_described_alike_may_come_from_two() {
        assert_eq!(checked(&SHARED, &SHARED), None);
        assert_eq!(checked(&COUNTED, &TIMED), None);
    }

    #[test]
    fn a_name_with_two_meanings_is_refused_with_both_owners() {
        for (other, difference) in
            [(&OTHER_KIND, "type"), (&OTHER_HELP, "help"), (&OTHER_LABELS, "labels")]
        {
            let expected = format!(
                "other has a metric tested with another {difference} than that of one: one of them \
                 needs another name"
            );
            assert_eq!(checked(&SHARED, other), Some(expected));
        }
    }

    #[test]
    fn the_lines_of_a_family_are_its_own() {
        let told = checked(&TIMED, &COUNT).expect("a conflict");
        assert!(told.contains("whose lines tested_seconds_count are also those of tested_seconds"));
        assert!(checked(&SHARED, &COUNTED).is_some(), "OpenMetrics calls both tested");
    }
}
