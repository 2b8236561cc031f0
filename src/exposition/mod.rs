//! What a metric is called and means, and the page on which it is read.
//!
//! * [`description`]: one description per metric family, from which names, types, help and labels come;
//! * [`family`]: a family with its samples; [`families`]: those of one refresh, and [`chart`]s for people;
//! * [`family_writer`]: writes the families of a collector; [`series`]: what a series may never do: fall, if
//!   that is asked for, or multiply without bound;
//! * [`claims`]: which source has which name;
//! * [`text`], [`open_metrics`]: the formats in which families are written, with [`format`](mod@format) for both;
//!   [`parse`]: how they are read;
//! * [`snapshot`]: the families of all collectors as a scrape sees them; [`joined`]: those of one name;
//! * [`own`]: the families in which the exporter tells about itself;
//! * [`labels`]: label values that come again and again, kept once.

pub mod chart;
pub mod claims;
pub mod description;
pub mod families;
pub mod family;
pub mod family_writer;
pub mod format;
pub mod joined;
pub mod labels;
pub mod open_metrics;
pub mod own;
pub mod parse;
pub mod series;
pub mod snapshot;
pub mod text;

pub use description::{Description, Kind};
pub use families::Families;
pub use family::{Distribution, Family};
pub use family_writer::FamilyWriter;
pub use format::Format;
pub use own::ExporterMetrics;
pub use series::Series;
pub use snapshot::{Page, Snapshot};
