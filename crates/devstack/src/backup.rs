//! Base backups of every shard, from which `restore` goes on with the archived log.

pub mod archive;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::platform::Platform;
use crate::postgres;
use crate::service::Shard;
use crate::supervisor::Options;

/// How many are kept, with the log since the oldest.
const KEPT: usize = 3;
const MANIFEST: &str = "backup.json";

/// A copy of every shard, all taken between two moments.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Backup {
    #[serde(skip)]
    pub folder: PathBuf,
    pub began_at: Timestamp,
    /// The first moment that can be restored from it.
    pub ended_at: Timestamp,
    pub bytes: u64,
}

/// What `devstack backup` tells.
#[derive(Debug)]
pub struct Made {
    pub backup: Backup,
    pub took: Duration,
    /// How many older ones were deleted.
    pub dropped: usize,
}

impl Backup {
    /// Where a shard's copy is.
    pub(crate) fn shard(&self, shard: Shard) -> PathBuf {
        self.folder.join(shard.name())
    }

    /// The first segment of the log that it needs.
    fn first_segment(&self, shard: Shard) -> anyhow::Result<String> {
        let label = fs::read_to_string(self.shard(shard).join("backup_label"))?;
        let line = label.lines().next().unwrap_or_default();
        let file = line
            .split_once("(file ")
            .map(|(_, rest)| rest.trim_end_matches(')'));
        Ok(file
            .context("a backup's label names no segment")?
            .to_owned())
    }
}

/// All backups that can be restored from, the oldest first.
///
/// # Errors
///
/// When a folder or its manifest cannot be read.
pub fn list(home: &Home) -> anyhow::Result<Vec<Backup>> {
    let folder = home.backups();
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut backups = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let folder = entry?.path();
        // One that was not finished, or that a restore has left behind in another past, has a suffix.
        if folder.extension().is_some() || !folder.join(MANIFEST).exists() {
            continue;
        }
        let manifest = fs::read(folder.join(MANIFEST))?;
        let backup = serde_json::from_slice(&manifest)
            .with_context(|| folder.join(MANIFEST).display().to_string())?;
        backups.push(Backup { folder, ..backup });
    }
    backups.sort_by_key(|backup| backup.ended_at);
    Ok(backups)
}

/// Copies every shard of a platform that runs, verifies the copies and sees to the archive.
///
/// # Errors
///
/// When a shard cannot be copied, a copy is not sound, or its log does not arrive in the archive:
/// then there is no new backup, and the others are as they were.
pub async fn make(platform: &Platform) -> anyhow::Result<Made> {
    let home = &platform.home;
    let begun = Instant::now();
    let began_at = Timestamp::now();
    let options = Options::last(home)?;
    if options.shared.is_some() {
        bail!("its databases belong to the servers of another home");
    }
    archive::start(platform, options.durability).await?;
    let folder = home
        .backups()
        .join(began_at.strftime("%Y%m%dT%H%M%SZ").to_string());
    if folder.exists() {
        bail!("there is a backup of this second: {}", folder.display());
    }
    let new = folder.with_extension("new");
    postgres::create_folder(&new).await?;
    try_join_all(Shard::ALL.map(|shard| copy(platform, shard, new.join(shard.name())))).await?;
    let ended_at = Timestamp::now();
    try_join_all(Shard::ALL.map(|shard| archive::flush(platform, shard))).await?;
    let backup = Backup {
        bytes: size(&new)?,
        folder: folder.clone(),
        began_at,
        ended_at,
    };
    fs::write(new.join(MANIFEST), serde_json::to_vec_pretty(&backup)?)?;
    fs::rename(new, folder)?;
    Ok(Made {
        backup,
        took: begun.elapsed(),
        dropped: prune(home).await?,
    })
}

/// Copies a primary, with the log that its copy needs to be consistent, and checks every file.
async fn copy(platform: &Platform, shard: Shard, folder: PathBuf) -> anyhow::Result<()> {
    let copied = postgres::copy_running(platform, shard, &folder).await;
    copied.with_context(|| format!("shard {shard}"))?;
    let verify = postgres::tool("pg_verifybackup");
    let verified =
        postgres::run_as_postgres(&[&verify, OsStr::new("-q"), folder.as_os_str()]).await;
    verified.with_context(|| format!("the copy of shard {shard} is not sound"))?;
    Ok(())
}

/// Deletes all but the newest, and the log before the oldest that is left.
async fn prune(home: &Home) -> anyhow::Result<usize> {
    let backups = list(home)?;
    let (old, kept) = backups.split_at(backups.len().saturating_sub(KEPT));
    for backup in old {
        fs::remove_dir_all(&backup.folder)?;
    }
    if let (false, Some(oldest)) = (old.is_empty(), kept.first()) {
        for shard in Shard::ALL {
            let (folder, first) = (archive::folder(home, shard), oldest.first_segment(shard)?);
            let clean = postgres::tool("pg_archivecleanup");
            postgres::run_as_postgres(&[&clean, folder.as_os_str(), OsStr::new(&first)]).await?;
        }
    }
    Ok(old.len())
}

/// What the files below have written in them.
fn size(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += match about.is_dir() {
            true => size(&entry.path())?,
            false => about.len(),
        };
    }
    Ok(bytes)
}
