//! Events whose effect failed wait in a table, with the later events of their key behind them.

use std::time::Duration;

use jiff_sqlx::Timestamp;
use sqlx::FromRow;
use storage::{Shard, WriteTx};
use types::{EventId, Slot};

use crate::{Error, Received};

const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// About 15 minutes; then an operator decides.
const ATTEMPTS_MAX: i32 = 20;

/// The first event of a key whose retry is due.
#[derive(FromRow)]
pub(crate) struct Due {
    slot: i16,
    pub(crate) key: String,
}

impl Due {
    pub(crate) fn slot(&self) -> Option<Slot> {
        Slot::from_db(self.slot)
    }
}

/// An event taken out of the table, to be tried once more.
#[derive(FromRow)]
pub(crate) struct Parked {
    pub(crate) seq: i64,
    pub(crate) attempts: i32,
    event_id: EventId,
    r#type: String,
    key: String,
    version: Option<i64>,
    traceparent: Option<String>,
    created_at: Timestamp,
    payload: Vec<u8>,
}

impl From<Parked> for Received {
    fn from(parked: Parked) -> Self {
        Self {
            id: parked.event_id,
            kind: parked.r#type,
            key: parked.key,
            version: parked.version,
            time: parked.created_at.to_jiff(),
            payload: parked.payload.into(),
            traceparent: parked.traceparent,
        }
    }
}

/// Puts the event behind the others of its key; `attempts` is 0 for one that was not tried yet.
pub(crate) async fn park(
    tx: &mut WriteTx,
    consumer: &str,
    event: &Received,
    attempts: i32,
    reason: &str,
) -> Result<(), sqlx::Error> {
    let wait = if attempts == 0 {
        Duration::ZERO
    } else {
        RETRY_AFTER
    };
    sqlx::query(
        "insert into parked_events (
             slot, consumer, key, event_id, type, version, traceparent, created_at, payload,
             attempts, retry_at, reason
         )
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now() + make_interval(secs => $11), $12)",
    )
    .bind(tx.slot().to_db())
    .bind(consumer)
    .bind(&event.key)
    .bind(event.id)
    .bind(&event.kind)
    .bind(event.version)
    .bind(&event.traceparent)
    .bind(Timestamp::from(event.time))
    .bind(&event.payload[..])
    .bind(attempts)
    .bind(wait.as_secs_f64())
    .bind(reason)
    .execute(tx)
    .await?;
    Ok(())
}

/// The keys whose first event is due on the shard.
pub(crate) async fn due(shard: &Shard, consumer: &str) -> Result<Vec<Due>, Error> {
    let due = sqlx::query_as(
        "select slot, key
         from parked_events as first
         where consumer = $1
             and retry_at <= now()
             and slot = any($2)
             and not exists (
                 select
                 from parked_events as earlier
                 where earlier.slot = first.slot
                     and earlier.consumer = first.consumer
                     and earlier.key = first.key
                     and earlier.seq < first.seq
             )
         order by retry_at
         limit 100",
    )
    .bind(consumer)
    .bind(shard.owned_slots())
    .fetch_all(&mut shard.primary_once().await?)
    .await?;
    Ok(due)
}

/// How many events wait on the shard, those that are tried no more among them.
pub(crate) async fn count(shard: &Shard, consumer: &str) -> Result<i64, Error> {
    let count = sqlx::query_scalar(
        "select count(*)
         from parked_events
         where consumer = $1 and slot = any($2)",
    )
    .bind(consumer)
    .bind(shard.owned_slots())
    .fetch_one(&mut shard.primary_once().await?)
    .await?;
    Ok(count)
}

/// Takes the first event of the key out of the table, if it is due. Waits for whoever has it:
/// skipping a locked row would take the second.
pub(crate) async fn take(
    tx: &mut WriteTx,
    consumer: &str,
    key: &str,
) -> Result<Option<Parked>, sqlx::Error> {
    sqlx::query_as(
        "with first as (
             select seq
             from parked_events
             where slot = $1 and consumer = $2 and key = $3
             order by seq
             limit 1
             for update
         )
         delete from parked_events as parked
         using first
         where parked.slot = $1
             and parked.consumer = $2
             and parked.key = $3
             and parked.seq = first.seq
             and parked.retry_at <= now()
         returning
             parked.seq,
             parked.attempts,
             parked.event_id,
             parked.type,
             parked.key,
             parked.version,
             parked.traceparent,
             parked.created_at,
             parked.payload",
    )
    .bind(tx.slot().to_db())
    .bind(consumer)
    .bind(key)
    .fetch_optional(tx)
    .await
}

/// Notes a failed attempt; `true` when it was the last.
pub(crate) async fn postpone(
    tx: &mut WriteTx,
    consumer: &str,
    key: &str,
    seq: i64,
    attempts: i32,
    reason: &str,
) -> Result<bool, sqlx::Error> {
    let last = attempts >= ATTEMPTS_MAX;
    sqlx::query(
        "update parked_events
         set attempts = $5,
             retry_at = now() + make_interval(secs => $6),
             reason = $7
         where slot = $1 and consumer = $2 and key = $3 and seq = $4",
    )
    .bind(tx.slot().to_db())
    .bind(consumer)
    .bind(key)
    .bind(seq)
    .bind(attempts)
    .bind((!last).then(|| retry_after(attempts).as_secs_f64()))
    .bind(reason)
    .execute(tx)
    .await?;
    Ok(last)
}

fn retry_after(attempts: i32) -> Duration {
    let doublings = attempts.clamp(1, 10) as u32 - 1;
    (RETRY_AFTER * 2_u32.pow(doublings)).min(RETRY_AFTER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_wait_longer_each_time_up_to_a_minute() {
        let waits = [1, 2, 3, 7, 20].map(|attempts| retry_after(attempts).as_secs());

        assert_eq!(waits, [1, 2, 4, 60, 60]);
    }
}
