use chassis::Caller;
use devstack::service::Service;
use prost::Message;
use proto::payment::v1;
use types::{OrderId, PaymentId, Slot, UserId};

use super::{Write, dollars, unique};
use crate::backends::{Backends, staff};

const PRICE: i64 = 1_000;

pub(super) async fn writes(backends: &Backends) -> anyhow::Result<Vec<Write>> {
    let (staff, order) = (staff(), Caller::service("order", None));
    let [captured, voided, refunded] = [authorization(), authorization(), authorization()];
    for authorization in [&captured, &voided, &refunded] {
        let _: v1::AuthorizeResponse = backends
            .ask(Service::Payment, "Authorize", &order, authorization.clone())
            .await?;
    }
    let _: v1::CaptureResponse = backends
        .ask(Service::Payment, "Capture", &order, capture(&refunded))
        .await?;
    let void = v1::VoidRequest {
        idempotency_key: unique("void"),
        payment_id: voided.payment_id,
        order_id: voided.order_id,
    };
    let refund = v1::RefundRequest {
        idempotency_key: unique("refund"),
        payment_id: refunded.payment_id,
        amount: Some(dollars(PRICE)),
        reason: "broken".to_owned(),
    };
    Ok(vec![
        write(backends, "Authorize", &order, authorization()),
        write(backends, "Capture", &order, capture(&captured)),
        write(backends, "Void", &order, void),
        write(backends, "Refund", &staff, refund),
    ])
}

fn write(
    backends: &Backends,
    name: &'static str,
    caller: &Caller,
    request: impl Message + Clone + 'static,
) -> Write {
    Write::new(backends, Service::Payment, name, caller, request)
}

fn authorization() -> v1::AuthorizeRequest {
    let slot = Slot::draw();
    v1::AuthorizeRequest {
        idempotency_key: unique("authorize"),
        payment_id: PaymentId::new(slot).to_string(),
        order_id: OrderId::new(slot).to_string(),
        user_id: UserId::new(slot).to_string(),
        amount: Some(dollars(PRICE)),
        payment_token: "tok_ok".to_owned(),
    }
}

fn capture(authorized: &v1::AuthorizeRequest) -> v1::CaptureRequest {
    v1::CaptureRequest {
        idempotency_key: unique("capture"),
        payment_id: authorized.payment_id.clone(),
        amount: Some(dollars(PRICE)),
    }
}
