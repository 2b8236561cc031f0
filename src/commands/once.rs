//! `usage-exporter --once`: printing the metrics.

use std::io::Write;

use anyhow::Context;
use tracing::error;

use crate::commands::config::Config;
use crate::commands::opened::Opened;
use crate::engine::scheduler::refresh_once;
use crate::exposition::Format;

/// Refreshes once and writes the metrics to `output`; false if a collector failed.
///
/// The families of the process itself are left out: node_exporter, which collects such files, has
/// families of the same names.
///
/// # Errors
///
/// If the output cannot be written.
pub async fn print_once(config: &Config, output: &mut impl Write) -> anyhow::Result<bool> {
    let Opened { sources, exporter, snapshot } = Opened::new(config, false)?;
    let mut failures = 0;
    for source in &sources {
        failures +=
            refresh_once(source.name(), source.collectors(), &snapshot, &exporter).await.len();
    }
    output.write_all(&snapshot.page(Format::Text).text()).context("cannot write the metrics")?;
    if failures > 0 {
        error!("{failures} collectors failed; their metrics are missing");
    }
    Ok(failures == 0)
}
