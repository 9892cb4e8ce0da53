use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;

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

/// Rate, errors and duration of the calls that a service answers.
#[derive(Clone)]
pub(crate) struct GrpcMetrics {
    requests: Family<Call, Counter>,
    duration: Family<Named, Histogram>,
    in_flight: Gauge,
}

impl GrpcMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
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

    pub(crate) fn start(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub(crate) fn observe(&self, method: &str, code: Code, took: Duration) {
        let method = method.to_owned();
        let status = format!("{code:?}");
        self.duration
            .get_or_create(&Named {
                method: method.clone(),
            })
            .observe(took.as_secs_f64());
        self.requests.get_or_create(&Call { method, status }).inc();
    }
}

/// Counts one call as under way until it is dropped.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
