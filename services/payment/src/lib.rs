//! Payments: operations on money, carried out by a provider and kept in a ledger.

mod config;
mod error;
mod events;
mod grpc;
mod ledger;
mod metrics;
mod operation;
mod payment;
mod provider;
mod resolver;
mod store;

use std::sync::Arc;
use std::time::Duration;

use ::events::Relay;
use ::events::operator::{Operated, Operation};
use anyhow::Context as _;
use chassis::{Chassis, Listeners};
use proto::payment::v1::payment_service_server::PaymentServiceServer;
use storage::Cluster;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use types::UserId;

pub use config::Config;

use crate::grpc::Api;
use crate::metrics::Metrics;
use crate::operation::Operations;
use crate::provider::Simulator;

pub const SERVICE: &str = "payment";

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Serves until shutdown, then drains.
pub async fn serve(
    config: Config,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let chassis = Chassis::start(SERVICE, &config.chassis, listeners.admin, shutdown)?;
    let cluster: Cluster<UserId> = Cluster::connect(&chassis, &config.storage).await?;
    Relay::start(&chassis, &config.events, &cluster)?;
    let timeout = Duration::from_millis(config.provider_timeout_ms);
    let provider =
        Simulator::new(config.provider_url.clone(), timeout).context("--provider-url")?;
    let metrics = Metrics::register(&chassis);
    let operations = Operations::new(
        &chassis,
        &cluster,
        Arc::new(provider),
        &metrics,
        config.new_key_per_retry(),
    );
    let interval = Duration::from_millis(config.resolve_interval_ms);
    resolver::start(&chassis, &cluster, &operations, interval);
    resolver::start_measuring(&chassis, &cluster, &metrics, config.limbo_after_s);
    let api = Api {
        cluster,
        operations,
    };
    let routes = Routes::new(PaymentServiceServer::new(api));
    chassis
        .serve_grpc(listeners.main, grpc::permissions(), routes)
        .await
}

/// Does what an operator asks for.
pub async fn operate(config: &Config, operation: &Operation) -> anyhow::Result<()> {
    let operated = Operated {
        service: SERVICE,
        migrations: ("payment_migrations", &MIGRATIONS),
        chassis: &config.chassis,
        storage: &config.storage,
    };
    operated.run(operation).await
}
