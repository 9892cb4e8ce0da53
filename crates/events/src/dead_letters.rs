//! Events whose effect failed: parked with their key, retried, and at last left to an operator.

use std::fmt;

use jiff::Timestamp;
use sqlx::FromRow;
use storage::Cluster;
use types::{EventId, Slot};

use crate::Error;

/// An event that waits for its effect, or for an earlier event of its key.
#[derive(Debug)]
pub struct Parked {
    pub shard: String,
    pub event_id: EventId,
    pub kind: String,
    pub key: String,
    pub attempts: i32,
    /// `None`: no longer tried, until replayed.
    pub retry_at: Option<Timestamp>,
    pub reason: String,
}

/// What an operator may ask for.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum Command {
    /// Show the events that wait, and why.
    List,
    /// Try them again at once.
    Replay {
        /// Only those of one aggregate.
        #[arg(long)]
        key: Option<String>,
    },
}

/// Does what the operator asks for; answers with the text to show.
pub async fn run<K>(
    command: &Command,
    cluster: &Cluster<K>,
    consumer: &str,
) -> Result<String, Error> {
    match command {
        Command::List => {
            let parked = list(cluster, consumer).await?;
            let lines: Vec<_> = parked.iter().map(ToString::to_string).collect();
            Ok(lines.join("\n"))
        }
        Command::Replay { key } => {
            let replayed = replay(cluster, consumer, key.as_deref()).await?;
            Ok(format!("{replayed} events are tried again"))
        }
    }
}

impl fmt::Display for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            shard,
            event_id,
            kind,
            key,
            attempts,
            reason,
            ..
        } = self;
        let next = match self.retry_at {
            Some(at) => format!("next try at {at}"),
            None => "given up".to_owned(),
        };
        write!(
            f,
            "{shard} {event_id} {kind} {key}: {attempts} tries, {next}: {reason}"
        )
    }
}

#[derive(FromRow)]
struct Row {
    event_id: EventId,
    r#type: String,
    key: String,
    attempts: i32,
    retry_at: Option<jiff_sqlx::Timestamp>,
    reason: String,
}

/// Every parked event of the consumer, shard by shard in the order of its keys.
pub async fn list<K>(cluster: &Cluster<K>, consumer: &str) -> Result<Vec<Parked>, Error> {
    let mut parked = Vec::new();
    for shard in cluster.shards() {
        let rows: Vec<Row> = sqlx::query_as(
            "select event_id, type, key, attempts, retry_at, reason
             from parked_events
             where consumer = $1 and slot = any($2)
             order by slot, key, seq",
        )
        .bind(consumer)
        .bind(shard.owned_slots())
        .fetch_all(&mut shard.primary_once().await?)
        .await?;
        parked.extend(rows.into_iter().map(|row| Parked {
            shard: shard.name().to_owned(),
            event_id: row.event_id,
            kind: row.r#type,
            key: row.key,
            attempts: row.attempts,
            retry_at: row.retry_at.map(jiff_sqlx::Timestamp::to_jiff),
            reason: row.reason,
        }));
    }
    Ok(parked)
}

/// Has the parked events of the consumer tried again at once, of one key or of all; says how many.
pub async fn replay<K>(
    cluster: &Cluster<K>,
    consumer: &str,
    key: Option<&str>,
) -> Result<u64, Error> {
    let mut replayed = 0;
    for shard in cluster.shards() {
        let slots: Vec<i16> = sqlx::query_scalar(
            "select distinct slot
             from parked_events
             where consumer = $1 and slot = any($2) and key = coalesce($3, key)",
        )
        .bind(consumer)
        .bind(shard.owned_slots())
        .bind(key)
        .fetch_all(&mut shard.primary_once().await?)
        .await?;
        for slot in slots.into_iter().filter_map(Slot::from_db) {
            replayed += replay_slot(cluster, slot, consumer, key).await?;
        }
    }
    Ok(replayed)
}

async fn replay_slot<K>(
    cluster: &Cluster<K>,
    slot: Slot,
    consumer: &str,
    key: Option<&str>,
) -> Result<u64, Error> {
    let mut tx = cluster.begin_in(slot).await?;
    let done = sqlx::query(
        "update parked_events
         set attempts = 0,
             retry_at = now()
         where slot = $1 and consumer = $2 and key = coalesce($3, key)",
    )
    .bind(slot.to_db())
    .bind(consumer)
    .bind(key)
    .execute(&mut tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
