//! What the supervisor tells everybody else, as a file.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::platform::{Names, Platform};
use crate::ports::Ports;
use crate::process::Process;
use crate::program::report;

/// The content of `state.json`. True only while its supervisor lives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    supervisor: String,
    pub phase: Phase,
    pub ports: Ports,
    pub names: Names,
    /// Finished steps, in the order in which they ended.
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Starting,
    Running,
    Failed(String),
    Stopping,
}

/// One line of progress.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    pub took: Duration,
}

impl State {
    /// The last words of a supervisor, alive or not.
    pub(crate) fn last(home: &Home) -> Option<Self> {
        serde_json::from_slice(&fs::read(home.state()).ok()?).ok()
    }

    /// The state of the supervisor that runs now.
    pub fn current(home: &Home) -> Option<Self> {
        Self::last(home).filter(|state| state.supervisor().is_some())
    }

    /// The supervisor, if it is alive.
    pub fn supervisor(&self) -> Option<Process> {
        Process::from_tag(&self.supervisor).filter(|process| process.is_alive())
    }

    pub fn platform(&self, home: &Home) -> Platform {
        Platform {
            home: home.clone(),
            ports: self.ports.clone(),
            names: self.names.clone(),
        }
    }
}

/// The platform of this home, if it runs.
pub fn running(home: &Home) -> anyhow::Result<Platform> {
    let state = State::current(home).context("nothing runs here; start it with: make up")?;
    Ok(state.platform(home))
}

/// The supervisor's own side of the file.
pub(crate) struct Progress {
    home: Home,
    state: Mutex<State>,
}

impl Progress {
    pub(crate) fn begin(platform: &Platform) -> anyhow::Result<Self> {
        let this = Process::running(std::process::id().cast_signed())
            .context("this process is not in /proc")?;
        let state = State {
            supervisor: this.tag(),
            phase: Phase::Starting,
            ports: platform.ports.clone(),
            names: platform.names.clone(),
            steps: Vec::new(),
        };
        let progress = Self {
            home: platform.home.clone(),
            state: Mutex::new(state),
        };
        progress.change(|_| {});
        Ok(progress)
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.change(|state| state.phase = phase);
    }

    /// Runs one step and notes how long it took.
    pub(crate) async fn step<T>(
        &self,
        name: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        let value = work.await.with_context(|| name.to_owned())?;
        let step = Step {
            name: name.to_owned(),
            took: begun.elapsed(),
        };
        self.change(|state| state.steps.push(step));
        Ok(value)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if let Err(error) = self.write(&state) {
            report(&format!(
                "cannot write {}: {error}",
                self.home.state().display()
            ));
        }
    }

    /// Readers see the old state or the new one.
    fn write(&self, state: &State) -> anyhow::Result<()> {
        let new = self.home.state().with_extension("new");
        fs::write(&new, serde_json::to_vec_pretty(state)?)?;
        Ok(fs::rename(new, self.home.state())?)
    }
}
