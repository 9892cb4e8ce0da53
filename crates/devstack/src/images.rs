//! Container images of the services, packed from binaries that are already built.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::Command;

use crate::platform::workspace;
use crate::service::Service;

const ENGINE_MISSING: &str =
    "no container engine answers: install Docker (Debian: docker.io) and start its daemon";

/// What is packed: the services, and the payment provider of local runs.
fn programs() -> impl Iterator<Item = &'static str> {
    Service::ALL
        .into_iter()
        .map(Service::name)
        .chain(["simulator"])
}

/// Packs `cloudretail/<program>:<version>` from a folder of release binaries. Returns each name
/// with the bytes that it adds to its base.
///
/// # Errors
///
/// When there is no container engine, no binary, or an image cannot be built.
pub async fn pack(binaries: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    check_engine().await?;
    for program in programs() {
        let binary = binaries.join(program);
        if !binary.exists() {
            let binary = binary.display();
            bail!("{binary} is missing: cargo build --release --workspace --bins");
        }
    }
    let base = base()?;
    stand_ins(&[&base]).await?;
    let base = size(&base).await?;
    let revision = revision().await;
    let mut images = Vec::new();
    for program in programs() {
        let context = tempfile::tempdir()?;
        fill(context.path(), program, binaries).await?;
        let image = format!("cloudretail/{program}:{}", env!("CARGO_PKG_VERSION"));
        let arguments = [
            "build",
            "--quiet",
            "--target=prebuilt",
            &format!("--build-arg=SERVICE={program}"),
            concat!("--build-arg=VERSION=", env!("CARGO_PKG_VERSION")),
            &format!("--build-arg=REVISION={revision}"),
            &format!("--tag={image}"),
            &format!("--file={}", dockerfile().display()),
            &context.path().display().to_string(),
        ];
        run("docker", &arguments).await?;
        let added = size(&image).await?.saturating_sub(base);
        images.push((image, added));
    }
    Ok(images)
}

/// Makes stand-ins for those of these images that cannot be pulled; with none, for all that compose
/// and the chart name. See `docker/stand-ins`.
///
/// # Errors
///
/// When there is no container engine, or one cannot be made.
pub async fn stand_ins(images: &[&str]) -> anyhow::Result<()> {
    check_engine().await?;
    let script = workspace().join("docker/stand-ins");
    let status = Command::new(&script)
        .args(images)
        .status()
        .await
        .with_context(|| format!("cannot run {}", script.display()))?;
    if !status.success() {
        bail!("{} failed", script.display());
    }
    Ok(())
}

fn dockerfile() -> PathBuf {
    workspace().join("Dockerfile")
}

/// What the build adds to, as the Dockerfile names it.
fn base() -> anyhow::Result<String> {
    let text = fs::read_to_string(dockerfile())?;
    let named = text.lines().find_map(|line| {
        let from = line.strip_prefix("FROM ")?;
        from.strip_suffix(" AS base")
    });
    Ok(named
        .context("the Dockerfile has no stage `base`")?
        .to_owned())
}

/// A context of what the target `prebuilt` copies: the program, a link to it, its parts list.
async fn fill(context: &Path, program: &str, binaries: &Path) -> anyhow::Result<()> {
    let (bin, sbom) = (context.join("bin"), context.join("sbom"));
    fs::create_dir(&bin)?;
    fs::create_dir(&sbom)?;
    fs::copy(binaries.join(program), bin.join(program))?;
    symlink(program, bin.join("service"))?;
    let arguments = [
        "sbom",
        "--output-format=cyclone_dx_json_1_6",
        "--cargo-package",
        program,
    ];
    let parts = run("cargo", &arguments)
        .await
        .context("fetch it with: scripts/bootstrap images")?;
    fs::write(sbom.join(format!("{program}.cdx.json")), parts)?;
    Ok(())
}

/// The commit that is checked out; an archive of the tree has none.
async fn revision() -> String {
    let said = run("git", &["describe", "--always", "--dirty", "--abbrev=40"]).await;
    said.map_or_else(|_| "unknown".to_owned(), |said| said.trim().to_owned())
}

async fn size(image: &str) -> anyhow::Result<u64> {
    let said = run("docker", &["image", "inspect", "--format={{.Size}}", image]).await?;
    Ok(said.trim().parse()?)
}

async fn check_engine() -> anyhow::Result<()> {
    let asked = Command::new("docker")
        .arg("info")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    match asked {
        Ok(status) if status.success() => Ok(()),
        _ => bail!(ENGINE_MISSING),
    }
}

/// Where programs are looked for: then where `scripts/bootstrap` puts them.
fn path_with_tools() -> anyhow::Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let tools = workspace().join(".tools/lint/bin");
    Ok(env::join_paths(env::split_paths(&path).chain([tools]))?)
}

/// What a command of the workspace prints.
async fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", path_with_tools()?)
        .current_dir(workspace())
        .output()
        .await
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {said}", arguments.join(" "));
    }
    Ok(String::from_utf8(output.stdout)?)
}
