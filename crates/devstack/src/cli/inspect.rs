//! Looking at a platform that runs.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, bail};
use devstack::home::Home;
use devstack::postgres;
use devstack::service::{Service, Shard};
use devstack::state::{self, Phase, State};

pub(super) fn status(home: &Home) -> anyhow::Result<()> {
    println!("state      {}", home.root().display());
    println!("databases  {}", home.postgres().display());
    let Some(state) = State::current(home) else {
        println!("nothing runs; start it with: make up");
        return Ok(());
    };
    match &state.phase {
        Phase::Starting => println!("it is starting"),
        Phase::Running => println!("it is up"),
        Phase::Stopping => println!("it is stopping"),
        Phase::Failed(error) => println!("it failed: {error}"),
    }
    let platform = state.platform(home);
    println!("gateway    {}", platform.gateway_url());
    println!("simulator  {}", platform.simulator_url());
    println!("kafka      {}\n", platform.kafka_brokers());
    println!(
        "{:<20} {:>7} {:>6} {:>6} {:>9}",
        "process", "pid", "port", "admin", "memory"
    );
    let mut total = 0;
    for (name, port, admin) in platform.ports.of_processes() {
        let admin = admin.map(|port| port.to_string()).unwrap_or_default();
        let Some(process) = platform.process(&name) else {
            println!("{name:<20} {:>7} {port:>6} {admin:>6}", "-");
            continue;
        };
        let family = process.family();
        let memory: u64 = family.iter().filter_map(|process| process.memory()).sum();
        total += memory;
        println!(
            "{name:<20} {:>7} {port:>6} {admin:>6} {:>5} MiB",
            process.pid(),
            memory >> 20
        );
    }
    println!("{:<41} {:>5} MiB", "in all", total >> 20);
    Ok(())
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
