//! `usage-exporter` serves metrics, `usage-exporter --once` prints them, `usage-exporter audit` checks
//! them, `usage-exporter history` tells the past, and `usage-exporter migrate` compares with another
//! exporter.

use std::io;
use std::process::ExitCode;

use anyhow::Context;
use tokio::net::TcpListener;
use usage_exporter::commands::audit::audit;
use usage_exporter::commands::healthcheck::check_health;
use usage_exporter::commands::history::write_history;
use usage_exporter::commands::migrate::migrate;
use usage_exporter::commands::once::print_once;
use usage_exporter::commands::serve::serve;
use usage_exporter::commands::{Config, Task, runtime, signals};
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
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    // What is trusted is decided before there are threads.
    let ended = trust_only_named(&config)
        .and_then(|()| runtime::build().context("nothing can be started")?.block_on(run(&config)));
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever reads what is printed has had enough of it, as `head` has.
        Err(error) if config.task != Task::Serve && is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Lets OpenSSL trust the authorities alone that the sources name, if they all name the same.
fn trust_only_named(config: &Config) -> anyhow::Result<()> {
    let mut files = config.sources.iter().map(|source| source.authorities());
    match files.next().flatten() {
        Some(first) if files.all(|other| other == Some(first)) => trust::only(first),
        _ => Ok(()),
    }
}

async fn run(config: &Config) -> anyhow::Result<bool> {
    signals::outlive_large_files()?;
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
    signals::outlive_hang_up()?;
    let shutdown = signals::end()?;
    serve(config, listener, shutdown).await?;
    Ok(true)
}

/// Where an exporter of the same settings serves its metrics on this host.
fn local_metrics(config: &Config) -> String {
    format!("http://127.0.0.1:{}/metrics", config.http.port)
}
