//! Stock by SKU and warehouse, and what orders hold of it.

mod config;
mod error;
mod events;
mod grpc;
mod reservation;
mod stock;
mod store;

use std::sync::Arc;
use std::time::Duration;

use ::events::operator::{Operated, Operation};
use ::events::{Consumers, Relay};
use chassis::{Chassis, Listeners};
use storage::cache::Cache;
use storage::{Cluster, Shard};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::store::Store;

pub use config::Config;

pub const SERVICE: &str = "inventory";

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Answers calls, publishes events and follows orders until shutdown.
pub async fn serve(
    config: Config,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let chassis = Chassis::start(SERVICE, &config.chassis, listeners.admin, shutdown)?;
    let cluster = Cluster::connect(&chassis, &config.storage).await?;
    let cache = Cache::connect(&chassis, &config.storage).await?;
    let store = Store::new(cluster.clone(), cache);
    #[cfg(feature = "faults")]
    let store = store.reading_then_writing(config.read_then_write);
    Relay::start(&chassis, &config.events, &cluster)?;
    let orders = Arc::new(events::Orders {
        store: store.clone(),
    });
    Consumers::start(
        &chassis,
        &config.events,
        &cluster,
        SERVICE,
        &["order.events"],
        orders,
    )?;
    for shard in cluster.shards() {
        let every = Duration::from_millis(config.sweep_ms);
        let sweeping = expire_holds(store.clone(), shard, every);
        let shutdown = chassis.shutdown();
        chassis.tasks().spawn_worker(async move {
            shutdown.run_until_cancelled(sweeping).await;
        });
    }
    let hold = Duration::from_millis(config.hold_ms);
    let routes = grpc::routes(&chassis, store, hold);
    chassis
        .serve_grpc(listeners.main, grpc::permissions(), routes)
        .await
}

/// Does what an operator asks for.
pub async fn operate(config: &Config, operation: &Operation) -> anyhow::Result<()> {
    let operated = Operated {
        service: SERVICE,
        migrations: ("inventory_migrations", &MIGRATIONS),
        chassis: &config.chassis,
        storage: &config.storage,
    };
    operated.run(operation).await
}

/// Gives back what orders held for too long.
async fn expire_holds(store: Store, shard: Shard, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = store.expire_due(&shard).await {
            tracing::warn!(shard = shard.name(), %error, "holds cannot be swept");
        }
    }
}
