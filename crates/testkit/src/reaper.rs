//! Nothing that a test or a benchmark started outlives it, however it ends.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use devstack::home::Home;

/// Ends what is recorded in a home, and removes it, once this process is gone.
pub struct Reaper {
    /// The kernel closes our end of its input when this process ends, even by `kill -9`.
    _child: Child,
}

impl Reaper {
    /// `devstack` is that program's path.
    pub fn watch(devstack: &Path, home: &Home) -> anyhow::Result<Self> {
        let child = Command::new(devstack)
            .arg("--home")
            .arg(home.root())
            .arg("reap")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .spawn()?;
        Ok(Self { _child: child })
    }
}
