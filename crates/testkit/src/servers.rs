//! The servers that all test binaries share.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context;
use devstack::home::Home;
use devstack::launch;
use devstack::platform::Platform;
use devstack::state::State;
use devstack::supervisor::{Options, in_use};
use tokio::sync::OnceCell;

use crate::build;

static SERVERS: OnceCell<Servers> = OnceCell::const_new();

struct Servers {
    platform: Platform,
    /// Held for the life of this process: idle servers stop themselves.
    _in_use: File,
}

/// The shared PostgreSQL pairs and Kafka, started if nobody has yet.
///
/// # Panics
/// When they cannot be started; the message has the end of the log.
pub async fn servers() -> &'static Platform {
    match SERVERS.get_or_try_init(find_or_start).await {
        Ok(servers) => &servers.platform,
        Err(error) => panic!("no servers to test on: {error:#}"),
    }
}

async fn find_or_start() -> anyhow::Result<Servers> {
    let home = Home::open(&folder()?)?;
    let in_use = File::create(in_use(&home))?;
    let in_use = locked(in_use, File::lock_shared).await?;
    let starting = locked(File::create(home.root().join("start.lock"))?, File::lock).await?;
    let devstack = match State::current(&home) {
        Some(_) => PathBuf::new(),
        None => build::devstack().await?,
    };
    let platform = launch::start(&devstack, &home, &Options::for_tests(), |_| {}).await?;
    drop(starting);
    Ok(Servers {
        platform,
        _in_use: in_use,
    })
}

/// A devstack to run beside the tests: the one that holds the servers.
pub(crate) fn devstack(servers: &Platform) -> anyhow::Result<PathBuf> {
    let state = State::current(&servers.home).context("the servers are gone")?;
    let supervisor = state.supervisor().context("the servers are gone")?;
    Ok(PathBuf::from(format!("/proc/{}/exe", supervisor.pid())))
}

/// Locks without blocking the runtime.
pub(crate) async fn locked(
    file: File,
    lock: fn(&File) -> std::io::Result<()>,
) -> anyhow::Result<File> {
    let locked = tokio::task::spawn_blocking(move || lock(&file).map(|()| file));
    Ok(locked.await??)
}

/// Where the shared servers live: `TESTKIT_HOME`, or beside the build.
fn folder() -> anyhow::Result<PathBuf> {
    match std::env::var_os("TESTKIT_HOME") {
        Some(folder) => Ok(folder.into()),
        None => Ok(build::target()?.join("testkit")),
    }
}
