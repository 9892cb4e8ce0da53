//! Proto in, proto out: parse, call, convert.

use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use chassis::server::{Permissions, Who};
use chassis::{Caller, fault};
use prost::Message;
use proto::common::v1::Money as WireMoney;
use proto::payment::v1 as wire;
use proto::payment::v1::payment_service_server::PaymentService;
use storage::Cluster;
use tonic::{Request, Response, Status};
use tracing::Span;
use types::{Money, OrderId, PaymentId, UserId};

use crate::error::Error;
use crate::operation::{Operations, Ran};
use crate::payment::{self, Action, Kind, Operation, Payment, REFUND_EXCEEDS_CAPTURED, State};
use crate::store;

const KEY_BYTES_MAX: usize = 255;
const TOKEN_BYTES_MAX: usize = 255;
const REASON_CHARS_MAX: usize = 500;
/// Far above any order, and far below what would overflow an account.
const MINOR_UNITS_MAX: i64 = 1_000_000_000_000;

/// Who may call what.
pub(crate) fn permissions() -> Permissions {
    Permissions::new([
        ("Authorize", Who::Service("order")),
        ("Capture", Who::Service("order")),
        ("Void", Who::Service("order")),
        ("Refund", Who::StaffOr("order")),
        ("GetPayment", Who::SignedIn),
    ])
}

pub(crate) struct Api {
    pub(crate) cluster: Cluster<UserId>,
    pub(crate) operations: Operations,
}

#[tonic::async_trait]
impl PaymentService for Api {
    async fn authorize(
        &self,
        request: Request<wire::AuthorizeRequest>,
    ) -> Result<Response<wire::AuthorizeResponse>, Status> {
        let mut message = request.into_inner();
        let key = take_key(&mut message.idempotency_key)?;
        let hash = hash(&message);
        let payment_id: PaymentId = id("paymentId", &message.payment_id)?;
        let order_id: OrderId = id("orderId", &message.order_id)?;
        Span::current().record("order.id", message.order_id);
        same_slot(payment_id, order_id)?;
        let action = Action::Authorize {
            order_id,
            user_id: id("userId", &message.user_id)?,
            amount: amount(message.amount)?,
            token: text(
                "paymentMethod.token",
                message.payment_token,
                TOKEN_BYTES_MAX,
            )?,
        };
        let ran = self.run(payment_id, key, hash, action).await?;
        Ok(Response::new(wire::AuthorizeResponse {
            outcome: outcome(&ran).into(),
            reason: declined_because(&ran),
        }))
    }

    async fn capture(
        &self,
        request: Request<wire::CaptureRequest>,
    ) -> Result<Response<wire::CaptureResponse>, Status> {
        let mut message = request.into_inner();
        let key = take_key(&mut message.idempotency_key)?;
        let hash = hash(&message);
        let payment_id = id("paymentId", &message.payment_id)?;
        let amount = amount(message.amount)?;
        let ran = self
            .run(payment_id, key, hash, Action::Capture { amount })
            .await?;
        Ok(Response::new(wire::CaptureResponse {
            outcome: outcome(&ran).into(),
            reason: declined_because(&ran),
        }))
    }

    async fn void(
        &self,
        request: Request<wire::VoidRequest>,
    ) -> Result<Response<wire::VoidResponse>, Status> {
        let mut message = request.into_inner();
        let key = take_key(&mut message.idempotency_key)?;
        let hash = hash(&message);
        let payment_id = id("paymentId", &message.payment_id)?;
        let order_id = id("orderId", &message.order_id)?;
        Span::current().record("order.id", message.order_id);
        same_slot(payment_id, order_id)?;
        let ran = self
            .run(payment_id, key, hash, Action::Void { order_id })
            .await?;
        Ok(Response::new(wire::VoidResponse {
            outcome: outcome(&ran).into(),
            reason: declined_because(&ran),
        }))
    }

    async fn refund(
        &self,
        request: Request<wire::RefundRequest>,
    ) -> Result<Response<wire::RefundResponse>, Status> {
        let mut message = request.into_inner();
        let key = take_key(&mut message.idempotency_key)?;
        let hash = hash(&message);
        let payment_id = id("paymentId", &message.payment_id)?;
        let action = Action::Refund {
            amount: message
                .amount
                .map(|money| amount(Some(money)))
                .transpose()?,
            reason: text("reason", message.reason, REASON_CHARS_MAX)?,
        };
        let ran = self.run(payment_id, key, hash, action).await?;
        if declined_because(&ran).as_deref() == Some(REFUND_EXCEEDS_CAPTURED) {
            let refused = Error::RefundExceedsCaptured.into();
            return Err(fault::with_replayed(refused, ran.replayed));
        }
        Ok(Response::new(wire::RefundResponse {
            outcome: outcome(&ran).into(),
            replayed: ran.replayed,
            operation: ran.operation.as_ref().map(operation_to_wire),
        }))
    }

    async fn get_payment(
        &self,
        request: Request<wire::GetPaymentRequest>,
    ) -> Result<Response<wire::GetPaymentResponse>, Status> {
        let payment_id: PaymentId = id("paymentId", &request.into_inner().payment_id)?;
        let payment = self.find(payment_id).await?.ok_or(Error::NotFound)?;
        let caller = Caller::current();
        // Somebody else's payment is as good as none.
        if !caller.is_staff() && payment.user_id != caller.signed_in() {
            return Err(Error::NotFound.into());
        }
        Span::current().record("order.id", payment.order_id.to_string());
        Ok(Response::new(wire::GetPaymentResponse {
            payment: Some(payment_to_wire(&payment)),
        }))
    }
}

