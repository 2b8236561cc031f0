//! The threads on which everything runs.

use std::io;
use std::panic;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};

/// The most threads that serve and ask. The work is waiting, so that more would do nothing but count
/// against `pids_limit`.
const MOST_WORKERS: usize = 4;

/// The most threads for what blocks: names that are looked up, passwords, and reading back a past.
const MOST_BLOCKING: usize = 16;

/// Starts the threads.
///
/// # Errors
///
/// If the system allows none. Where it allows too few, tokio panics and waits for ever for those that it
/// has, so that the process is ended instead.
pub fn build() -> io::Result<Runtime> {
    let workers = available_parallelism().map_or(1, usize::from).min(MOST_WORKERS);
    let before = panic::take_hook();
    panic::set_hook(Box::new(|_| {
        tracing::error!("too few threads can be started (pids_limit, ulimit -u or -v)");
        std::process::exit(1);
    }));
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(MOST_BLOCKING)
        .enable_all()
        .build();
    panic::set_hook(before);
    runtime
}
