//! A product that the gateway answers from its own memory, against a bare server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use devstack::platform::Platform;
use devstack::ports::PortBlock;
use devstack::process::Process;
use devstack::program::Program;
use devstack::service::Service;
use devstack::{services, wait};
use reqwest::Client;
use tokio::task::JoinSet;

use crate::pairs::{Aim, Effort, Pair, Round};
use crate::stall::Stall;

const CONNECTIONS: usize = 16;
const START_LIMIT: Duration = Duration::from_secs(20);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The share of reads that production traces.
pub const TRACE_RATIO: &str = "0.01";

/// Processor time for a request, in microseconds.
///
/// # Errors
/// When a request is not answered, or not from memory.
pub async fn measure(platform: &Platform, effort: &Effort) -> anyhow::Result<Pair> {
    platform.set(Service::Gateway, "TRACE_RATIO", Some(TRACE_RATIO))?;
    platform.restart(Service::Gateway).await?;
    let stall = Stall::open(platform, 1).await?;
    let path = format!("/api/products/{}", stall.product_id);
    let gateway = Server::warm(
        format!("{}{path}", platform.gateway_url()),
        platform.process(Service::Gateway.name()),
    )
    .await?;
    let reference = start_reference(platform, &gateway.url, &path).await?;
    ensure!(
        gateway.bytes == reference.bytes,
        "{} and {} bytes are no pair",
        gateway.bytes,
        reference.bytes
    );
    let mut rounds = Vec::new();
    for _ in 0..=effort.rounds {
        rounds.push(Round {
            program: gateway.cost(effort.requests).await?,
            reference: reference.cost(effort.requests).await?,
        });
    }
    rounds.remove(0);
    platform.kill("reference").await?;
    platform.set(Service::Gateway, "TRACE_RATIO", None)?;
    platform.restart(Service::Gateway).await?;
    Ok(Pair {
        name: "cached read: CPU µs a request",
        rounds,
        aim: Aim::AtMost(1.4),
    })
}

/// Starts this program again, as the bare server.
async fn start_reference(platform: &Platform, of: &str, path: &str) -> anyhow::Result<Server> {
    let block = PortBlock::take(1)?;
    let port = block.ports().next().context("a port")?;
    let listen = format!("127.0.0.1:{port}");
    let argv = vec![
        services::binary("bench")?.into(),
        "reference".into(),
        listen.clone().into(),
        of.into(),
    ];
    Program::new("reference", argv).spawn(&platform.home)?;
    let url = format!("http://{listen}{path}");
    wait::until("reference", START_LIMIT, async || {
        reqwest::get(&url).await?;
        Ok(())
    })
    .await?;
    Server::warm(url, platform.process("reference")).await
}

/// A process that answers `url` from memory with so many bytes.
struct Server {
    url: String,
    process: Process,
    bytes: usize,
}

impl Server {
    /// Returns when the answer comes from memory.
    async fn warm(url: String, process: Option<Process>) -> anyhow::Result<Self> {
        let process = process.with_context(|| format!("nobody answers {url}"))?;
        let client = client()?;
        let bytes = wait::until("a kept answer", START_LIMIT, async || {
            let read = read(&client, &url).await?;
            ensure!(read.kept, "{url} is loaded each time");
            Ok(read.bytes)
        })
        .await?;
        Ok(Self {
            url,
            process,
            bytes,
        })
    }

    /// Asks `count` times, each connection again as soon as it is answered; returns how long
    /// processors worked for one answer, in microseconds.
    async fn cost(&self, count: usize) -> anyhow::Result<f64> {
        let before = self.process.cpu_time().context("the server is gone")?;
        let asked = Arc::new(AtomicUsize::new(0));
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (client, url, bytes) = (client()?, self.url.clone(), self.bytes);
            let asked = asked.clone();
            connections.spawn(async move {
                let mut loaded = 0;
                while asked.fetch_add(1, Ordering::Relaxed) < count {
                    let read = read(&client, &url).await?;
                    ensure!(read.bytes == bytes, "{read:?} instead of {bytes} bytes");
                    loaded += usize::from(!read.kept);
                }
                // What is kept has an end, and is loaded again then.
                ensure!(loaded <= 1, "{url} was loaded {loaded} times");
                anyhow::Ok(())
            });
        }
        while let Some(ended) = connections.join_next().await {
            ended??;
        }
        let after = self.process.cpu_time().context("the server is gone")?;
        let requests = u32::try_from(count)?;
        Ok((after - before).as_secs_f64() * 1e6 / f64::from(requests))
    }
}

fn client() -> anyhow::Result<Client> {
    Ok(Client::builder().timeout(ANSWER_LIMIT).build()?)
}

/// A good answer.
#[derive(Debug)]
struct Read {
    bytes: usize,
    /// It came from memory.
    kept: bool,
}

async fn read(client: &Client, url: &str) -> anyhow::Result<Read> {
    let answer = client.get(url).send().await?.error_for_status()?;
    let found = answer.headers().get("x-cache");
    Ok(Read {
        kept: found.is_some_and(|found| found == "hit"),
        bytes: answer.bytes().await?.len(),
    })
}
