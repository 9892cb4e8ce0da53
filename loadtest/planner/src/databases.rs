//! Shards, and connections to them.

use std::collections::BTreeMap;

use anyhow::anyhow;

use crate::Service;
use crate::capacity::{Capacity, Database, Measured};
use crate::data::stored_gib;
use crate::pods::own_rate;
use crate::quantity::{ceil, ceil_to, float};
use crate::values::Values;

/// Each has a database of its own on every shard.
const BACKENDS: u64 = 5;
/// A slot belongs to one shard.
const SHARDS_MAX: u64 = 1024;
/// Fewest connections of a pod to a database: one may wait for a commit.
const POD_POOL_MIN: u64 = 2;
const POOL_MIN: u64 = 5;

#[derive(Clone, Debug, PartialEq)]
pub struct DatabasePlan {
    pub shards: Vec<ShardPlan>,
    /// `default_pool_size` of each PgBouncer.
    pub pool_size: u64,
    /// `reserve_pool_size`.
    pub reserve: u64,
    /// Connections that come to one PgBouncer when it is the only one of its shard.
    pub clients: u64,
    /// `max_client_conn`.
    pub clients_max: u64,
    /// What all PgBouncers of a shard may open on a server, and those kept for operators.
    pub server_connections: u64,
    /// Connections of each pod to each shard's primary, and as many to its replicas.
    pub pod_pools: BTreeMap<Service, u64>,
    /// On all primaries together, in the sale.
    pub round_trips_per_second: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ShardPlan {
    pub name: String,
    pub gib: u64,
}

/// The fewest shards, at least the present ones, on which everything fits.
pub(crate) fn plan(
    capacity: &Capacity,
    measured: &Measured,
    values: &Values,
    pods_max: impl Fn(Service) -> u64,
) -> anyhow::Result<DatabasePlan> {
    let public = capacity.load.sale(capacity.load.horizon());
    let fewest = shards_for_load(capacity, measured, public)
        .max(shards_for_data(capacity, measured))
        .max(u64::try_from(values.databases.shards.len())?);
    let mut reason = format!("{fewest} shards are needed, and there are {SHARDS_MAX} slots");
    for shards in fewest..=SHARDS_MAX {
        let pods = |service| {
            (
                pods_max(service),
                pod_pool(capacity, measured, values, service, shards),
            )
        };
        match fit(capacity, measured, public, shards, pods) {
            Ok(fitted) => {
                return Ok(DatabasePlan {
                    shards: name_shards(capacity, measured, values, shards),
                    ..fitted
                });
            }
            Err(why) => reason = why,
        }
    }
    Err(anyhow!("{reason}"))
}

fn fit(
    capacity: &Capacity,
    measured: &Measured,
    public: f64,
    shards: u64,
    // The most of a service, and the connections of each to a shard.
    pods: impl Fn(Service) -> (u64, u64),
) -> Result<DatabasePlan, String> {
    let limits = &capacity.limits;
    let backends = || {
        Service::ALL
            .into_iter()
            .filter(|service| service.is_backend())
    };
    let busiest = backends().map(|service| busy(measured, service, public, shards));
    let pool_share = float(limits.poolers) * capacity.policy.pool_share;
    let pool_size = ceil(busiest.fold(0.0, f64::max) / pool_share).max(POOL_MIN);
    let reserve = pool_size.div_ceil(5);
    let server_connections =
        server_connections(limits.poolers, pool_size + reserve, limits.connections_kept);
    if pool_size > limits.pool_size {
        return Err(format!(
            "limits.pool_size: {pool_size} connections are needed"
        ));
    }
    if server_connections > limits.connections {
        return Err(format!(
            "limits.connections: {server_connections} are needed"
        ));
    }
    let clients: u64 = backends().map(&pods).map(|(most, pool)| most * pool).sum();
    if clients > limits.clients {
        return Err(format!(
            "limits.clients: {clients} connections come to one PgBouncer"
        ));
    }
    Ok(DatabasePlan {
        shards: Vec::new(),
        pool_size,
        reserve,
        clients,
        clients_max: clients.next_multiple_of(1000).min(limits.clients),
        server_connections,
        pod_pools: backends()
            .map(|service| (service, pods(service).1))
            .collect(),
        round_trips_per_second: round_trips(measured, public),
    })
}

/// What the PgBouncers of one role of a shard may open, and what is kept.
pub(crate) fn server_connections(poolers: u64, pool: u64, kept: u64) -> u64 {
    BACKENDS * poolers * pool + kept
}

/// Connections of a service that are in use on one shard's primary, or on its replicas.
pub(crate) fn busy(measured: &Measured, service: Service, public: f64, shards: u64) -> f64 {
    own_rate(measured, service, public) * seconds(measured, service) / float(shards)
}

/// For how long a request holds a connection, on the busier role.
fn seconds(measured: &Measured, service: Service) -> f64 {
    let of = |database: Database| database.seconds_per_request;
    let knee = measured.services.get(&service);
    knee.map_or(0.0, |knee| of(knee.primary).max(of(knee.replica)))
}

fn pod_pool(
    capacity: &Capacity,
    measured: &Measured,
    values: &Values,
    service: Service,
    shards: u64,
) -> u64 {
    match measured.services.contains_key(&service) {
        true => {
            let busy = pod_busy(measured, service, shards);
            ceil(busy / capacity.policy.pool_share).max(POD_POOL_MIN)
        }
        false => values.services[&service].settings.pool_size,
    }
}

/// Connections to one shard that a pod has in use at its knee.
pub(crate) fn pod_busy(measured: &Measured, service: Service, shards: u64) -> f64 {
    let knee = measured.services.get(&service);
    let rate = knee.map_or(0.0, |knee| knee.requests_per_second);
    rate * seconds(measured, service) / float(shards)
}

/// On all primaries together.
pub(crate) fn round_trips(measured: &Measured, public: f64) -> f64 {
    let of = |service: &Service| {
        let primary = measured.services[service].primary;
        own_rate(measured, *service, public) * primary.round_trips_per_request
    };
    measured.services.keys().map(of).sum()
}

pub(crate) fn shards_for_load(capacity: &Capacity, measured: &Measured, public: f64) -> u64 {
    let Some(shard) = &measured.shard else {
        return 1;
    };
    let carries = shard.round_trips_per_second * capacity.policy.load_share;
    ceil(round_trips(measured, public) / carries).max(1)
}

fn shards_for_data(capacity: &Capacity, measured: &Measured) -> u64 {
    let months = capacity.load.horizon_months;
    let room = float(capacity.limits.shard_gib) * capacity.policy.disk_share;
    ceil(stored_gib(capacity, measured, months) / room).max(1)
}

/// Room for a shard's part of the data at the horizon.
pub(crate) fn shard_gib(capacity: &Capacity, measured: &Measured, shards: u64) -> f64 {
    let months = capacity.load.horizon_months;
    stored_gib(capacity, measured, months) / float(shards) / capacity.policy.disk_share
}

fn name_shards(
    capacity: &Capacity,
    measured: &Measured,
    values: &Values,
    shards: u64,
) -> Vec<ShardPlan> {
    let needed = shard_gib(capacity, measured, shards);
    let present = values.databases.shards.iter().map(|shard| {
        let gib = shard.storage.mib().unwrap_or_default() / 1024.0;
        (shard.name.clone(), gib)
    });
    let taken: Vec<_> = values
        .databases
        .shards
        .iter()
        .map(|shard| &shard.name)
        .collect();
    let free = (0..).map(letters).filter(|name| !taken.contains(&name));
    let new = free.map(|name| (name, 0.0));
    let shard = |(name, gib): (String, f64)| ShardPlan {
        name,
        gib: if needed <= gib {
            ceil(gib)
        } else {
            ceil_to(needed, 10)
        },
    };
    let count = usize::try_from(shards).unwrap_or(usize::MAX);
    present.chain(new).take(count).map(shard).collect()
}

/// a, b, …, z, aa, ab, …
fn letters(mut number: u32) -> String {
    let mut name = String::new();
    loop {
        name.insert(0, char::from_u32('a' as u32 + number % 26).unwrap_or('a'));
        match (number / 26).checked_sub(1) {
            Some(rest) => number = rest,
            None => return name,
        }
    }
}
