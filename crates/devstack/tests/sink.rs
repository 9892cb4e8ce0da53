//! The sink as exporting services and people with questions see it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::path::PathBuf;

use devstack::sink::{Sink, SinkClient};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const TRACE_ID: &str = "0102030405060708090a0b0c0d0e0f10";

struct Running {
    otlp: String,
    client: SinkClient,
    sink: Sink,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Running {
    async fn start(forward: PathBuf) -> Self {
        let otlp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let queries = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Sink::default();
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let running = Self {
            otlp: format!("http://{}", otlp.local_addr().unwrap()),
            client: SinkClient::new(format!("http://{}", queries.local_addr().unwrap())),
            sink: sink.clone(),
            tasks: tasks.clone(),
            stop: stop.clone(),
        };
        tasks.spawn(sink.serve(otlp, queries, forward, stop));
        running
    }

    async fn export(&self, export: ExportTraceServiceRequest) {
        let mut exporter = TraceServiceClient::connect(self.otlp.clone())
            .await
            .unwrap();
        exporter.export(export).await.unwrap();
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

/// One span of the order service.
fn one_span() -> ExportTraceServiceRequest {
    let span = Span {
        trace_id: (1..=16).collect(),
        span_id: vec![1; 8],
        name: "PlaceOrder".to_owned(),
        attributes: vec![attribute("order.id", "order-1")],
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        ..Span::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![attribute("service.name", "order")],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: vec![span],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

#[tokio::test]
async fn an_exported_span_is_found_by_trace_and_by_attribute() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path().join("forward")).await;

    running.export(one_span()).await;

    let spans = running.client.trace(TRACE_ID).await.unwrap();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].service, "order");
    assert_eq!(spans[0].name, "PlaceOrder");
    assert_eq!(spans, running.sink.trace(TRACE_ID));
    let found = running.client.trace_ids_with("order.id", "order-1").await;
    assert_eq!(found.unwrap(), [TRACE_ID]);
    assert!(running.client.trace("unknown").await.unwrap().is_empty());
    running.stop().await;
}

#[tokio::test]
async fn exports_are_sent_on_as_soon_as_an_endpoint_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let forward = folder.path().join("forward");
    let second = Running::start(folder.path().join("none")).await;
    let first = Running::start(forward.clone()).await;

    first.export(one_span()).await;
    let before = second.sink.trace(TRACE_ID).len();
    std::fs::write(&forward, format!("{}\n", second.otlp)).unwrap();
    first.export(one_span()).await;

    assert_eq!(before, 0);
    assert_eq!(second.sink.trace(TRACE_ID).len(), 1);
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_receiver_that_is_away_costs_the_exporting_service_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let forward = folder.path().join("forward");
    let running = Running::start(forward.clone()).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    std::fs::write(&forward, format!("http://{address}")).unwrap();

    running.export(one_span()).await;

    assert_eq!(running.sink.trace(TRACE_ID).len(), 1);
    running.stop().await;
}
