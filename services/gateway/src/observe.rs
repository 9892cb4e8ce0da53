//! One span, one set of numbers and one request id for every request.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use chassis::telemetry::Durations;
use chassis::trace::{KeyValue, Sampling, Trace};
use chassis::{Chassis, Context};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const REQUEST_ID_BYTES_MAX: usize = 128;

/// What no route matched is counted as one.
const NO_ROUTE: &str = "unmatched";

/// Counted as the status of a request whose client went away before the answer.
const CLIENT_GONE: u16 = 499;

const BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 10.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    route: String,
    method: String,
    status: u16,
}

/// Metrics of the public port, and which of its requests are traced.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<Labels, Counter>,
    duration: Family<Labels, Durations>,
    in_flight: Gauge,
    sampling: Sampling,
    always: Arc<HashSet<String>>,
}

impl Metrics {
    /// Requests that post to the routes in `always` are all traced.
    pub fn register(chassis: &Chassis, always: HashSet<String>) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Durations::new(BUCKETS.into_iter())),
            in_flight: Gauge::default(),
            sampling: chassis.sampling(),
            always: Arc::new(always),
        };
        chassis.register(|registry| {
            registry.register(
                "http_requests",
                "Requests answered",
                metrics.requests.clone(),
            );
            let duration = metrics.duration.clone();
            registry.register(
                "http_request_duration_seconds",
                "Time to the answer",
                duration,
            );
            let in_flight = metrics.in_flight.clone();
            registry.register(
                "http_requests_in_flight",
                "Requests being worked on",
                in_flight,
            );
        });
        metrics
    }

    fn traces_always(&self, method: &str, route: &str) -> bool {
        method == "POST" && self.always.contains(route)
    }
}

/// A request under way. Its client may go away, and then nobody sees it end but `drop`.
struct Answering<'a> {
    metrics: &'a Metrics,
    route: String,
    method: &'static str,
    request_id: Arc<str>,
    trace: Trace,
    started: Instant,
    status: Option<StatusCode>,
}

impl Answering<'_> {
    fn record_late(&self, status: u16, took: Duration) {
        let attributes = vec![
            KeyValue::new("http.request.method", self.method),
            KeyValue::new("http.route", self.route.clone()),
            KeyValue::new("http.response.status_code", i64::from(status)),
            KeyValue::new("request.id", self.request_id.to_string()),
        ];
        let name = format!("{} {}", self.method, self.route);
        self.trace
            .record_late(name, took, status >= 500, attributes);
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let status = self.status.map_or(CLIENT_GONE, |status| status.as_u16());
        let slow = took > self.metrics.sampling.slow;
        let late = !self.trace.is_recorded() && (slow || status >= 500);
        if late {
            self.record_late(status, took);
        }
        let exemplar = (late || self.trace.is_recorded()).then(|| self.trace.exemplar());
        let labels = Labels {
            route: std::mem::take(&mut self.route),
            method: self.method.to_owned(),
            status,
        };
        self.metrics.in_flight.dec();
        self.metrics.requests.get_or_create(&labels).inc();
        self.metrics
            .duration
            .get_or_create(&labels)
            .observe(took.as_secs_f64(), exemplar, None);
    }
}

/// Around everything else.
pub async fn observe(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let method = known_method(request.method());
    let request_id = request_id(request.headers());
    let always = metrics.traces_always(method, &route);
    let trace = Trace::begin(request.headers(), metrics.sampling, always);
    let span = span(&request, &route, method, &request_id, trace);
    metrics.in_flight.inc();
    let mut answering = Answering {
        metrics: &metrics,
        route,
        method,
        request_id: request_id.clone(),
        trace,
        started: Instant::now(),
        status: None,
    };
    let context = Context {
        request_id: Some(request_id.clone()),
        trace: Some(trace),
        ..Context::default()
    };
    let response = context.scope(next.run(request)).instrument(span.clone());
    let mut response = response.await;
    let status = response.status();
    answering.status = Some(status);
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The path is recorded, the query is not: people search for what is nobody's business.
fn span(request: &Request, route: &str, method: &str, request_id: &str, trace: Trace) -> Span {
    if !trace.is_recorded() {
        return Span::none();
    }
    let span = tracing::info_span!(
        "http.server",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        url.path = request.uri().path(),
        http.response.status_code = Empty,
        request.id = request_id,
        order.id = Empty,
    );
    trace.own(&span);
    span
}

/// Methods are labels: anybody can invent one.
fn known_method(method: &Method) -> &'static str {
    let known = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ];
    const NAMES: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    let found = known.iter().position(|known| known == method);
    found.map_or("OTHER", |index| NAMES[index])
}

/// The caller's own, when it is short and plain, else a fresh one.
fn request_id(headers: &HeaderMap) -> Arc<str> {
    let given = headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    let plain = |id: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte);
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(allowed)
    };
    match given.filter(plain) {
        Some(id) => id.into(),
        None => uuid::Uuid::now_v7().to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_taken_over_when_it_is_plain() {
        let id = |text: &str| {
            let header = (REQUEST_ID, HeaderValue::try_from(text).unwrap());
            request_id(&[header].into_iter().collect())
        };

        assert_eq!(&*id("order-7.a"), "order-7.a");
        assert_ne!(&*id("a b"), "a b");
        assert_ne!(&*id("<script>"), "<script>");
        assert_eq!(id(&"x".repeat(129)).len(), 36);
    }
}
