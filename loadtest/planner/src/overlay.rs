//! The plan as a values file.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_saphyr::FlowMap;

use crate::Service;
use crate::capacity::Capacity;
use crate::plan::{Plan, ServicePlan};
use crate::values::Pods;

/// What is laid over the values that were planned from.
#[derive(Clone, Debug, Serialize)]
pub struct Overlay {
    services: BTreeMap<Service, ServiceValues>,
    sale: SaleValues,
    databases: DatabaseValues,
    kafka: KafkaValues,
}

#[derive(Clone, Debug, Serialize)]
struct ServiceValues {
    resources: Resources,
    autoscaling: Autoscaling,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<FlowMap<Settings>>,
}

#[derive(Clone, Debug, Serialize)]
struct Resources {
    requests: FlowMap<Share>,
    limits: FlowMap<Share>,
}

#[derive(Clone, Debug, Serialize)]
struct Share {
    cpu: String,
    memory: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Autoscaling {
    enabled: bool,
    min: u64,
    max: u64,
    cpu: u64,
    memory: u64,
    requests_per_second: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Settings {
    pool_size: u64,
}

#[derive(Clone, Debug, Serialize)]
struct SaleValues {
    services: BTreeMap<Service, FlowMap<Pods>>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DatabaseValues {
    mode: &'static str,
    shards: Vec<FlowMap<Shard>>,
    max_connections: u64,
    pooler: Pooler,
}

#[derive(Clone, Debug, Serialize)]
struct Shard {
    name: String,
    storage: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pooler {
    enabled: bool,
    instances: u64,
    pool_size: u64,
    reserve_size: u64,
    clients_max: u64,
}

#[derive(Clone, Debug, Serialize)]
struct KafkaValues {
    partitions: u64,
    storage: String,
}

impl Overlay {
    pub fn new(capacity: &Capacity, plan: &Plan) -> Self {
        let databases = &plan.databases;
        let service = |(service, planned): (&Service, &ServicePlan)| {
            let pool = databases.pod_pools.get(service).copied();
            (*service, ServiceValues::new(capacity, planned, pool))
        };
        let sale = |(service, planned): (&Service, &ServicePlan)| (*service, FlowMap(planned.sale));
        let shards = databases.shards.iter().map(|shard| {
            FlowMap(Shard {
                name: shard.name.clone(),
                storage: format!("{}Gi", shard.gib),
            })
        });
        Self {
            services: plan.services.iter().map(service).collect(),
            sale: SaleValues {
                services: plan.services.iter().map(sale).collect(),
            },
            databases: DatabaseValues {
                mode: "cnpg",
                shards: shards.collect(),
                max_connections: capacity.limits.connections,
                pooler: Pooler {
                    enabled: true,
                    instances: capacity.limits.poolers,
                    pool_size: databases.pool_size,
                    reserve_size: databases.reserve,
                    clients_max: databases.clients_max,
                },
            },
            kafka: KafkaValues {
                partitions: plan.kafka.partitions,
                storage: format!("{}Gi", plan.kafka.gib),
            },
        }
    }

    pub fn to_yaml(&self) -> anyhow::Result<String> {
        Ok(serde_saphyr::to_string(self)?)
    }
}

impl ServiceValues {
    fn new(capacity: &Capacity, planned: &ServicePlan, pool_size: Option<u64>) -> Self {
        let share = |cpu: u64, memory: u64| {
            FlowMap(Share {
                cpu: format!("{cpu}m"),
                memory: format!("{memory}Mi"),
            })
        };
        let (cpu, memory) = (planned.cpu_millicores, planned.memory_mib);
        Self {
            // Limits are twice the requests, as in the chart's defaults.
            resources: Resources {
                requests: share(cpu, memory),
                limits: share(2 * cpu, 2 * memory),
            },
            autoscaling: Autoscaling {
                enabled: true,
                min: planned.min,
                max: planned.max,
                cpu: capacity.policy.cpu_percent,
                memory: capacity.policy.memory_percent,
                requests_per_second: planned.requests_per_second,
            },
            settings: pool_size.map(|pool_size| FlowMap(Settings { pool_size })),
        }
    }
}
