//! `usage-exporter`: serving the metrics.

use std::future::Future;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tracing::info;

use crate::commands::config::Config;
use crate::commands::opened::Opened;
use crate::engine::scheduler::Scheduler;
use crate::http::{self, App, Guard};

/// Serves the metrics on `listener` until `shutdown` resolves.
///
/// # Errors
///
/// If a setting of a source or a file that protects the metrics cannot be used.
pub async fn serve(
    config: &Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let opened = Opened::new(config, true)?;
    let address = listener.local_addr().context("the listener has no address")?;
    let (guard, files) = Guard::new(&config.http)?;
    let scheme = if guard.current().tls.is_some() { "https" } else { "http" };
    let readers = guard.current().access.readers();
    let watching = opened.title();
    info!(
        version = crate::VERSION,
        watching, readers, "serving metrics on {scheme}://{address}/metrics"
    );
    let scheduler = Scheduler::new(&opened.snapshot, &opened.exporter, config.general.stale_after);
    for source in &opened.sources {
        for collector in source.collectors() {
            scheduler.add(source.name(), collector);
        }
    }
    let scheduler = Arc::new(scheduler);
    let app = App {
        watching: watching.into(),
        snapshot: opened.snapshot,
        exporter: opened.exporter,
        refresh_on_scrape: config.refresh_on_scrape.then(|| Arc::clone(&scheduler)),
        guard: Arc::new(guard),
    };
    http::serve(listener, app, files, shutdown).await;
    info!("ended");
    Ok(())
}
