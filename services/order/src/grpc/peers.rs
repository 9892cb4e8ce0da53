//! The services that an order needs, in the words of the order.

use std::collections::HashMap;
use std::time::Duration;

use chassis::Chassis;
use chassis::client::{Channel, Retry};
use chassis::fault;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::payment::v1::payment_service_client::PaymentServiceClient;
use proto::product::v1::product_service_client::ProductServiceClient;
use proto::user::v1::user_service_client::UserServiceClient;
use proto::{inventory, payment, user};
use storage::cache::Cache;
use tonic::Status;
use types::{AddressId, ProductId, Sku};

use super::catalog;
use crate::cart::Variant;
use crate::config::Config;
use crate::error::Error;
use crate::order::{Address, Order, Part, Refusal};
use crate::store::Hold;

#[derive(Clone)]
pub(crate) struct Peers {
    inventory: InventoryServiceClient<Channel>,
    payment: PaymentServiceClient<Channel>,
    product: ProductServiceClient<Channel>,
    user: UserServiceClient<Channel>,
    cache: Cache,
}

/// What became of a wish to hold stock.
#[derive(Debug)]
pub(crate) enum Reserved {
    Held(Hold),
    Refused(Refusal),
}

/// What became of a wish for money.
#[derive(Debug)]
pub(crate) enum Authorized {
    Yes,
    Declined(String),
    /// Not known yet: the same call again will tell.
    Unknown,
}

/// What became of held stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    Yes,
    /// The hold was over: it must be held again.
    Expired,
    /// It is gone for this order.
    Gone,
}

fn failed(peer: &'static str) -> impl FnOnce(Status) -> Error {
    move |status| Error::Peer {
        peer,
        status: Box::new(status),
    }
}

impl Peers {
    pub(crate) fn new(chassis: &Chassis, config: &Config, cache: Cache) -> Self {
        let channel = |peer, endpoints| Channel::new(chassis, peer, endpoints, Retry::Keyed);
        Self {
            inventory: InventoryServiceClient::new(channel(
                "inventory",
                &config.inventory_endpoints,
            )),
            payment: PaymentServiceClient::new(channel("payment", &config.payment_endpoints)),
            product: ProductServiceClient::new(channel("product", &config.product_endpoints)),
            user: UserServiceClient::new(channel("user", &config.user_endpoints)),
            cache,
        }
    }

    /// Variants by SKU, at most a few seconds old; what is not sold is absent.
    pub(crate) async fn variants(&self, skus: &[Sku]) -> Result<HashMap<Sku, Variant>, Error> {
        catalog::variants(&self.product, &self.cache, skus).await
    }

    pub(crate) async fn variants_of(&self, product_id: ProductId) -> Result<Vec<Variant>, Error> {
        catalog::variants_of(&self.product, product_id).await
    }

    pub(crate) async fn address(&self, address_id: AddressId) -> Result<Address, Error> {
        let request = user::v1::GetAddressRequest {
            address_id: address_id.to_string(),
        };
        let answer = self.user.clone().get_address(request).await;
        let answer = answer.map_err(failed("user"))?.into_inner();
        let address = answer.address.and_then(|found| found.address);
        address
            .map(Address::from)
            .ok_or(Error::Answer("an address is absent"))
    }

    /// Holds the stock of every line, or says which is short.
    pub(crate) async fn reserve(&self, order: &Order, hold: Duration) -> Result<Reserved, Error> {
        let lines = order.lines.iter().map(|line| inventory::v1::ReserveLine {
            sku: line.sku.to_string(),
            quantity: line.quantity,
        });
        let request = inventory::v1::ReserveRequest {
            order_id: order.order_id.to_string(),
            lines: lines.collect(),
            hold: Some(prost_types::Duration {
                seconds: hold.as_secs().cast_signed(),
                nanos: hold.subsec_nanos().cast_signed(),
            }),
        };
        let answer = self.inventory.clone().reserve(request).await;
        let lines = answer.map_err(failed("inventory"))?.into_inner().lines;
        match reserved(lines)? {
            Reserved::Held(hold) if hold.parts.len() != order.lines.len() => {
                Err(Error::Answer("a reserved line is absent"))
            }
            reserved => Ok(reserved),
        }
    }

    pub(crate) async fn claim(&self, order: &Order) -> Result<Claimed, Error> {
        use inventory::v1::ClaimOutcome;
        let request = inventory::v1::ClaimRequest {
            order_id: order.order_id.to_string(),
            skus: order.skus().iter().map(Sku::to_string).collect(),
        };
        let answer = self.inventory.clone().claim(request).await;
        let lines = answer.map_err(failed("inventory"))?.into_inner().lines;
        if lines.len() != order.lines.len() {
            return Err(Error::Answer("a claimed line is absent"));
        }
        let outcomes = lines.iter().map(|line| match line.outcome() {
            ClaimOutcome::Claimed => Claimed::Yes,
            ClaimOutcome::Expired => Claimed::Expired,
            _ => Claimed::Gone,
        });
        Ok(
            outcomes.fold(Claimed::Yes, |worst, outcome| match (worst, outcome) {
                (Claimed::Gone, _) | (_, Claimed::Gone) => Claimed::Gone,
                (Claimed::Expired, _) | (_, Claimed::Expired) => Claimed::Expired,
                (Claimed::Yes, Claimed::Yes) => Claimed::Yes,
            }),
        )
    }

