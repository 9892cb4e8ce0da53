//! What a consumer has seen: an event takes effect in the transaction that notes it here.

use storage::WriteTx;

use crate::Received;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Its turn has come, for the first time.
    First,
    /// An earlier event of its key is parked: it must wait behind.
    Behind,
    /// It was seen before.
    Repeated,
}

/// Notes the event as seen by the consumer. One statement.
pub(crate) async fn admit(
    tx: &mut WriteTx,
    consumer: &str,
    event: &Received,
) -> Result<Admission, sqlx::Error> {
    let (fresh, behind) = sqlx::query_as(
        "with noted as (
             insert into inbox (slot, consumer, event_id)
             values ($1, $2, $3)
             on conflict do nothing
             returning event_id
         )
         select
             exists (select from noted),
             exists (
                 select
                 from parked_events
                 where slot = $1 and consumer = $2 and key = $4
             )",
    )
    .bind(tx.slot().to_db())
    .bind(consumer)
    .bind(event.id)
    .bind(&event.key)
    .fetch_one(tx)
    .await?;
    Ok(match (fresh, behind) {
        (false, _) => Admission::Repeated,
        (true, true) => Admission::Behind,
        (true, false) => Admission::First,
    })
}
