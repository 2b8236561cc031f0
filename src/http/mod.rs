//! The HTTP server.
//!
//! * here: the routes, that is the metrics, the page for people, and whether the process lives and is
//!   ready;
//! * [`status`]: the page for people;
//! * [`negotiation`]: in which form a client wants them, and [`selection`]: which;
//! * [`server`] and [`connections`]: connections and their limits;
//! * [`access`] with [`networks`], [`credentials`], [`users`] and [`turns`]: who may read;
//! * [`tls`] and [`web_config`]: how what is read is encrypted;
//! * [`protection`] puts these together, and [`settings`] has their settings.

pub mod access;
pub mod connections;
pub mod credentials;
pub mod negotiation;
pub mod networks;
pub mod protection;
pub mod selection;
pub mod server;
pub mod settings;
pub mod status;
pub mod tls;
pub mod turns;
pub mod users;
pub mod web_config;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tower_http::timeout::TimeoutLayer;

pub use protection::Guard;
pub use settings::Settings;

use crate::engine::scheduler::Scheduler;
use crate::engine::watched_files::Files;
use crate::exposition::{ExporterMetrics, Format, Snapshot};
use crate::http::negotiation::{Coding, View, view};

/// How long an answer may take. Prometheus gives up after ten seconds unless told otherwise.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What the handlers need.
#[derive(Clone)]
pub struct App {
    /// What is watched, for people.
    pub watching: Arc<str>,
    /// The page.
    pub snapshot: Arc<Snapshot>,
    /// Counts the requests.
    pub exporter: Arc<ExporterMetrics>,
    /// Asked for a refresh before the page is read, where every scrape refreshes.
    pub refresh_on_scrape: Option<Arc<Scheduler>>,
    /// Who may read.
    pub guard: Arc<Guard>,
}

/// Serves until `shutdown` resolves, and at most a second longer. `files` are watched for changes.
pub async fn serve(
    listener: TcpListener,
    app: App,
    files: Files,
    shutdown: impl Future<Output = ()>,
) {
    let guard = Arc::clone(&app.guard);
    guard.watch(files);
    server::serve(listener, router(app), guard, shutdown).await;
}

/// All routes.
pub fn router(app: App) -> Router {
    let protected = Router::new()
        .route("/", get(home))
        .route("/metrics", get(metrics))
        .route("/metrics/", get(metrics))
        .route("/status", get(status))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app.guard), protection::protect));
    let open = Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz));
    let timeout = TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWER_TIMEOUT);
    protected
        .merge(open)
        .layer(timeout)
        .layer(middleware::from_fn_with_state(app.clone(), finish))
        .with_state(app)
}

async fn metrics(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    answer(&app, negotiation::format(&headers), &uri, &headers).await
}

async fn answer(app: &App, format: Format, uri: &Uri, headers: &HeaderMap) -> Response {
    let Some(coding) = negotiation::coding(headers) else {
        let text = "the metrics are sent as they are or with gzip\n";
        return (StatusCode::NOT_ACCEPTABLE, text).into_response();
    };
    if let Some(scheduler) = &app.refresh_on_scrape {
        scheduler.refresh().await;
    }
    let page = app.snapshot.page(format);
    let plain = [(CONTENT_TYPE, format.content_type()), (VARY, "accept, accept-encoding")];
    let wanted = selection::wanted(uri.query().unwrap_or_default());
    if !wanted.is_empty() {
        // A part of the page is small, and its coding a question of taste.
        return (plain, selection::select(&page.text(), &wanted)).into_response();
    }
    match coding {
        Coding::Gzip => (plain, [(CONTENT_ENCODING, "gzip")], page.gzip()).into_response(),
        Coding::Identity => (plain, page.text()).into_response(),
    }
}

/// The metrics for curl and Prometheus, the page for people for a browser.
async fn home(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    match view(&headers) {
        View::Metrics(format) => answer(&app, format, &uri, &headers).await,
        View::Page => status(State(app)).await,
    }
}

async fn status(State(app): State<App>) -> Response {
    status::page(&app.watching, &app.snapshot, &app.exporter)
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(app): State<App>) -> Response {
    let waiting_for = app.snapshot.not_ready();
    let ready = waiting_for.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "waiting_for": waiting_for.iter().map(|name| &**name).collect::<Vec<&str>>() }))).into_response()
}

/// Adds the headers that every answer has, and counts the answer by its path, if there is one like it,
/// and its code.
async fn finish(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    for (name, value) in &app.guard.current().headers {
        response.headers_mut().insert(name, value.clone());
    }
    let path = path.as_ref().map_or("other", MatchedPath::as_str);
    let path = if path == "/metrics/" { "/metrics" } else { path };
    app.exporter.answered(path, response.status().as_u16());
    response
}
