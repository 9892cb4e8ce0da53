use std::sync::atomic::AtomicI64;

use chassis::Chassis;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::payment::{Kind, Operation, State};
use crate::store::Limbo;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOperation {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLimbo {
    shard: String,
    currency: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCurrency {
    currency: String,
}

/// What became of operations, and money that nothing becomes of.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    operations: Family<OfOperation, Counter>,
    captured: Family<OfCurrency, Counter>,
    refunded: Family<OfCurrency, Counter>,
    limbo: Family<OfLimbo, Gauge<i64, AtomicI64>>,
}

impl Metrics {
    pub(crate) fn register(chassis: &Chassis) -> Self {
        let metrics = Self::default();
        chassis.register(|registry| {
            registry.register(
                "payment_operations",
                "Operations that were settled here, or left with an unknown outcome",
                metrics.operations.clone(),
            );
            registry.register(
                "money_captured",
                "Minor units that were taken",
                metrics.captured.clone(),
            );
            registry.register(
                "money_refunded",
                "Minor units that were given back",
                metrics.refunded.clone(),
            );
            registry.register(
                "money_in_limbo",
                "Minor units that are authorized for longer than they should be, as every process sees them",
                metrics.limbo.clone(),
            );
        });
        metrics
    }

    pub(crate) fn count(&self, operation: &Operation) {
        let result = match operation.state {
            State::Succeeded => "succeeded",
            State::Declined => "declined",
            State::Pending | State::Unknown => "unknown",
        };
        let kind = operation.kind.name();
        let labels = OfOperation { kind, result };
        self.operations.get_or_create(&labels).inc();
        let moved = match (operation.kind, operation.state) {
            (Kind::Capture, State::Succeeded) => &self.captured,
            (Kind::Refund, State::Succeeded) => &self.refunded,
            _ => return,
        };
        let currency = operation.amount.currency.code().to_owned();
        let minor_units = operation.amount.minor_units.unsigned_abs();
        moved
            .get_or_create(&OfCurrency { currency })
            .inc_by(minor_units);
    }

    /// Replaces what was known; where nothing is in limbo there is no series.
    pub(crate) fn set_limbo(&self, held: &[Limbo]) {
        self.limbo.clear();
        for limbo in held {
            let (shard, currency) = (limbo.shard.clone(), limbo.currency.clone());
            let labels = OfLimbo { shard, currency };
            self.limbo.get_or_create(&labels).set(limbo.minor_units);
        }
    }
}
