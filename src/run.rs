//! Putting the parts together.

use std::future::Future;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::net::TcpListener;
use tracing::{error, info};
use ureq::tls::TlsConfig;

use crate::collector::Collector;
use crate::config::Config;
use crate::exposition::{ExporterMetrics, Format, Snapshot};
use crate::history::writers::{Csv, OpenMetrics, Writer};
use crate::history::{self, Recording, Request};
use crate::http::{self, App, Guard};
use crate::librechat;
use crate::scheduler::{Scheduler, refresh_once};
use crate::state::StateFile;

/// Serves the metrics on `listener` until `shutdown` resolves.
///
/// # Errors
///
/// If a setting of the source or a file that protects the metrics cannot be used.
pub async fn serve(
    config: &Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let parts = Parts::new(config, true)?;
    let address = listener.local_addr().context("the listener has no address")?;
    let (guard, files) = Guard::new(&config.http)?;
    let scheme = if guard.current().tls.is_some() { "https" } else { "http" };
    let readers = guard.current().access.readers();
    info!(
        version = crate::VERSION,
        database = config.librechat.database,
        readers,
        "serving metrics on {scheme}://{address}/metrics"
    );
    let scheduler = Scheduler::start(
        parts.collectors,
        &parts.snapshot,
        &parts.exporter,
        config.general.stale_after,
    );
    let scheduler = Arc::new(scheduler);
    let app = App {
        source: format!("LibreChat, database {}", config.librechat.database).into(),
        snapshot: parts.snapshot,
        exporter: parts.exporter,
        refresh_on_scrape: config.refresh_on_scrape.then(|| Arc::clone(&scheduler)),
        guard: Arc::new(guard),
    };
    http::serve(listener, app, files, shutdown).await;
    info!("ended");
    Ok(())
}

/// Refreshes once and writes the metrics to `output`; false if a collector failed.
///
/// The families of the process itself are left out: node_exporter, which collects such files, has
/// families of the same names.
///
/// # Errors
///
/// If the output cannot be written.
pub async fn print_once(config: &Config, output: &mut impl Write) -> anyhow::Result<bool> {
    let parts = Parts::new(config, false)?;
    let failures = refresh_once(parts.collectors, &parts.snapshot, &parts.exporter).await;
    output
        .write_all(&parts.snapshot.page(Format::Text).text())
        .context("cannot write the metrics")?;
    if !failures.is_empty() {
        error!("{} collectors failed; their metrics are missing", failures.len());
    }
    Ok(failures.is_empty())
}

/// Compares what is stored with what the state file says was counted, counts what is missing, and
/// writes to `output` what was found.
///
/// # Errors
///
/// If there is no state file, another process uses it, or the database does not answer.
pub async fn audit(config: &Config, output: &mut impl Write) -> anyhow::Result<bool> {
    if config.state_file.is_none() {
        bail!("there is nothing to compare with: set STATE_FILE to the file of the exporter");
    }
    let exporter = ExporterMetrics::new(&librechat::catalogue::UP, false)?;
    let state = open_state(config, &exporter)?;
    let clock: librechat::Clock = Arc::new(chrono::Utc::now);
    let source = librechat::Source::new(&config.librechat, &config.general, clock, state);
    let late = source.audit(exporter.documents_read("audit")).await?;
    for late in &late {
        writeln!(output, "{late}")?;
    }
    let documents: u64 = late.iter().map(|late| late.documents).sum();
    writeln!(output, "{documents} documents were stored behind the watermark and are counted now")?;
    Ok(true)
}

