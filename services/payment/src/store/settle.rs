//! The end of an operation, with everything that it moves.

use storage::WriteTx;
use types::{OperationId, OrderId, TransferId, UserId};
use uuid::Uuid;

use crate::error::Error;
use crate::ledger::{Account, Entry, entries};
use crate::payment::{Change, Operation, State};
use crate::provider::Answer;

/// What settling an operation made of its payment.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(crate) struct Settled {
    pub(crate) order_id: OrderId,
    pub(crate) user_id: Option<UserId>,
    pub(crate) version: i64,
}

const SETTLE: &str = "
    with operation as (
        update operations
        set state = $3,
            reason = coalesce($4, reason),
            provider_ref = $5,
            payment_token = null,
            settled_at = now()
        where slot = $1 and operation_id = $2 and state in ('pending', 'unknown')
        returning payment_id, minor_units, currency
    ), payment as (
        update payments
        set authorized = authorized + $6,
            captured = captured + $7,
            refunded = refunded + $8,
            capture_pending = capture_pending + $9,
            refund_pending = refund_pending + $10,
            voiding = coalesce($11, voiding),
            ended = coalesce($12, ended),
            provider_ref = coalesce(provider_ref, $5),
            version = version + 1
        from operation
        where payments.slot = $1 and payments.payment_id = operation.payment_id
        returning payments.order_id, payments.user_id, payments.version
    ), booked as (
        insert into transfers (
            slot,
            transfer_id,
            payment_id,
            operation_id,
            kind,
            debit,
            credit,
            minor_units,
            currency,
            pending_id
        )
        select
            $1,
            entry.transfer_id,
            operation.payment_id,
            $2,
            entry.kind,
            entry.debit,
            entry.credit,
            operation.minor_units,
            operation.currency,
            case
                when entry.kind in ('post', 'void') then (
                    select hold.transfer_id
                    from transfers as hold
                    where hold.slot = $1
                        and hold.payment_id = operation.payment_id
                        and hold.kind = 'hold'
                )
            end
        from operation
        cross join unnest($13::uuid[], $14::text[], $15::text[], $16::text[])
            as entry (transfer_id, kind, debit, credit)
        returning debit, credit, minor_units, currency
    ), balanced as (
        insert into accounts (slot, kind, currency, balance)
        select $1, kind, currency, sum(change)::bigint
        from (
            select debit as kind, currency, -minor_units as change from booked
            union all
            select credit, currency, minor_units from booked
        ) as changes
        group by kind, currency
        -- One order for everybody, so that two operations of a slot cannot deadlock.
        order by kind
        on conflict on constraint accounts_pkey
        do update set balance = accounts.balance + excluded.balance
    )
    select order_id, user_id, version from payment";

/// Writes the provider's answer: the operation's end, the payment's counters, the ledger. `None`
/// where somebody else has settled it.
pub(crate) async fn settle(
    tx: &mut WriteTx,
    operation: &Operation,
    answer: &Answer,
) -> Result<Option<Settled>, Error> {
    let (state, reason, provider_ref, entries): (_, _, _, &[Entry]) = match answer {
        Answer::Succeeded { provider_ref } => (
            State::Succeeded,
            None,
            Some(provider_ref),
            entries(operation.kind),
        ),
        Answer::Declined { reason } => (State::Declined, Some(reason), None, &[]),
    };
    let change = Change::settle(
        operation.kind,
        operation.amount.minor_units,
        state == State::Succeeded,
    );
    let transfer_ids: Vec<Uuid> = entries
        .iter()
        .map(|_| TransferId::new(tx.slot()).uuid())
        .collect();
    let names = |account: fn(&Entry) -> Account| -> Vec<&str> {
        entries.iter().map(|entry| account(entry).name()).collect()
    };
    let kinds: Vec<&str> = entries.iter().map(|entry| entry.kind).collect();
    let settled = sqlx::query_as::<_, Settled>(SETTLE)
        .bind(tx.slot().to_db())
        .bind(operation.operation_id)
        .bind(state)
        .bind(reason)
        .bind(provider_ref)
        .bind(change.authorized)
        .bind(change.captured)
        .bind(change.refunded)
        .bind(change.capture_pending)
        .bind(change.refund_pending)
        .bind(change.voiding)
        .bind(change.ended)
        .bind(transfer_ids)
        .bind(kinds)
        .bind(names(|entry| entry.debit))
        .bind(names(|entry| entry.credit))
        .fetch_optional(&mut *tx)
        .await?;
    Ok(settled)
}

/// Hands an operation that has no outcome to the resolver.
pub(crate) async fn mark_unknown(tx: &mut WriteTx, operation_id: OperationId) -> Result<(), Error> {
    sqlx::query(
        "update operations
         set state = 'unknown',
             due_at = least(due_at, now() + interval '1 second')
         where slot = $1 and operation_id = $2 and state = 'pending'",
    )
    .bind(tx.slot().to_db())
    .bind(operation_id)
    .execute(&mut *tx)
    .await?;
    Ok(())
}
