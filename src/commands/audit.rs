//! `usage-exporter audit`: looking for what was missed.

use std::io::Write;

use anyhow::bail;

use crate::commands::config::Config;
use crate::commands::opened::Opened;

/// Compares what is stored with what the state file says was counted, counts what is missing, and
/// writes to `output` what was found.
///
/// # Errors
///
/// If there is no state file, another process uses it, or a database does not answer.
pub async fn audit(config: &Config, output: &mut impl Write) -> anyhow::Result<bool> {
    if config.state_file.is_none() {
        bail!("there is nothing to compare with: set STATE_FILE to the file of the exporter");
    }
    let Opened { sources, exporter, .. } = Opened::new(config, false)?;
    let mut documents = 0;
    for source in &sources {
        for late in source.audit(exporter.documents_read("audit")).await? {
            documents += late.documents;
            writeln!(output, "{late}")?;
        }
    }
    writeln!(output, "{documents} documents were stored behind the watermark and are counted now")?;
    Ok(true)
}
