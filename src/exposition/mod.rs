//! What a metric is called and means, and the page on which it is read.
//!
//! * [`description`]: one description per metric family, from which names, types, help and labels come;
//! * [`chart`]: pictures for people;
//! * [`families`]: building the families of one refresh from their descriptions;
//! * [`series`]: what a series may never do: fall, if it is a counter, or multiply without bound;
//! * [`open_metrics`]: the format that Prometheus asks for first;
//! * [`snapshot`]: the families of all collectors as a scrape sees them;
//! * [`own`]: the families in which the exporter tells about itself;
//! * [`labels`]: label values that come again and again, kept once.

pub mod chart;
pub mod description;
pub mod families;
pub mod labels;
pub mod open_metrics;
pub mod own;
pub mod series;
pub mod snapshot;

pub use description::{Description, Kind};
pub use families::{Distribution, Families};
pub use own::ExporterMetrics;
pub use series::Series;
pub use snapshot::{Format, Page, Snapshot};
