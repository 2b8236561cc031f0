//! `usage-exporter migrate`: comparing with another exporter.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;

use crate::commands::comparison;

/// Compares the metrics of another exporter with those of a running usage-exporter, each read from an
/// address, a file or, for `-`, standard input, and writes to `output` what differs.
///
/// # Errors
///
/// If one of them cannot be read or is no page of metrics.
pub fn migrate(theirs: &str, ours: &str, output: &mut impl Write) -> anyhow::Result<bool> {
    let (theirs, ours) = (page(theirs)?, page(ours)?);
    for compared in comparison::compare(&theirs, &ours)? {
        writeln!(output, "{compared}")?;
    }
    Ok(true)
}

/// How long another exporter may take for its page: some compute it when they are asked.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

fn page(place: &str) -> anyhow::Result<String> {
    let read = if place == "-" {
        std::io::read_to_string(std::io::stdin()).map_err(anyhow::Error::from)
    } else if place.starts_with("http://") || place.starts_with("https://") {
        ureq::get(place)
            .config()
            .timeout_global(Some(PAGE_TIMEOUT))
            .build()
            .call()
            .and_then(|mut answer| answer.body_mut().read_to_string())
            .map_err(Into::into)
    } else {
        std::fs::read_to_string(place).map_err(Into::into)
    };
    read.with_context(|| format!("cannot read the metrics at {place}"))
}
