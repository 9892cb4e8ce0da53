//! One shard, from its base backup through the archived log to a moment.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{anyhow, bail};
use jiff::Timestamp;
use rustix::process::Signal;

use crate::backup::{Backup, archive};
use crate::platform::Platform;
use crate::postgres::{self, Durability, Instance};
use crate::process::Process;
use crate::program::{self, PATIENCE, with_log};
use crate::service::Shard;
use crate::wait;

/// How long the log of a shard may take to be replayed.
const RECOVERY_LIMIT: Duration = Duration::from_secs(3600);

/// Makes the folders of a shard's primary and replica below `folder`, as they were at the moment.
///
/// The primary is recovered on a port of `platform` and ended again; the replica is a copy of it.
pub(super) async fn recover(
    platform: &Platform,
    durability: Durability,
    backup: &Backup,
    shard: Shard,
    at: Timestamp,
    folder: &Path,
) -> anyhow::Result<()> {
    let primary = folder.join(Instance::Primary(shard).name());
    postgres::copy(&backup.shard(shard), &primary).await?;
    let mut configuration = Instance::Primary(shard).configuration(platform, durability)?;
    configuration += &target(platform, shard, at);
    fs::write(primary.join("postgresql.conf"), configuration)?;
    // PostgreSQL removes it when the moment is reached.
    fs::write(primary.join("recovery.signal"), "")?;
    replay(platform, shard, &primary).await?;
    let replica = folder.join(Instance::Replica(shard).name());
    postgres::copy(&primary, &replica).await?;
    fs::write(replica.join("standby.signal"), "")?;
    Ok(())
}

/// It answers nobody before the end of the recovery, and waits for no replica. It archives nothing
/// yet: its timeline must be known to nobody, should another shard not be recovered.
fn target(platform: &Platform, shard: Shard, at: Timestamp) -> String {
    format!(
        "synchronous_standby_names = ''
hot_standby = off
archive_command = ''
restore_command = '{}'
recovery_target_time = '{}'
recovery_target_action = 'promote'
",
        archive::restore_command(&platform.home, shard),
        // PostgreSQL reads this setting before it knows the names of time zones, Z among them.
        at.strftime("%F %T%.3f+00"),
    )
}

/// As `pg_ctl` asks it: in a file, so that a long recovery does not log who knocked.
fn is_ready(folder: &Path) -> anyhow::Result<()> {
    let about = fs::read_to_string(folder.join("postmaster.pid"))?;
    match about.lines().nth(7).map(str::trim) {
        Some("ready") => Ok(()),
        _ => bail!("it recovers"),
    }
}

/// Runs the server until it has left the recovery.
async fn replay(platform: &Platform, shard: Shard, folder: &Path) -> anyhow::Result<()> {
    let instance = Instance::Primary(shard);
    let mut server = instance.program_in(folder.to_path_buf());
    server.name = format!("postgres-{shard}-restore");
    let _ = fs::remove_file(platform.home.log(&server.name));
    let mut child = server.spawn(&platform.home)?;
    let recovered = tokio::select! {
        ready = wait::until(&server.name, RECOVERY_LIMIT, async || is_ready(folder)) => ready,
        status = child.wait() => match status {
            Ok(status) => Err(anyhow!("its server ended ({status})")),
            Err(error) => Err(error.into()),
        },
    };
    let record = program::record(&platform.home, &server.name);
    if let Some(process) = Process::recorded(&record) {
        process.end(Signal::INT, PATIENCE).await;
    }
    let ended = child.wait().await?;
    let _ = fs::remove_file(record);
    with_log(platform, &server.name, recovered)?;
    if !ended.success() {
        bail!("the restored server of shard {shard} did not end well ({ended})");
    }
    Ok(())
}
