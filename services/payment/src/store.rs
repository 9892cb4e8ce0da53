//! All the SQL of payments, their operations and their ledger.

mod due;
mod row;
mod settle;

use std::time::Duration;

use jiff_sqlx::ToSqlx as _;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use storage::{Snapshot, WriteTx};
use types::{OperationId, PaymentId};

use crate::error::Error;
use crate::payment::{Change, Ended, Operation, Payment};
use row::{Row, columns, gather};

pub(crate) use due::{Limbo, claim_due, list_due, sum_limbo};
pub(crate) use settle::{Settled, mark_unknown, settle};

/// How long whoever wrote an intent has to settle it before the resolver takes it up.
const LEASE: Duration = Duration::from_secs(5);

/// A committed intent: the operation, and the payment as it was then.
#[derive(Clone, Debug)]
pub(crate) struct Intent {
    pub(crate) payment: Payment,
    pub(crate) operation: Operation,
}

/// The payment, with its newest operations.
pub(crate) async fn find_payment(
    snapshot: &mut Snapshot,
    payment_id: PaymentId,
) -> Result<Option<Payment>, Error> {
    let rows = sqlx::query_as::<_, Row>(concat!(
        "select ",
        columns!(),
        " from payments
          join operations using (slot, payment_id)
          where slot = $1 and payment_id = $2
          order by operations.created_at desc, operations.operation_id desc
          limit 100"
    ))
    .bind(payment_id.slot().to_db())
    .bind(payment_id)
    .fetch_all(snapshot)
    .await?;
    Ok(gather(&rows))
}

/// Locks the payment, and reads what its next operation depends on.
///
/// After a wait for the lock the payment's columns are new, but the operations may be those from
/// before the wait.
pub(crate) async fn lock_payment(
    tx: &mut WriteTx,
    payment_id: PaymentId,
    key: &str,
) -> Result<Option<Payment>, Error> {
    let rows = sqlx::query_as::<_, Row>(concat!(
        "select ",
        columns!(),
        " from payments
          join operations using (slot, payment_id)
          where slot = $1 and payment_id = $2
              and (
                  operations.key = $3
                  or operations.state <> 'declined'
                  or operations.kind = 'authorize'
              )
          for update of payments"
    ))
    .bind(payment_id.slot().to_db())
    .bind(payment_id)
    .bind(key)
    .fetch_all(&mut *tx)
    .await?;
    Ok(gather(&rows))
}

macro_rules! insert_operation {
    () => {
        " insert into operations (
              slot,
              payment_id,
              operation_id,
              kind,
              key,
              request_hash,
              state,
              minor_units,
              currency,
              reason,
              payment_token,
              traceparent,
              created_at,
              due_at,
              settled_at
          )
          select
              $1,
              $2,
              $3,
              $4,
              $5,
              $6,
              $7,
              $8,
              $9,
              $10,
              $11,
              $12,
              $13,
              now() + make_interval(secs => $14),
              case when $7 in ('succeeded', 'declined') then now() end
          from payment"
    };
}

fn bind_operation<'q>(
    query: Query<'q, Postgres, PgArguments>,
    operation: &Operation,
) -> Query<'q, Postgres, PgArguments> {
    query
        .bind(operation.payment_id.slot().to_db())
        .bind(operation.payment_id)
        .bind(operation.operation_id)
        .bind(operation.kind)
        .bind(operation.key.clone())
        .bind(operation.request_hash.clone())
        .bind(operation.state)
        .bind(operation.amount.minor_units)
        .bind(operation.amount.currency.code())
        .bind(operation.reason.clone())
        .bind(operation.payment_token.clone())
        .bind(operation.traceparent.clone())
        .bind(operation.created_at.to_sqlx())
        .bind(LEASE.as_secs_f64())
}

/// Writes a new payment with its first operation; `false` where the payment exists.
pub(crate) async fn insert_payment(
    tx: &mut WriteTx,
    intent: &Intent,
    ended: Option<Ended>,
) -> Result<bool, Error> {
    let statement = sqlx::query(concat!(
        "with payment as (
             insert into payments (slot, payment_id, order_id, user_id, currency, ended)
             values ($1, $2, $15, $16, $9, $17)
             on conflict on constraint payments_pkey do nothing
             returning payment_id
         )",
        insert_operation!()
    ));
    let inserted = bind_operation(statement, &intent.operation)
        .bind(intent.payment.order_id)
        .bind(intent.payment.user_id)
        .bind(ended)
        .execute(&mut *tx)
        .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Writes an operation of a locked payment, and what it reserves.
pub(crate) async fn insert_operation(
    tx: &mut WriteTx,
    operation: &Operation,
    reserved: Change,
) -> Result<(), Error> {
    let statement = sqlx::query(concat!(
        "with payment as (
             update payments
             set capture_pending = capture_pending + $15,
                 refund_pending = refund_pending + $16,
                 voiding = coalesce($17, voiding)
             where slot = $1 and payment_id = $2
             returning payment_id
         )",
        insert_operation!()
    ));
    bind_operation(statement, operation)
        .bind(reserved.capture_pending)
        .bind(reserved.refund_pending)
        .bind(reserved.voiding)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// The operation, whatever has become of it.
pub(crate) async fn find_intent(
    tx: &mut WriteTx,
    operation_id: OperationId,
) -> Result<Option<Intent>, Error> {
    let row = sqlx::query_as::<_, Row>(concat!(
        "select ",
        columns!(),
        " from operations
          join payments using (slot, payment_id)
          where slot = $1 and operation_id = $2"
    ))
    .bind(operation_id.slot().to_db())
    .bind(operation_id)
    .fetch_optional(&mut *tx)
    .await?;
    Ok(row.map(|row| Intent {
        payment: row.payment(Vec::new()),
        operation: row.operation(),
    }))
}
