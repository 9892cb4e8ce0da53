//! Checkouts, against as many commits of single statements on the same databases.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use devstack::platform::Platform;
use devstack::program::Program;
use devstack::service::{Service, Shard};
use devstack::{postgres, wait};
use futures::future::try_join_all;
use serde_json::json;
use tokio::task::JoinSet;

use crate::pairs::{Aim, Effort, Pair, Round};
use crate::stall::{Buyer, SETTLE_LIMIT, Stall, random, run_sql};

/// Customers who order at the same time, and clients of the databases alone.
const AT_ONCE: usize = 16;

const ON_HAND: i64 = 1_000_000;

/// The tables of the commits alone.
const TABLES: &str = include_str!("../../assets/pairs/tables.sql");

/// One order's commits.
const COMMITS: &str = include_str!("../../assets/pairs/commits.sql");

/// What an order leaves open until it is captured and all is told of it.
const OPEN: &str = "select (select count(*) from saga_timers) + (select count(*) from outbox)";

const UNCONFIRMED: &str =
    "select count(*) from orders where status <> 'confirmed' or needs_operator";

/// Orders a second, counted until all are captured and told.
///
/// # Errors
/// When an order is refused or does not settle.
pub async fn measure(platform: &Platform, effort: &Effort) -> anyhow::Result<Pair> {
    let variables = [("database", &*reference_database(platform))];
    for shard in Shard::ALL {
        postgres::psql(platform.ports.primary(shard), &variables, TABLES).await?;
    }
    let script = platform.home.root().join("commits.sql");
    fs::write(&script, COMMITS)?;
    let lanes = open_lanes(platform, effort.orders / AT_ONCE).await?;
    let mut rounds = Vec::new();
    for _ in 0..=effort.rounds {
        // What the last orders have set off ends meanwhile.
        in_lanes(&lanes, Lane::fill).await?;
        rounds.push(Round {
            reference: scripts_per_second(platform, effort.reference_seconds).await?,
            program: orders_per_second(platform, &lanes).await?,
        });
    }
    rounds.remove(0);
    for count in run_sql(platform, Service::Order, UNCONFIRMED).await? {
        ensure!(count.trim() == "0", "{} orders failed", count.trim());
    }
    Ok(Pair {
        name: "checkouts a second",
        rounds,
        aim: Aim::AtLeast(0.6),
    })
}

/// Customers who order one after another, all the same thing.
#[derive(Clone)]
struct Lane {
    sku: String,
    customers: Vec<Buyer>,
}

impl Lane {
    async fn open(platform: &Platform, customers: usize) -> anyhow::Result<Self> {
        let sku = Stall::open(platform, ON_HAND).await?.sku;
        let mut lane = Self {
            sku,
            customers: Vec::new(),
        };
        for _ in 0..customers {
            lane.customers.push(Buyer::register(platform).await?);
        }
        Ok(lane)
    }

    async fn fill(self) -> anyhow::Result<()> {
        let item = json!({"sku": self.sku, "quantity": 1});
        for customer in &self.customers {
            // Filled twice, it has one line all the same.
            let shop = &customer.shop;
            shop.post_once("/api/cart/items", &key(), &item).await?;
        }
        Ok(())
    }

    async fn order(self) -> anyhow::Result<()> {
        for customer in &self.customers {
            customer.place(&key(), "tok_ok").await?;
        }
        Ok(())
    }
}

fn key() -> String {
    format!("{:016x}", random())
}

/// Each with a product of its own: nobody waits for another's stock.
async fn open_lanes(platform: &Platform, customers: usize) -> anyhow::Result<Vec<Lane>> {
    try_join_all((0..AT_ONCE).map(|_| Lane::open(platform, customers))).await
}

/// Does it in all lanes at once.
async fn in_lanes<F>(lanes: &[Lane], work: fn(Lane) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut working: JoinSet<_> = lanes.iter().cloned().map(work).collect();
    while let Some(done) = working.join_next().await {
        done??;
    }
    Ok(())
}

async fn orders_per_second(platform: &Platform, lanes: &[Lane]) -> anyhow::Result<f64> {
    let orders: usize = lanes.iter().map(|lane| lane.customers.len()).sum();
    let begun = Instant::now();
    in_lanes(lanes, Lane::order).await?;
    wait::until("the orders' end", SETTLE_LIMIT, async || {
        for open in run_sql(platform, Service::Order, OPEN).await? {
            ensure!(open.trim() == "0", "{} are open", open.trim());
        }
        Ok(())
    })
    .await?;
    Ok(f64::from(u32::try_from(orders)?) / begun.elapsed().as_secs_f64())
}

fn reference_database(platform: &Platform) -> String {
    format!("pairs{}", platform.names.database_suffix)
}

/// Half of the clients on each primary.
async fn scripts_per_second(platform: &Platform, seconds: u32) -> anyhow::Result<f64> {
    let rates = Shard::ALL.map(|shard| async move {
        let name = format!("pgbench-{shard}");
        let arguments = format!(
            "--no-vacuum --protocol prepared --client {} --time {seconds} --file commits.sql -h 127.0.0.1 -p {} -U postgres {}",
            AT_ONCE / Shard::ALL.len(),
            platform.ports.primary(shard),
            reference_database(platform),
        );
        let mut argv = vec![postgres::tool("pgbench")];
        argv.extend(arguments.split(' ').map(Into::into));
        Program::new(&name, argv).run(&platform.home, None).await?;
        rate(&fs::read_to_string(platform.home.log(&name))?)
    });
    Ok(try_join_all(rates).await?.iter().sum())
}

/// Scripts a second, as pgbench says it.
fn rate(report: &str) -> anyhow::Result<f64> {
    if !report.contains("failed transactions: 0 ") {
        bail!("pgbench failed: {report}");
    }
    let tps = report.lines().find_map(|line| line.strip_prefix("tps = "));
    let tps = tps.and_then(|tps| tps.split(' ').next()?.parse().ok());
    tps.with_context(|| format!("pgbench says no rate: {report}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_scripts_that_all_succeeded_is_read() {
        let report = |failed| {
            format!(
                "number of transactions actually processed: 7\n\
                 number of failed transactions: {failed} (0.000%)\n\
                 tps = 61.042 (without initial connection time)\n"
            )
        };

        assert_eq!(rate(&report(0)).unwrap(), 61.042);
        assert!(rate(&report(1)).is_err());
        assert!(rate("").is_err());
    }
}
