//! What is planned from: what a run measured, what must be carried, and within which limits.

mod rules;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Service;
use rules::{above_zero, at_least_one, has_a_peak, not_negative, share};

/// `capacity.json`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Capacity {
    /// Written by `planner measure` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub measured: Option<Measured>,
    #[garde(dive)]
    pub load: Load,
    #[garde(dive)]
    pub data: Data,
    #[garde(dive)]
    pub policy: Policy,
    #[garde(dive)]
    pub limits: Limits,
    #[garde(dive)]
    pub servers: Servers,
    #[garde(dive)]
    pub prices: Prices,
}

/// What a run under load showed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Measured {
    /// What was run, in a few words.
    pub run: String,
    pub from: Timestamp,
    pub to: Timestamp,
    /// The 95th percentile that a pod must keep.
    #[garde(custom(above_zero))]
    pub p95_ms_max: f64,
    /// Confirmed orders for each public request.
    #[garde(custom(not_negative))]
    pub orders_per_request: f64,
    /// What the load generator saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub clients: Option<Clients>,
    /// Services without load are absent, and are not planned.
    #[garde(length(min = 1), dive)]
    pub services: BTreeMap<Service, Knee>,
    /// Absent: shards are planned for connections and storage alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub shard: Option<ShardKnee>,
}

/// The most that a pod carried while it kept its percentile.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Knee {
    /// Of one pod.
    #[garde(custom(above_zero))]
    pub requests_per_second: f64,
    /// Whether more load broke the percentile; otherwise a pod may carry more than was tried.
    pub is_limit: bool,
    #[garde(custom(not_negative))]
    pub p95_ms: f64,
    #[garde(custom(above_zero))]
    pub cpu_millicores: f64,
    #[garde(custom(above_zero))]
    pub memory_mib: f64,
    /// Requests to this service for each public request.
    #[garde(custom(not_negative))]
    pub requests_per_public_request: f64,
    #[serde(default)]
    #[garde(dive)]
    pub primary: Database,
    #[serde(default)]
    #[garde(dive)]
    pub replica: Database,
}

/// What one of a service's requests costs the databases of a role, in all shards together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Database {
    #[garde(custom(not_negative))]
    pub round_trips_per_request: f64,
    /// For how long a connection is in use.
    #[garde(custom(not_negative))]
    pub seconds_per_request: f64,
}

/// The most that one primary carried while its round trips kept their percentile.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct ShardKnee {
    #[garde(custom(above_zero))]
    pub round_trips_per_second: f64,
    pub is_limit: bool,
    #[garde(custom(not_negative))]
    pub p95_ms: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    #[garde(custom(not_negative))]
    pub requests_per_second: f64,
    #[garde(custom(not_negative))]
    pub p95_ms: f64,
    #[garde(custom(share))]
    pub errors: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Load {
    #[garde(dive)]
    pub now: Rate,
    /// 0.5 is half as much again after a year.
    #[garde(custom(not_negative))]
    pub growth_per_year: f64,
    /// How many times the ordinary load a sale brings.
    #[garde(custom(at_least_one))]
    pub season: f64,
    /// Peaks that must be carried by then, whatever the growth.
    #[garde(dive)]
    pub goals: Vec<Goal>,
    /// How far ahead values are planned and checked.
    #[garde(range(min = 1, max = 60))]
    pub horizon_months: u32,
    /// The load of each hour of a day, as a share of its busiest.
    #[garde(inner(custom(share)), custom(has_a_peak))]
    pub hours: [f64; 24],
}

/// Public requests.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// In the busiest hour.
    #[garde(custom(above_zero))]
    pub requests_per_second: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Goal {
    pub months: u32,
    #[garde(custom(above_zero))]
    pub requests_per_second: f64,
}

/// What the metrics do not tell.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Data {
    #[garde(custom(not_negative))]
    pub stored_gib: f64,
    /// At least; more where the orders need more.
    #[garde(custom(not_negative))]
    pub gib_per_month: f64,
    #[garde(custom(not_negative))]
    pub bytes_per_order: f64,
    /// Of an order, on the topic that has most of them.
    #[garde(custom(not_negative))]
    pub events_per_order: f64,
    /// Of an order, on all topics, with keys and headers.
    #[garde(custom(not_negative))]
    pub event_bytes_per_order: f64,
    /// What one consumer takes from one partition.
    #[garde(custom(above_zero))]
    pub events_per_second_and_partition: f64,
    #[garde(custom(above_zero))]
    pub event_days: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Policy {
    /// How much of its knee a pod, a primary and a partition are given.
    #[garde(custom(share), custom(above_zero))]
    pub load_share: f64,
    /// The most of a pool that may be in use.
    #[garde(custom(share), custom(above_zero))]
    pub pool_share: f64,
    /// The most of a disk that may be full.
    #[garde(custom(share), custom(above_zero))]
    pub disk_share: f64,
    /// Fewest pods of a service.
    #[garde(range(min = 1))]
    pub pods_min: u64,
    /// Targets of the autoscaler, in percent of what is requested.
    #[garde(range(min = 1, max = 100))]
    pub cpu_percent: u64,
    #[garde(range(min = 1, max = 100))]
    pub memory_percent: u64,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// `max_connections` of a PostgreSQL server.
    #[garde(range(min = 1))]
    pub connections: u64,
    /// Those of them that are kept for migrations and operators.
    #[garde(skip)]
    pub connections_kept: u64,
    /// PgBouncers before the primary of a shard, and as many before its replicas.
    #[garde(range(min = 1))]
    pub poolers: u64,
    /// `default_pool_size` of a PgBouncer at most.
    #[garde(range(min = 1))]
    pub pool_size: u64,
    /// `max_client_conn` of a PgBouncer at most.
    #[garde(range(min = 1, max = 10000))]
    pub clients: u64,
    /// Of a shard.
    #[garde(range(min = 1))]
    pub shard_gib: u64,
}

/// What runs beside the services.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Servers {
    /// Of one shard: the primary and its replicas.
    #[garde(dive)]
    pub shard: Machine,
    #[garde(dive)]
    pub kafka: Machine,
    /// All others together: Redis, Prometheus.
    #[garde(dive)]
    pub others: Machine,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    #[garde(range(min = 1))]
    pub count: u64,
    /// Of each.
    #[garde(custom(not_negative))]
    pub vcpus: f64,
    #[garde(custom(not_negative))]
    pub gib: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Prices {
    pub currency: String,
    #[garde(custom(not_negative))]
    pub vcpu_hour: f64,
    #[garde(custom(not_negative))]
    pub gib_hour: f64,
    /// Of storage.
    #[garde(custom(not_negative))]
    pub gib_month: f64,
}

impl Capacity {
    /// An error names the field.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut json = serde_json::Deserializer::from_str(text);
        let capacity: Self = serde_path_to_error::deserialize(&mut json)?;
        json.end()?;
        capacity.checked()
    }

    /// An error names the fields whose numbers cannot be.
    pub fn checked(self) -> anyhow::Result<Self> {
        match self.validate() {
            Ok(()) => Ok(self),
            Err(report) => Err(anyhow!("{}", report.to_string().trim_end())),
        }
    }

    /// What was measured; an error without it.
    pub fn measured(&self) -> anyhow::Result<&Measured> {
        let hint = "measured: missing; `planner measure` writes it from a run under load";
        self.measured.as_ref().context(hint)
    }
}
