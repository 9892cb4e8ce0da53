//! The one background process that holds all the others.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backup::archive;
use crate::home::Home;
use crate::platform::{Names, Platform};
use crate::ports::Ports;
use crate::postgres::{self, Durability, Instance};
use crate::program::{Program, Stage, end_recorded, report};
use crate::restore::events;
use crate::service::Service;
use crate::sink::{Sink, forward_file};
use crate::state::{Phase, Progress};
use crate::{kafka, redis, services};

const PARTITIONS: i32 = 12;
const IDLE_POLL: Duration = Duration::from_secs(2);

/// What to run, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Options {
    /// Absent: free ones.
    pub ports: Option<Ports>,
    /// Absent: PostgreSQL and Kafka of its own.
    pub shared: Option<Shared>,
    /// The servers alone, or the services too.
    pub services: bool,
    pub durability: Durability,
    /// Stops itself when nobody has held [`in_use`] for so long.
    pub idle_stop: Option<Duration>,
}

/// PostgreSQL and Kafka of another home, where databases and topics exist under `names`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shared {
    pub ports: Ports,
    pub names: Names,
}

impl Options {
    /// Everything, and data that outlives a power cut.
    pub fn whole(ports: Option<Ports>) -> Self {
        Self {
            ports,
            shared: None,
            services: true,
            durability: Durability {
                fsync: true,
                replica_delay: Duration::ZERO,
            },
            idle_stop: None,
        }
    }

    /// How the platform of this home was started last.
    ///
    /// # Errors
    ///
    /// When it never was.
    pub fn last(home: &Home) -> anyhow::Result<Self> {
        let options = fs::read(home.options());
        let options = options.context("nothing was ever started here; start it with: make up")?;
        Ok(serde_json::from_slice(&options)?)
    }

    /// The servers that test binaries share.
    pub fn for_tests() -> Self {
        Self {
            ports: None,
            shared: None,
            services: false,
            durability: Durability {
                fsync: false,
                replica_delay: Duration::from_millis(500),
            },
            idle_stop: Some(Duration::from_secs(600)),
        }
    }
}

/// Locked by a supervisor for its life.
fn supervised(home: &Home) -> PathBuf {
    home.run().join("supervisor.lock")
}

