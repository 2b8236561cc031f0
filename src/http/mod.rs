//! The HTTP server: the metrics, a page for people, and whether the process lives and is ready.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tower_http::compression::CompressionLayer;

use crate::exposition::{ExporterMetrics, Snapshot};
use crate::scheduler::Scheduler;

/// The content type of Prometheus's text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long open connections may take to end after a signal.
const GRACE: Duration = Duration::from_secs(1);

/// What the handlers need.
#[derive(Clone)]
pub struct App {
    /// The page.
    pub snapshot: Arc<Snapshot>,
    /// Counts the requests.
    pub exporter: Arc<ExporterMetrics>,
    /// Asked for a refresh before the page is read, where every scrape refreshes.
    pub refresh_on_scrape: Option<Arc<Scheduler>>,
}

/// Serves until `shutdown` resolves, and at most a second longer.
///
/// # Errors
///
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    app: App,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (ended, mut ending) = tokio::sync::watch::channel(false);
    let server = axum::serve(listener, router(app)).with_graceful_shutdown(async move {
        shutdown.await;
        // Nobody listens when the server has already failed.
        let _ = ended.send(true);
    });
    tokio::select! {
        result = server => result,
        () = async {
            // An error means that the server is gone.
            let _ = ending.wait_for(|ended| *ended).await;
            tokio::time::sleep(GRACE).await;
        } => Ok(()),
    }
}

/// All routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(app.clone(), count))
        .with_state(app)
}

async fn metrics(State(app): State<App>) -> Response {
    if let Some(scheduler) = &app.refresh_on_scrape {
        scheduler.refresh().await;
    }
    ([(CONTENT_TYPE, TEXT_FORMAT)], app.snapshot.page()).into_response()
}

/// The metrics for curl and Prometheus, a page with links for a browser.
async fn home(State(app): State<App>, headers: HeaderMap) -> Response {
    if wants_html(&headers) { Html(HOME).into_response() } else { metrics(State(app)).await }
}

fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(app): State<App>) -> Response {
    let waiting_for = app.snapshot.not_ready();
    let ready = waiting_for.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "waiting_for": waiting_for }))).into_response()
}

/// Counts a request by its path, if there is one like it, and the code of the answer.
async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let path = path.as_ref().map_or("other", MatchedPath::as_str);
    app.exporter.answered(path, response.status().as_u16());
    response
}

const HOME: &str = include_str!("home.html");
