//! A native Jaeger, built once from a pinned Go module, that the trace sink sends everything to.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tokio::process::Command;

use crate::platform::{Platform, workspace};
use crate::program::{Program, log_tail};
use crate::sink::forward_file;
use crate::wait;

const GO_MOD: &str = include_str!("../assets/jaeger/go.mod");
const GO_SUM: &str = include_str!("../assets/jaeger/go.sum");
const CONFIGURATION: &str = include_str!("../assets/jaeger/config.yaml");
const PACKAGE: &str = "github.com/jaegertracing/jaeger/cmd/jaeger";
/// As `assets/jaeger/go.mod` says.
const GO_MINOR_MIN: u32 = 25;
const GO_MISSING: &str = "Jaeger is built with Go 1.25 or newer, and Debian's is older: \
    install it from https://go.dev/dl/ so that `go` is on the PATH, and try again";

/// Where Jaeger listens on the loopback interface.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct JaegerPorts {
    /// Where it receives traces; 4317 is devstack's own sink
    #[arg(long, default_value_t = 4319)]
    otlp_port: u16,
    /// Where it answers queries
    #[arg(long, default_value_t = 16686)]
    query_port: u16,
}

/// Builds Jaeger unless that is done, starts it unless it runs, and has every trace from now on
/// sent to it. Returns the URL of its query API. `down` ends it.
///
/// # Errors
///
/// When there is no Go to build it with, or it does not start.
pub async fn start(platform: &Platform, ports: JaegerPorts) -> anyhow::Result<String> {
    let binary = build().await?;
    let query = format!("http://127.0.0.1:{}", ports.query_port);
    if platform.process("jaeger").is_none() {
        let mut program = program(platform, &binary)?;
        program.env = vec![
            ("JAEGER_OTLP_PORT".to_owned(), ports.otlp_port.to_string()),
            ("JAEGER_QUERY_PORT".to_owned(), ports.query_port.to_string()),
            // It would trace itself into our sink, which sends everything back to it.
            ("OTEL_TRACES_SAMPLER".to_owned(), "always_off".to_owned()),
        ];
        // It goes on without us; its record lets `down` find it.
        drop(program.spawn(&platform.home)?);
    }
    wait::until("jaeger", wait::START_LIMIT, async || {
        let answer = reqwest::get(format!("{query}/api/services"))
            .await
            .with_context(|| log_tail(&platform.home, "jaeger"))?;
        Ok(answer.error_for_status()?)
    })
    .await?;
    let endpoint = format!("http://127.0.0.1:{}\n", ports.otlp_port);
    fs::write(forward_file(&platform.home), endpoint)?;
    Ok(query)
}

fn program(platform: &Platform, binary: &Path) -> anyhow::Result<Program> {
    let folder = platform.home.root().join("jaeger");
    fs::create_dir_all(&folder)?;
    let configuration = folder.join("config.yaml");
    fs::write(&configuration, CONFIGURATION)?;
    // A session of its own: closing the terminal must not end it.
    let argv = vec![
        "setsid".into(),
        binary.into(),
        "--config".into(),
        configuration.into(),
    ];
    Ok(Program::new("jaeger", argv))
}

/// Builds it once for the checkout; a changed module is built again.
async fn build() -> anyhow::Result<PathBuf> {
    let folder = workspace().join(".tools/jaeger");
    let binary = folder.join("jaeger");
    let built = fs::read_to_string(folder.join("go.sum"));
    if binary.exists() && built.is_ok_and(|sum| sum == GO_SUM) {
        return Ok(binary);
    }
    check_go().await?;
    fs::create_dir_all(&folder)?;
    // Or a build that is interrupted would leave an older one beside the new sums.
    let _ = fs::remove_file(&binary);
    fs::write(folder.join("go.mod"), GO_MOD)?;
    fs::write(folder.join("go.sum"), GO_SUM)?;
    let new = folder.join("jaeger.new");
    let output = Command::new("nice")
        .args(["go", "build", "-trimpath", "-buildvcs=false", "-o"])
        .arg(&new)
        .arg(PACKAGE)
        .current_dir(&folder)
        .output()
        .await?;
    if !output.status.success() {
        bail!("go build: {}", String::from_utf8_lossy(&output.stderr));
    }
    fs::rename(new, &binary)?;
    Ok(binary)
}

async fn check_go() -> anyhow::Result<()> {
    let output = Command::new("go").args(["env", "GOVERSION"]).output().await;
    let version = output.context(GO_MISSING)?.stdout;
    match minor(&String::from_utf8_lossy(&version)) {
        Some(minor) if minor >= GO_MINOR_MIN => Ok(()),
        _ => bail!(GO_MISSING),
    }
}

/// The 26 of `go1.26.8`.
fn minor(version: &str) -> Option<u32> {
    let rest = version.trim().strip_prefix("go1.")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_version_of_go_is_read() {
        assert_eq!(minor("go1.26.8\n"), Some(26));
        assert_eq!(minor("go1.25rc1"), Some(25));
        assert_eq!(minor("devel"), None);
    }
}
