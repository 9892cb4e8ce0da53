//! Carts, checkout and orders.

mod cart;
mod checkout;
mod config;
mod error;
mod events;
mod grpc;
mod metrics;
mod order;
mod store;

use std::sync::Arc;
use std::time::Duration;

use ::events::operator::{Operated, Operation};
use ::events::{Consumers, Relay};
use chassis::{Chassis, Listeners};
use proto::order::v1::order_service_server::OrderServiceServer;
use storage::Cluster;
use storage::cache::Cache;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use types::UserId;

pub use config::Config;

use crate::checkout::Driver;
use crate::events::Reactions;
use crate::grpc::Api;
use crate::grpc::peers::Peers;
use crate::store::Store;

/// The service's name, also as a consumer of events.
pub const SERVICE: &str = "order";

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Serves until shutdown, then drains.
pub async fn serve(
    config: Config,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let chassis = Chassis::start(SERVICE, &config.chassis, listeners.admin, shutdown)?;
    let cluster: Cluster<UserId> = Cluster::connect(&chassis, &config.storage).await?;
    let cache = Cache::connect(&chassis, &config.storage).await?;
    let store = Store {
        cluster: cluster.clone(),
        cart_ttl: Duration::from_secs(u64::from(config.cart_ttl_hours) * 3600),
        lease: config.lease(),
    };
    Relay::start(&chassis, &config.events, &cluster)?;
    let reactions = Arc::new(Reactions {
        store: store.clone(),
    });
    let followed = &events::FOLLOWED;
    Consumers::start(
        &chassis,
        &config.events,
        &cluster,
        SERVICE,
        followed,
        reactions,
    )?;
    let peers = Peers::new(&chassis, &config, cache);
    let driver = Driver::new(&chassis, &config, store, peers);
    checkout::start_workers(&driver);
    let routes = Routes::new(OrderServiceServer::new(Api { driver }));
    chassis
        .serve_grpc(listeners.main, grpc::permissions(), routes)
        .await
}

/// Does what an operator asks for.
pub async fn operate(config: &Config, operation: &Operation) -> anyhow::Result<()> {
    let operated = Operated {
        service: SERVICE,
        migrations: ("order_migrations", &MIGRATIONS),
        chassis: &config.chassis,
        storage: &config.storage,
    };
    operated.run(operation).await
}
