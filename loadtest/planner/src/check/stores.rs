//! Databases and Kafka.

use crate::Service;
use crate::capacity::{Capacity, Measured};
use crate::demand::Demand;
use crate::pods::own_rate;
use crate::quantity::{Quantity, float};
use crate::values::Values;
use crate::{databases, kafka};

pub(super) fn contradictions(
    capacity: &Capacity,
    measured: &Measured,
    values: &Values,
    demand: &Demand,
) -> Vec<String> {
    let mut found = check_shards(capacity, measured, values, demand);
    found.extend(check_servers(capacity, values));
    found.extend(check_pools(capacity, measured, values, demand));
    found.extend(check_kafka(capacity, measured, values, demand));
    found
}

fn check_shards(
    capacity: &Capacity,
    measured: &Measured,
    values: &Values,
    demand: &Demand,
) -> Vec<String> {
    let shards = &values.databases.shards;
    let count = count(shards);
    let needed = databases::shards_for_load(capacity, measured, demand.requests_per_second);
    let too_few = (needed > count).then(|| {
        format!(
            "databases.shards: {count} primaries; {:.0} round trips/s ({}) need {needed}",
            databases::round_trips(measured, demand.requests_per_second),
            demand.name
        )
    });
    let gib = databases::shard_gib(capacity, measured, count);
    let too_small = shards.iter().enumerate().filter_map(|(index, shard)| {
        let path = format!("databases.shards[{index}].storage");
        check_storage(&path, &shard.storage, gib, capacity.load.horizon_months)
    });
    too_few.into_iter().chain(too_small).collect()
}

fn check_storage(path: &str, storage: &Quantity, gib: f64, months: u32) -> Option<String> {
    match storage.mib() {
        None => Some(format!("{path}: {storage:?} is no quantity")),
        Some(mib) if mib / 1024.0 < gib * (1.0 - 1e-9) => {
            let has = mib / 1024.0;
            Some(format!(
                "{path}: {has:.0}Gi; {gib:.0}Gi are needed in {months} months"
            ))
        }
        Some(_) => None,
    }
}

fn check_servers(capacity: &Capacity, values: &Values) -> Vec<String> {
    let (databases, limits) = (&values.databases, &capacity.limits);
    let pooler = &databases.pooler;
    let max = databases.max_connections;
    let mut found = Vec::new();
    if max > limits.connections {
        found.push(format!(
            "databases.maxConnections: {max} are above limits.connections, {}",
            limits.connections
        ));
    }
    if pooler.clients_max > limits.clients {
        found.push(format!(
            "databases.pooler.clientsMax: {} are above limits.clients, {}",
            pooler.clients_max, limits.clients
        ));
    }
    let pool = pooler.pool_size + pooler.reserve_size;
    let opened = databases::server_connections(pooler.instances, pool, limits.connections_kept);
    if is_pooled(values) && opened > max {
        found.push(format!(
            "databases.maxConnections: {max}; PgBouncers open up to {opened} with those kept"
        ));
    }
    found
}

fn check_pools(
    capacity: &Capacity,
    measured: &Measured,
    values: &Values,
    demand: &Demand,
) -> Vec<String> {
    let (databases, policy) = (&values.databases, &capacity.policy);
    let pooler = &databases.pooler;
    let shards = count(&databases.shards);
    let mut found = Vec::new();
    let mut clients = 0;
    for service in Service::ALL
        .into_iter()
        .filter(|service| service.is_backend())
    {
        let pool = values.services[&service].settings.pool_size;
        clients += values.pods_max(service) * pool;
        let busy = databases::pod_busy(measured, service, shards);
        if busy > float(pool) * policy.pool_share * (1.0 + 1e-9) {
            found.push(format!(
                "services.{service}.settings.pool_size: {pool}; a pod at its knee has {busy:.1} in use for each shard"
            ));
        }
        let busy = databases::busy(measured, service, demand.requests_per_second, shards);
        let room = float(pooler.instances * pooler.pool_size) * policy.pool_share;
        if is_pooled(values) && busy > room * (1.0 + 1e-9) {
            found.push(format!(
                "databases.pooler.poolSize: {} in {} PgBouncers; {service} has {busy:.1} in use on each shard ({}, {:.0} requests/s)",
                pooler.pool_size,
                pooler.instances,
                demand.name,
                own_rate(measured, service, demand.requests_per_second)
            ));
        }
    }
    let (path, most) = match is_pooled(values) {
        true => ("databases.pooler.clientsMax", pooler.clients_max),
        false => ("databases.maxConnections", databases.max_connections),
    };
    if clients > most {
        found.push(format!(
            "{path}: {most}; the most pods open {clients} connections"
        ));
    }
    found
}

fn check_kafka(
    capacity: &Capacity,
    measured: &Measured,
    values: &Values,
    demand: &Demand,
) -> Vec<String> {
    let present = values.kafka.partitions;
    let needed = kafka::partitions(capacity, measured, demand.requests_per_second);
    let too_few = (needed > present).then(|| {
        format!(
            "kafka.partitions: {present}; the events of {} need {needed}",
            demand.name
        )
    });
    let gib = kafka::broker_gib(capacity, measured);
    let months = capacity.load.horizon_months;
    let too_small = check_storage("kafka.storage", &values.kafka.storage, gib, months);
    too_few.into_iter().chain(too_small).collect()
}

fn is_pooled(values: &Values) -> bool {
    values.databases.mode == "cnpg" && values.databases.pooler.enabled
}

fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}