impl Api {
    async fn run(
        &self,
        payment_id: PaymentId,
        key: String,
        hash: [u8; 32],
        action: Action,
    ) -> Result<Ran, Error> {
        self.operations
            .run(payment::Request {
                payment_id,
                key,
                hash,
                action,
            })
            .await
    }

    async fn find(&self, payment_id: PaymentId) -> Result<Option<Payment>, Error> {
        let mut snapshot = self.cluster.shard(&payment_id).replica().await?;
        store::find_payment(&mut snapshot, payment_id).await
    }
}

fn id<T: FromStr>(field: &str, value: &str) -> Result<T, Status> {
    let invalid = |_| fault::invalid_field(field, "invalid-id", "a UUID of ours is expected");
    value.parse().map_err(invalid)
}

fn same_slot(payment_id: PaymentId, order_id: OrderId) -> Result<(), Status> {
    if payment_id.slot() == order_id.slot() {
        return Ok(());
    }
    let detail = "the payment is not in its order's slot";
    Err(fault::invalid_field("paymentId", "other-slot", detail))
}

/// Takes the key out of its message; what is left of the message is what was asked under the key.
fn take_key(field: &mut String) -> Result<String, Status> {
    let key = std::mem::take(field);
    let usable = (1..=KEY_BYTES_MAX).contains(&key.len())
        && key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let detail = "1 to 255 printable ASCII characters are expected";
    usable
        .then_some(key)
        .ok_or_else(|| fault::invalid_field("idempotencyKey", "invalid-key", detail))
}

fn hash(message: &impl Message) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, &message.encode_to_vec()).as_ref());
    hash
}

fn amount(money: Option<WireMoney>) -> Result<Money, Status> {
    let money =
        money.ok_or_else(|| fault::invalid_field("amount", "required", "an amount is expected"))?;
    let money = Money::try_from(money).map_err(|error| {
        fault::invalid_field("amount.currency", "invalid-currency", error.to_string())
    })?;
    let (code, detail) = match money.minor_units {
        ..=0 => ("not-positive", "more than zero is expected"),
        1..=MINOR_UNITS_MAX => return Ok(money),
        _ => ("too-large", "at most 1,000,000,000,000 is expected"),
    };
    Err(fault::invalid_field("amount.minorUnits", code, detail))
}

fn text(field: &str, text: String, chars_max: usize) -> Result<String, Status> {
    match text.chars().count() {
        0 => Err(fault::invalid_field(
            field,
            "required",
            "a text is expected",
        )),
        count if count <= chars_max => Ok(text),
        _ => {
            let detail = format!("at most {chars_max} characters are expected");
            Err(fault::invalid_field(field, "too-long", detail))
        }
    }
}

fn outcome(ran: &Ran) -> wire::Outcome {
    match ran.operation.as_ref().map(|operation| operation.state) {
        Some(State::Succeeded) => wire::Outcome::Succeeded,
        Some(State::Declined) => wire::Outcome::Declined,
        Some(State::Pending | State::Unknown) | None => wire::Outcome::Unknown,
    }
}

fn declined_because(ran: &Ran) -> Option<String> {
    let operation = ran.operation.as_ref()?;
    let declined = operation.state == State::Declined;
    declined.then(|| operation.reason.clone()).flatten()
}

fn operation_to_wire(operation: &Operation) -> wire::Operation {
    let kind = match operation.kind {
        Kind::Authorize => wire::OperationKind::Authorize,
        Kind::Capture => wire::OperationKind::Capture,
        Kind::Void => wire::OperationKind::Void,
        Kind::Refund => wire::OperationKind::Refund,
    };
    let status = match operation.state {
        State::Pending => wire::OperationStatus::Pending,
        State::Unknown => wire::OperationStatus::Unknown,
        State::Succeeded => wire::OperationStatus::Succeeded,
        State::Declined => wire::OperationStatus::Declined,
    };
    wire::Operation {
        operation_id: operation.operation_id.to_string(),
        kind: kind.into(),
        status: status.into(),
        amount: Some(operation.amount.into()),
        at: Some(proto::timestamp(operation.created_at)),
        reason: operation.reason.clone(),
    }
}

fn payment_to_wire(payment: &Payment) -> wire::Payment {
    let status = match payment.status {
        payment::Status::Pending => wire::PaymentStatus::Pending,
        payment::Status::Authorized => wire::PaymentStatus::Authorized,
        payment::Status::Captured => wire::PaymentStatus::Captured,
        payment::Status::PartiallyRefunded => wire::PaymentStatus::PartiallyRefunded,
        payment::Status::Refunded => wire::PaymentStatus::Refunded,
        payment::Status::Voided => wire::PaymentStatus::Voided,
        payment::Status::Declined => wire::PaymentStatus::Declined,
    };
    let money = |minor_units| Some(Money::new(minor_units, payment.currency).into());
    wire::Payment {
        payment_id: payment.payment_id.to_string(),
        order_id: payment.order_id.to_string(),
        user_id: payment.user_id.map(|id| id.to_string()).unwrap_or_default(),
        status: status.into(),
        authorized: money(payment.authorized),
        captured: money(payment.captured),
        refunded: money(payment.refunded),
        operations: payment
            .operations
            .iter()
            .rev()
            .map(operation_to_wire)
            .collect(),
        version: payment.version,
    }
}
