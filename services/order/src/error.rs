use chassis::fault::{self, InvalidField};
use tonic::{Code, Status};
use types::{Currency, Money, OrderId, Sku};

use crate::cart::Cart;
use crate::order::{OrderStatus, Refusal};

/// A field that cannot be accepted, named as the customer knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invalid {
    pub(crate) field: String,
    code: &'static str,
    detail: String,
}

impl Invalid {
    pub(crate) fn new(
        field: impl Into<String>,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            code,
            detail: detail.into(),
        }
    }
}

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("a field cannot be accepted")]
    Invalid(Vec<Invalid>),
    #[error("{0} is not an id")]
    InvalidId(&'static str),
    #[error("not a cursor of this list")]
    InvalidCursor,
    #[error("no such order")]
    OrderNotFound,
    #[error("the cart has no line of {0}")]
    NotInCart(Sku),
    #[error("the cart is empty")]
    CartEmpty,
    #[error("{0} is not sold")]
    UnknownSku(Sku),
    #[error("the product is not sold")]
    UnknownProduct,
    #[error("the product has several variants: name one by its SKU")]
    SkuRequired(Vec<Sku>),
    #[error("a cart has one currency: {cart}, not {item}")]
    CurrencyMismatch { cart: Currency, item: Currency },
    /// With the cart at today's prices.
    #[error("the total is {total} now")]
    PriceChanged { total: Money, cart: Box<Cart> },
    /// The order was written and then rejected.
    #[error("the order is rejected: {}", refusal.reason())]
    Refused { order_id: OrderId, refusal: Refusal },
    /// An earlier request with the same idempotency key was refused so.
    #[error(transparent)]
    Replayed(Box<Self>),
    #[error("the order is {} already", .0.as_str())]
    TooLate(OrderStatus),
    #[error("the order is still being settled")]
    NotSettled,
    #[error("the idempotency key was used for another request")]
    KeyReused,
    #[error("a request with this idempotency key is under way")]
    KeyInProgress,
    #[error("the cart or the order is being changed by another request")]
    Contended,
    /// What another service answered.
    #[error("{} failed", .peer)]
    Peer {
        peer: &'static str,
        #[source]
        status: Box<Status>,
    },
    /// Another service's answer makes no sense.
    #[error("an answer makes no sense: {0}")]
    Answer(&'static str),
    /// The task that did the work ended before its answer.
    #[error("the work on the request broke off")]
    Interrupted(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl Error {
    /// As whoever repeats a request is told.
    pub(crate) fn replayed(self) -> Self {
        match self {
            Self::Refused { .. } | Self::PriceChanged { .. } => Self::Replayed(Box::new(self)),
            passing => passing,
        }
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(vec![invalid])
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let refuse = |code, reason, metadata: &[(&str, String)]| {
            fault::refuse(code, reason, text.as_str(), metadata)
        };
        let failed = Code::FailedPrecondition;
        match error {
            Error::Invalid(fields) => fault::invalid_fields(fields.into_iter().map(wire)),
            Error::InvalidId(field) => refuse(
                Code::InvalidArgument,
                "INVALID_ID",
                &[("field", field.to_owned())],
            ),
            Error::InvalidCursor => refuse(
                Code::InvalidArgument,
                "INVALID_CURSOR",
                &[("field", "cursor".to_owned())],
            ),
            Error::OrderNotFound | Error::NotInCart(_) => Self::not_found(text),
            Error::CartEmpty => refuse(failed, "CART_EMPTY", &[]),
            Error::UnknownSku(sku) => refuse(
                Code::InvalidArgument,
                "UNKNOWN_SKU",
                &[("sku", sku.to_string()), ("field", "sku".to_owned())],
            ),
            Error::UnknownProduct => refuse(
                Code::InvalidArgument,
                "UNKNOWN_SKU",
                &[("field", "productId".to_owned())],
            ),
            Error::SkuRequired(skus) => {
                let skus: Vec<String> = skus.iter().map(Sku::to_string).collect();
                let skus = [("skus", skus.join(","))];
                refuse(Code::InvalidArgument, "SKU_REQUIRED", &skus)
            }
            Error::CurrencyMismatch { cart, item } => refuse(
                failed,
                "CURRENCY_MISMATCH",
                &[("cart", cart.to_string()), ("item", item.to_string())],
            ),
            Error::PriceChanged { total, .. } => {
                refuse(failed, "PRICE_CHANGED", &price_metadata(total))
            }
            Error::Refused { order_id, refusal } => {
                let (reason, mut metadata) = refusal_metadata(refusal);
                metadata.push(("order_id", order_id.to_string()));
                refuse(failed, reason, &metadata)
            }
            Error::Replayed(error) => fault::with_replayed((*error).into(), true),
            Error::TooLate(status) => refuse(
                failed,
                "TOO_LATE",
                &[("order_status", status.as_str().to_owned())],
            ),
            Error::KeyReused => refuse(Code::InvalidArgument, "KEY_REUSED", &[]),
            Error::KeyInProgress => refuse(failed, "KEY_IN_PROGRESS", &[]),
            Error::NotSettled | Error::Contended => Self::unavailable(text),
            Error::Peer { peer, status } => {
                tracing::warn!(peer, %status, "another service failed");
                *status
            }
            Error::Answer(_) | Error::Interrupted(_) => {
                tracing::error!(error = text, "unexpected");
                Self::internal("internal error")
            }
            Error::Storage(error) => error.into(),
        }
    }
}

fn wire(invalid: Invalid) -> InvalidField {
    InvalidField {
        field: invalid.field,
        code: invalid.code.to_owned(),
        detail: invalid.detail,
    }
}

fn price_metadata(total: Money) -> [(&'static str, String); 2] {
    [
        ("total_minor_units", total.minor_units.to_string()),
        ("currency", total.currency.to_string()),
    ]
}

fn refusal_metadata(refusal: Refusal) -> (&'static str, Vec<(&'static str, String)>) {
    match refusal {
        Refusal::OutOfStock { sku, available } => (
            "OUT_OF_STOCK",
            vec![
                ("sku", sku.to_string()),
                ("available", available.to_string()),
            ],
        ),
        Refusal::PaymentDeclined { why } => ("PAYMENT_DECLINED", vec![("reason", why)]),
        Refusal::TimedOut => ("TIMED_OUT", Vec::new()),
    }
}
