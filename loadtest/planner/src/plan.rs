//! From one pod's knee to pods, requests and targets.

use std::collections::BTreeMap;

use crate::Service;
use crate::capacity::{Capacity, Knee};
use crate::databases::{self, DatabasePlan};
use crate::demand::Demand;
use crate::kafka::{self, KafkaPlan};
use crate::pods::{carries, pods};
use crate::quantity::{ceil, right_sized};
use crate::values::{Pods, Values};

/// What carries the load within the horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Ordinary days, and at the end the sale.
    pub demands: Vec<Demand>,
    pub services: BTreeMap<Service, ServicePlan>,
    pub databases: DatabasePlan,
    pub kafka: KafkaPlan,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ServicePlan {
    /// For each demand.
    pub pods: Vec<u64>,
    pub min: u64,
    pub max: u64,
    pub sale: Pods,
    /// What the autoscaler aims at for each pod.
    pub requests_per_second: u64,
    /// To request.
    pub cpu_millicores: u64,
    /// To request.
    pub memory_mib: u64,
}

impl Plan {
    /// Keeps the shards and partitions that `values` has: neither can shrink.
    ///
    /// An error says which limit cannot be kept.
    pub fn new(capacity: &Capacity, values: &Values) -> anyhow::Result<Self> {
        let measured = capacity.measured()?;
        let mut demands = capacity.load.demands();
        demands.push(capacity.load.sale_demand());
        let plan =
            |(service, knee): (&Service, &Knee)| (*service, plan_service(capacity, knee, &demands));
        let services: BTreeMap<_, _> = measured.services.iter().map(plan).collect();
        let pods_max = |service: Service| match services.get(&service) {
            Some(planned) => planned.sale.max,
            None => values.pods_max(service),
        };
        let databases = databases::plan(capacity, measured, values, pods_max)?;
        let kafka = kafka::plan(capacity, measured, values);
        Ok(Self {
            demands,
            services,
            databases,
            kafka,
        })
    }
}

fn plan_service(capacity: &Capacity, knee: &Knee, demands: &[Demand]) -> ServicePlan {
    let (load, policy) = (&capacity.load, &capacity.policy);
    let pods_at_least = |rate| pods(rate, knee, policy).max(policy.pods_min);
    let needed: Vec<u64> = demands
        .iter()
        .map(|demand| pods(demand.requests_per_second, knee, policy))
        .collect();
    let max = pods_at_least(load.peak(load.horizon()));
    let sale_max = pods_at_least(load.sale(load.horizon()));
    ServicePlan {
        pods: needed,
        min: pods_at_least(load.ordinary(0.0) * load.quietest_share()),
        max,
        // A sale opens at once: its fewest pods carry the one that today's load would become.
        sale: Pods {
            min: pods_at_least(load.sale(0.0)),
            max: sale_max,
        },
        requests_per_second: ceil(carries(knee, policy)),
        cpu_millicores: right_sized(knee.cpu_millicores),
        memory_mib: right_sized(knee.memory_mib),
    }
}
