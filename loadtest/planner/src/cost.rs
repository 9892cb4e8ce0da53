//! What a month costs, at the prices that were given.

use crate::Service;
use crate::capacity::{Capacity, Knee, Machine, Measured};
use crate::data::stored_gib;
use crate::plan::{Plan, ServicePlan};
use crate::pods::pods_by_hour;
use crate::quantity::float;

const HOURS_PER_MONTH: f64 = 730.0;

/// In the currency of the prices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Pods of the services, as the autoscaler runs them on ordinary days.
    pub services: f64,
    /// Shards and their replicas.
    pub databases: f64,
    /// Kafka and the rest.
    pub others: f64,
    /// What is stored, with all copies.
    pub storage: f64,
}

impl Cost {
    pub fn total(&self) -> f64 {
        self.services + self.databases + self.others + self.storage
    }
}

/// Of the month that begins so many months from now.
pub fn of_month(capacity: &Capacity, measured: &Measured, plan: &Plan, months: u32) -> Cost {
    let pods = |(service, knee): (&Service, &Knee)| {
        let planned = &plan.services[service];
        let hours = pods_by_hour(capacity, knee, planned.min, f64::from(months));
        let mean = float(hours.iter().sum()) / 24.0;
        mean * pod_hour(capacity, planned) * HOURS_PER_MONTH
    };
    let shards = float(u64::try_from(plan.databases.shards.len()).unwrap_or_default());
    let servers = &capacity.servers;
    let copies = float(servers.shard.count);
    let brokers = float(servers.kafka.count);
    let stored = stored_gib(capacity, measured, months) * copies + float(plan.kafka.gib) * brokers;
    Cost {
        services: measured.services.iter().map(pods).sum(),
        databases: shards * machines(capacity, &servers.shard),
        others: machines(capacity, &servers.kafka) + machines(capacity, &servers.others),
        storage: stored * capacity.prices.gib_month,
    }
}

/// A day on which all services run the most pods of the sale, above an ordinary one.
pub fn of_sale_day(capacity: &Capacity, measured: &Measured, plan: &Plan) -> f64 {
    let horizon = capacity.load.horizon();
    let more = |(service, knee): (&Service, &Knee)| {
        let planned = &plan.services[service];
        let ordinary: u64 = pods_by_hour(capacity, knee, planned.min, horizon)
            .iter()
            .sum();
        (float(planned.sale.max * 24) - float(ordinary)) * pod_hour(capacity, planned)
    };
    measured.services.iter().map(more).sum()
}

fn pod_hour(capacity: &Capacity, planned: &ServicePlan) -> f64 {
    hour(
        capacity,
        float(planned.cpu_millicores) / 1000.0,
        float(planned.memory_mib) / 1024.0,
    )
}

/// Of so many virtual processors and so much memory.
pub fn hour(capacity: &Capacity, vcpus: f64, gib: f64) -> f64 {
    vcpus * capacity.prices.vcpu_hour + gib * capacity.prices.gib_hour
}

/// A month of them.
fn machines(capacity: &Capacity, machine: &Machine) -> f64 {
    float(machine.count) * hour(capacity, machine.vcpus, machine.gib) * HOURS_PER_MONTH
}

/// What a month of the requests of `pods` pods costs.
pub fn requests(capacity: &Capacity, pods: u64, millicores: f64, mib: f64) -> f64 {
    float(pods) * hour(capacity, millicores / 1000.0, mib / 1024.0) * HOURS_PER_MONTH
}
