//! Building what tests run as processes: Cargo builds a dependency's library, not its binary.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use devstack::platform;
use tokio::process::Command;
use tokio::sync::OnceCell;

static WORKSPACE: OnceCell<PathBuf> = OnceCell::const_new();

/// Builds every binary with its fail points, unless `TESTKIT_BUILT` says that it is done; returns
/// the path of `devstack`.
pub(crate) async fn workspace() -> anyhow::Result<PathBuf> {
    let build = async || {
        if std::env::var_os("TESTKIT_BUILT").is_none() {
            cargo_build(&["--workspace", "--bins", "--all-features"]).await?;
        }
        Ok(target()?.join("debug/devstack"))
    };
    WORKSPACE.get_or_try_init(build).await.cloned()
}

/// Builds `devstack` alone, which is enough to start servers.
pub(crate) async fn devstack() -> anyhow::Result<PathBuf> {
    if std::env::var_os("TESTKIT_BUILT").is_none() {
        cargo_build(&["--package", "devstack"]).await?;
    }
    Ok(target()?.join("debug/devstack"))
}

async fn cargo_build(what: &[&str]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--target-dir"])
        .arg(target()?)
        .args(what)
        .current_dir(platform::workspace())
        .output()
        .await?;
    if !output.status.success() {
        bail!("cargo build: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// `target/` of `target/debug/deps/<test>`.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let target = this.ancestors().nth(3).map(Path::to_path_buf);
    target.context("this test does not lie in target/<profile>/deps")
}
