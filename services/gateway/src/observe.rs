//! One span, one set of numbers and one request id for every request.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use chassis::{Chassis, Context};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const REQUEST_ID_BYTES_MAX: usize = 128;

/// What no route matched is counted as one.
const NO_ROUTE: &str = "unmatched";

const BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 10.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    route: String,
    method: String,
    status: u16,
}

/// Metrics of the public port.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<Labels, Counter>,
    duration: Family<Labels, Histogram>,
    in_flight: Gauge,
}

impl Metrics {
    pub fn register(chassis: &Chassis) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            in_flight: Gauge::default(),
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
}

/// Counts a request that may be dropped when its client goes away.
struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    fn enter(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Around everything else.
pub async fn observe(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let _in_flight = InFlight::enter(&metrics.in_flight);
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let method = known_method(request.method());
    let request_id = request_id(request.headers());
    let span = span(&request, &route, method, &request_id);
    let context = Context {
        request_id: Some(request_id.clone()),
        ..Context::default()
    };
    let response = context.scope(next.run(request)).instrument(span.clone());
    let mut response = response.await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    let labels = Labels {
        route,
        method: method.to_owned(),
        status: status.as_u16(),
    };
    metrics.requests.get_or_create(&labels).inc();
    metrics
        .duration
        .get_or_create(&labels)
        .observe(started.elapsed().as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The path is recorded, the query is not: people search for what is nobody's business.
fn span(request: &Request, route: &str, method: &str, request_id: &str) -> Span {
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
    chassis::trace::continue_from_headers(&span, request.headers());
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
