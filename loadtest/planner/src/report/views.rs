use maud::{Markup, PreEscaped, html};

use super::plots::{self, Line};
use super::{Subject, grouped};
use crate::Service;
use crate::capacity::Knee;
use crate::cost;
use crate::data::stored_gib;
use crate::pods::{carries, pods, pods_by_hour};
use crate::quantity::{Quantity, float};

/// How far the weekly view looks.
const WEEKS: u32 = 104;

/// Peaks and headroom.
pub(super) fn daily(subject: &Subject<'_>) -> anyhow::Result<Markup> {
    let load = &subject.capacity.load;
    let day = |name: &str, busiest: f64| {
        let hours = (0_u32..).map(f64::from).zip(load.hours);
        Line::new(name, hours.map(|(hour, share)| (hour, busiest * share)))
    };
    let most = carried(subject, Service::Gateway);
    let mut shown = vec![
        day("an ordinary day", load.ordinary(0.0)),
        day("a sale", load.sale(0.0)),
    ];
    if let Some(most) = most {
        shown.push(Line::new(
            "the most pods of gateway carry",
            [(0.0, most), (23.0, most)].into_iter(),
        ));
    }
    Ok(html! {
        h2 #daily { "Daily: peaks and headroom" }
        p { "Whether today's peak fits, and how much room is left. Look at it when an alert speaks of pods, or before a campaign." }
        (figure("Public requests a second, by hour", plots::lines("hour", "requests/s", &shown)?))
        table {
            thead { tr { th { "service" } th { "pods at night" } th { "at the peak" } th { "at most (values)" } th { "of them used at the peak" } th { "in a sale" } th { "at most (values)" } } }
            tbody { @for (service, knee) in &subject.measured.services { (headroom(subject, *service, knee)) } }
        }
    })
}

fn headroom(subject: &Subject<'_>, service: Service, knee: &Knee) -> Markup {
    let (capacity, values) = (subject.capacity, subject.values);
    let (most, sale_most) = (values.ordinary_max(service), values.pods_max(service));
    let hours = pods_by_hour(capacity, knee, subject.plan.services[&service].min, 0.0);
    let peak = hours.into_iter().max().unwrap_or_default();
    let night = hours.into_iter().min().unwrap_or_default();
    let sale = pods(capacity.load.sale(0.0), knee, &capacity.policy);
    let used = float(peak) / float(most) * 100.0;
    html! {
        tr {
            td { (service) } td { (night) } td { (peak) } td { (most) }
            td.warn[used > 80.0] { (format!("{used:.0} %")) }
            td.warn[sale > sale_most] { (sale) } td { (sale_most) }
        }
    }
}

/// Public requests that the most pods of a service carry on ordinary days.
fn carried(subject: &Subject<'_>, service: Service) -> Option<f64> {
    let knee = subject.measured.services.get(&service)?;
    let each = carries(knee, &subject.capacity.policy) / knee.requests_per_public_request;
    each.is_finite()
        .then(|| each * float(subject.values.ordinary_max(service)))
}

/// The trend, and when it meets a maximum.
pub(super) fn weekly(subject: &Subject<'_>) -> anyhow::Result<Markup> {
    let load = &subject.capacity.load;
    let weeks = || (0..=WEEKS).map(f64::from);
    let at = |week: f64| week * 12.0 / 52.0;
    let mut shown = vec![
        Line::new(
            "growth",
            weeks().map(|week| (week, load.ordinary(at(week)))),
        ),
        Line::new(
            "what must be carried",
            weeks().map(|week| (week, load.peak(at(week)))),
        ),
        Line::new("a sale", weeks().map(|week| (week, load.sale(at(week))))),
    ];
    let tightest = subject
        .measured
        .services
        .keys()
        .filter_map(|service| Some((carried(subject, *service)?, *service)));
    if let Some((most, service)) = tightest.min_by(|one, other| one.0.total_cmp(&other.0)) {
        let ends = [(0.0, most), (f64::from(WEEKS), most)];
        shown.push(Line::new(
            format!("{service}, the first to end, carries"),
            ends.into_iter(),
        ));
    }
    Ok(html! {
        h2 #weekly { "Weekly: the trend" }
        p { "When the values of today end. A week that is near is work for the next sprint." }
        (figure("Public requests a second, by week", plots::lines("week", "requests/s", &shown)?))
        table {
            thead { tr { th { "service" } th { "at most (values)" } th { "carry, in public requests/s" } th { "enough on ordinary days until" } } }
            tbody {
                @for (service, knee) in &subject.measured.services {
                    @let most = subject.values.ordinary_max(*service);
                    @let end = (0..=WEEKS).find(|week| pods(load.peak(at(f64::from(*week))), knee, &subject.capacity.policy) > most);
                    tr {
                        td { (service) } td { (most) } td { (carried(subject, *service).map_or_else(String::new, grouped)) }
                        td.warn[end.is_some_and(|week| week < 13)] {
                            @match end { Some(0) => "already too few", Some(week) => { "week " (week) }, None => { "after week " (WEEKS) } }
                        }
                    }
                }
            }
        }
    })
}

