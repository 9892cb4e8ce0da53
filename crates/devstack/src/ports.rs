//! Which port everything listens on.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::service::{Service, Shard};

/// Below the range from which the kernel draws the ports of outgoing connections.
const FREE_FIRST: u16 = 15_000;
const FREE_LAST: u16 = 32_000;

/// Everything's port on the loopback interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    main: [u16; 6],
    admin: [u16; 6],
    redis: [u16; 6],
    primary: [u16; 2],
    replica: [u16; 2],
    kafka: u16,
    kafka_controller: u16,
    simulator: u16,
    otlp: u16,
    traces: u16,
}

impl Ports {
    /// The public ports, the same on every machine.
    pub fn fixed() -> Self {
        Self {
            main: [8080, 9001, 9002, 9003, 9004, 9005],
            admin: [9080, 10001, 10002, 10003, 10004, 10005],
            redis: [6391, 6392, 6393, 6394, 6395, 6396],
            primary: [5433, 5434],
            replica: [5435, 5436],
            kafka: 9092,
            kafka_controller: 9093,
            simulator: 9010,
            otlp: 4317,
            traces: 4320,
        }
    }

    /// Ports of a block that nobody else takes while the block is held.
    pub fn free() -> anyhow::Result<(Self, PortBlock)> {
        let mut ports = Self::fixed();
        let count = ports.named().len();
        let block = PortBlock::take(u16::try_from(count)?)?;
        for ((_, port), free) in ports.named().into_iter().zip(block.ports()) {
            *port = free;
        }
        Ok((ports, block))
    }

    /// These ports, with another platform's PostgreSQL and Kafka in place of its own.
    pub fn on_servers_of(self, other: &Self) -> Self {
        Self {
            primary: other.primary,
            replica: other.replica,
            kafka: other.kafka,
            kafka_controller: other.kafka_controller,
            ..self
        }
    }

    /// Moves one port, as `--port <name>=<port>` says.
    pub fn set(&mut self, name: &str, to: u16) -> anyhow::Result<()> {
        let mut named = self.named();
        if let Some((_, port)) = named.iter_mut().find(|(known, _)| known == name) {
            **port = to;
            return Ok(());
        }
        let known: Vec<String> = named.into_iter().map(|(name, _)| name).collect();
        bail!("no port is called {name}; there are {}", known.join(", "))
    }

    /// Fails on the first port that somebody else listens on.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        for (name, port) in self.named() {
            if !is_free(*port) {
                bail!(
                    "port {port} ({name}) is taken by another program; end it, or choose another port with --port {name}=<port>"
                );
            }
        }
        Ok(())
    }

    pub fn main(&self, service: Service) -> u16 {
        self.main[service as usize]
    }

    pub fn admin(&self, service: Service) -> u16 {
        self.admin[service as usize]
    }

    pub fn redis(&self, service: Service) -> u16 {
        self.redis[service as usize]
    }

    pub fn primary(&self, shard: Shard) -> u16 {
        self.primary[shard as usize]
    }

    pub fn replica(&self, shard: Shard) -> u16 {
        self.replica[shard as usize]
    }

    pub fn kafka(&self) -> u16 {
        self.kafka
    }

    pub(crate) fn kafka_controller(&self) -> u16 {
        self.kafka_controller
    }

    pub fn simulator(&self) -> u16 {
        self.simulator
    }

    /// Where the trace sink receives OTLP over gRPC.
    pub fn otlp(&self) -> u16 {
        self.otlp
    }

    /// Where the trace sink answers queries over HTTP.
    pub fn traces(&self) -> u16 {
        self.traces
    }

    /// Each process's name, port and admin port.
    pub fn of_processes(&self) -> Vec<(String, u16, Option<u16>)> {
        let postgres = Shard::ALL.into_iter().flat_map(|shard| {
            [
                (format!("postgres-{shard}"), self.primary(shard), None),
                (
                    format!("postgres-{shard}-replica"),
                    self.replica(shard),
                    None,
                ),
            ]
        });
        let redis =
            Service::ALL.map(|service| (format!("redis-{service}"), self.redis(service), None));
        let services = Service::ALL.map(|service| {
            (
                service.to_string(),
                self.main(service),
                Some(self.admin(service)),
            )
        });
        postgres
            .chain(redis)
            .chain([("kafka".to_owned(), self.kafka, None)])
            .chain([("simulator".to_owned(), self.simulator, None)])
            .chain(services)
            .collect()
    }

    fn named(&mut self) -> Vec<(String, &mut u16)> {
        let services = Service::ALL.into_iter();
        let mut named: Vec<(String, &mut u16)> = Vec::new();
        for (service, port) in services.clone().zip(&mut self.main) {
            named.push((service.to_string(), port));
        }
        for (service, port) in services.clone().zip(&mut self.admin) {
            named.push((format!("{service}-admin"), port));
        }
        for (service, port) in services.zip(&mut self.redis) {
            named.push((format!("redis-{service}"), port));
        }
        for (shard, port) in Shard::ALL.into_iter().zip(&mut self.primary) {
            named.push((format!("postgres-{shard}"), port));
        }
        for (shard, port) in Shard::ALL.into_iter().zip(&mut self.replica) {
            named.push((format!("postgres-{shard}-replica"), port));
        }
        named.push(("kafka".to_owned(), &mut self.kafka));
        named.push(("kafka-controller".to_owned(), &mut self.kafka_controller));
        named.push(("simulator".to_owned(), &mut self.simulator));
        named.push(("otlp".to_owned(), &mut self.otlp));
        named.push(("traces".to_owned(), &mut self.traces));
        named
    }
}

