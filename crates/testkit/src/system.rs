//! The six built binaries and the simulator as processes, on the shared servers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use devstack::home::Home;
use devstack::launch;
use devstack::platform::Platform;
use devstack::ports::Ports;
use devstack::postgres::Durability;
use devstack::service::Service;
use devstack::services;
use devstack::supervisor::{Options, Shared};
use tempfile::TempDir;

use crate::build;
use crate::fixture::create_topics;
use crate::names;
use crate::reaper::Reaper;
use crate::servers::servers;
use crate::template;

/// A setting of one service: its name without the prefix, and its value.
pub type Setting<'a> = (Service, &'a str, &'a str);

/// Passwords that are cheap to check: tests register customers by the hundred.
const CHEAP_PASSWORDS: [Setting<'static>; 2] = [
    (Service::User, "PASSWORD_MEMORY_KIB", "64"),
    (Service::User, "PASSWORD_PASSES", "1"),
];

/// A platform of its own; it ends with this value, or with the test's process.
///
/// Processes that die are started again, as under `make up`. What a test does to them is on
/// [`Platform`]: `kill`, `hold`, `release`, `restart`, `set`.
pub struct System {
    pub platform: Platform,
    _reaper: Reaper,
}

impl System {
    /// Starts the services on the shared PostgreSQL and Kafka, in databases and topics of their
    /// own.
    ///
    /// # Panics
    /// When they do not become ready; the message has the end of a log.
    pub async fn start(settings: &[Setting<'_>]) -> Self {
        match Self::on_shared_servers(settings).await {
            Ok(system) => system,
            Err(error) => panic!("the system does not start: {error:#}"),
        }
    }

    /// Starts everything, PostgreSQL and Kafka included: for tests that disturb those.
    ///
    /// # Panics
    /// As [`System::start`].
    pub async fn start_alone(settings: &[Setting<'_>]) -> Self {
        let started = async {
            let devstack = build::workspace().await?;
            Self::launch(&devstack, &folder()?, None, settings).await
        };
        match started.await {
            Ok(system) => system,
            Err(error) => panic!("the system does not start: {error:#}"),
        }
    }

    async fn on_shared_servers(settings: &[Setting<'_>]) -> anyhow::Result<Self> {
        let devstack = build::workspace().await?;
        let servers = servers().await;
        let folder = folder()?;
        let own = folder.file_name().and_then(|name| name.to_str());
        let own = own.context("a folder's name")?;
        let mut platform = Platform::new(Home::open(&folder)?, servers.ports.clone());
        platform.names = names::own(own)?;
        // Before the databases: each migration needs them, and all run at once.
        services::create_secrets(&platform).await?;
        let databases = Service::BACKENDS.map(|service| migrated(servers, &platform, service));
        tokio::try_join!(
            futures::future::try_join_all(databases),
            create_topics(&platform),
        )?;
        let shared = Shared {
            ports: servers.ports.clone(),
            names: platform.names,
        };
        Self::launch(&devstack, &folder, Some(shared), settings).await
    }

    async fn launch(
        devstack: &Path,
        folder: &Path,
        shared: Option<Shared>,
        settings: &[Setting<'_>],
    ) -> anyhow::Result<Self> {
        let home = Home::open(folder)?;
        let reaper = Reaper::watch(devstack, &home)?;
        let platform = Platform::new(home, Ports::fixed());
        for (service, name, value) in CHEAP_PASSWORDS.iter().chain(settings) {
            platform.set(*service, name, Some(value))?;
        }
        let options = Options {
            ports: None,
            shared,
            services: true,
            durability: Durability {
                fsync: false,
                replica_delay: Duration::from_millis(500),
            },
            idle_stop: None,
        };
        let platform = launch::start(devstack, &platform.home, &options, |_| {}).await?;
        Ok(Self {
            platform,
            _reaper: reaper,
        })
    }
}

/// Makes the service's databases; its own binary migrates their template.
async fn migrated(servers: &Platform, platform: &Platform, service: Service) -> anyhow::Result<()> {
    let migrator = services::binary(service.name())?;
    template::create(servers, platform, service, &migrator, async |at_template| {
        services::program(&at_template, service, &["migrate"])?
            .run(&at_template.home, None)
            .await
    })
    .await
}

/// A new folder, which the reaper removes.
fn folder() -> anyhow::Result<PathBuf> {
    let folder = TempDir::with_prefix("system")?;
    Ok(folder.keep())
}
