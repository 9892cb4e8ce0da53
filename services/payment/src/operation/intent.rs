//! What a request leaves behind before anything is done about it.

use chassis::{Caller, trace};
use jiff::Timestamp;
use storage::WriteTx;
use types::{Currency, Money, OperationId, OrderId};

use super::Intended;
use crate::error::Error;
use crate::payment::{Action, Change, Decision, Ended, Operation, Payment, Request, State};
use crate::store::{self, Intent};

/// Decides what becomes of a request, and writes that down.
pub(super) async fn write(tx: &mut WriteTx, request: &Request) -> Result<Intended, Error> {
    if let Action::Authorize {
        order_id,
        user_id,
        amount,
        ..
    } = &request.action
    {
        let operation = new_operation(request, State::Pending, *amount, None);
        let payment = Payment::new(
            request.payment_id,
            *order_id,
            Some(*user_id),
            amount.currency,
        );
        let intent = Intent { payment, operation };
        if store::insert_payment(tx, &intent, None).await? {
            return Ok(Intended::Open(intent));
        }
    }
    let locked = store::lock_payment(tx, request.payment_id, &request.key).await?;
    let Some(payment) = locked else {
        return match request.action {
            Action::Void { order_id } => write_tombstone(tx, request, order_id).await,
            _ => Err(Error::NotFound),
        };
    };
    let of = |operation: &Operation| Intent {
        payment: payment.clone(),
        operation: operation.clone(),
    };
    let (state, amount, reason) = match payment.decide(request)? {
        Decision::Repeat(operation) => return Ok(Intended::Repeated(of(operation))),
        Decision::Await(operation) => return Ok(Intended::Blocked(operation.map(of))),
        Decision::Submit(minor_units) => (State::Pending, Some(minor_units), None),
        Decision::Succeed => (State::Succeeded, None, None),
        Decision::Decline(reason) => (State::Declined, None, Some(reason.to_owned())),
    };
    let amount = match amount {
        Some(minor_units) => Money::new(minor_units, payment.currency),
        None => request
            .action
            .amount()
            .unwrap_or(Money::new(0, payment.currency)),
    };
    let operation = new_operation(request, state, amount, reason);
    let reserved = match state {
        State::Pending => Change::reserve(operation.kind, amount.minor_units),
        _ => Change::default(),
    };
    store::insert_operation(tx, &operation, reserved).await?;
    if state.is_settled() {
        return Ok(Intended::Settled(operation));
    }
    Ok(Intended::Open(Intent { payment, operation }))
}

/// A payment that is voided before it is known: an authorization that comes later is declined.
async fn write_tombstone(
    tx: &mut WriteTx,
    request: &Request,
    order_id: OrderId,
) -> Result<Intended, Error> {
    let amount = Money::new(0, Currency::NONE);
    let operation = new_operation(request, State::Succeeded, amount, None);
    let user_id = Caller::current().user_id;
    let payment = Payment::new(request.payment_id, order_id, user_id, Currency::NONE);
    let intent = Intent { payment, operation };
    if store::insert_payment(tx, &intent, Some(Ended::Voided)).await? {
        return Ok(Intended::Settled(intent.operation));
    }
    Ok(Intended::Blocked(None))
}

fn new_operation(
    request: &Request,
    state: State,
    amount: Money,
    declined: Option<String>,
) -> Operation {
    let (payment_token, reason) = match &request.action {
        Action::Authorize { token, .. } => (Some(token.clone()), None),
        Action::Refund { reason, .. } => (None, Some(reason.clone())),
        Action::Capture { .. } | Action::Void { .. } => (None, None),
    };
    Operation {
        operation_id: OperationId::of(request.payment_id, &request.key),
        payment_id: request.payment_id,
        kind: request.action.kind(),
        key: request.key.clone(),
        request_hash: request.hash.to_vec(),
        state,
        amount,
        reason: declined.or(reason),
        payment_token: payment_token.filter(|_| !state.is_settled()),
        traceparent: trace::traceparent(),
        created_at: now(),
    }
}

/// As the database keeps it, so that a repeated answer is the same to the last digit.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}
