//! `usage-exporter history`: telling the past.

use std::io::{self, BufWriter, Write};
use std::time::Instant;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use tracing::info;

use crate::backfill::writers::{Csv, OpenMetrics, Writer};
use crate::backfill::{Form, Recording, Request};
use crate::commands::config::Config;
use crate::commands::opened::Opened;

/// The bar that shows how far the reading of the past has come.
const PROGRESS: &str = "{wide_bar} {human_pos} of {human_len} documents, {eta} left";

/// Writes to `output` what the metrics would have shown in the past, with a bar of the progress where a
/// person looks on.
///
/// # Errors
///
/// If a database does not answer or refuses, or the output cannot be written.
pub async fn write_history(
    config: &Config,
    request: &Request,
    output: impl Write,
) -> anyhow::Result<()> {
    // A running exporter and its state file are left alone.
    let Opened { sources, exporter, .. } = Opened::without_state(config)?;
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(PROGRESS)?);
    let entered = |count, expected| {
        bar.set_length(expected);
        bar.inc(count as u64);
    };
    let began = Instant::now();
    let documents = exporter.documents_read("history");
    let mut recordings = Vec::new();
    for source in &sources {
        recordings.extend(source.past(request, documents.clone(), &entered).await?);
    }
    bar.finish_and_clear();
    info!(documents = documents.get(), seconds = began.elapsed().as_secs(), "the past was read");
    let output = BufWriter::new(output);
    let written = match request.form {
        Form::OpenMetrics => {
            let mut writer = OpenMetrics::new(output, request.labels.clone());
            write_all(recordings, &mut writer).and_then(|()| writer.end())
        }
        Form::Csv => Csv::new(output)
            .and_then(|mut writer| write_all(recordings, &mut writer).and_then(|()| writer.end())),
    };
    written.context("cannot write the past")
}

fn write_all(recordings: Vec<Recording>, writer: &mut dyn Writer) -> io::Result<()> {
    recordings.into_iter().try_for_each(|recording| recording.write(writer))
}
