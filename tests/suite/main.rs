//! Tests against a real mongod, a real Prometheus and the real binary.

mod browser;
mod certificates;
#[path = "../../fuzz/fuzz_targets/decode.rs"]
mod decode;
mod exporter;
mod fixtures;
mod migration;
mod mongod;
mod odd_values;
mod oracle;
mod oracle_beyond;
mod past;
mod planted;
mod process;
mod prometheus;
mod proxy;
mod queries;
mod samples;
mod seen;
mod world;

mod alerts;
mod attacks;
mod catalogue;
mod collectors;
mod commands;
mod contributing;
mod cost;
mod dashboards;
mod end_to_end;
mod faults;
mod fixtures_equal;
mod fuzzed;
mod histories;
mod hostile;
mod kills;
mod odd_accounts;
mod odd_documents;
mod packaging;
mod protection;
mod replica_set;
mod secrets;
mod settings;
mod soak;
mod state;
mod status;
