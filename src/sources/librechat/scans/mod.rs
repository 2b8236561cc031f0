//! What is told of collections whose documents change and go, so that they are looked through now and then.
//!
//! Each scan is a file: its families, the fields that it reads, and what it makes of them. Its line in the
//! list below is all that the rest of the program has of it;
//! [`collectors::scan`](crate::sources::librechat::collectors::scan) asks. CONTRIBUTING.md adds one.

use chrono::{DateTime, Utc};
use mongodb::bson::{Document, RawBsonRef, RawDocument};

use crate::exposition::Description;
use crate::exposition::family_writer::FamilyWriter;
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::documents::value;
use crate::sources::librechat::memory::Memory;
use crate::sources::librechat::settings::Settings;

/// Declares the modules of scans, and `ALL` with the `SCAN` of each.
macro_rules! scans {
    ($($file:ident,)*) => {
        $(pub mod $file;)*

        /// Every scan.
        pub static ALL: &[Listed] = &[$($file::SCAN),*];
    };
}

scans! {
    agents,
    balances,
    banners,
    files,
    sessions,
    shared_links,
    users,
}

/// A scan in the list of all.
pub struct Listed {
    /// The name of its collector.
    pub name: &'static str,
    /// The name of the collection.
    pub collection: &'static str,
    /// Its families. It is made where one of them is exported.
    pub families: &'static [Description],
    /// Makes it.
    pub make: fn(&Settings, &Memory) -> Box<dyn Scan>,
    also_for: fn(&Settings) -> bool,
}

impl Listed {
    /// A scan of a collection that is made where one of its families is exported.
    pub const fn new(
        name: &'static str,
        collection: &'static str,
        families: &'static [Description],
        make: fn(&Settings, &Memory) -> Box<dyn Scan>,
    ) -> Listed {
        Listed { name, collection, families, make, also_for: |_| false }
    }

    /// The same, made also where `settings` need it for something else than its families.
    pub const fn also_for(self, settings: fn(&Settings) -> bool) -> Listed {
        Listed { also_for: settings, ..self }
    }

    /// Whether it is made.
    pub fn is_wanted(&self, settings: &Settings) -> bool {
        self.families.iter().any(|family| settings.groups.show(family)) || (self.also_for)(settings)
    }
}

/// What a collection is asked for.
pub trait Scan: Send {
    /// The fields of documents that it reads. Each is a key of the document.
    fn fields(&self) -> Vec<Field>;

    /// Forgets what it was told, because all documents are read again.
    fn begin(&mut self, now: DateTime<Utc>);

    /// Adds a document.
    fn add(&mut self, document: &RawDocument, malformed: &mut Malformed);

    /// Writes its families.
    fn show(&mut self, writer: &mut FamilyWriter);
}

/// The families of all scans.
pub fn families() -> impl Iterator<Item = &'static Description> {
    ALL.iter().flat_map(|listed| listed.families)
}

/// What MongoDB is asked to send of these fields.
pub fn projection(fields: &[Field]) -> Document {
    fields.iter().map(|field| (field.to_string(), 1.into())).collect()
}

/// The value of a key; none where the bytes of the document are broken, which is noted.
fn get<'a>(
    document: &'a RawDocument,
    field: &Field,
    malformed: &mut Malformed,
) -> Option<RawBsonRef<'a>> {
    value::value_in(document, field.path(), field, malformed)
}

/// The text of a key, where it is not empty.
fn text<'a>(
    document: &'a RawDocument,
    field: &Field,
    malformed: &mut Malformed,
) -> Option<&'a str> {
    value::text_in(document, field.path(), field, malformed)
}

/// The time of a key.
fn time(document: &RawDocument, field: &Field, malformed: &mut Malformed) -> Option<DateTime<Utc>> {
    value::time(get(document, field, malformed)?, field, malformed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mongodb::bson::RawDocumentBuf;

    use super::*;
    use crate::exposition::series::Shown;
    use crate::exposition::text;
    use crate::sources::librechat::families::writer::writer;
    use crate::sources::librechat::groups::Groups;

    /// The samples that a scan makes of documents, as the page has them.
    pub fn samples(mut scan: impl Scan, documents: &[Document]) -> Vec<String> {
        scan.begin(DateTime::UNIX_EPOCH);
        for document in documents {
            let document = RawDocumentBuf::try_from(document).expect("a document of a test");
            scan.add(&document, &mut Malformed::default());
        }
        let mut writer = writer(&Groups::all(), 1_000, Shown::default());
        scan.show(&mut writer);
        let mut page = String::new();
        for family in writer.finish().as_slice() {
            text::write_family(family, &mut page);
        }
        page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn names_of_collectors_are_unique_and_every_scan_has_families() {
        let names: BTreeSet<&str> = ALL.iter().map(|listed| listed.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.iter().all(|listed| !listed.families.is_empty()));
    }
}
