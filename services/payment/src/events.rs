//! What the payment service publishes.

use ::events::outbox;
use proto::payment::v1 as wire;
use storage::WriteTx;

use crate::error::Error;
use crate::payment::{Kind, Operation, State};
use crate::store::Settled;

/// Tells what an operation has done to its payment; a declined one did nothing, unless it ended it.
pub(crate) async fn append(
    tx: &mut WriteTx,
    operation: &Operation,
    settled: &Settled,
) -> Result<(), Error> {
    let payment_id = operation.payment_id.to_string();
    let order_id = settled.order_id.to_string();
    let user_id = settled.user_id.map(|id| id.to_string()).unwrap_or_default();
    let operation_id = operation.operation_id.to_string();
    let amount = Some(operation.amount.into());
    let reason = operation.reason.clone().unwrap_or_default();
    let version = settled.version;
    let entry = match (operation.kind, operation.state) {
        (Kind::Authorize, State::Succeeded) => outbox::Entry::new(&wire::PaymentAuthorized {
            payment_id,
            order_id,
            user_id,
            operation_id,
            amount,
            version,
        }),
        (Kind::Authorize, State::Declined) => outbox::Entry::new(&wire::PaymentDeclined {
            payment_id,
            order_id,
            user_id,
            operation_id,
            amount,
            reason,
            version,
        }),
        (Kind::Capture, State::Succeeded) => outbox::Entry::new(&wire::PaymentCaptured {
            payment_id,
            order_id,
            user_id,
            operation_id,
            amount,
            version,
        }),
        (Kind::Void, State::Succeeded) => outbox::Entry::new(&wire::PaymentVoided {
            payment_id,
            order_id,
            user_id,
            operation_id,
            amount,
            version,
        }),
        (Kind::Refund, State::Succeeded) => outbox::Entry::new(&wire::PaymentRefunded {
            payment_id,
            order_id,
            user_id,
            operation_id,
            amount,
            reason,
            version,
        }),
        _ => return Ok(()),
    };
    Ok(outbox::append_all(tx, &[entry]).await?)
}
