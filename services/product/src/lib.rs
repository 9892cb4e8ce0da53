//! The catalogue: categories, products with their variants, lists and search.

mod category;
mod config;
mod error;
mod events;
mod grpc;
mod product;
mod store;

use std::sync::Arc;

use ::events::operator::{Operated, Operation};
use ::events::{Consumers, Relay};
use chassis::{Chassis, Listeners};
use proto::product::v1::product_service_server::ProductServiceServer;
use sqlx::migrate::Migrator;
use storage::Cluster;
use storage::cache::Cache;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use types::ProductId;

pub use config::Config;
use store::Store;

pub const SERVICE: &str = "product";

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Answers calls and reacts to events until shutdown.
pub async fn serve(
    config: Config,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let chassis = Chassis::start(SERVICE, &config.chassis, listeners.admin, shutdown)?;
    let cluster = Cluster::<ProductId>::connect(&chassis, &config.storage).await?;
    let store = Store::new(
        cluster.clone(),
        Cache::connect(&chassis, &config.storage).await?,
    );
    Relay::start(&chassis, &config.events, &cluster)?;
    let reactions = Arc::new(events::Reactions::new(store.clone()));
    Consumers::start(
        &chassis,
        &config.events,
        &cluster,
        SERVICE,
        &events::TOPICS,
        reactions,
    )?;
    let routes = Routes::new(ProductServiceServer::new(grpc::Api::new(store)));
    chassis
        .serve_grpc(listeners.main, grpc::permissions(), routes)
        .await
}

/// Does what an operator asks for.
pub async fn operate(config: &Config, operation: &Operation) -> anyhow::Result<()> {
    let operated = Operated {
        service: SERVICE,
        migrations: ("product_migrations", &MIGRATIONS),
        chassis: &config.chassis,
        storage: &config.storage,
    };
    operated.run(operation).await
}
