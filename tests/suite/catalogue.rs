//! Every family is described once, tested, and in the README.

use std::path::Path;

use usage_exporter::exposition::{Description, own as exporter};
use usage_exporter::sources::librechat::{self, groups::Groups};

fn families() -> impl Iterator<Item = &'static Description> {
    librechat::families().chain(exporter::ALL)
}

fn text_below(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            text.push_str(&text_below(&path));
        } else {
            text.push_str(&std::fs::read_to_string(&path).expect("text"));
        }
    }
    text
}

#[test]
fn every_family_has_a_row_in_the_readme_with_its_type_and_labels() {
    let root = env!("CARGO_MANIFEST_DIR");
    let readme = std::fs::read_to_string(format!("{root}/README.md")).expect("the README");
    let mut missing = Vec::new();
    for family in families() {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let row = format!(
            "| `{}` | {} | {} | {} |",
            family.name,
            family.kind.as_str(),
            labels.join(", "),
            family.help
        );
        if !readme.contains(&row) {
            missing.push(row);
        }
    }
    assert!(missing.is_empty(), "rows missing in README.md:\n{}", missing.join("\n"));
}

/// What a scan makes of documents may be tested at the end of its own file.
fn tests_of_scans(root: &Path) -> String {
    let files = std::fs::read_dir(root.join("src/sources/librechat/scans")).expect("a folder");
    let files = files.map(|file| std::fs::read_to_string(file.expect("a file").path()));
    let texts = files.map(|text| text.expect("text"));
    texts.filter_map(|text| Some(text.split_once("#[cfg(test)]")?.1.to_owned())).collect()
}

#[test]
fn every_family_is_in_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = text_below(&root.join("tests/suite")) + &tests_of_scans(root);
    for family in families() {
        assert!(tests.contains(&*family.name), "{} is in no test", family.name);
    }
}

#[test]
fn every_family_is_of_groups_that_can_be_switched_on() {
    for family in librechat::families() {
        for group in family.groups {
            assert!(Groups::all().has(group), "{}: {group}", family.name);
        }
    }
}

#[test]
fn names_are_unique_and_counters_end_in_total() {
    let mut names = std::collections::BTreeSet::new();
    for family in families() {
        assert!(names.insert(&family.name), "{} is described twice", family.name);
        let counter = family.kind.as_str() == "counter";
        assert!(!counter || family.name.ends_with("_total"), "{}", family.name);
    }
}
