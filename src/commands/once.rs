//! `usage-exporter --once`: printing the metrics.

use std::io::Write;

use anyhow::Context;

use crate::commands::config::Config;
use crate::commands::opened::Opened;
use crate::engine::scheduler::refresh_once;
use crate::exposition::Format;

/// Refreshes once and writes the metrics to `output`; false if a collector failed.
///
/// Beside a running exporter with the same state file it goes on from what is in that file, and leaves it
/// as it is.
///
/// The families of the process itself are left out: node_exporter, which collects such files, has
/// families of the same names.
///
/// # Errors
///
/// If the output cannot be written.
pub async fn print_once(config: &Config, output: &mut impl Write) -> anyhow::Result<bool> {
    let Opened { sources, exporter, snapshot } = Opened::beside_another(config)?;
    let mut failures = 0;
    for source in &sources {
        failures +=
            refresh_once(source.name(), source.collectors(), &snapshot, &exporter).await.len();
    }
    output.write_all(&snapshot.page(Format::Text).text()).context("cannot write the metrics")?;
    Ok(failures == 0)
}
