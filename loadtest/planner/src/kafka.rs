//! Partitions, and room for events.

use crate::capacity::{Capacity, Measured};
use crate::data::{GIB, mean_orders};
use crate::quantity::{ceil, ceil_to, float};
use crate::values::Values;

/// Of every record.
const KAFKA_COPIES: f64 = 3.0;

#[derive(Clone, Debug, PartialEq)]
pub struct KafkaPlan {
    pub partitions: u64,
    /// Of each broker.
    pub gib: u64,
    /// On the busiest topic, in the sale.
    pub events_per_second: f64,
}

pub(crate) fn plan(capacity: &Capacity, measured: &Measured, values: &Values) -> KafkaPlan {
    let present = values.kafka.storage.mib().unwrap_or_default() / 1024.0;
    let gib = broker_gib(capacity, measured);
    let partitions = partitions(
        capacity,
        measured,
        capacity.load.sale(capacity.load.horizon()),
    );
    KafkaPlan {
        partitions: match partitions <= values.kafka.partitions {
            true => values.kafka.partitions,
            false => partitions.next_multiple_of(capacity.servers.kafka.count),
        },
        gib: if gib <= present {
            ceil(present)
        } else {
            ceil_to(gib, 10)
        },
        events_per_second: events(
            capacity,
            measured,
            capacity.load.sale(capacity.load.horizon()),
        ),
    }
}

/// On the busiest topic.
fn events(capacity: &Capacity, measured: &Measured, public: f64) -> f64 {
    public * measured.orders_per_request * capacity.data.events_per_order
}

pub(crate) fn partitions(capacity: &Capacity, measured: &Measured, public: f64) -> u64 {
    let each = capacity.data.events_per_second_and_partition * capacity.policy.load_share;
    ceil(events(capacity, measured, public) / each).max(1)
}

/// Room for what a broker keeps.
pub(crate) fn broker_gib(capacity: &Capacity, measured: &Measured) -> f64 {
    let data = &capacity.data;
    let orders = mean_orders(capacity, measured, capacity.load.horizon());
    let kept = orders * data.event_bytes_per_order * data.event_days * 24.0 * 3600.0 / GIB;
    kept * KAFKA_COPIES / float(capacity.servers.kafka.count) / capacity.policy.disk_share
}