/// Right-sizing and cost.
pub(super) fn monthly(subject: &Subject<'_>) -> anyhow::Result<Markup> {
    let (capacity, plan) = (subject.capacity, subject.plan);
    let horizon = capacity.load.horizon_months;
    let costs: Vec<_> = (0..=horizon)
        .map(|month| {
            (
                f64::from(month),
                cost::of_month(capacity, subject.measured, plan, month),
            )
        })
        .collect();
    let line = |name: &str, of: fn(&cost::Cost) -> f64| {
        Line::new(
            name,
            costs.iter().map(move |(month, cost)| (*month, of(cost))),
        )
    };
    let shown = [
        line("all", cost::Cost::total),
        line("services", |cost| cost.services),
        line("databases", |cost| cost.databases),
        line("Kafka and others", |cost| cost.others),
        line("storage", |cost| cost.storage),
    ];
    let currency = &capacity.prices.currency;
    Ok(html! {
        h2 #monthly { "Monthly: right sizes and cost" }
        p { "What pods ask for beside what they used at their knee; the right size is 20 % above the use." }
        table {
            thead { tr { th { "service" } th { "used" } th { "requested (values)" } th { "right size" } th { "saved a month" } } }
            tbody { @for (service, knee) in &subject.measured.services { (right_size(subject, *service, knee)) } }
        }
        p.note { "Saved: at the fewest pods of the plan, in " (currency) "; below zero is what the pods lack today." }
        (figure(&format!("Cost by month, in {currency}"), plots::lines("month", currency, &shown)?))
        p { "A day of the sale costs " (grouped(cost::of_sale_day(capacity, subject.measured, plan))) " " (currency) " more than an ordinary one, at the most pods of the sale." }
        p.note { "At the prices given: " (capacity.prices.vcpu_hour) " for a vCPU and hour, " (capacity.prices.gib_hour) " for a GiB of memory and hour, " (capacity.prices.gib_month) " for a GiB stored and month. Services as the autoscaler would run them over the day." }
    })
}

fn right_size(subject: &Subject<'_>, service: Service, knee: &Knee) -> Markup {
    let planned = &subject.plan.services[&service];
    let requests = &subject.values.services[&service].resources.requests;
    let cpu = requests
        .cpu
        .as_ref()
        .and_then(Quantity::millicores)
        .unwrap_or_default();
    let memory = requests
        .memory
        .as_ref()
        .and_then(Quantity::mib)
        .unwrap_or_default();
    let of = |cpu, memory| cost::requests(subject.capacity, planned.min, cpu, memory);
    let saved = of(cpu, memory) - of(float(planned.cpu_millicores), float(planned.memory_mib));
    html! {
        tr {
            td { (service) }
            td { (format!("{:.0}m, {:.0}Mi", knee.cpu_millicores, knee.memory_mib)) }
            td { (format!("{cpu:.0}m, {memory:.0}Mi")) }
            td { (planned.cpu_millicores) "m, " (planned.memory_mib) "Mi" }
            td.warn[saved < 0.0] { (grouped(saved)) }
        }
    }
}

/// Growth and shards.
pub(super) fn quarterly(subject: &Subject<'_>) -> anyhow::Result<Markup> {
    let (capacity, plan) = (subject.capacity, subject.plan);
    let names: Vec<&str> = plan
        .demands
        .iter()
        .map(|demand| demand.name.as_str())
        .collect();
    let series: Vec<(String, Vec<f64>)> = plan
        .services
        .iter()
        .map(|(service, planned)| {
            (
                service.to_string(),
                planned.pods.iter().copied().map(float).collect(),
            )
        })
        .collect();
    Ok(html! {
        h2 #quarterly { "Quarterly: growth and shards" }
        p { "What the next budget must contain: pods for each goal, shards, partitions, storage." }
        (figure("Pods by service", plots::bars("pods", &names, &series)?))
        table {
            thead { tr { th { "pods" } @for demand in &plan.demands { th { (demand.name) } } th { "fewest" } th { "most" } th { "sale" } } }
            tbody {
                tr { td { "public requests/s" } @for demand in &plan.demands { td { (grouped(demand.requests_per_second)) } } td {} td {} td {} }
                @for (service, planned) in &plan.services {
                    tr {
                        td { (service) } @for pods in &planned.pods { td { (pods) } }
                        td { (planned.min) } td { (planned.max) } td { (planned.sale.min) " to " (planned.sale.max) }
                    }
                }
            }
        }
        (stores(subject))
        p.note { "Data is " (grouped(capacity.data.stored_gib)) " GiB now and " (grouped(stored_gib(capacity, subject.measured, capacity.load.horizon_months))) " GiB in " (capacity.load.horizon_months) " months, before copies." }
    })
}

