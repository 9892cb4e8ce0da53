//! Losing a primary for good: its replica takes its place, and a new replica is copied from it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;
use tokio::time::Instant;

use super::{Instance, copy_running, psql};
use crate::platform::Platform;
use crate::program::{PATIENCE, Stage};
use crate::service::Shard;
use crate::wait;

const STREAMING_LIMIT: Duration = Duration::from_secs(60);

/// How long each step of [`promote`] took, from its begin.
#[derive(Clone, Copy, Debug)]
pub struct Promotion {
    /// The former replica answers at the primary's address.
    pub writes_after: Duration,
    /// A new replica streams from it.
    pub replica_after: Duration,
}

/// Kills a shard's primary and makes its replica the primary, at the same address. What the old
/// primary had is removed; its place is taken by a new copy.
///
/// Nothing is touched where the replica does not answer.
pub async fn promote(platform: &Platform, shard: Shard) -> anyhow::Result<Promotion> {
    let (primary, replica) = (Instance::Primary(shard), Instance::Replica(shard));
    let is_standby = psql(replica.port(platform), &[], "select pg_is_in_recovery()").await;
    let is_standby = is_standby
        .with_context(|| format!("{} cannot take over, nothing was changed", replica.name()))?;
    if is_standby.trim() != "t" {
        bail!("{} is no standby, nothing was changed", replica.name());
    }
    let began_at = Instant::now();
    for instance in [primary, replica] {
        platform.hold(&instance.name())?;
    }
    if let Some(process) = platform.process(&primary.name()) {
        process.end(Signal::KILL, PATIENCE).await;
    }
    let promoted = psql(replica.port(platform), &[], "select pg_promote()").await?;
    if promoted.trim() != "t" {
        bail!("{} was not promoted in time; see its log", replica.name());
    }
    if let Some(process) = platform.process(&replica.name()) {
        let ask = Stage::of(&replica.name()).signal();
        process.end(ask, PATIENCE).await;
    }
    let configuration = exchange_folders(platform, primary, replica)?;
    platform.release(&primary.name())?;
    primary.ready(platform).await?;
    let writes_after = began_at.elapsed();
    let folder = replica.folder(&platform.home);
    copy_running(platform, shard, &folder).await?;
    fs::write(folder.join("postgresql.conf"), configuration)?;
    fs::write(folder.join("standby.signal"), "")?;
    platform.release(&replica.name())?;
    streams(platform, primary, replica).await?;
    Ok(Promotion {
        writes_after,
        replica_after: began_at.elapsed(),
    })
}

/// Puts the replica's folder in the primary's place, and returns the replica's configuration.
fn exchange_folders(
    platform: &Platform,
    primary: Instance,
    replica: Instance,
) -> anyhow::Result<String> {
    let (old, new) = (
        primary.folder(&platform.home),
        replica.folder(&platform.home),
    );
    let configuration = |folder: &Path| fs::read_to_string(folder.join("postgresql.conf"));
    let (of_primary, of_replica) = (configuration(&old)?, configuration(&new)?);
    fs::remove_dir_all(&old)?;
    fs::rename(&new, &old)?;
    fs::write(old.join("postgresql.conf"), of_primary)?;
    Ok(of_replica)
}

/// Returns when the replica has all that the primary had, so that commits no longer wait.
async fn streams(platform: &Platform, primary: Instance, replica: Instance) -> anyhow::Result<()> {
    let name = replica.name();
    wait::until(&name, STREAMING_LIMIT, async || {
        let query = "select count(*) from pg_stat_replication
            where application_name = :'name' and state = 'streaming'";
        let streaming = psql(primary.port(platform), &[("name", &name)], query).await?;
        if streaming.trim() != "1" {
            bail!("it does not stream");
        }
        Ok(())
    })
    .await
}
