//! Tests against a real mongod, a real Prometheus and the real binary.

mod exporter;
mod fixtures;
mod mongod;
mod oracle;
mod samples;

mod fixtures_equal;
mod histories;