/// Consecutive free ports, kept from other devstacks and tests for as long as this lives.
#[derive(Debug)]
pub struct PortBlock {
    first: u16,
    count: u16,
    _lock: File,
}

impl PortBlock {
    /// Servers like PostgreSQL take a number, not a socket, so a lock keeps the numbers.
    pub fn take(count: u16) -> anyhow::Result<Self> {
        let user = rustix::process::geteuid().as_raw();
        let folder = std::env::temp_dir().join(format!("cloudretail-ports-{user}"));
        fs::create_dir_all(&folder)?;
        // Blocks of one size, so that two of them never overlap.
        let size = 50;
        if count > size {
            bail!("a block has {size} ports, {count} were asked for");
        }
        for first in (FREE_FIRST..FREE_LAST).step_by(usize::from(size)) {
            let lock = File::create(folder.join(first.to_string()))?;
            if lock.try_lock().is_ok() && (first..first + count).all(is_free) {
                return Ok(Self {
                    first,
                    count,
                    _lock: lock,
                });
            }
        }
        bail!("every block of ports between {FREE_FIRST} and {FREE_LAST} is in use")
    }

    pub fn ports(&self) -> impl Iterator<Item = u16> + use<> {
        self.first..self.first + self.count
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok()
}

/// Reads `<name>=<port>`.
pub fn parse_override(text: &str) -> anyhow::Result<(String, u16)> {
    let (name, port) = text
        .split_once('=')
        .context("expected <name>=<port>, like gateway=8081")?;
    Ok((name.to_owned(), port.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_blocks_share_no_port() {
        let (one, _held) = Ports::free().unwrap();
        let (two, _held_too) = Ports::free().unwrap();

        let (mut one, mut two) = (one, two);
        let ports: std::collections::HashSet<u16> = one
            .named()
            .into_iter()
            .chain(two.named())
            .map(|(_, port)| *port)
            .collect();

        assert_eq!(ports.len(), 2 * Ports::fixed().named().len());
    }

    #[test]
    fn a_taken_port_is_named_with_its_setting() {
        let (mut ports, _held) = Ports::free().unwrap();
        let _squatter =
            TcpListener::bind((Ipv4Addr::LOCALHOST, ports.main(Service::Order))).unwrap();

        let error = ports.check().unwrap_err().to_string();

        assert!(error.contains(&ports.main(Service::Order).to_string()));
        assert!(error.contains("--port order="));
    }
}
