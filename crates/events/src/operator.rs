//! What operators may ask of every service, besides serving.

use chassis::Chassis;
use sqlx::migrate::Migrator;
use storage::Cluster;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::dead_letters;

/// Part of each service's commands.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum Operation {
    /// Bring every shard's tables to this version.
    Migrate,
    /// The databases behind the service.
    #[command(subcommand)]
    Shards(Shards),
    /// Events whose effect failed.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
}

/// What may be asked about shards.
#[derive(clap::Subcommand, Clone, Copy, Debug)]
pub enum Shards {
    /// Show each with its slots and its replicas.
    List,
}

/// The service that is operated on.
pub struct Operated<'a> {
    pub service: &'static str,
    /// The service's own tables, and the table that remembers which of their migrations ran.
    pub migrations: (&'static str, &'a Migrator),
    pub chassis: &'a chassis::Config,
    pub storage: &'a storage::Config,
}

impl Operated<'_> {
    /// Does what the operator asks for, and prints what they want to see.
    pub async fn run(&self, operation: &Operation) -> anyhow::Result<()> {
        match operation {
            Operation::Migrate => self.migrate().await?,
            Operation::Shards(Shards::List) => {
                for shard in storage::shards::list(self.storage).await? {
                    show(&shard.to_string());
                }
            }
            Operation::DeadLetters(command) => {
                let cluster = connect::<()>(self.service, self.chassis, self.storage).await?;
                show(&dead_letters::run(command, &cluster, self.service).await?);
            }
        }
        Ok(())
    }

    async fn migrate(&self) -> Result<(), storage::Error> {
        let migrations = [
            ("storage_migrations", &storage::MIGRATIONS),
            ("events_migrations", &crate::MIGRATIONS),
            self.migrations,
        ];
        storage::migrate(self.service, self.storage, &migrations).await
    }
}

/// The service's shards, for a command that ends by itself.
pub async fn connect<K>(
    service: &'static str,
    chassis: &chassis::Config,
    storage: &storage::Config,
) -> anyhow::Result<Cluster<K>> {
    let admin = TcpListener::bind("127.0.0.1:0").await?;
    let chassis = Chassis::start(service, chassis, admin, CancellationToken::new())?;
    Ok(Cluster::connect_at_once(&chassis, storage).await?)
}

#[expect(clippy::print_stdout, reason = "this is what the operator asked for")]
fn show(text: &str) {
    println!("{text}");
}