fn stores(subject: &Subject<'_>) -> Markup {
    let (databases, kafka) = (&subject.plan.databases, &subject.plan.kafka);
    let values = &subject.values.databases;
    let pooler = &values.pooler;
    let limits = &subject.capacity.limits;
    let gib = databases
        .shards
        .iter()
        .map(|shard| format!("{} {}Gi", shard.name, shard.gib));
    html! {
        table {
            thead { tr { th { "stores" } th { "values" } th { "plan" } } }
            tbody {
                tr { td { "shards" } td { (values.shards.len()) } td { (databases.shards.len()) } }
                tr { td { "their storage" } td {} td { (gib.collect::<Vec<_>>().join(", ")) } }
                tr { td { "round trips/s on all primaries, in a sale" } td {} td { (grouped(databases.round_trips_per_second)) } }
                tr { td { "max_connections" } td { (values.max_connections) } td { (limits.connections) } }
                tr { td { "of them used by PgBouncers and kept" } td {} td { (databases.server_connections) } }
                tr { td { "default_pool_size, reserve_pool_size" } td { (pooler.pool_size) ", " (pooler.reserve_size) } td { (databases.pool_size) ", " (databases.reserve) } }
                tr { td { "max_client_conn" } td { (pooler.clients_max) } td { (databases.clients_max) } }
                tr { td { "connections of all pods to a PgBouncer" } td {} td { (databases.clients) } }
                tr { td { "partitions of a topic" } td { (subject.values.kafka.partitions) } td { (kafka.partitions) } }
                tr { td { "events/s on the busiest topic, in a sale" } td {} td { (grouped(kafka.events_per_second)) } }
                tr { td { "storage of a broker" } td {} td { (kafka.gib) "Gi" } }
            }
        }
    }
}

pub(super) fn measured(subject: &Subject<'_>) -> Markup {
    let measured = subject.measured;
    let missing: Vec<&str> = Service::ALL
        .into_iter()
        .filter(|service| !measured.services.contains_key(service))
        .map(Service::name)
        .collect();
    html! {
        h2 #measured { "What was measured" }
        p { "Run " b { (measured.run) } ", " (measured.from) " to " (measured.to) ". A pod's knee is the most that it carried below a 95th percentile of " (measured.p95_ms_max) " ms; " (format!("{:.0} %", subject.capacity.policy.load_share * 100.0)) " of it is planned with." }
        @if let Some(clients) = &measured.clients {
            p { "The clients saw " (grouped(clients.requests_per_second)) " requests/s, a 95th percentile of " (grouped(clients.p95_ms)) " ms and " (format!("{:.2} %", clients.errors * 100.0)) " of errors." }
        }
        table {
            thead { tr { th { "service" } th { "requests/s of a pod" } th { "p95, ms" } th { "CPU" } th { "memory" } th { "requests for each public one" } th { "round trips to primaries" } th { "to replicas" } } }
            tbody {
                @for (service, knee) in &measured.services {
                    tr {
                        td { (service) }
                        td { @if !knee.is_limit { "at least " } (grouped(knee.requests_per_second)) }
                        td { (grouped(knee.p95_ms)) }
                        td { (format!("{:.0}m", knee.cpu_millicores)) } td { (format!("{:.0}Mi", knee.memory_mib)) }
                        td { (format!("{:.3}", knee.requests_per_public_request)) }
                        td { (format!("{:.2}", knee.primary.round_trips_per_request)) }
                        td { (format!("{:.2}", knee.replica.round_trips_per_request)) }
                    }
                }
            }
        }
        @if let Some(shard) = &measured.shard {
            p { "A primary carried " @if !shard.is_limit { "at least " } (grouped(shard.round_trips_per_second)) " round trips/s, with a 95th percentile of " (grouped(shard.p95_ms)) " ms." }
        }
        @if !missing.is_empty() { p.warn { "Without load, and not planned: " (missing.join(", ")) "." } }
    }
}

fn figure(caption: &str, svg: String) -> Markup {
    html! { figure { figcaption { (caption) } (PreEscaped(svg)) } }
}
