//! How soon a backend may have traffic, and how little memory a service takes.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use devstack::platform::Platform;
use devstack::service::Service;
use tokio::time::sleep;

use crate::pairs::Spread;

const IDLE: Duration = Duration::from_secs(10);
const READY_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

/// What the processes of all services take after ten idle seconds, in MiB (PSS), in their order.
///
/// # Errors
/// When one of them does not run.
pub async fn idle_memory(platform: &Platform) -> anyhow::Result<Vec<f64>> {
    sleep(IDLE).await;
    let memory = Service::ALL.map(|service| {
        let process = platform.process(service.name());
        let bytes = process.and_then(|process| process.memory());
        let bytes = bytes.with_context(|| format!("{service} does not run"))?;
        Ok(f64::from(u32::try_from(bytes / 1024)?) / 1024.0)
    });
    memory.into_iter().collect()
}

/// From the start of the process to its readiness, in milliseconds; its databases are there.
///
/// # Errors
/// When it does not get ready.
pub async fn time_to_ready(
    platform: &Platform,
    service: Service,
    times: usize,
) -> anyhow::Result<Spread> {
    let mut figures = Vec::new();
    for _ in 0..times {
        let took = restart(platform, service).await?;
        figures.push(took.as_secs_f64() * 1e3);
    }
    Ok(Spread::of(figures.into_iter()))
}

async fn restart(platform: &Platform, service: Service) -> anyhow::Result<Duration> {
    let http = reqwest::Client::new();
    let url = format!("{}/health/ready", platform.admin_url(service));
    platform.kill(service.name()).await?;
    let process = loop {
        match platform.process(service.name()) {
            Some(process) => break process,
            None => sleep(POLL).await,
        }
    };
    loop {
        let answer = http.get(&url).send().await;
        let age = process.age().context("the age of a process")?;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(age);
        }
        ensure!(process.is_alive(), "{service} has died");
        ensure!(age < READY_LIMIT, "{service} does not get ready");
        sleep(POLL).await;
    }
}

/// One service's figures.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    pub service: Service,
    /// MiB, after its start and after the load.
    pub fresh: f64,
    pub worked: f64,
    /// Milliseconds; the gateway waits for others.
    pub ready: Option<Spread>,
}

impl Footprint {
    pub const HEAD: &str = "service      idle MiB when new   after the load   ms until ready";
}

/// A line of the table; its head is [`Footprint::HEAD`].
impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            service,
            fresh,
            worked,
            ready,
        } = self;
        write!(f, "{service:<12} {fresh:>17.1} {worked:>16.1}")?;
        match ready {
            None => Ok(()),
            Some(Spread { median, min, max }) => {
                write!(f, " {median:>16.0}  {min:.0}–{max:.0}")
            }
        }
    }
}
