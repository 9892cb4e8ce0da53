use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;

use super::Durations;
use crate::trace::{KeyValue, Trace};

/// Bounds in seconds, from a cached read to the longest deadline.
pub const DURATION_BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    method: String,
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    method: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPeer {
    peer: &'static str,
}

/// Rate, errors and duration of the calls that a service answers.
#[derive(Clone)]
pub(crate) struct GrpcMetrics {
    requests: Family<Call, Counter>,
    duration: Family<Named, Durations>,
    in_flight: Gauge,
}

impl GrpcMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Durations::new(DURATION_BUCKETS.into_iter())),
            in_flight: Gauge::default(),
        };
        registry.register("grpc_requests", "Calls answered", metrics.requests.clone());
        registry.register_with_unit(
            "grpc_request_duration",
            "Time until a call was answered",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "grpc_requests_in_flight",
            "Calls under way",
            metrics.in_flight.clone(),
        );
        metrics
    }

    /// Counts a call of this trace, from now until the value is dropped.
    pub(crate) fn start(&self, method: &str, trace: Trace, slow: Duration) -> Answering {
        self.in_flight.inc();
        Answering {
            metrics: self.clone(),
            method: method.to_owned(),
            trace,
            slow,
            started: Instant::now(),
            code: None,
        }
    }
}

/// A call under way. Its caller may go away, and then nobody sees it end but `drop`.
pub(crate) struct Answering {
    metrics: GrpcMetrics,
    method: String,
    trace: Trace,
    slow: Duration,
    started: Instant,
    code: Option<Code>,
}

impl Answering {
    pub(crate) fn end(mut self, code: Code) {
        self.code = Some(code);
    }

    fn record_late(&self, code: Code, took: Duration) {
        let attributes = vec![
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", self.method.clone()),
            KeyValue::new("rpc.response.status_code", format!("{code:?}")),
        ];
        let failed = is_our_fault(code);
        self.trace
            .record_late(self.method.clone(), took, failed, attributes);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        let took = self.started.elapsed();
        let code = self.code.unwrap_or(Code::Cancelled);
        let late = !self.trace.is_recorded() && (took > self.slow || is_error(code));
        if late {
            self.record_late(code, took);
        }
        let exemplar = (late || self.trace.is_recorded()).then(|| self.trace.exemplar());
        let method = std::mem::take(&mut self.method);
        self.metrics
            .duration
            .get_or_create(&Named {
                method: method.clone(),
            })
            .observe(took.as_secs_f64(), exemplar, None);
        let status = format!("{code:?}");
        self.metrics
            .requests
            .get_or_create(&Call { method, status })
            .inc();
    }
}

/// What the span's status says.
pub(crate) fn is_our_fault(code: Code) -> bool {
    matches!(code, Code::Unknown | Code::Internal | Code::DataLoss)
}

/// What is recorded whoever it happens to: our faults, and what was not done in time or at all.
fn is_error(code: Code) -> bool {
    let undone = [
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::ResourceExhausted,
        Code::Cancelled,
    ];
    is_our_fault(code) || undone.contains(&code)
}

/// The breakers of the services that this one calls.
#[derive(Clone, Default)]
pub(crate) struct ClientMetrics(Family<OfPeer, Gauge>);

impl ClientMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "1 while calls to the service are refused here, because they failed";
        registry.register("grpc_breaker_open", help, metrics.0.clone());
        metrics
    }

    pub(crate) fn breaker_of(&self, peer: &'static str) -> Gauge {
        self.0.get_or_create_owned(&OfPeer { peer })
    }
}