/// Writes to `output` what the metrics would have shown in the past, with a bar of the progress where a
/// person looks on.
///
/// # Errors
///
/// If the database does not answer or refuses, or the output cannot be written.
pub async fn write_history(
    config: &Config,
    request: &Request,
    output: impl Write,
) -> anyhow::Result<()> {
    let exporter = ExporterMetrics::new(&librechat::catalogue::UP, false)?;
    let clock: librechat::Clock = Arc::new(chrono::Utc::now);
    let state = StateFile::off();
    let source = librechat::Source::new(&config.librechat, &config.general, clock, state);
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(PROGRESS)?);
    let entered = |count, expected| {
        bar.set_length(expected);
        bar.inc(count as u64);
    };
    let began = Instant::now();
    let documents = exporter.documents_read("history");
    let recordings = source.past(request, documents.clone(), entered).await?;
    bar.finish_and_clear();
    info!(documents = documents.get(), seconds = began.elapsed().as_secs(), "the past was read");
    let output = BufWriter::new(output);
    let written = match request.format {
        history::Format::OpenMetrics => {
            let mut writer = OpenMetrics::new(output, request.labels.clone());
            write_all(recordings, &mut writer).and_then(|()| writer.end())
        }
        history::Format::Csv => Csv::new(output)
            .and_then(|mut writer| write_all(recordings, &mut writer).and_then(|()| writer.end())),
    };
    written.context("cannot write the past")
}

/// The bar that shows how far the reading of the past has come.
const PROGRESS: &str = "{wide_bar} {human_pos} of {human_len} documents, {eta} left";

fn write_all(recordings: Vec<Recording>, writer: &mut dyn Writer) -> io::Result<()> {
    recordings.into_iter().try_for_each(|recording| recording.write(writer))
}

/// Compares the metrics of another exporter with those of a running usage-exporter, each read from an
/// address, a file or, for `-`, standard input, and writes to `output` what differs.
///
/// # Errors
///
/// If one of them cannot be read or is no page of metrics.
pub fn migrate(theirs: &str, ours: &str, output: &mut impl Write) -> anyhow::Result<bool> {
    let (theirs, ours) = (page(theirs)?, page(ours)?);
    for compared in librechat::migration::compare(&theirs, &ours)? {
        writeln!(output, "{compared}")?;
    }
    Ok(true)
}

/// Asks the exporter of the same settings on this host whether it lives.
///
/// # Errors
///
/// If it does not answer, or not well.
pub fn check_health(config: &Config) -> anyhow::Result<()> {
    let (guard, _) = Guard::new(&config.http)?;
    let scheme = if guard.current().tls.is_some() { "https" } else { "http" };
    let host = match config.http.host {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    let url = format!("{scheme}://{}/healthz", SocketAddr::new(host, config.http.port));
    // It is this host, whatever names the certificate has, and nothing secret is sent.
    let tls = TlsConfig::builder().disable_verification(true).build();
    let request = ureq::get(&url).config().tls_config(tls);
    let answer = request.timeout_global(Some(HEALTH_TIMEOUT)).build().call();
    answer.map(|_| ()).with_context(|| format!("{url} does not answer well"))
}

/// How long a process that lives may take to say so.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(4);

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

fn open_state(config: &Config, exporter: &ExporterMetrics) -> anyhow::Result<StateFile> {
    match &config.state_file {
        Some(path) => Ok(StateFile::open(path, exporter.state_file()?)?),
        None => {
            info!(
                "STATE_FILE is not set: after a restart the history is read again, and counters begin \
                 again at what is stored then"
            );
            Ok(StateFile::off())
        }
    }
}

struct Parts {
    collectors: Vec<Box<dyn Collector>>,
    exporter: Arc<ExporterMetrics>,
    snapshot: Arc<Snapshot>,
}

impl Parts {
    fn new(config: &Config, process: bool) -> anyhow::Result<Parts> {
        let clock: librechat::Clock = Arc::new(chrono::Utc::now);
        let exporter = Arc::new(ExporterMetrics::new(&librechat::catalogue::UP, process)?);
        let state = open_state(config, &exporter)?;
        let source = librechat::Source::new(&config.librechat, &config.general, clock, state);
        let collectors = source.collectors();
        let names: Vec<&'static str> =
            collectors.iter().map(|collector| collector.name()).collect();
        let snapshot = Arc::new(Snapshot::new(Arc::clone(&exporter), &names));
        Ok(Parts { collectors, exporter, snapshot })
    }
}
