//! Where values contradict the measurement.

mod stores;

use crate::Service;
use crate::capacity::{Capacity, Knee};
use crate::demand::Demand;
use crate::pods::{carries, pods};
use crate::quantity::{Quantity, float, right_sized};
use crate::values::{Values, Wanted};

/// What the measurement forbids, a line each that begins with the path of the value.
pub fn contradictions(capacity: &Capacity, values: &Values) -> anyhow::Result<Vec<String>> {
    let measured = capacity.measured()?;
    let mut found = Vec::new();
    for (service, knee) in &measured.services {
        let wanted = &values.services[service];
        found.extend(check_pods(capacity, knee, values, *service));
        found.extend(check_sale(capacity, knee, values, *service));
        found.extend(check_targets(knee, values.custom_metrics, *service, wanted));
        found.extend(check_resources(knee, *service, wanted));
    }
    let demand = highest(capacity, values);
    found.extend(stores::contradictions(capacity, measured, values, &demand));
    Ok(found)
}

/// What the values must carry at most.
fn highest(capacity: &Capacity, values: &Values) -> Demand {
    let mut ordinary = capacity.load.demands();
    match ordinary.pop() {
        Some(last) if !values.sale.enabled => last,
        _ => capacity.load.sale_demand(),
    }
}

fn check_pods(
    capacity: &Capacity,
    knee: &Knee,
    values: &Values,
    service: Service,
) -> Option<String> {
    let own = &values.services[&service].autoscaling;
    let (key, most) = if own.enabled {
        ("max", own.max)
    } else {
        ("min", own.min)
    };
    let path = format!("services.{service}.autoscaling.{key}");
    let demands = capacity.load.demands();
    demands
        .iter()
        .find_map(|demand| too_few(capacity, knee, &path, most, demand))
}

fn check_sale(capacity: &Capacity, knee: &Knee, values: &Values, service: Service) -> Vec<String> {
    if !values.sale.enabled || !values.services[&service].autoscaling.enabled {
        return Vec::new();
    }
    let demand = capacity.load.sale_demand();
    let Some(sale) = values.sale.services.get(&service) else {
        let path = format!("services.{service}.autoscaling.max");
        let most = values.pods_max(service);
        return too_few(capacity, knee, &path, most, &demand)
            .into_iter()
            .collect();
    };
    let path = format!("sale.services.{service}");
    let opening = Demand {
        name: "as a sale opens".to_owned(),
        months: 0,
        requests_per_second: capacity.load.sale(0.0),
    };
    let most = too_few(capacity, knee, &format!("{path}.max"), sale.max, &demand);
    let fewest = too_few(capacity, knee, &format!("{path}.min"), sale.min, &opening);
    most.into_iter().chain(fewest).collect()
}

fn too_few(
    capacity: &Capacity,
    knee: &Knee,
    path: &str,
    most: u64,
    demand: &Demand,
) -> Option<String> {
    let policy = &capacity.policy;
    let needed = pods(demand.requests_per_second, knee, policy);
    let rate = demand.requests_per_second * knee.requests_per_public_request;
    (needed > most).then(|| {
        let carried = float(most) * carries(knee, policy);
        format!(
            "{path}: {most} pods carry {carried:.0} requests/s; {rate:.0} ({}) at {:.0} a pod need {needed}",
            demand.name,
            carries(knee, policy),
        )
    })
}

/// The autoscaler must add pods before their knee.
fn check_targets(
    knee: &Knee,
    custom_metrics: bool,
    service: Service,
    wanted: &Wanted,
) -> Option<String> {
    let own = &wanted.autoscaling;
    let path = format!("services.{service}.autoscaling");
    if !own.enabled {
        return None;
    }
    if custom_metrics {
        let target = own.requests_per_second;
        let knee = knee.requests_per_second.max(1.0);
        return (float(target) > knee).then(|| {
            format!(
                "{path}.requestsPerSecond: {target} are more than the {knee:.0} that a pod was seen to carry"
            )
        });
    }
    let requested = wanted
        .resources
        .requests
        .cpu
        .as_ref()
        .and_then(Quantity::millicores)?;
    let target = requested * float(own.cpu) / 100.0;
    (target > knee.cpu_millicores).then(|| {
        format!(
            "{path}.cpu: {} % of {requested:.0}m are {target:.0}m, more than the {:.0}m of a pod at its knee",
            own.cpu, knee.cpu_millicores
        )
    })
}

fn check_resources(knee: &Knee, service: Service, wanted: &Wanted) -> Vec<String> {
    let (requests, limits) = (&wanted.resources.requests, &wanted.resources.limits);
    let found = [
        check_cpu("requests.cpu", requests.cpu.as_ref(), knee),
        check_memory("requests.memory", requests.memory.as_ref(), knee),
        // Without a limit there is nothing to exceed.
        limits
            .cpu
            .as_ref()
            .and_then(|cpu| check_cpu("limits.cpu", Some(cpu), knee)),
        limits
            .memory
            .as_ref()
            .and_then(|memory| check_memory("limits.memory", Some(memory), knee)),
    ];
    let line = |fault| format!("services.{service}.resources.{fault}");
    found.into_iter().flatten().map(line).collect()
}

fn check_cpu(key: &str, cpu: Option<&Quantity>, knee: &Knee) -> Option<String> {
    let given = cpu.and_then(Quantity::millicores);
    check_size(key, given, knee.cpu_millicores, "m")
}

fn check_memory(key: &str, memory: Option<&Quantity>, knee: &Knee) -> Option<String> {
    let given = memory.and_then(Quantity::mib);
    check_size(key, given, knee.memory_mib, "Mi")
}

fn check_size(key: &str, given: Option<f64>, used: f64, unit: &str) -> Option<String> {
    let needed = right_sized(used);
    match given {
        None => Some(format!("{key}: missing, or no quantity")),
        Some(given) if given < float(needed) => Some(format!(
            "{key}: {given:.0}{unit}; a pod used {used:.0}{unit}, and 20 % more is {needed}{unit}"
        )),
        Some(_) => None,
    }
}
