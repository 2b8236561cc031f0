//! The applications that can be watched.

pub mod librechat;

use std::sync::Arc;

use crate::engine::source::{Kind, Watched};
use crate::settings::Reader;

/// All kinds of sources, in the order of `--help`.
pub const ALL: &[&Kind] = &[&librechat::KIND];

/// The kind that is on where no address of any source is given.
const WITHOUT_ADDRESS: &Kind = &librechat::KIND;

/// Reads the settings of the sources that are on: those whose address is given. `None` if one is wrong.
pub fn read(reader: &mut Reader) -> Option<Vec<Arc<dyn Watched>>> {
    let given = ALL.iter().filter(|kind| (kind.is_given)(reader));
    let mut on: Vec<&Kind> = given.copied().collect();
    if on.is_empty() {
        on.push(WITHOUT_ADDRESS);
    }
    // Every source is read, so that everything that is wrong is told at once.
    let read: Vec<Option<Arc<dyn Watched>>> =
        on.into_iter().map(|kind| (kind.read)(reader)).collect();
    read.into_iter().collect()
}
