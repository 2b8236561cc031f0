//! The open connections, of which there are never more than fit.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::task::AbortHandle;
use tracing::warn;

/// How many connections may be open. Prometheus needs one.
const MAX_CONNECTIONS: usize = 512;

/// How many files the process opens beside connections: to databases, the state file, and a few to spare.
const OTHER_FILES: usize = 48;

/// How few connections are enough to try.
const MIN_CONNECTIONS: usize = 8;

/// How many connections fit into the number of files that the process may open, which is raised as far as
/// it is allowed to.
pub fn limit() -> usize {
    let wanted = MAX_CONNECTIONS + OTHER_FILES;
    let raised = rlimit::increase_nofile_limit(u64::try_from(wanted).unwrap_or(u64::MAX));
    // Where the system does not tell, its limits are unknown to whoever has set none.
    let files = raised.map_or(wanted, |files| usize::try_from(files).unwrap_or(usize::MAX));
    let limit = fitting(files);
    if limit < MAX_CONNECTIONS {
        warn!(
            "only {files} files may be open (ulimit -n), so that at most {limit} connections are \
             served at once, not {MAX_CONNECTIONS}"
        );
    }
    limit
}

fn fitting(files: usize) -> usize {
    // Where files are few, a quarter of them are for connections: one that makes room is closed a moment
    // after the next was accepted.
    files.saturating_sub(OTHER_FILES).max(files / 4).clamp(MIN_CONNECTIONS, MAX_CONNECTIONS)
}

/// The open connections. A further one takes the place of the one that has been silent longest, so that
/// nobody who only holds connections open can keep others out.
#[derive(Debug)]
pub struct Connections {
    limit: usize,
    began: Instant,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    tasks: HashMap<u64, (Arc<AtomicU64>, AbortHandle)>,
}

/// An open connection. Its place is free when it is dropped.
#[derive(Debug)]
pub struct Connection {
    number: u64,
    heard: Arc<AtomicU64>,
    connections: Arc<Connections>,
}

impl Connections {
    /// At most `limit` connections.
    pub fn new(limit: usize) -> Arc<Connections> {
        Arc::new(Connections { limit, began: Instant::now(), open: Mutex::default() })
    }

    /// Starts a task that serves a new connection, and ends the one of another if there are too many.
    pub fn admit<F>(self: &Arc<Self>, serve: impl FnOnce(Connection) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let heard = Arc::new(AtomicU64::new(self.now()));
        let mut open = self.open();
        if open.tasks.len() >= self.limit {
            open.end_the_most_silent();
        }
        let number = open.next;
        open.next += 1;
        let connections = Arc::clone(self);
        let connection = Connection { number, heard: Arc::clone(&heard), connections };
        let task = tokio::spawn(serve(connection));
        open.tasks.insert(number, (heard, task.abort_handle()));
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_micros().try_into().unwrap_or(u64::MAX)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn end_the_most_silent(&mut self) {
        let heard = |(number, (heard, _)): (&u64, &(Arc<AtomicU64>, AbortHandle))| {
            (heard.load(Ordering::Relaxed), *number)
        };
        let most_silent = self.tasks.iter().map(heard).min();
        if let Some((_, task)) = most_silent.and_then(|(_, number)| self.tasks.remove(&number)) {
            tracing::debug!("ended the connection that was silent longest to make room");
            task.abort();
        }
    }
}

impl Connection {
    /// Notes that a request has come.
    pub fn heard(&self) {
        self.heard.store(self.connections.now(), Ordering::Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.open().tasks.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    /// Two places, and three connections of which the first was heard last before the third came.
    async fn third_comes() -> (Arc<Connections>, UnboundedReceiver<&'static str>) {
        let connections = Connections::new(2);
        let (sender, mut events) = unbounded_channel();
        let stay = |name: &'static str, again: bool| {
            let sender = sender.clone();
            move |connection: Connection| async move {
                let _closed = Closed(name, sender.clone());
                if again {
                    connection.heard();
                }
                sender.send("open").expect("a listener");
                std::future::pending::<()>().await;
                drop(connection);
            }
        };
        connections.admit(stay("second", false));
        events.recv().await;
        connections.admit(stay("first", true));
        events.recv().await;
        connections.admit(stay("third", false));
        (connections, events)
    }

    struct Closed(&'static str, tokio::sync::mpsc::UnboundedSender<&'static str>);

    impl Drop for Closed {
        fn drop(&mut self) {
            self.1.send(self.0).expect("a listener");
        }
    }

    #[test]
    fn connections_fit_into_the_files_that_may_be_open() {
        for (files, fit) in
            [(0, 8), (16, 8), (32, 8), (64, 16), (256, 208), (560, 512), (1 << 20, 512)]
        {
            assert_eq!(fitting(files), fit, "{files}");
        }
    }

    #[tokio::test]
    async fn the_one_silent_longest_makes_room() {
        let (connections, mut events) = third_comes().await;
        let mut seen = [events.recv().await, events.recv().await];
        seen.sort();
        assert_eq!(seen, [Some("open"), Some("second")]);
        assert_eq!(connections.open().tasks.len(), 2);
    }
}
