//! What the tests put everywhere that must never be told: passwords, tokens, people and their texts.
//!
//! Everything that a process of the tests prints, serves or writes is searched for it.

use std::path::Path;

/// Parts of passwords, of the fixtures' people and texts, and a mark of texts of other tests.
const PLANTED: [&str; 12] = [
    "hunter2",
    "s3cret-token",
    "root-secret",
    "exporter-secret",
    "wrong-secret",
    "reader-secret",
    "hush",
    "@example.org",
    "a question",
    "an answer",
    "Something went wrong",
    "half an an",
];

/// Fails if something planted is in a text.
pub fn assert_tells_none(text: &str, place: &str) {
    for planted in PLANTED {
        assert!(!text.contains(planted), "{planted:?} in {place}:\n{text}");
    }
}

/// Fails if something planted is in the state file, or in one that was moved aside.
pub fn assert_state_tells_none(state: &Path) {
    let Some(folder) = state.parent() else { return };
    let Ok(files) = std::fs::read_dir(folder) else { return };
    for file in files.filter_map(Result::ok) {
        // It may be replaced at this moment, or not be readable on purpose.
        let Ok(bytes) = std::fs::read(file.path()) else { continue };
        assert_tells_none(&String::from_utf8_lossy(&bytes), &file.path().display().to_string());
    }
}
