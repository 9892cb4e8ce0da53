//! Disturbing a platform on purpose: what operators of a laptop and tests of faults do.

use std::fs;
use std::io;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;

use crate::platform::Platform;
use crate::process::Process;
use crate::program;
use crate::service::Service;
use crate::services;
use crate::wait;

impl Platform {
    /// The running process of that name: `order`, `redis-order`, `kafka`, `postgres-a-replica`.
    pub fn process(&self, name: &str) -> Option<Process> {
        Process::recorded(&program::record(&self.home, name))
    }

    /// Ends a process by `kill -9`. The supervisor starts it again, unless it is held.
    pub async fn kill(&self, name: &str) -> anyhow::Result<()> {
        let process = self.process(name);
        let process = process.with_context(|| format!("{name} does not run"))?;
        process.end(Signal::KILL, Duration::ZERO).await;
        Ok(())
    }

    /// Keeps a process from being started again, until [`Platform::release`].
    pub fn hold(&self, name: &str) -> io::Result<()> {
        fs::write(program::hold(&self.home, name), "")
    }

    pub fn release(&self, name: &str) -> io::Result<()> {
        fs::remove_file(program::hold(&self.home, name))
    }

    /// Kills a service and waits until its successor may have traffic.
    pub async fn restart(&self, service: Service) -> anyhow::Result<()> {
        self.kill(service.name()).await?;
        wait::until(service.name(), wait::START_LIMIT, async || {
            match self.process(service.name()) {
                Some(_) => Ok(()),
                None => bail!("it was not started again"),
            }
        })
        .await?;
        services::service_ready(self, service).await
    }

    /// Tells a service to end, as a node does that is drained, and waits until its successor may
    /// have traffic.
    pub async fn replace(&self, service: Service) -> anyhow::Result<()> {
        let process = self.process(service.name());
        let process = process.with_context(|| format!("{service} does not run"))?;
        process.end(Signal::TERM, program::PATIENCE).await;
        services::service_ready(self, service).await
    }

    /// Gives a service a setting of its own (`None`: no more) from its next start on; the name is
    /// without the service's prefix.
    pub fn set(&self, service: Service, name: &str, value: Option<&str>) -> io::Result<()> {
        let name = format!("{}_{name}", service.name().to_uppercase());
        let mut settings = program::own_settings(&self.home, service.name());
        settings.retain(|(known, _)| *known != name);
        settings.extend(value.map(|value| (name, value.to_owned())));
        let lines = settings
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"));
        fs::write(
            self.home.settings(service.name()),
            lines.collect::<String>(),
        )
    }
}
