//! The sections of the state file, each with a version of its own.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A section of the state file, as this version of the exporter reads and writes it.
pub struct Part {
    /// Its name: that of the source, a slash, and what of the source it holds.
    pub name: &'static str,
    /// The version of what it holds.
    pub version: u32,
    /// Makes of the JSON of version `from` that of the version after it, or says why that cannot be.
    pub upgrade: fn(from: u32, json: Value) -> Result<Value, String>,
}

/// The upgrade of a section that never had another version.
///
/// # Errors
///
/// Always: there is nothing to upgrade from.
pub fn no_older_version(from: u32, _: Value) -> Result<Value, String> {
    Err(format!("there never was a version {from}"))
}

/// Why a part of the state cannot be used, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// A part of the state as JSON.
#[derive(Debug)]
pub struct Section {
    pub(super) name: &'static str,
    pub(super) stored: Stored,
}

/// What is written of a section.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) version: u32,
    pub(super) content: Box<RawValue>,
}

/// A part of the state as JSON.
///
/// # Errors
///
/// If `state` has a map whose keys are no strings.
pub fn encode<T: Serialize>(part: &Part, state: &T) -> serde_json::Result<Section> {
    let content = serde_json::value::to_raw_value(state)?;
    Ok(Section { name: part.name, stored: Stored { version: part.version, content } })
}

impl Part {
    /// What was stored of it.
    pub(super) fn decode<T: DeserializeOwned>(&self, stored: &Stored) -> Result<T, Unusable> {
        self.try_decode(stored)
            .map_err(|why| Unusable(format!("the section {} cannot be read: {why}", self.name)))
    }

    fn try_decode<T: DeserializeOwned>(&self, stored: &Stored) -> Result<T, String> {
        let json = stored.content.get();
        if stored.version == self.version {
            return serde_json::from_str(json).map_err(|error| error.to_string());
        }
        if stored.version > self.version {
            return Err(format!(
                "its version {} is that of a later exporter; this one knows up to {}",
                stored.version, self.version
            ));
        }
        let mut json: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        for from in stored.version..self.version {
            json = (self.upgrade)(from, json)?;
        }
        serde_json::from_value(json).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PART: Part = Part { name: "tested/part", version: 3, upgrade };

    /// Version 1 was a number, version 2 a list of it, and version 3 has a name for the list.
    fn upgrade(from: u32, json: Value) -> Result<Value, String> {
        match from {
            1 => Ok(json!([json])),
            2 => Ok(json!({ "numbers": json })),
            _ => no_older_version(from, json),
        }
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Numbers {
        numbers: Vec<u32>,
    }

    fn decoded(version: u32, json: &str) -> Result<Numbers, String> {
        let content = RawValue::from_string(json.to_owned()).expect("JSON");
        PART.decode(&Stored { version, content }).map_err(|unusable| unusable.0)
    }

    #[test]
    fn every_earlier_version_is_brought_up_step_by_step() {
        for (version, json) in [(1, "7"), (2, "[7]"), (3, r#"{"numbers":[7]}"#)] {
            assert_eq!(decoded(version, json), Ok(Numbers { numbers: vec![7] }));
        }
    }

    #[test]
    fn what_cannot_be_read_says_which_section_and_why() {
        for (version, json, why) in [
            (0, "7", "never was a version 0"),
            (2, "7", "expected a sequence"),
            (3, "7", "invalid type"),
            (4, "{}", "version 4 is that of a later exporter; this one knows up to 3"),
        ] {
            let told = decoded(version, json).expect_err("an error");
            assert!(told.contains("tested/part") && told.contains(why), "{told}");
        }
    }
}
