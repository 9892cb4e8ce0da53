//! The programs that come from the distribution.

use std::fmt;
use std::path::Path;

use anyhow::bail;
use tokio::process::Command;

use crate::{kafka, postgres};

/// Packages that devstack may not install by itself.
#[derive(Debug)]
pub struct Missing {
    command: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "some packages are missing; install them with: sudo {}",
            self.command
        )
    }
}

impl std::error::Error for Missing {}

/// Installs what is missing where root or sudo allows it.
///
/// # Errors
///
/// [`Missing`] with the command to type, where they do not.
pub async fn install() -> anyhow::Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    // The list of packages may be absent or old: then it is fetched, and the rest tried again.
    let install = format!(
        "apt-get install --yes --no-install-recommends {}",
        missing.join(" ")
    );
    let Some(sudo) = sudo().await else {
        return Err(Missing { command: install }.into());
    };
    if !run(sudo, &install).await? {
        run(sudo, "apt-get update").await?;
        if !run(sudo, &install).await? {
            bail!("{install} failed");
        }
    }
    Ok(())
}

fn missing() -> Vec<&'static str> {
    let mut needed = vec![
        (
            is_file(Path::new(&postgres::tool("postgres"))),
            "postgresql-15",
        ),
        (on_path("redis-server"), "redis-server"),
        (on_path("java"), "default-jre-headless"),
    ];
    if !kafka::is_installed() {
        needed.push((on_path("mvn"), "maven"));
    }
    needed
        .into_iter()
        .filter_map(|(found, package)| (!found).then_some(package))
        .collect()
}

/// What to put before a command so that it may install; `None` when nothing helps.
async fn sudo() -> Option<&'static str> {
    if rustix::process::geteuid().is_root() {
        return Some("");
    }
    let sudo = Command::new("sudo").args(["-n", "true"]).output().await;
    sudo.is_ok_and(|output| output.status.success())
        .then_some("sudo -n ")
}

async fn run(sudo: &str, command: &str) -> anyhow::Result<bool> {
    // In runlevel 1 no package starts a server of its own.
    let line = format!("{sudo}env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive {command}");
    let status = Command::new("sh").args(["-c", &line]).status().await?;
    Ok(status.success())
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| is_file(&folder.join(program)))
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}
