//! What one test binary has for itself on the shared servers.

use devstack::home::Home;
use devstack::platform::{Databases, Platform};
use devstack::ports::{PortBlock, Ports};
use devstack::service::Service;
use devstack::{kafka, redis};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::names;
use crate::reaper::Reaper;
use crate::servers::{devstack, servers};
use crate::template;

const PARTITIONS: i32 = 2;

static FIXTURES: [OnceCell<Fixture>; Service::ALL.len()] =
    [const { OnceCell::const_new() }; Service::ALL.len()];

/// A service's databases, Redis and topics, empty when the test binary starts.
pub struct Fixture {
    pub databases: Databases,
    pub redis_url: String,
    pub kafka_brokers: String,
    /// Also the prefix of consumer groups.
    pub topic_prefix: String,
    pub platform: Platform,
    _reaper: Reaper,
    _ports: PortBlock,
}

/// The fixture of `service` in this test binary; made at the first call, by migrating with
/// `migrate` where this schema has no template yet.
///
/// # Panics
/// When it cannot be made.
pub async fn fixture(
    service: Service,
    migrate: impl AsyncFnOnce(Databases) -> anyhow::Result<()>,
) -> &'static Fixture {
    let made = FIXTURES[service as usize]
        .get_or_try_init(|| Fixture::create(service, migrate))
        .await;
    match made {
        Ok(fixture) => fixture,
        Err(error) => panic!("no databases for {service}: {error:#}"),
    }
}

impl Fixture {
    /// The settings as flags: `Config::try_parse_from(["order".into()].chain(fixture.flags()))`.
    pub fn flags(&self) -> Vec<String> {
        [
            ("shards", &self.databases.shards),
            ("replicas", &self.databases.replicas),
            ("direct", &self.databases.direct),
            ("redis-url", &self.redis_url),
            ("kafka-brokers", &self.kafka_brokers),
            ("topic-prefix", &self.topic_prefix),
            ("group-prefix", &self.topic_prefix),
        ]
        .into_iter()
        .map(|(name, value)| format!("--{name}={value}"))
        .collect()
    }

    async fn create(
        service: Service,
        migrate: impl AsyncFnOnce(Databases) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let servers = servers().await;
        // The reaper removes it.
        let folder = TempDir::with_prefix("testkit-")?.keep();
        let home = Home::open(&folder)?;
        let reaper = Reaper::watch(&devstack(servers)?, &home)?;
        let (own, block) = Ports::free()?;
        let mut platform = Platform::new(home, own.on_servers_of(&servers.ports));
        platform.names = names::own("")?;
        redis::program(&platform, service).spawn(&platform.home)?;
        let databases = async {
            if service == Service::Gateway {
                return Ok(());
            }
            let this = std::env::current_exe()?;
            let migrate =
                async |at_template: Platform| migrate(at_template.databases(service)).await;
            template::create(servers, &platform, service, &this, migrate).await
        };
        tokio::try_join!(
            databases,
            create_topics(&platform),
            redis::ready(&platform, service),
        )?;
        Ok(Self {
            databases: platform.databases(service),
            redis_url: platform.redis_url(service),
            kafka_brokers: platform.kafka_brokers(),
            topic_prefix: platform.names.prefix.clone(),
            platform,
            _reaper: reaper,
            _ports: block,
        })
    }
}

/// Makes the topics under `platform`'s names, and room for them.
pub(crate) async fn create_topics(platform: &Platform) -> anyhow::Result<()> {
    kafka::delete_topics(platform, names::is_abandoned_topic).await?;
    kafka::create_topics(platform, PARTITIONS).await
}
