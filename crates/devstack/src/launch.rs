//! Starting and stopping a platform from outside.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;
use tokio::process::Command;
use tokio::time::sleep;

use crate::home::Home;
use crate::platform::Platform;
use crate::program::{PATIENCE, end_recorded, log_tail};
use crate::state::{Phase, State, Step};
use crate::supervisor::{Options, is_supervised};

const POLL: Duration = Duration::from_millis(50);

/// Starts a supervisor, or joins the one that runs; returns when everything is ready.
///
/// `devstack` is that program's path. A platform that is already up is taken as it is.
pub async fn start(
    devstack: &Path,
    home: &Home,
    options: &Options,
    mut on_step: impl FnMut(&Step),
) -> anyhow::Result<Platform> {
    while State::current(home).is_some_and(|state| state.phase == Phase::Stopping) {
        sleep(POLL).await;
    }
    let mut child = None;
    let mut told = 0;
    if let Some(state) = State::current(home) {
        told = state.steps.len();
    } else {
        // The last words of an older supervisor would be taken for the new one's.
        let _ = fs::remove_file(home.state());
        child = Some(spawn(devstack, home, options)?);
    }
    loop {
        let ended = match &mut child {
            // It ends at once where another one was quicker; then that one is followed.
            Some(child) => child.try_wait()?.is_some() && !is_supervised(home)?,
            None => State::current(home).is_none(),
        };
        let state = State::last(home);
        if let Some(state) = &state {
            state.steps.iter().skip(told).for_each(&mut on_step);
            told = state.steps.len();
        }
        match state.as_ref().map(|state| (state, &state.phase)) {
            // It is still ending what it had started.
            Some((_, Phase::Failed(error))) if ended => bail!("{error}"),
            Some((state, Phase::Running)) if !ended => return Ok(state.platform(home)),
            _ if ended => bail!("the supervisor died{}", log_tail(home, "supervisor")),
            _ => sleep(POLL).await,
        }
    }
}

/// Ends whatever runs in this home. Data stays.
pub async fn stop(home: &Home) -> anyhow::Result<()> {
    if let Some(supervisor) = State::current(home).and_then(|state| state.supervisor()) {
        // It ends its children one stage after another, each with patience.
        supervisor.end(Signal::TERM, PATIENCE * 4).await;
    }
    end_recorded(home).await?;
    match fs::remove_file(home.state()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn spawn(devstack: &Path, home: &Home, options: &Options) -> anyhow::Result<tokio::process::Child> {
    let log: File = OpenOptions::new()
        .create(true)
        .append(true)
        .open(home.log("supervisor"))?;
    Command::new(devstack)
        .arg("--home")
        .arg(home.root())
        .args(["supervise", "--options", &serde_json::to_string(options)?])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot run {}", devstack.display()))
}
