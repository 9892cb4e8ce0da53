//! Accounts: e-mail, password, sessions, addresses, and the mails about orders.

mod accounts;
mod address;
mod config;
mod error;
mod events;
mod grpc;
mod mail;
mod mailer;
mod passwords;
mod session;
mod store;
mod user;

use std::path::Path;
use std::sync::Arc;

use ::events::operator::{self, Operated, Operation};
use ::events::{Consumers, Relay};
use anyhow::Context as _;
use auth::Role;
use chassis::{Chassis, Listeners};
use proto::user::v1::user_service_server::UserServiceServer;
use serde::Deserialize;
use storage::Cluster;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::accounts::Accounts;
pub use crate::config::Config;
use crate::error::Error;
use crate::events::{Reactions, TOPICS};
use crate::grpc::Grpc;
use crate::mailer::Mailer;
use crate::store::Store;
use crate::user::NewUser;

pub const SERVICE: &str = "user";

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Serves until shutdown.
pub async fn serve(
    config: Config,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let chassis = Chassis::start(SERVICE, &config.chassis, listeners.admin, shutdown)?;
    let cluster = Cluster::connect(&chassis, &config.storage).await?;
    let store = Store::new(cluster.clone());
    let accounts = Accounts::new(&config, store.clone())?;
    let mailer = Mailer::new(store.clone(), &config)?;
    chassis.tasks().spawn_worker(mailer.run(chassis.shutdown()));
    Relay::start(&chassis, &config.events, &cluster)?;
    let reactions = Arc::new(Reactions);
    Consumers::start(
        &chassis,
        &config.events,
        &cluster,
        SERVICE,
        &TOPICS,
        reactions,
    )?;
    let grpc = UserServiceServer::new(Grpc { accounts, store });
    chassis
        .serve_grpc(listeners.main, grpc::permissions(), Routes::new(grpc))
        .await
}

/// Does what an operator asks for.
pub async fn operate(config: &Config, operation: &Operation) -> anyhow::Result<()> {
    let operated = Operated {
        service: SERVICE,
        migrations: ("user_migrations", &MIGRATIONS),
        chassis: &config.chassis,
        storage: &config.storage,
    };
    operated.run(operation).await
}

/// Makes an account that may do what staff may.
pub async fn create_staff(
    config: &Config,
    email: &str,
    name: &str,
    password: &str,
) -> anyhow::Result<()> {
    match register_staff(config, email, name, password).await? {
        Err(Error::EmailTaken) => anyhow::bail!("--email: {}", Error::EmailTaken),
        outcome => Ok(outcome?),
    }
}

/// The same for the account in a file; one whose e-mail is taken stays as it is.
pub async fn ensure_staff(config: &Config, file: &Path) -> anyhow::Result<()> {
    let account = std::fs::read(file).with_context(|| file.display().to_string())?;
    let StaffAccount { email, password } =
        serde_json::from_slice(&account).with_context(|| file.display().to_string())?;
    match register_staff(config, &email, "Staff", &password).await? {
        Err(Error::EmailTaken) => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// What a load takes as `STAFF`, too.
#[derive(Deserialize)]
struct StaffAccount {
    email: String,
    password: String,
}

async fn register_staff(
    config: &Config,
    email: &str,
    name: &str,
    password: &str,
) -> anyhow::Result<Result<(), Error>> {
    let new = NewUser::parse(email, password, name).map_err(|faults| {
        let faults: Vec<_> = faults
            .iter()
            .map(|fault| format!("{}: {}", fault.field, fault.detail))
            .collect();
        anyhow::anyhow!(faults.join("; "))
    })?;
    let cluster = operator::connect(SERVICE, &config.chassis, &config.storage).await?;
    let accounts = Accounts::new(config, Store::new(cluster))?;
    Ok(accounts.register(new, Role::Staff).await.map(drop))
}

/// Writes a new private key for access tokens; `out` must not exist.
pub fn create_keys(out: &Path) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let keys = auth::generate_keys()?;
    let mut options = std::fs::OpenOptions::new();
    // Readable by its owner alone.
    let file = options.write(true).create_new(true).mode(0o600).open(out);
    let mut file = file.with_context(|| format!("--out {}", out.display()))?;
    Ok(file.write_all(keys.as_bytes())?)
}
