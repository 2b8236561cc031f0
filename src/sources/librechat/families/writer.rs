//! How the families of LibreChat are written.

use rustc_hash::FxHashMap;
use tracing::debug;

use crate::exposition::FamilyWriter;
use crate::exposition::own::MALFORMED_FIELDS;
use crate::exposition::series::{Labels, Shown};
use crate::sources::librechat::documents::field::Field;
use crate::sources::librechat::groups::Groups;

/// A writer for families of `groups`, each with at most `max_series` label sets, of which this was `shown`
/// before. Corrections in the database make sums smaller, which must not show.
pub fn writer(groups: &Groups, max_series: usize, shown: Shown) -> FamilyWriter {
    let groups = groups.clone();
    FamilyWriter::new(max_series, shown)
        .only(move |description| groups.show(description))
        .never_falling()
}

/// Adds how often each field of a collection could not be used. The log names each once, and never a
/// value, which may be of a person.
pub fn malformed(writer: &mut FamilyWriter, collection: &str, counts: &FxHashMap<Field, u64>) {
    let mut samples: Vec<(Labels, f64)> = Vec::new();
    for (field, count) in counts.iter().filter(|(_, count)| **count > 0) {
        let labels = vec![collection.to_owned(), field.to_string()];
        if !writer.shown().has_shown(&MALFORMED_FIELDS, &labels) {
            let field = field.path();
            debug!(collection, field, "values of an unexpected type or range are skipped");
        }
        samples.push((labels, *count as f64));
    }
    samples.sort_by(|(one, _), (other, _)| one.cmp(other));
    writer.series(&MALFORMED_FIELDS, samples);
}
