//! Payments and refunds.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use proto::payment::v1;
use serde::{Deserialize, Serialize};
use types::PaymentId;
use utoipa::ToSchema;

use crate::Gateway;
use crate::error::{Problem, present};
use crate::extract::{Id, IdempotencyKey, Json, SignedIn, Staff};
use crate::orders::with_replayed;
use crate::problems;
use crate::shapes::{self, Money};

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    id: String,
    order_id: String,
    /// `pending`, `authorized`, `captured`, `partially-refunded`, `refunded`, `voided` or `declined`.
    status: String,
    authorized: Money,
    captured: Money,
    refunded: Money,
    operations: Vec<Operation>,
}

#[derive(Serialize, ToSchema)]
pub struct Operation {
    id: String,
    /// `authorize`, `capture`, `void` or `refund`.
    kind: String,
    /// `pending`, `unknown`, `succeeded` or `declined`.
    status: String,
    amount: Money,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRefund {
    #[schema(value_type = Money)]
    amount: types::Money,
    reason: String,
}

impl TryFrom<v1::Operation> for Operation {
    type Error = Problem;

    fn try_from(operation: v1::Operation) -> Result<Self, Problem> {
        Ok(Self {
            kind: shapes::word("OPERATION_KIND_", operation.kind().as_str_name()),
            status: shapes::word("OPERATION_STATUS_", operation.status().as_str_name()),
            id: operation.operation_id,
            amount: present(operation.amount)?.into(),
            at: shapes::instant(operation.at)?,
            reason: operation.reason,
        })
    }
}

impl TryFrom<v1::Payment> for Payment {
    type Error = Problem;

    fn try_from(payment: v1::Payment) -> Result<Self, Problem> {
        let status = shapes::word("PAYMENT_STATUS_", payment.status().as_str_name());
        let operations = payment.operations.into_iter().map(Operation::try_from);
        Ok(Self {
            id: payment.payment_id,
            order_id: payment.order_id,
            status,
            authorized: present(payment.authorized)?.into(),
            captured: present(payment.captured)?.into(),
            refunded: present(payment.refunded)?.into(),
            operations: operations.collect::<Result<_, _>>()?,
        })
    }
}

/// The payment of one of the customer's orders. Staff may read any.
#[utoipa::path(get, path = "/api/payments/{id}", operation_id = "getPayment", tag = "payments", security(("bearer" = [])),
    params(("id" = String, Path)), responses((status = 200, body = Payment)))]
pub async fn get(
    State(gateway): State<Gateway>,
    _: SignedIn,
    Id(id): Id<PaymentId>,
) -> Result<Answer<Payment>, Problem> {
    let request = v1::GetPaymentRequest {
        payment_id: id.to_string(),
    };
    let answer = gateway
        .backends
        .payment()
        .get_payment(request)
        .await?
        .into_inner();
    let payment = Payment::try_from(present(answer.payment)?)?;
    Ok(Answer(payment))
}

/// Give money back.
#[utoipa::path(post, path = "/api/payments/{id}/refunds", operation_id = "refundPayment", tag = "payments", security(("bearer" = [])),
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)), request_body = NewRefund,
    responses((status = 201, body = Operation, headers(("Idempotent-Replayed" = bool)))))]
pub async fn refund(
    State(gateway): State<Gateway>,
    _: Staff,
    Id(id): Id<PaymentId>,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Json(new): Json<NewRefund>,
) -> Result<Response, Problem> {
    let request = v1::RefundRequest {
        idempotency_key,
        payment_id: id.to_string(),
        amount: Some(new.amount.into()),
        reason: new.reason,
    };
    let answer = gateway
        .backends
        .payment()
        .refund(request)
        .await?
        .into_inner();
    // Another operation of the payment has not ended yet.
    let operation = answer
        .operation
        .ok_or_else(|| Problem::new(&problems::UNAVAILABLE))?;
    let operation = Operation::try_from(operation)?;
    let response = (StatusCode::CREATED, Answer(operation)).into_response();
    Ok(with_replayed(response, answer.replayed))
}
