//! What workers look for on a whole shard.

use storage::{Shard, WriteTx};
use types::OperationId;

use super::{Intent, find_intent};
use crate::error::Error;

/// Money that is held for longer than it should be.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Limbo {
    pub(crate) shard: String,
    pub(crate) currency: String,
    pub(crate) minor_units: i64,
}

/// Operations of the shard that somebody should settle.
pub(crate) async fn list_due(shard: &Shard) -> Result<Vec<OperationId>, Error> {
    let due = sqlx::query_scalar::<_, OperationId>(
        "select operation_id
         from operations
         where state in ('pending', 'unknown') and due_at <= now() and slot = any($1)
         order by due_at
         limit 100",
    )
    .bind(shard.owned_slots())
    .fetch_all(&mut shard.primary_once().await?)
    .await?;
    Ok(due)
}

/// Takes a due operation for this process, and puts its next turn off: 1 s, 2 s, 4 s, … 10 s.
/// `None` where it is settled or somebody else has it.
pub(crate) async fn claim_due(
    tx: &mut WriteTx,
    operation_id: OperationId,
) -> Result<Option<Intent>, Error> {
    let claimed = sqlx::query(
        "with due as (
             select operation_id
             from operations
             where slot = $1
                 and operation_id = $2
                 and state in ('pending', 'unknown')
                 and due_at <= now()
             for update skip locked
         )
         update operations
         set attempts = attempts + 1,
             due_at = now() + least(power(2, least(attempts, 4)), 10) * interval '1 second'
         from due
         where operations.slot = $1 and operations.operation_id = due.operation_id",
    )
    .bind(tx.slot().to_db())
    .bind(operation_id)
    .execute(&mut *tx)
    .await?;
    if claimed.rows_affected() == 0 {
        return Ok(None);
    }
    find_intent(tx, operation_id).await
}

/// What has been held on the shard for longer than `age_s`, by currency.
pub(crate) async fn sum_limbo(shard: &Shard, age_s: u32) -> Result<Vec<Limbo>, Error> {
    let held = sqlx::query_as::<_, Limbo>(
        "select $3 as shard, currency, sum(authorized - captured)::bigint as minor_units
         from payments
         where status = 'authorized'
             and created_at < now() - make_interval(secs => $1)
             and slot = any($2)
         group by currency",
    )
    .bind(f64::from(age_s))
    .bind(shard.owned_slots())
    .bind(shard.name())
    .fetch_all(&mut shard.primary_once().await?)
    .await?;
    Ok(held)
}
