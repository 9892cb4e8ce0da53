//! A row of a payment joined with one of its operations.

use jiff::Timestamp;
use types::{Currency, Money, OperationId, OrderId, PaymentId, UserId};

use crate::payment::{Kind, Operation, Payment, State, Status};

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    payment_id: PaymentId,
    order_id: OrderId,
    user_id: Option<UserId>,
    status: Status,
    #[sqlx(try_from = "String")]
    payment_currency: Currency,
    authorized: i64,
    captured: i64,
    refunded: i64,
    capture_pending: i64,
    refund_pending: i64,
    voiding: bool,
    provider_ref: Option<String>,
    version: i64,
    operation_id: OperationId,
    kind: Kind,
    key: String,
    request_hash: Vec<u8>,
    state: State,
    minor_units: i64,
    #[sqlx(try_from = "String")]
    currency: Currency,
    reason: Option<String>,
    payment_token: Option<String>,
    traceparent: Option<String>,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    created_at: Timestamp,
}

/// The columns of a [`Row`].
macro_rules! columns {
    () => {
        "payments.payment_id,
         payments.order_id,
         payments.user_id,
         payments.status,
         payments.currency as payment_currency,
         payments.authorized,
         payments.captured,
         payments.refunded,
         payments.capture_pending,
         payments.refund_pending,
         payments.voiding,
         payments.provider_ref,
         payments.version,
         operations.operation_id,
         operations.kind,
         operations.key,
         operations.request_hash,
         operations.state,
         operations.minor_units,
         operations.currency,
         operations.reason,
         operations.payment_token,
         operations.traceparent,
         operations.created_at"
    };
}

impl Row {
    pub(super) fn operation(&self) -> Operation {
        Operation {
            operation_id: self.operation_id,
            payment_id: self.payment_id,
            kind: self.kind,
            key: self.key.clone(),
            request_hash: self.request_hash.clone(),
            state: self.state,
            amount: Money::new(self.minor_units, self.currency),
            reason: self.reason.clone(),
            payment_token: self.payment_token.clone(),
            traceparent: self.traceparent.clone(),
            created_at: self.created_at,
        }
    }

    pub(super) fn payment(&self, operations: Vec<Operation>) -> Payment {
        Payment {
            payment_id: self.payment_id,
            order_id: self.order_id,
            user_id: self.user_id,
            status: self.status,
            currency: self.payment_currency,
            authorized: self.authorized,
            captured: self.captured,
            refunded: self.refunded,
            capture_pending: self.capture_pending,
            refund_pending: self.refund_pending,
            voiding: self.voiding,
            provider_ref: self.provider_ref.clone(),
            version: self.version,
            operations,
        }
    }
}

/// A payment's rows, one for each of its operations.
pub(super) fn gather(rows: &[Row]) -> Option<Payment> {
    let operations = rows.iter().map(Row::operation).collect();
    Some(rows.first()?.payment(operations))
}

pub(super) use columns;
