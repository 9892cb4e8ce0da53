//! What was answered under an idempotency key.

use std::time::Duration;

use uuid::Uuid;

use crate::{Autocommit, Error, Shard, WriteTx};

/// How long a request may be under way before a repetition takes its key over.
const LOCK: Duration = Duration::from_secs(10);

/// How long an answer is kept.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How many keys are swept at once.
const SWEEP_MAX: i64 = 1000;

/// Where a request stands among those with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// The first, or the first since a process died with it.
    New,
    /// It was answered before, by these bytes.
    Replay(Vec<u8>),
    /// Another one with this key is under way.
    InProgress,
    /// The key was used for another request.
    Reused,
}

#[derive(sqlx::FromRow)]
struct Known {
    request_hash: Vec<u8>,
    answer: Option<Vec<u8>>,
}

/// Claims the key for a request, in the transaction of the request's effect.
///
/// A key left in progress by a process that died is taken over after ten seconds.
pub async fn begin(
    tx: &mut WriteTx,
    scope: Uuid,
    key: &str,
    request_hash: [u8; 32],
) -> Result<Started, Error> {
    claim(tx, scope, key, request_hash, None).await
}

/// [`begin`] and [`finish`] in one statement, for a request whose answer is known as it begins.
pub async fn begin_answered(
    tx: &mut WriteTx,
    scope: Uuid,
    key: &str,
    request_hash: [u8; 32],
    answer: &[u8],
) -> Result<Started, Error> {
    claim(tx, scope, key, request_hash, Some(answer)).await
}

async fn claim(
    tx: &mut WriteTx,
    scope: Uuid,
    key: &str,
    request_hash: [u8; 32],
    answer: Option<&[u8]>,
) -> Result<Started, Error> {
    let claimed = sqlx::query(
        "insert into idempotency_keys as known
            (slot, scope_id, key, request_hash, state, locked_until, expires_at, answer)
        values (
            $1,
            $2,
            $3,
            $4,
            case when $7::bytea is null then 'in_progress' else 'answered' end,
            now() + make_interval(secs => $5),
            now() + make_interval(secs => $6),
            $7
        )
        on conflict (slot, scope_id, key) do update set
            request_hash = excluded.request_hash,
            state = excluded.state,
            answer = excluded.answer,
            locked_until = excluded.locked_until,
            expires_at = excluded.expires_at
        where known.expires_at < now()
            or known.state = 'in_progress'
                and known.locked_until < now()
                and known.request_hash = $4",
    )
    .bind(tx.slot().to_db())
    .bind(scope)
    .bind(key)
    .bind(request_hash.as_slice())
    .bind(LOCK.as_secs_f64())
    .bind(LIFETIME.as_secs_f64())
    .bind(answer)
    .execute(&mut *tx)
    .await?;
    if claimed.rows_affected() == 1 {
        return Ok(Started::New);
    }
    let known = sqlx::query_as::<_, Known>(
        "select
            request_hash,
            answer
        from idempotency_keys
        where slot = $1
            and scope_id = $2
            and key = $3",
    )
    .bind(tx.slot().to_db())
    .bind(scope)
    .bind(key)
    .fetch_one(&mut *tx)
    .await?;
    Ok(match known.answer {
        _ if known.request_hash != request_hash => Started::Reused,
        Some(answer) => Started::Replay(answer),
        None => Started::InProgress,
    })
}

/// Keeps the answer for whoever repeats the request.
pub async fn finish(tx: &mut WriteTx, scope: Uuid, key: &str, answer: &[u8]) -> Result<(), Error> {
    sqlx::query(
        "update idempotency_keys set
            state = 'answered',
            answer = $4
        where slot = $1
            and scope_id = $2
            and key = $3",
    )
    .bind(tx.slot().to_db())
    .bind(scope)
    .bind(key)
    .bind(answer)
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes keys that are past their lifetime; the rest of them next time.
pub(crate) async fn sweep(shard: &Shard) -> Result<(), Error> {
    sqlx::query(
        "delete from idempotency_keys
        where (slot, scope_id, key) in (
            select
                slot,
                scope_id,
                key
            from idempotency_keys
            where expires_at < now()
            order by expires_at
            limit $1
            for update skip locked
        )",
    )
    .bind(SWEEP_MAX)
    .execute(&mut Autocommit::on(shard.primary_pool()).await?)
    .await?;
    Ok(())
}
