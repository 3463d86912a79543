//! The live page of one or several runs, by HTTP. It reads their folders, and writes nothing.
//!
//! | path | answer |
//! |---|---|
//! | `/` | the page |
//! | `/document.json` | its document: see docs/page.md |
//! | `/events` | server-sent events: `changed` when the document is another one |
//! | `/network/RUN/NUMBER.json` | layers and learning curve of a network; runs are counted from 0 |
//!
//! Everything else is not found: no path of a request reaches the file system.

mod guard;
mod runs;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::{Stream, unfold};
use tokio::net::TcpListener;

pub(crate) use guard::Token;
use guard::{Guard, admit};
use runs::Runs;

/// A page that can be looked at.
pub(crate) struct Server {
    listener: TcpListener,
    guard: Arc<Guard>,
    runs: Arc<Runs>,
}

impl Server {
    /// Listens at an address. Without a token, only this machine may look.
    ///
    /// # Errors
    /// If a folder cannot be read, or the address is not free.
    pub async fn bind(address: SocketAddr, token: Option<Token>, folders: Vec<PathBuf>) -> Result<Self> {
        let runs =
            tokio::task::spawn_blocking(|| Runs::read(folders)).await.context("reading the runs broke down")??;
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen at {address}: another program may use it; choose another address with --listen")
        })?;
        Ok(Self { listener, guard: Arc::new(Guard { token }), runs: Arc::new(runs) })
    }

    /// The address, with the port that the system chose for 0.
    ///
    /// # Errors
    /// If the system does not say it.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().context("the address of the page is not known")
    }

    /// Serves until the future is dropped.
    ///
    /// # Errors
    /// If no connection can be accepted any more.
    pub async fn run(self) -> Result<()> {
        tokio::spawn(Arc::clone(&self.runs).follow());
        let router = Router::new()
            .route("/", get(page))
            .route("/document.json", get(document))
            .route("/events", get(events))
            .route("/network/{run}/{file}", get(network))
            .with_state(self.runs)
            .layer(from_fn_with_state(self.guard, admit));
        axum::serve(self.listener, router).await.context("the page cannot be served any more")
    }
}

async fn page(State(runs): State<Arc<Runs>>) -> Response {
    respond("text/html; charset=utf-8", runs.page().await)
}

async fn document(State(runs): State<Arc<Runs>>) -> Response {
    respond("application/json", runs.document().await)
}

async fn network(State(runs): State<Arc<Runs>>, Path((run, file)): Path<(usize, String)>) -> Response {
    let number = file.strip_suffix(".json").and_then(|number| number.parse().ok());
    match number {
        Some(number) => respond("application/json", runs.network(run, number).await),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn events(State(runs): State<Arc<Runs>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes = unfold(runs.changes(), |mut changes| async move {
        changes.changed().await.ok()?;
        let version = *changes.borrow_and_update();
        Some((Ok(Event::default().event("changed").data(version.to_string())), changes))
    });
    Sse::new(changes).keep_alive(KeepAlive::new().interval(Duration::from_secs(10)))
}

fn respond(kind: &'static str, content: Result<Bytes>) -> Response {
    match content {
        Ok(content) => ([(header::CONTENT_TYPE, kind)], content).into_response(),
        // Such as a journal that another program has damaged since.
        Err(error) => (StatusCode::NOT_FOUND, format!("{error:#}\n")).into_response(),
    }
}
