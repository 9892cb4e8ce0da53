use std::sync::Arc;

use chassis::Chassis;
use chassis::telemetry::DURATION_BUCKETS;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use crate::order::{Order, OrderStatus};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStatus {
    status: &'static str,
}

/// How many orders came to each status, and how long their decision took.
#[derive(Clone)]
pub(crate) struct Metrics {
    orders: Family<OfStatus, Counter>,
    duration: Arc<Histogram>,
}

impl Metrics {
    pub(crate) fn register(chassis: &Chassis) -> Self {
        let duration = Histogram::new(DURATION_BUCKETS);
        let metrics = Self {
            orders: Family::default(),
            duration: Arc::new(duration.clone()),
        };
        chassis.register(|registry| {
            registry.register(
                "orders",
                "Orders that came to a status",
                metrics.orders.clone(),
            );
            registry.register_with_unit(
                "order_saga_duration",
                "Time until an order was confirmed or rejected",
                Unit::Seconds,
                duration,
            );
        });
        metrics
    }

    pub(crate) fn count(&self, status: OrderStatus) {
        let status = status.as_str();
        self.orders.get_or_create(&OfStatus { status }).inc();
    }

    pub(crate) fn observe_decision(&self, order: &Order) {
        let took = Timestamp::now().duration_since(order.created_at);
        self.duration.observe(took.as_secs_f64().max(0.0));
    }
}