    pub(crate) async fn release(&self, order: &Order) -> Result<(), Error> {
        let request = inventory::v1::ReleaseRequest {
            order_id: order.order_id.to_string(),
            skus: order.skus().iter().map(Sku::to_string).collect(),
            // The same at every attempt: under one key another request would be refused.
            reason: "order undone".to_owned(),
        };
        let answer = self.inventory.clone().release(request).await;
        answer.map(drop).map_err(failed("inventory"))
    }

    pub(crate) async fn authorize(&self, order: &Order, token: &str) -> Result<Authorized, Error> {
        let request = payment::v1::AuthorizeRequest {
            idempotency_key: key(order, "authorize"),
            payment_id: order.payment_id.to_string(),
            order_id: order.order_id.to_string(),
            user_id: order.user_id.to_string(),
            amount: Some(order.total.into()),
            payment_token: token.to_owned(),
        };
        let answer = self.payment.clone().authorize(request).await;
        let answer = answer.map_err(failed("payment"))?.into_inner();
        outcome(answer.outcome(), answer.reason)
    }

    pub(crate) async fn capture(&self, order: &Order) -> Result<Authorized, Error> {
        let request = payment::v1::CaptureRequest {
            idempotency_key: key(order, "capture"),
            payment_id: order.payment_id.to_string(),
            amount: Some(order.total.into()),
        };
        let answer = self.payment.clone().capture(request).await;
        let answer = answer.map_err(failed("payment"))?.into_inner();
        outcome(answer.outcome(), answer.reason)
    }

    /// Declined: it comes too late, the money is taken.
    pub(crate) async fn void(&self, order: &Order) -> Result<Authorized, Error> {
        let request = payment::v1::VoidRequest {
            idempotency_key: key(order, "void"),
            payment_id: order.payment_id.to_string(),
            order_id: order.order_id.to_string(),
        };
        let answer = self.payment.clone().void(request).await;
        let answer = answer.map_err(failed("payment"))?.into_inner();
        outcome(answer.outcome(), answer.reason)
    }

    /// Gives back what is left of the money; nothing left is fine.
    pub(crate) async fn refund(&self, order: &Order) -> Result<Authorized, Error> {
        let request = payment::v1::RefundRequest {
            idempotency_key: key(order, "refund"),
            payment_id: order.payment_id.to_string(),
            amount: None,
            // The same at every attempt: under one key another request would be refused.
            reason: "order undone".to_owned(),
        };
        match self.payment.clone().refund(request).await {
            Ok(answer) => outcome(answer.into_inner().outcome(), None),
            Err(status) if has_nothing_left(&status) => Ok(Authorized::Yes),
            Err(status) => Err(failed("payment")(status)),
        }
    }
}

/// The step's stable key: a repeated call is the same call.
fn key(order: &Order, step: &str) -> String {
    format!("{}:{step}", order.order_id)
}

fn has_nothing_left(status: &Status) -> bool {
    fault::reason(status).as_deref() == Some("REFUND_EXCEEDS_CAPTURED")
}

fn outcome(outcome: payment::v1::Outcome, reason: Option<String>) -> Result<Authorized, Error> {
    use payment::v1::Outcome;
    match outcome {
        Outcome::Succeeded => Ok(Authorized::Yes),
        Outcome::Declined => Ok(Authorized::Declined(
            reason.unwrap_or_else(|| "declined".to_owned()),
        )),
        Outcome::Unknown => Ok(Authorized::Unknown),
        Outcome::Unspecified => Err(Error::Answer("a payment has no outcome")),
    }
}

fn reserved(lines: Vec<inventory::v1::ReservedLine>) -> Result<Reserved, Error> {
    use inventory::v1::ReserveOutcome;
    let nonsense = Error::Answer;
    let mut hold: Option<Hold> = None;
    for line in lines {
        let sku: Sku = line
            .sku
            .parse()
            .map_err(|_| nonsense("a reserved SKU is none"))?;
        match line.outcome() {
            ReserveOutcome::Held => {}
            // An unknown SKU is in no warehouse; a released one came too late.
            ReserveOutcome::OutOfStock | ReserveOutcome::UnknownSku => {
                let available = line.available;
                return Ok(Reserved::Refused(Refusal::OutOfStock { sku, available }));
            }
            ReserveOutcome::Released => return Ok(Reserved::Refused(Refusal::TimedOut)),
            ReserveOutcome::Unspecified => return Err(nonsense("a line has no outcome")),
        }
        let expires_at = line.expires_at.and_then(proto::from_timestamp);
        let until = expires_at.ok_or(nonsense("a hold has no end"))?;
        let parts = line.parts.into_iter().map(Part::try_from);
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let hold = hold.get_or_insert_with(|| Hold {
            until,
            parts: Default::default(),
        });
        hold.until = hold.until.min(until);
        hold.parts.insert(sku, parts);
    }
    hold.map(Reserved::Held)
        .ok_or(nonsense("nothing is reserved"))
}
