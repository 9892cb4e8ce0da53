use chassis::telemetry::{DURATION_BUCKETS, Durations};
use chassis::{Chassis, trace};
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use crate::order::{Order, OrderStatus};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStatus {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfShard {
    shard: String,
}

/// How many orders came to each status, and how long their decision took.
#[derive(Clone)]
pub(crate) struct Metrics {
    orders: Family<OfStatus, Counter>,
    need_operator: Family<OfShard, Gauge>,
    duration: Durations,
}

impl Metrics {
    pub(crate) fn register(chassis: &Chassis) -> Self {
        let metrics = Self {
            orders: Family::default(),
            need_operator: Family::default(),
            duration: Durations::new(DURATION_BUCKETS.into_iter()),
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
                metrics.duration.clone(),
            );
            registry.register(
                "orders_need_operator",
                "Orders that do not go on without an operator, as every process sees them",
                metrics.need_operator.clone(),
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
        self.duration
            .observe(took.as_secs_f64().max(0.0), trace::exemplar(), None);
    }

    pub(crate) fn set_need_operator(&self, shard: &str, count: i64) {
        let shard = shard.to_owned();
        self.need_operator
            .get_or_create(&OfShard { shard })
            .set(count);
    }
}
