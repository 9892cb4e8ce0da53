use std::net::SocketAddr;

use chassis::Chassis;
use clap::Parser;
use sqlx::PgConnection;
use sqlx::migrate::Migrator;
use storage::Cluster;
use testkit::{Databases, Fixture, Service};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use types::{OrderId, Slot, UserId};

static NOTES: Migrator = sqlx::migrate!("tests/storage/migrations");

#[derive(Parser)]
pub struct Settings {
    #[command(flatten)]
    pub chassis: chassis::Config,
    #[command(flatten)]
    pub storage: storage::Config,
}

pub fn settings(flags: &[String]) -> Settings {
    let program = [
        "order".to_owned(),
        "--caller-secret=0123456789abcdef0123456789abcdef".to_owned(),
    ];
    Settings::parse_from(program.iter().chain(flags))
}

pub async fn migrate(config: &storage::Config) -> Result<(), storage::Error> {
    let migrations = [
        ("storage_migrations", &storage::MIGRATIONS),
        ("notes_migrations", &NOTES),
    ];
    storage::migrate("order", config, &migrations).await
}

pub async fn fixture() -> &'static Fixture {
    let migrated = async |databases: Databases| {
        let flags = [
            format!("--shards={}", databases.shards),
            format!("--direct={}", databases.direct),
        ];
        Ok(migrate(&settings(&flags).storage).await?)
    };
    testkit::fixture(Service::Order, migrated).await
}

/// Flags that point at the test's databases, without the ones that storage does not have.
pub async fn flags() -> Vec<String> {
    let fixture = fixture().await;
    vec![
        format!("--shards={}", fixture.databases.shards),
        format!("--replicas={}", fixture.databases.replicas),
        format!("--direct={}", fixture.databases.direct),
        format!("--redis-url={}", fixture.redis_url),
    ]
}

pub async fn chassis(service: &'static str, settings: &Settings) -> (Chassis, SocketAddr) {
    let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = admin.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let chassis = Chassis::start(service, &settings.chassis, admin, shutdown).unwrap();
    (chassis, address)
}

/// A cluster with what it lives in.
pub struct Process {
    pub chassis: Chassis,
    pub cluster: Cluster<UserId>,
    admin: SocketAddr,
}

impl Process {
    /// The sum over all series of a metric that have these labels.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        testkit::metric(self.admin, name, labels).await as u64
    }
}

/// A process on the test's databases; further flags replace those of the same name.
pub async fn process_of(service: &'static str, further: &[&str]) -> Process {
    let settings = settings_with(further).await;
    let (chassis, admin) = chassis(service, &settings).await;
    let cluster = Cluster::connect(&chassis, &settings.storage).await.unwrap();
    Process {
        chassis,
        cluster,
        admin,
    }
}

/// The test's databases; further flags replace those of the same name.
pub async fn settings_with(further: &[&str]) -> Settings {
    let name = |flag: &str| flag.split('=').next().map(str::to_owned);
    let replaced: Vec<_> = further.iter().map(|flag| name(flag)).collect();
    let mut flags = flags().await;
    flags.retain(|flag| !replaced.contains(&name(flag)));
    flags.extend(further.iter().map(|flag| (*flag).to_owned()));
    settings(&flags)
}

pub async fn cluster_of(service: &'static str, further: &[&str]) -> Cluster<UserId> {
    process_of(service, further).await.cluster
}

pub async fn cluster_with(further: &[&str]) -> Cluster<UserId> {
    cluster_of("order", further).await
}

pub async fn cluster() -> Cluster<UserId> {
    cluster_with(&[]).await
}

/// A connection past the cluster to the primary that holds the slot, as the database's owner.
pub async fn owner_of(slot: Slot) -> PgConnection {
    use sqlx::Connection as _;
    let direct = &fixture().await.databases.direct;
    let shard = if slot.get() < 512 { 0 } else { 1 };
    let (_, dsn) = direct
        .split(',')
        .nth(shard)
        .unwrap()
        .split_once('=')
        .unwrap();
    PgConnection::connect(dsn).await.unwrap()
}

/// Publishes the next slot map, in which the slot's epoch is raised by so much.
pub async fn publish_map(slot: Slot, raised: i64) {
    use sqlx::Connection as _;
    let mut owner = owner_of(Slot::new(0).unwrap()).await;
    let mut tx = owner.begin().await.unwrap();
    sqlx::query("lock table slot_map in exclusive mode")
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query(
        "insert into slot_map (version, slot, shard, epoch)
        select
            version + 1,
            slot,
            shard,
            case when slot = $1 then epoch + $2 else epoch end
        from slot_map
        where version = (select max(version) from slot_map)",
    )
    .bind(slot.to_db())
    .bind(raised)
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
}

pub async fn write(cluster: &Cluster<UserId>, note: OrderId, body: &str) -> chassis::Position {
    let mut tx = cluster.begin(&note).await.unwrap();
    sqlx::query(
        "insert into notes (slot, note_id, body) values ($1, $2, $3)
        on conflict (slot, note_id) do update set
            body = excluded.body,
            version = notes.version + 1",
    )
    .bind(tx.slot().to_db())
    .bind(note)
    .bind(body)
    .execute(&mut tx)
    .await
    .unwrap();
    tx.commit().await.unwrap()
}

pub async fn read(
    executor: impl sqlx::Executor<'_, Database = sqlx::Postgres>,
    note: OrderId,
) -> Option<String> {
    sqlx::query_scalar("select body from notes where slot = $1 and note_id = $2")
        .bind(note.slot().to_db())
        .bind(note)
        .fetch_optional(executor)
        .await
        .unwrap()
}
