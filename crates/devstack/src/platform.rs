//! Where everything is: addresses and paths of one platform.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::ports::Ports;
use crate::service::{Service, Shard};

/// A platform's addresses. Holding one says nothing about what runs.
#[derive(Clone, Debug)]
pub struct Platform {
    pub home: Home,
    pub ports: Ports,
    /// What sets this platform's databases, topics and groups apart on shared servers.
    pub names: Names,
}

/// Parts of names; empty on servers of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Appended to a database's name.
    pub database_suffix: String,
    /// Before topics and consumer groups.
    pub prefix: String,
}

/// The connection strings of one service, as its settings want them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Databases {
    pub shards: String,
    pub replicas: String,
    pub direct: String,
}

impl Platform {
    pub fn new(home: Home, ports: Ports) -> Self {
        Self {
            home,
            ports,
            names: Names::default(),
        }
    }

    pub fn gateway_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.main(Service::Gateway))
    }

    pub fn admin_url(&self, service: Service) -> String {
        format!("http://127.0.0.1:{}", self.ports.admin(service))
    }

    pub fn simulator_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.simulator())
    }

    /// Where the trace sink answers queries.
    pub fn traces_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.traces())
    }

    pub fn redis_url(&self, service: Service) -> String {
        format!("redis://127.0.0.1:{}", self.ports.redis(service))
    }

    pub fn kafka_brokers(&self) -> String {
        format!("127.0.0.1:{}", self.ports.kafka())
    }

    pub fn topic(&self, service: Service) -> String {
        format!("{}{service}.events", self.names.prefix)
    }

    pub fn database(&self, service: Service) -> String {
        format!("{service}{}", self.names.database_suffix)
    }

    /// The service's primary, as its owner role.
    pub fn primary(&self, service: Service, shard: Shard) -> String {
        self.dsn(service, "_owner", self.ports.primary(shard))
    }

    /// The service's replica, as its owner role.
    pub fn replica(&self, service: Service, shard: Shard) -> String {
        self.dsn(service, "_owner", self.ports.replica(shard))
    }

    pub fn databases(&self, service: Service) -> Databases {
        let on_shards = |role: &str, port: fn(&Ports, Shard) -> u16| {
            Shard::ALL
                .map(|shard| {
                    format!(
                        "{shard}={}",
                        self.dsn(service, role, port(&self.ports, shard))
                    )
                })
                .join(",")
        };
        Databases {
            shards: on_shards("", Ports::primary),
            replicas: on_shards("", Ports::replica),
            direct: on_shards("_owner", Ports::primary),
        }
    }

    fn dsn(&self, service: Service, role: &str, port: u16) -> String {
        let database = self.database(service);
        format!("postgres://{service}{role}@127.0.0.1:{port}/{database}")
    }
}

/// The checkout that this devstack was built from.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .ancestors()
        .nth(2)
        .unwrap_or(manifest)
        .to_path_buf()
}
