//! The measured part of `capacity.json`, from the Prometheus that watched a run under load.
//!
//! The run is cut into windows. A service's knee is the window in which its pods answered most
//! requests while its 95th percentile and its errors kept their limits.

mod knee;
mod prometheus;
mod summary;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use crate::Service;
use crate::capacity::{Knee, Measured, ShardKnee};
use knee::{Window, best};
use prometheus::Prometheus;
use summary::read_clients;

/// Of a round trip to a database: the target of operations.
const ROUND_TRIP_P95_MS: f64 = 50.0;

/// Which run to look at.
#[derive(Clone, Debug, clap::Args)]
pub struct Run {
    /// The Prometheus that scraped the services, as `http://127.0.0.1:9090`.
    #[arg(long)]
    prometheus: String,
    /// When the load began.
    #[arg(long)]
    from: Timestamp,
    /// When it ended.
    #[arg(long)]
    to: Timestamp,
    /// The 95th percentile that a pod must keep, in milliseconds.
    #[arg(long, default_value_t = 500.0)]
    p95_ms: f64,
    /// Length of the windows, in seconds; at least four scrapes.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(5..=3600))]
    window: i64,
    /// Only this namespace's pods.
    #[arg(long)]
    namespace: Option<String>,
    /// The summary that the load generator wrote.
    #[arg(long)]
    summary: Option<PathBuf>,
}

/// What the run showed; an error where it showed nothing that could be planned from.
pub async fn measure(run: &Run) -> anyhow::Result<Measured> {
    if !(run.p95_ms > 0.0 && run.p95_ms.is_finite()) {
        bail!("--p95-ms: {} is not above zero", run.p95_ms);
    }
    if run.to.as_second() < run.from.as_second() + run.window {
        bail!("--to: the run is shorter than a window of {} s", run.window);
    }
    let (label, clients) = match &run.summary {
        Some(file) => {
            let (label, clients) = read_clients(file)?;
            (label, Some(clients))
        }
        None => ("without a summary".to_owned(), None),
    };
    let prometheus = Prometheus::new(run);
    let windows = read_windows(&prometheus).await?;
    let public: f64 = total(windows.get(&Service::Gateway));
    if public <= 0.0 {
        bail!(
            "gateway: no public requests between {} and {}",
            run.from,
            run.to
        );
    }
    let mut services = BTreeMap::new();
    for (service, windows) in &windows {
        let knee = best(windows, run.p95_ms).with_context(|| {
            format!(
                "{service}: no window kept {} ms and 0.1 % of errors",
                run.p95_ms
            )
        })?;
        let ratio = total(Some(windows)) / public;
        services.insert(
            *service,
            Knee {
                requests_per_public_request: ratio,
                ..knee
            },
        );
    }
    Ok(Measured {
        run: label,
        from: run.from,
        to: run.to,
        p95_ms_max: run.p95_ms,
        orders_per_request: prometheus.orders().await? / public,
        clients,
        services,
        shard: read_shard(&prometheus).await?,
    })
}

/// Requests a second, of all windows.
fn total(windows: Option<&Vec<Window>>) -> f64 {
    windows
        .into_iter()
        .flatten()
        .map(|window| window.rate)
        .sum()
}

/// By service, those windows in which it had requests.
async fn read_windows(prometheus: &Prometheus) -> anyhow::Result<BTreeMap<Service, Vec<Window>>> {
    let rates = prometheus.rates().await?;
    let errors = prometheus.errors().await?;
    let p95s = prometheus.p95s().await?;
    let pods = prometheus.pods().await?;
    let cpus = prometheus.cpu_seconds().await?;
    let memories = prometheus.memory_bytes().await?;
    let primary = prometheus.database("primary").await?;
    let replica = prometheus.database("replica").await?;
    let mut found = BTreeMap::new();
    for service in Service::ALL {
        let name = service.name();
        let mut windows = Vec::new();
        let mut missing = None;
        for (at, rate) in rates.of(name).filter(|(_, rate)| *rate > 0.0) {
            let window = || -> Result<Window, &'static str> {
                Ok(Window {
                    rate,
                    errors: errors.at(name, at).unwrap_or_default(),
                    p95_ms: p95s.at(name, at).ok_or("95th percentile")? * 1000.0,
                    pods: pods.at(name, at).ok_or("`up` under its name as `job`")?,
                    cpu_seconds: cpus.at(name, at).ok_or("CPU time")?,
                    memory_bytes: memories.at(name, at).ok_or("memory")?,
                    primary: primary.of(name, at),
                    replica: replica.of(name, at),
                })
            };
            match window() {
                Ok(window) => windows.push(window),
                Err(what) => missing = Some(what),
            }
        }
        match (windows.is_empty(), missing) {
            (true, Some(what)) => bail!("{service}: Prometheus has no {what} of it"),
            (true, None) => {}
            (false, _) => drop(found.insert(service, windows)),
        }
    }
    Ok(found)
}

async fn read_shard(prometheus: &Prometheus) -> anyhow::Result<Option<ShardKnee>> {
    let (rates, p95s) = prometheus.shards().await?;
    let windows = rates.all().filter_map(|(shard, at, rate)| {
        let p95_ms = p95s.at(shard, at)? * 1000.0;
        p95_ms.is_finite().then_some((rate, p95_ms))
    });
    let windows: Vec<(f64, f64)> = windows.collect();
    let kept = windows
        .iter()
        .copied()
        .filter(|(_, p95_ms)| *p95_ms <= ROUND_TRIP_P95_MS);
    let best = kept.max_by(|(one, _), (other, _)| one.total_cmp(other));
    Ok(best.map(|(rate, p95_ms)| ShardKnee {
        round_trips_per_second: rate,
        is_limit: windows
            .iter()
            .any(|(more, broken)| *more > rate && *broken > ROUND_TRIP_P95_MS),
        p95_ms,
    }))
}
