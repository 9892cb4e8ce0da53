//! A small OpenTelemetry trace receiver that keeps the last traces and answers questions about
//! them, so that traces need nothing installed.

mod forward;
mod span;
mod store;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::get,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, transport::Server};

use crate::home::Home;
use crate::sink::forward::Forward;
pub use crate::sink::span::{Span, SpanEvent, SpanLink};
use crate::sink::store::Store;

const EXPORT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The traces kept so far; clones share them.
#[derive(Clone, Default)]
pub struct Sink {
    store: Arc<Mutex<Store>>,
}

/// The answer of `GET /traces/{trace_id}`.
#[derive(Serialize, Deserialize)]
struct TraceBody {
    spans: Vec<Span>,
}

/// The answer of `GET /traces?attribute=<name>=<value>`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TraceIdsBody {
    trace_ids: Vec<String>,
}

#[derive(Deserialize)]
struct AttributeQuery {
    attribute: String,
}

impl Sink {
    /// The spans of a trace that arrived so far, by start time; none when it is not (or no more)
    /// known.
    pub fn trace(&self, trace_id: &str) -> Vec<Span> {
        self.lock().trace(trace_id)
    }

    /// The traces in which some span has this attribute, the oldest first.
    pub fn trace_ids_with(&self, attribute: &str, value: &str) -> Vec<String> {
        self.lock().trace_ids_with(attribute, value)
    }

    /// Receives OTLP over gRPC on `otlp` and answers queries over HTTP on `queries`, until
    /// `shutdown`.
    ///
    /// Every export is sent on to the endpoint named in the file `forward`, while it exists.
    ///
    /// # Errors
    ///
    /// When a listener fails.
    pub async fn serve(
        self,
        otlp: TcpListener,
        queries: TcpListener,
        forward: PathBuf,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let receiver = Receiver {
            sink: self.clone(),
            forward: Forward::new(forward),
        };
        let exports = TraceServiceServer::new(receiver).max_decoding_message_size(EXPORT_BYTES_MAX);
        let receiving = Server::builder()
            .add_service(exports)
            .serve_with_incoming_shutdown(
                TcpListenerStream::new(otlp),
                shutdown.clone().cancelled_owned(),
            );
        let routes = Router::new()
            .route("/traces", get(find_traces))
            .route("/traces/{trace_id}", get(get_trace))
            .with_state(self);
        let answering = async {
            axum::serve(queries, routes)
                .with_graceful_shutdown(shutdown.cancelled_owned())
                .await
        };
        tokio::try_join!(async { receiving.await.context("trace receiver") }, async {
            answering.await.context("trace queries")
        },)?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Receiver {
    sink: Sink,
    forward: Forward,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let export = request.into_inner();
        let spans = span::from_otlp(&export);
        {
            let mut store = self.sink.lock();
            spans.into_iter().for_each(|span| store.add(span));
        }
        self.forward.send(export).await;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn get_trace(
    State(sink): State<Sink>,
    axum::extract::Path(trace_id): axum::extract::Path<String>,
) -> Result<Json<TraceBody>, StatusCode> {
    let spans = sink.trace(&trace_id);
    if spans.is_empty() {
        return Err(StatusCode::NOT_FOUND);
    }
    Ok(Json(TraceBody { spans }))
}

async fn find_traces(
    State(sink): State<Sink>,
    Query(query): Query<AttributeQuery>,
) -> Result<Json<TraceIdsBody>, StatusCode> {
    let (attribute, value) = query
        .attribute
        .split_once('=')
        .ok_or(StatusCode::BAD_REQUEST)?;
    Ok(Json(TraceIdsBody {
        trace_ids: sink.trace_ids_with(attribute, value),
    }))
}

/// Asks a sink that runs in another process.
#[derive(Clone, Debug)]
pub struct SinkClient {
    base: String,
    http: reqwest::Client,
}

impl SinkClient {
    /// `queries` is the base URL of the sink's query port.
    pub fn new(queries: String) -> Self {
        Self {
            base: queries,
            http: reqwest::Client::new(),
        }
    }

    /// The spans of a trace, by start time; none when the sink does not know it.
    ///
    /// # Errors
    ///
    /// When the sink cannot be asked.
    pub async fn trace(&self, trace_id: &str) -> anyhow::Result<Vec<Span>> {
        let url = format!("{}/traces/{trace_id}", self.base);
        let answer = self.http.get(url).send().await.context("trace sink")?;
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        let body: TraceBody = answer.error_for_status()?.json().await?;
        Ok(body.spans)
    }

    /// The traces in which some span has this attribute, the oldest first.
    ///
    /// # Errors
    ///
    /// When the sink cannot be asked.
    pub async fn trace_ids_with(
        &self,
        attribute: &str,
        value: &str,
    ) -> anyhow::Result<Vec<String>> {
        let url = format!("{}/traces?attribute={attribute}={value}", self.base);
        let answer = self.http.get(url).send().await.context("trace sink")?;
        let body: TraceIdsBody = answer.error_for_status()?.json().await?;
        Ok(body.trace_ids)
    }
}

/// Where the sink of this home looks for an endpoint to send everything on to.
pub fn forward_file(home: &Home) -> PathBuf {
    home.root().join("otlp-forward")
}
