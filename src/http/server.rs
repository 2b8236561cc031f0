//! Connections: accepted, encrypted, held to limits, and ended.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tower::Service;
use tracing::debug;

use crate::http::access::Peer;
use crate::http::connections::{self, Connection, Connections};
use crate::http::protection::Guard;

/// How long a client may take for the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take to send a request, counted from the answer to the one before.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may take to receive some of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request may be, with all its headers.
const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// How long open connections may take to end after a signal.
const GRACE: Duration = Duration::from_secs(1);

/// Serves `router` until `shutdown` resolves, and at most a second longer.
pub async fn serve(
    mut listener: TcpListener,
    router: Router,
    guard: Arc<Guard>,
    shutdown: impl Future<Output = ()>,
) {
    let connections = Connections::new(connections::limit());
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // Accepting goes on after errors such as too many open files.
        let (stream, address) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = &mut shutdown => break,
        };
        let (router, guard, watcher) = (router.clone(), Arc::clone(&guard), graceful.watcher());
        connections.admit(move |connection| {
            serve_stream(stream, address, router, guard, watcher, connection)
        });
    }
    drop(listener);
    // Whoever has not finished by then is cut off.
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

async fn serve_stream(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    guard: Arc<Guard>,
    watcher: Watcher,
    connection: Connection,
) {
    // Without it, an answer waits for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection ended before it began");
        return;
    }
    let tls = guard.current().tls.clone();
    let address = address.ip();
    let Some(tls) = tls else {
        let peer = Peer { address, certified: false };
        return serve_http(stream, peer, router, watcher, connection).await;
    };
    let handshake = TlsAcceptor::from(tls).accept(stream);
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => {
            let certified = stream.get_ref().1.peer_certificates().is_some();
            let peer = Peer { address, certified };
            serve_http(stream, peer, router, watcher, connection).await;
        }
        Ok(Err(error)) => refused(address, &error),
        Err(_) => refused(address, &"no handshake in time"),
    }
}

fn refused(address: IpAddr, error: &dyn std::fmt::Display) {
    debug!(%address, %error, "no encrypted connection came about");
}

async fn serve_http<S>(
    stream: S,
    peer: Peer,
    router: Router,
    watcher: Watcher,
    connection: Connection,
) where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let service = service_fn(|mut request: Request<Incoming>| {
        connection.heard();
        request.extensions_mut().insert(peer);
        answer(router.clone(), request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .max_buf_size(MAX_REQUEST_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    if let Err(error) = watcher.watch(served).await {
        debug!(address = %peer.address, %error, "a connection broke");
    }
}

async fn answer(
    mut router: Router,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    router.call(request).await
}
