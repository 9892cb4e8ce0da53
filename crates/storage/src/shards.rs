//! What an operator asks about a service's shards.

use std::fmt;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::config::{Databases, ShardDatabases};
use crate::{Config, Error};

/// One shard as its databases describe it. Printed, it is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub shard: String,
    pub active_slots: i64,
    /// Fenced, importing or moved away.
    pub other_slots: i64,
    /// The end of the primary's write-ahead log.
    pub lsn: i64,
    pub replicas: Vec<ReplicaReport>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaReport {
    /// What the replica has yet to replay; `None` when it cannot be reached.
    pub lag_bytes: Option<i64>,
}

/// Asks every primary, which must answer, and every replica, which need not.
pub async fn list(config: &Config) -> Result<Vec<Report>, Error> {
    let databases = Databases::parse(config)?;
    let mut reports = Vec::with_capacity(databases.shards.len());
    for shard in &databases.shards {
        reports.push(report(shard).await?);
    }
    Ok(reports)
}

async fn report(shard: &ShardDatabases) -> Result<Report, Error> {
    let mut primary = shard.primary.connect().await?;
    let (active_slots, other_slots, lsn) = sqlx::query_as::<_, (i64, i64, i64)>(
        "select
            count(*) filter (where state = 'active'),
            count(*) filter (where state <> 'active'),
            pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint
        from slot_owner",
    )
    .fetch_one(&mut primary)
    .await?;
    primary.close().await?;
    let mut replicas = Vec::with_capacity(shard.replicas.len());
    for replica in &shard.replicas {
        let replayed = replayed(replica).await.ok();
        replicas.push(ReplicaReport {
            lag_bytes: replayed.map(|replayed| (lsn - replayed).max(0)),
        });
    }
    Ok(Report {
        shard: shard.name.clone(),
        active_slots,
        other_slots,
        lsn,
        replicas,
    })
}

async fn replayed(replica: &PgConnectOptions) -> Result<i64, sqlx::Error> {
    let mut replica = replica.connect().await?;
    let replayed =
        sqlx::query_scalar("select pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint")
            .fetch_one(&mut replica)
            .await?;
    replica.close().await?;
    Ok(replayed)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}  active {}  other {}  lsn {:X}/{:X}",
            self.shard,
            self.active_slots,
            self.other_slots,
            self.lsn >> 32,
            self.lsn & 0xffff_ffff
        )?;
        for replica in &self.replicas {
            match replica.lag_bytes {
                Some(bytes) => write!(f, "  replica {bytes} bytes behind")?,
                None => write!(f, "  replica out of reach")?,
            }
        }
        Ok(())
    }
}