pub(crate) fn is_supervised(home: &Home) -> std::io::Result<bool> {
    match File::create(supervised(home))?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Locked, shared, by whoever needs servers that stop themselves.
pub fn in_use(home: &Home) -> PathBuf {
    home.run().join("in-use.lock")
}

/// Starts everything and holds it until it is told to stop. A start that fails leaves nothing.
pub async fn supervise(home: Home, options: Options) -> anyhow::Result<()> {
    // It must outlive the terminal; a leader of a session already does.
    let _ = rustix::process::setsid();
    let lock = File::create(supervised(&home))?;
    if lock.try_lock().is_err() {
        bail!("another supervisor runs in {}", home.root().display());
    }
    fs::write(home.options(), serde_json::to_vec_pretty(&options)?)?;
    let stale = end_recorded(&home).await?;
    if stale > 0 {
        report(&format!(
            "ended {stale} processes of a supervisor that died"
        ));
    }
    let (mut ports, _block) = match &options.ports {
        Some(ports) => (ports.clone(), None),
        None => {
            let (ports, block) = Ports::free()?;
            (ports, Some(block))
        }
    };
    let taken = ports.check();
    let mut platform = Platform::new(home.clone(), ports);
    if let Some(Shared { ports, names }) = &options.shared {
        platform.ports = platform.ports.on_servers_of(ports);
        platform.names = names.clone();
    }
    let progress = Progress::begin(&platform)?;
    let children = Children::new(&home);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let work = async {
        taken?;
        bring_up(&platform, &options, &children, &progress).await?;
        progress.enter(Phase::Running);
        match options.idle_stop {
            Some(limit) => idle(&home, limit).await,
            None if options.shared.is_some() => std::future::pending().await,
            None => archive::beat(&platform).await,
        }
    };
    let result: anyhow::Result<()> = tokio::select! {
        result = work => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    match &result {
        Ok(()) => progress.enter(Phase::Stopping),
        Err(error) => progress.enter(Phase::Failed(format!("{error:#}"))),
    }
    children.end().await;
    end_recorded(&home).await?;
    result
}

async fn bring_up(
    platform: &Platform,
    options: &Options,
    children: &Children,
    progress: &Progress,
) -> anyhow::Result<()> {
    let redis = progress.step("redis", async {
        for service in Service::ALL {
            children.keep(redis::program(platform, service));
        }
        let ready = Service::ALL.map(|service| redis::ready(platform, service));
        try_join_all(ready).await
    });
    let (databases, kafka) = (
        start_postgres(platform, options, children, progress),
        start_kafka(platform, options, children, progress),
    );
    if !options.services {
        tokio::try_join!(databases, kafka, redis)?;
        return Ok(());
    }
    let simulator = progress.step("simulator", async {
        children.keep(services::simulator(platform)?);
        services::simulator_ready(platform).await
    });
    let traces = progress.step("traces", children.keep_sink(platform));
    let secrets = progress.step("keys", services::create_secrets(platform));
    let schema = async {
        tokio::try_join!(databases, secrets)?;
        if options.shared.is_some() {
            return Ok(());
        }
        progress
            .step("migrations", services::migrate(platform))
            .await
    };
    tokio::try_join!(schema, kafka, redis, simulator, traces)?;
    if events::are_ahead(&platform.home) {
        progress
            .step("events undone", events::undo(platform))
            .await?;
    }
    let start = async {
        for service in Service::ALL {
            children.keep(services::program(platform, service, &[])?);
        }
        let ready = Service::ALL.map(|service| services::service_ready(platform, service));
        try_join_all(ready).await
    };
    progress.step("services", start).await?;
    Ok(())
}

async fn start_postgres(
    platform: &Platform,
    options: &Options,
    children: &Children,
    progress: &Progress,
) -> anyhow::Result<()> {
    if options.shared.is_some() {
        return Ok(());
    }
    let start = async {
        postgres::create_folders(&platform.home).await?;
        for instance in Instance::ALL {
            children.keep(instance.program(platform, options.durability)?);
        }
        try_join_all(Instance::ALL.map(|instance| instance.ready(platform))).await?;
        postgres::create_databases(platform).await
    };
    progress.step("postgres", start).await
}

async fn start_kafka(
    platform: &Platform,
    options: &Options,
    children: &Children,
    progress: &Progress,
) -> anyhow::Result<()> {
    if options.shared.is_some() {
        return Ok(());
    }
    let start = async {
        kafka::install().await?;
        children.keep(kafka::program(platform).await?);
        kafka::create_topics(platform, PARTITIONS).await
    };
    progress.step("kafka", start).await
}

/// Returns when nobody has needed the servers for `limit`.
async fn idle(home: &Home, limit: Duration) -> anyhow::Result<()> {
    let file = File::create(in_use(home))?;
    let mut last_use = Instant::now();
    while last_use.elapsed() < limit {
        sleep(IDLE_POLL).await;
        if file.try_lock().is_ok() {
            file.unlock().context("the lock of users")?;
        } else {
            last_use = Instant::now();
        }
    }
    Ok(())
}

/// Programs that are kept running until all end, stage by stage.
pub struct Children {
    home: Home,
    stages: [(TaskTracker, CancellationToken); Stage::ALL.len()],
}

impl Children {
    pub fn new(home: &Home) -> Self {
        Self {
            home: home.clone(),
            stages: Stage::ALL.map(|_| (TaskTracker::new(), CancellationToken::new())),
        }
    }

    /// Starts it, and again whenever it dies. Its former log is kept as `<name>.old.log`.
    pub fn keep(&self, program: Program) {
        // There may be none.
        let _ = fs::rename(
            self.home.log(&program.name),
            self.home.log(&format!("{}.old", program.name)),
        );
        let (tracker, stop) = &self.stages[Stage::of(&program.name) as usize];
        tracker.spawn(program.keep_running(self.home.clone(), stop.clone()));
    }

    /// Receives traces until the services have ended.
    async fn keep_sink(&self, platform: &Platform) -> anyhow::Result<()> {
        let otlp = TcpListener::bind(("127.0.0.1", platform.ports.otlp())).await?;
        let queries = TcpListener::bind(("127.0.0.1", platform.ports.traces())).await?;
        // After the services, which send their last spans when they end.
        let (tracker, stop) = &self.stages[Stage::Simulator as usize];
        let sink = Sink::default().serve(otlp, queries, forward_file(&self.home), stop.clone());
        tracker.spawn(async {
            if let Err(error) = sink.await {
                report(&format!("the trace sink failed: {error:#}"));
            }
        });
        Ok(())
    }

    /// Ends them in order, and returns when all are gone.
    pub async fn end(&self) {
        for (tracker, stop) in &self.stages {
            stop.cancel();
            tracker.close();
            tracker.wait().await;
        }
    }
}
