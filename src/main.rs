//! `usage-exporter` serves metrics, `usage-exporter --once` prints them, `usage-exporter audit` checks
//! them, `usage-exporter history` tells the past, and `usage-exporter migrate` compares with another
//! exporter.

use std::process::ExitCode;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use usage_exporter::commands::audit::audit;
use usage_exporter::commands::healthcheck::check_health;
use usage_exporter::commands::history::write_history;
use usage_exporter::commands::migrate::migrate;
use usage_exporter::commands::once::print_once;
use usage_exporter::commands::serve::serve;
use usage_exporter::commands::{Config, Task};
use usage_exporter::connect::trust;
use usage_exporter::telemetry;

/// The exit code when a setting is wrong.
const WRONG_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    let config = match Config::from_environment() {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("usage-exporter: {problems}");
            return ExitCode::from(WRONG_SETTINGS);
        }
    };
    telemetry::start(config.level, &config.format);
    match trust_only_named(&config).and_then(|()| run(&config)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Lets OpenSSL trust the authorities alone that the sources name, if they all name the same.
fn trust_only_named(config: &Config) -> anyhow::Result<()> {
    let mut files = config.sources.iter().map(|source| source.authorities());
    match files.next().flatten() {
        Some(first) if files.all(|other| other == Some(first)) => trust::only(first),
        _ => Ok(()),
    }
}

#[tokio::main]
async fn run(config: &Config) -> anyhow::Result<bool> {
    match &config.task {
        Task::Once => return print_once(config, &mut std::io::stdout()).await,
        Task::Audit => return audit(config, &mut std::io::stdout()).await,
        Task::Healthcheck => return check_health(config).map(|()| true),
        Task::History(request) => {
            write_history(config, request, std::io::stdout()).await?;
            return Ok(true);
        }
        Task::Migrate { theirs, ours } => {
            let ours = ours.clone().unwrap_or_else(|| local_metrics(config));
            return migrate(theirs, &ours, &mut std::io::stdout());
        }
        Task::Serve => {}
    }
    let (host, port) = (config.http.host, config.http.port);
    let listener = TcpListener::bind((host, port))
        .await
        .with_context(|| format!("cannot listen on {host}:{port}"))?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let shutdown = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    serve(config, listener, shutdown).await?;
    Ok(true)
}

/// Where an exporter of the same settings serves its metrics on this host.
fn local_metrics(config: &Config) -> String {
    format!("http://127.0.0.1:{}/metrics", config.http.port)
}
