//! What signals do.

use std::future::Future;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

/// Makes a file that grows beyond `ulimit -f` an error of the write, which is told, and not the end.
///
/// # Errors
///
/// If the system refuses.
pub fn outlive_large_files() -> anyhow::Result<()> {
    // That there is somebody to hear it is enough, and lasts as long as the process.
    let listening = signal(SignalKind::from_raw(libc::SIGXFSZ));
    listening.map(drop).context("cannot listen for SIGXFSZ")
}

/// Answers SIGHUP, by which many a program is asked to read its files again, with a line of the log.
///
/// # Errors
///
/// If the system refuses.
pub fn outlive_hang_up() -> anyhow::Result<()> {
    let mut hang_up = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            info!(
                "SIGHUP changes nothing: certificates and users are read again when their files \
                 change, and other settings need a restart"
            );
        }
    });
    Ok(())
}

/// Resolves when the process is told to end.
///
/// # Errors
///
/// If the system refuses.
pub fn end() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
