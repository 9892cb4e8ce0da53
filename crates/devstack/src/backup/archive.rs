//! The archive of the write-ahead log: one folder for each shard, filled by its primary.
//!
//! It is on from the first backup: that makes the folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use tokio::time::{sleep, timeout};

use crate::home::Home;
use crate::platform::Platform;
use crate::postgres::{self, Durability, Instance};
use crate::service::Shard;
use crate::wait;

const SCRIPT: &str = include_str!("../../assets/archive.sh");
const ARCHIVE_LIMIT: Duration = Duration::from_secs(60);
const BEAT: Duration = Duration::from_secs(30);

/// Where a shard's log is kept.
pub fn folder(home: &Home, shard: Shard) -> PathBuf {
    home.backups().join("archive").join(shard.name())
}

fn script(home: &Home) -> PathBuf {
    home.backups().join("archive").join("archive.sh")
}

/// Lines of a server's configuration. Only a primary archives.
pub(crate) fn settings(home: &Home, shard: Shard) -> String {
    let folder = folder(home, shard);
    let (command, timeout) = match folder.exists() {
        true => {
            let (script, folder) = (script(home), folder);
            let command = format!(
                "sh \"{}\" \"%p\" \"{}\"",
                script.display(),
                folder.display()
            );
            (command, 60)
        }
        false => ("/bin/true".to_owned(), 0),
    };
    let command = command.replace('\'', "''");
    format!(
        "archive_mode = on
archive_command = '{command}'
# What a lost machine takes with it is at most so old.
archive_timeout = {timeout}s
"
    )
}

/// How a server that is being restored finds a segment: in the archive, or, if it was never
/// archived, in what the last primary left.
pub(crate) fn restore_command(home: &Home, shard: Shard) -> String {
    let archive = folder(home, shard);
    let left = home
        .postgres()
        .join(Instance::Primary(shard).name())
        .join("pg_wal");
    let from = |folder: &Path| format!("cp \"{}/%f\" \"%p\" 2>/dev/null", folder.display());
    format!("{} || {}", from(&archive), from(&left)).replace('\'', "''")
}

/// Makes the folders and lets the primaries archive from now on.
pub(crate) async fn start(platform: &Platform, durability: Durability) -> anyhow::Result<()> {
    let home = &platform.home;
    let [backups, archive] = [home.backups(), home.backups().join("archive")];
    for folder in [&backups, &archive] {
        if !folder.exists() {
            postgres::create_folder(folder).await?;
        }
    }
    fs::write(script(home), SCRIPT)?;
    for shard in Shard::ALL {
        let folder = folder(home, shard);
        if !folder.exists() {
            postgres::create_folder(&folder).await?;
        }
        let primary = Instance::Primary(shard);
        primary.configure(platform, durability)?;
        let reload = "select pg_reload_conf()";
        postgres::psql(platform.ports.primary(shard), &[], reload).await?;
    }
    Ok(())
}

/// Returns when everything that was committed until now is in the archive.
///
/// # Errors
///
/// When that takes longer than a minute, with what the archiver last failed at.
pub(crate) async fn flush(platform: &Platform, shard: Shard) -> anyhow::Result<()> {
    let port = platform.ports.primary(shard);
    mark(platform, shard).await?;
    let switch = "select pg_walfile_name(pg_switch_wal())";
    let answer = postgres::psql(port, &[], switch).await?;
    let segment = answer.trim();
    let progress = "select coalesce(last_archived_wal, ''), coalesce(last_failed_wal, 'nothing') \
        from pg_stat_archiver";
    let archive = format!("the archive of shard {shard}");
    wait::until(&archive, ARCHIVE_LIMIT, async || {
        let answer = postgres::psql(port, &[], progress).await?;
        let (archived, failed) = answer.trim().split_once('|').unwrap_or_default();
        if archived < segment {
            bail!("it has {archived} and not yet {segment}; it failed at {failed}");
        }
        Ok(())
    })
    .await
}

/// Commits something, so that the log shows that nothing is missing before it.
pub(crate) async fn mark(platform: &Platform, shard: Shard) -> anyhow::Result<()> {
    let port = platform.ports.primary(shard);
    // Its replica may be away.
    let commit = "set synchronous_commit = local; select pg_current_xact_id()";
    postgres::psql(port, &[], commit).await?;
    Ok(())
}

/// Commits something on every shard twice a minute, while there is an archive: one that nobody
/// writes to would seem to lack its end after the loss of its servers.
pub(crate) async fn beat(platform: &Platform) -> ! {
    loop {
        sleep(BEAT).await;
        for shard in Shard::ALL {
            if folder(&platform.home, shard).exists() {
                // A primary that is away is missed by others.
                let _ = timeout(BEAT, mark(platform, shard)).await;
            }
        }
    }
}
