//! The fields of documents that are read, and which of them could not be used.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A field, by its path in the document. Whoever reads a document names the fields that it reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Field(Cow<'static, str>);

impl Field {
    /// The field with this path.
    pub const fn at(path: &'static str) -> Field {
        Field(Cow::Borrowed(path))
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Field {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.path())
    }
}

/// A set of fields that could not be used, in the order of their paths.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Field>", into = "Vec<Field>")]
pub struct Malformed(Vec<Field>);

impl Malformed {
    /// Notes that a field could not be used.
    pub fn note(&mut self, field: &Field) {
        if let Err(place) = self.0.binary_search(field) {
            self.0.insert(place, field.clone());
        }
    }

    /// Whether a field is noted.
    pub fn contains(&self, field: &Field) -> bool {
        self.0.binary_search(field).is_ok()
    }

    /// Whether no field is noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields noted.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.0.iter()
    }
}

impl From<Vec<Field>> for Malformed {
    fn from(fields: Vec<Field>) -> Malformed {
        let mut malformed = Malformed::default();
        fields.iter().for_each(|field| malformed.note(field));
        malformed
    }
}

impl From<Malformed> for Vec<Field> {
    fn from(malformed: Malformed) -> Vec<Field> {
        malformed.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_any_number_of_fields_and_each_once() {
        let fields: Vec<Field> =
            (0..200).map(|number| Field(Cow::Owned(format!("field{number}")))).collect();
        let mut malformed = Malformed::default();
        for field in fields.iter().chain(&fields) {
            malformed.note(field);
        }
        assert_eq!(malformed.fields().count(), 200);
        assert!(fields.iter().all(|field| malformed.contains(field)));
        assert!(!malformed.contains(&Field::at("another")));
    }

    #[test]
    fn a_field_is_saved_as_its_path() {
        let malformed = Malformed::from(vec![Field::at("content.type"), Field::at("content")]);
        let json = serde_json::to_string(&malformed).expect("JSON");
        assert_eq!(json, r#"["content","content.type"]"#);
        assert_eq!(serde_json::from_str::<Malformed>(&json).expect("fields"), malformed);
    }
}
