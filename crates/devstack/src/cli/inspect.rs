//! Looking at a platform that runs.

use std::fmt::{self, Write as _};
use std::io::{ErrorKind, Write as _};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, bail};
use devstack::home::Home;
use devstack::platform::Platform;
use devstack::postgres;
use devstack::service::{Service, Shard};
use devstack::services;
use devstack::state::{self, Phase, State};

pub(super) fn status(home: &Home) -> anyhow::Result<()> {
    match std::io::stdout().write_all(describe(home)?.as_bytes()) {
        // Whoever reads along, like `head`, has seen enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn describe(home: &Home) -> anyhow::Result<String> {
    let mut text = String::new();
    writeln!(text, "state      {}", home.root().display())?;
    writeln!(text, "databases  {}", home.postgres().display())?;
    let Some(state) = State::current(home) else {
        writeln!(text, "nothing runs; start it with: make up")?;
        return Ok(text);
    };
    match &state.phase {
        Phase::Starting => writeln!(text, "it is starting")?,
        Phase::Running => writeln!(text, "it is up")?,
        Phase::Stopping => writeln!(text, "it is stopping")?,
        Phase::Failed(error) => writeln!(text, "it failed: {error}")?,
    }
    let platform = state.platform(home);
    writeln!(text, "gateway    {}", platform.gateway_url())?;
    writeln!(text, "simulator  {}", platform.simulator_url())?;
    writeln!(text, "kafka      {}\n", platform.kafka_brokers())?;
    list_processes(&platform, &mut text)?;
    Ok(text)
}

fn list_processes(platform: &Platform, text: &mut String) -> fmt::Result {
    let (process, pid, port) = ("process", "pid", "port");
    writeln!(
        text,
        "{process:<20} {pid:>7} {port:>6} {:>6} {:>9}",
        "admin", "memory"
    )?;
    let mut total = 0;
    for (name, port, admin) in platform.ports.of_processes() {
        let admin = admin.map(|port| port.to_string()).unwrap_or_default();
        let Some(process) = platform.process(&name) else {
            writeln!(text, "{name:<20} {:>7} {port:>6} {admin:>6}", "-")?;
            continue;
        };
        let family = process.family();
        let memory: u64 = family.iter().filter_map(|process| process.memory()).sum();
        total += memory;
        let (pid, memory) = (process.pid(), memory >> 20);
        writeln!(
            text,
            "{name:<20} {pid:>7} {port:>6} {admin:>6} {memory:>5} MiB"
        )?;
    }
    writeln!(text, "{:<41} {:>5} MiB", "in all", total >> 20)
}

/// Becomes `tail`.
pub(super) fn logs(home: &Home, name: Option<&str>, follow: bool) -> anyhow::Result<()> {
    let mut tail = Command::new("tail");
    if follow {
        tail.arg("--follow=name");
    }
    match name {
        Some(name) => {
            let log = home.log(name);
            if !log.exists() {
                bail!("there is no {}", log.display());
            }
            tail.args(["--lines=200"]).arg(log);
        }
        None => {
            tail.args(["--lines=10"]);
            for entry in std::fs::read_dir(home.logs())? {
                tail.arg(entry?.path());
            }
        }
    }
    Err(tail.exec()).context("cannot run tail")
}

/// Becomes `psql`.
pub(super) fn psql(
    home: &Home,
    service: Service,
    shard: Shard,
    replica: bool,
    arguments: &[String],
) -> anyhow::Result<()> {
    let platform = state::running(home)?;
    let dsn = match replica {
        true => platform.replica(service, shard),
        false => platform.primary(service, shard),
    };
    let mut psql = Command::new(postgres::tool("psql"));
    Err(psql.arg(dsn).args(arguments).exec()).context("cannot run psql")
}

/// Becomes the service's program.
pub(super) fn run(home: &Home, service: Service, command: &[String]) -> anyhow::Result<()> {
    let platform = state::running(home)?;
    let mut run = Command::new(services::binary(service.name())?);
    run.args(command)
        .envs(services::settings_of(&platform, service)?);
    Err(run.exec()).with_context(|| format!("cannot run {service}"))
}
