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

/// What tokio says when it panics because the system allows no further thread.
const NO_THREAD: &str = "OS can't spawn worker thread";

/// Starts the threads, of which more are started when they are needed.
///
/// Where the system allows no further one, tokio panics. At the start it then waits for ever for the threads
/// that it has, and later whatever needed the thread is gone for good. So the process ends instead.
///
/// # Errors
///
/// If the system refuses something else.
pub fn build() -> io::Result<Runtime> {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |told| {
        if told.payload_as_str().is_some_and(|message| message.starts_with(NO_THREAD)) {
            tracing::error!("no further thread can be started (pids_limit, ulimit -u or -v)");
            std::process::exit(1);
        }
        before(told);
    }));
    Builder::new_multi_thread()
        .worker_threads(available_parallelism().map_or(1, usize::from).min(MOST_WORKERS))
        .max_blocking_threads(MOST_BLOCKING)
        .enable_all()
        .build()
}
