//! Putting the parts together.

use std::future::Future;
use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tracing::{error, info};

use crate::collector::Collector;
use crate::config::Config;
use crate::exposition::{ExporterMetrics, Snapshot};
use crate::http::{self, App};
use crate::librechat;
use crate::scheduler::{Scheduler, refresh_once};

/// Serves the metrics on `listener` until `shutdown` resolves.
///
/// # Errors
///
/// If the listener fails.
pub async fn serve(
    config: &Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let parts = Parts::new(config, true)?;
    let address = listener.local_addr().context("the listener has no address")?;
    info!(
        version = crate::VERSION,
        database = config.librechat.database,
        "serving metrics on http://{address}/metrics"
    );
    let scheduler = Scheduler::start(parts.collectors, &parts.snapshot, &parts.exporter);
    let scheduler = Arc::new(scheduler);
    let app = App {
        snapshot: parts.snapshot,
        exporter: parts.exporter,
        refresh_on_scrape: config.refresh_on_scrape.then(|| Arc::clone(&scheduler)),
    };
    http::serve(listener, app, shutdown).await.context("the HTTP server failed")?;
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
    output.write_all(&parts.snapshot.page()).context("cannot write the metrics")?;
    if !failures.is_empty() {
        error!("{} collectors failed; their metrics are missing", failures.len());
    }
    Ok(failures.is_empty())
}

struct Parts {
    collectors: Vec<Box<dyn Collector>>,
    exporter: Arc<ExporterMetrics>,
    snapshot: Arc<Snapshot>,
}

impl Parts {
    fn new(config: &Config, process: bool) -> anyhow::Result<Parts> {
        let clock: librechat::Clock = Arc::new(chrono::Utc::now);
        let collectors = librechat::collectors(&config.librechat, &config.general, clock);
        let exporter = Arc::new(ExporterMetrics::new(&librechat::catalogue::UP, process)?);
        let names: Vec<&'static str> =
            collectors.iter().map(|collector| collector.name()).collect();
        let snapshot = Arc::new(Snapshot::new(Arc::clone(&exporter), &names));
        Ok(Parts { collectors, exporter, snapshot })
    }
}
