//! A service of one test: its relay, and consumers that note each effect in a table.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chassis::Chassis;
use clap::Parser;
use events::{Consumer, Consumers, Error, Received, Relay, outbox};
use proto::order::v1::OrderRejected;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};
use storage::{Cluster, WriteTx};
use testkit::{Databases, Fixture, Service, eventually};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use types::{OrderId, Slot, UserId};

static EFFECTS: sqlx::migrate::Migrator = sqlx::migrate!("tests/migrations");
/// Long enough for a machine that is busy with something else.
pub const LIMIT: Duration = Duration::from_secs(60);

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    chassis: chassis::Config,
    #[command(flatten)]
    storage: storage::Config,
    #[command(flatten)]
    events: events::Config,
}

impl Settings {
    fn new(flags: impl IntoIterator<Item = String>) -> Self {
        let secret = format!("--caller-secret={}", "s".repeat(32));
        let own = ["order".to_owned(), secret];
        Self::try_parse_from(own.into_iter().chain(flags)).unwrap()
    }
}

async fn migrate(databases: Databases) -> anyhow::Result<()> {
    let settings = Settings::new([
        format!("--shards={}", databases.shards),
        format!("--direct={}", databases.direct),
    ]);
    let migrations = [
        ("storage_migrations", &storage::MIGRATIONS),
        ("events_migrations", &events::MIGRATIONS),
        ("effects_migrations", &EFFECTS),
    ];
    Ok(storage::migrate("order", &settings.storage, &migrations).await?)
}

pub struct Shop {
    pub chassis: Chassis,
    pub cluster: Cluster<UserId>,
    pub config: events::Config,
    pub admin: SocketAddr,
    shutdown: CancellationToken,
}

impl Drop for Shop {
    /// As at a service's end: what is begun is finished, and no transaction is left open.
    fn drop(&mut self) {
        self.shutdown.cancel();
        let closing = self.chassis.tasks().close_and_wait(LIMIT);
        tokio::task::block_in_place(|| Handle::current().block_on(closing));
    }
}

impl Shop {
    pub async fn open(flags: &[&str]) -> Self {
        let fixture: &Fixture = testkit::fixture(Service::Order, migrate).await;
        let name_of = |flag: &str| flag.split('=').next().map(str::to_owned);
        let is_given = |flag: &String| flags.iter().any(|other| name_of(other) == name_of(flag));
        let mut all = fixture.flags();
        all.retain(|flag| !is_given(flag));
        all.extend(flags.iter().map(ToString::to_string));
        let settings = Settings::new(all);
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin_at = admin.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let chassis = Chassis::start("order", &settings.chassis, admin, shutdown.clone()).unwrap();
        let cluster = Cluster::connect(&chassis, &settings.storage).await.unwrap();
        Self {
            chassis,
            cluster,
            config: settings.events,
            admin: admin_at,
            shutdown,
        }
    }

    pub fn relay(&self) {
        Relay::start(&self.chassis, &self.config, &self.cluster).unwrap();
    }

    /// Consumes events of these orders only: the topics are shared with other tests.
    pub async fn consume(&self, name: &'static str, orders: &[OrderId]) -> Arc<Notes> {
        self.create_topic(&format!("{name}.dead-letters")).await;
        let notes = Arc::new(Notes {
            name,
            orders: orders.iter().map(ToString::to_string).collect(),
            poisoned: Mutex::default(),
        });
        let consumer = Arc::clone(&notes) as Arc<dyn Consumer<UserId>>;
        let topics = ["order.events"];
        Consumers::start(
            &self.chassis,
            &self.config,
            &self.cluster,
            name,
            &topics,
            consumer,
        )
        .unwrap();
        notes
    }

    async fn create_topic(&self, name: &str) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.config.kafka_brokers)
            .create()
            .unwrap();
        let name = format!("{}{name}", self.config.topic_prefix);
        let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
        // It may exist: then there is nothing to do.
        admin
            .create_topics([&topic], &AdminOptions::new())
            .await
            .unwrap();
    }

    /// Commits a change of the order that is told as an event.
    pub async fn publish(&self, order: OrderId, reason: &str) {
        let mut tx = self.cluster.begin(&order).await.unwrap();
        outbox::append(&mut tx, &rejected(order, reason))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// The effects on the order so far, in their order.
    pub async fn effects(&self, consumer: &str, order: OrderId) -> Vec<String> {
        let shard = self.cluster.shard(&order);
        sqlx::query_scalar(
            "select reason from effects where slot = $1 and consumer = $2 and key = $3 order by seq",
        )
        .bind(order.slot().to_db())
        .bind(consumer)
        .bind(order.to_string())
        .fetch_all(&mut shard.primary_once().await.unwrap())
        .await
        .unwrap()
    }

    pub async fn until_effects(&self, consumer: &str, order: OrderId, expected: &[String]) {
        let met = eventually(LIMIT, async || {
            (self.effects(consumer, order).await == expected).then_some(())
        });
        // A moment less: the assertion shows what there is instead.
        let _ = tokio::time::timeout(LIMIT - Duration::from_secs(1), met).await;
        assert_eq!(self.effects(consumer, order).await, expected);
    }

    /// Sends a record past the outbox.
    pub async fn produce(&self, key: &str, payload: &[u8]) {
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.config.kafka_brokers)
            .create()
            .unwrap();
        let topic = format!("{}order.events", self.config.topic_prefix);
        let record = FutureRecord::to(&topic).key(key).payload(payload);
        producer.send(record, LIMIT).await.unwrap();
    }
}

pub fn rejected(order: OrderId, reason: &str) -> OrderRejected {
    OrderRejected {
        order_id: order.to_string(),
        reason: reason.to_owned(),
        ..OrderRejected::default()
    }
}

pub fn new_order() -> OrderId {
    OrderId::new(Slot::draw())
}

/// Notes the reason of each event, and fails for orders that are poisoned.
pub struct Notes {
    name: &'static str,
    orders: HashSet<String>,
    poisoned: Mutex<HashSet<String>>,
}

impl Notes {
    pub fn poison(&self, order: OrderId) {
        self.poisoned.lock().unwrap().insert(order.to_string());
    }

    pub fn heal(&self) {
        self.poisoned.lock().unwrap().clear();
    }
}

#[async_trait]
impl Consumer<UserId> for Notes {
    fn slots(&self, event: &Received) -> Result<Vec<Slot>, Error> {
        let Some(rejected) = event.decode::<OrderRejected>() else {
            return Ok(Vec::new());
        };
        let order: OrderId = rejected?.order_id.parse()?;
        let ours = self.orders.contains(&order.to_string());
        Ok(ours.then(|| order.slot()).into_iter().collect())
    }

    async fn on_event(&self, tx: &mut WriteTx, event: &Received) -> Result<(), Error> {
        if self.poisoned.lock().unwrap().contains(&event.key) {
            return Err(Error::reaction("poisoned"));
        }
        let rejected = event.decode::<OrderRejected>().unwrap()?;
        sqlx::query("insert into effects (slot, consumer, key, reason) values ($1, $2, $3, $4)")
            .bind(tx.slot().to_db())
            .bind(self.name)
            .bind(rejected.order_id)
            .bind(rejected.reason)
            .execute(tx)
            .await?;
        Ok(())
    }
}
