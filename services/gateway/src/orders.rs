//! Checkout and orders.

pub mod fulfillments;

use std::collections::BTreeMap;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chassis::Caller;
use proto::order::v1::{self, OrderStatus};
use serde::{Deserialize, Serialize};
use tracing::Span;
use types::{AddressId, OrderId};
use utoipa::ToSchema;

use crate::Gateway;
use crate::error::{Problem, present};
use crate::extract::{Id, IdempotencyKey, Json, JsonOrNothing, SignedIn};
use crate::problems;
use crate::query::Parameters;
use crate::shapes::{self, Address, Money};

/// Says that an answer is the stored one of an earlier request.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    id: String,
    /// Short and readable.
    number: String,
    /// `pending`, `reserved`, `authorized`, `confirmed`, `fulfilled`, `cancelling`, `cancelled` or `rejected`.
    status: String,
    /// For staff only.
    #[serde(skip_serializing_if = "Option::is_none")]
    needs_operator: Option<bool>,
    items: Vec<OrderItem>,
    subtotal: Money,
    total: Money,
    /// Absent when the customer's data was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    shipping_address: Option<Address>,
    payment_id: String,
    created_at: String,
    updated_at: String,
    trace_id: String,
    version: i64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    sku: String,
    product_id: String,
    name: String,
    options: BTreeMap<String, String>,
    quantity: u32,
    unit_price: Money,
    line_total: Money,
    /// How many are shipped.
    fulfilled: u32,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Orders {
    items: Vec<Order>,
    next_cursor: Option<String>,
}

/// Either `shippingAddress` or `addressId`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewOrder {
    shipping_address: Option<Address>,
    address_id: Option<String>,
    payment_method: PaymentMethod,
    /// When it differs from the cart's total, the order is refused with `price-changed`.
    #[schema(value_type = Option<Money>)]
    expected_total: Option<types::Money>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentMethod {
    /// What the payment provider gave for the card.
    #[schema(example = "tok_ok")]
    token: String,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    reason: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    order_id: String,
    trace_id: String,
    entries: Vec<TimelineEntry>,
}

#[derive(Serialize, ToSchema)]
pub struct TimelineEntry {
    at: String,
    /// `null` in the first entry.
    from: Option<String>,
    to: String,
    by: String,
    reason: Option<String>,
    attempt: u32,
}

fn status_word(status: OrderStatus) -> String {
    shapes::word("ORDER_STATUS_", status.as_str_name())
}

const STATUSES: [(&str, OrderStatus); 8] = [
    ("pending", OrderStatus::Pending),
    ("reserved", OrderStatus::Reserved),
    ("authorized", OrderStatus::Authorized),
    ("confirmed", OrderStatus::Confirmed),
    ("fulfilled", OrderStatus::Fulfilled),
    ("cancelling", OrderStatus::Cancelling),
    ("cancelled", OrderStatus::Cancelled),
    ("rejected", OrderStatus::Rejected),
];

impl TryFrom<v1::Order> for Order {
    type Error = Problem;

    fn try_from(order: v1::Order) -> Result<Self, Problem> {
        let items = order.lines.iter().cloned().map(OrderItem::try_from);
        Ok(Self {
            status: status_word(order.status()),
            items: items.collect::<Result<_, _>>()?,
            id: order.order_id,
            number: order.number,
            needs_operator: Caller::current().is_staff().then_some(order.needs_operator),
            subtotal: present(order.subtotal)?.into(),
            total: present(order.total)?.into(),
            shipping_address: order.shipping_address.map(Address::from),
            payment_id: order.payment_id,
            created_at: shapes::instant(order.created_at)?,
            updated_at: shapes::instant(order.updated_at)?,
            trace_id: order.trace_id,
            version: order.version,
        })
    }
}

impl TryFrom<v1::OrderLine> for OrderItem {
    type Error = Problem;

    fn try_from(line: v1::OrderLine) -> Result<Self, Problem> {
        Ok(Self {
            sku: line.sku,
            product_id: line.product_id,
            name: line.name,
            options: line.options.into_iter().collect(),
            quantity: line.quantity,
            unit_price: present(line.unit_price)?.into(),
            line_total: present(line.line_total)?.into(),
            fulfilled: line.fulfilled,
        })
    }
}

impl NewOrder {
    fn address(
        shipping_address: Option<Address>,
        address_id: Option<String>,
    ) -> Result<v1::place_order_request::Address, Problem> {
        use v1::place_order_request::Address as Choice;
        match (shipping_address, address_id) {
            (Some(address), None) => Ok(Choice::ShippingAddress(address.into())),
            (None, Some(id)) => {
                let id: AddressId = crate::extract::parse_id("addressId", &id)?;
                Ok(Choice::AddressId(id.to_string()))
            }
            _ => Err(Problem::field(
                &problems::INVALID,
                "shippingAddress",
                "required",
                "either shippingAddress or addressId is expected",
            )),
        }
    }
}

/// Every span of an order carries its id.
fn record(order_id: &str) {
    Span::current().record("order.id", order_id);
}

fn one(order: Option<v1::Order>) -> Result<Answer<Order>, Problem> {
    let order = Order::try_from(present(order)?)?;
    Ok(Answer(order))
}

/// Order what is in the cart. 201 when the order is confirmed, 202 while it is still being worked on.
#[utoipa::path(post, path = "/api/orders", operation_id = "placeOrder", tag = "orders", security(("bearer" = [])),
    params(("Idempotency-Key" = String, Header)), request_body = NewOrder,
    responses((status = 201, body = Order, headers(("Location" = String), ("Idempotent-Replayed" = bool))),
        (status = 202, body = Order, headers(("Location" = String), ("Idempotent-Replayed" = bool)))))]
pub async fn place(
    State(gateway): State<Gateway>,
    _: SignedIn,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Json(new): Json<NewOrder>,
) -> Result<Response, Problem> {
    let request = v1::PlaceOrderRequest {
        idempotency_key,
        address: Some(NewOrder::address(new.shipping_address, new.address_id)?),
        payment_token: new.payment_method.token,
        expected_total: new.expected_total.map(Into::into),
    };
    let answer = gateway
        .backends
        .order()
        .place_order(request)
        .await?
        .into_inner();
    let order = present(answer.order)?;
    record(&order.order_id);
    let status = match order.status() {
        OrderStatus::Pending | OrderStatus::Reserved | OrderStatus::Authorized => {
            StatusCode::ACCEPTED
        }
        _ => StatusCode::CREATED,
    };
    let location = [(header::LOCATION, format!("/api/orders/{}", order.order_id))];
    let response = (status, location, Answer(Order::try_from(order)?)).into_response();
    Ok(with_replayed(response, answer.replayed))
}

pub fn with_replayed(mut response: Response, replayed: bool) -> Response {
    if replayed {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// The customer's orders, newest first.
#[utoipa::path(get, path = "/api/orders", operation_id = "listOrders", tag = "orders", security(("bearer" = [])),
    params(("status" = Option<String>, Query), ("cursor" = Option<String>, Query),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100)),
    responses((status = 200, body = Orders)))]
pub async fn list(
    State(gateway): State<Gateway>,
    _: SignedIn,
    mut query: Parameters,
) -> Result<Answer<Orders>, Problem> {
    let request = v1::ListOrdersRequest {
        status: query.word("status", &STATUSES)?.unwrap_or_default().into(),
        page: Some(query.page()?),
    };
    query.end()?;
    let answer = gateway
        .backends
        .order()
        .list_orders(request)
        .await?
        .into_inner();
    let items = answer.orders.into_iter().map(Order::try_from);
    Ok(Answer(Orders {
        items: items.collect::<Result<_, _>>()?,
        next_cursor: shapes::next_cursor(answer.next_cursor),
    }))
}

/// One order. Staff may read any.
#[utoipa::path(get, path = "/api/orders/{id}", operation_id = "getOrder", tag = "orders", security(("bearer" = [])),
    params(("id" = String, Path)), responses((status = 200, body = Order)))]
pub async fn get(
    State(gateway): State<Gateway>,
    _: SignedIn,
    Id(id): Id<OrderId>,
) -> Result<Answer<Order>, Problem> {
    let order_id = id.to_string();
    record(&order_id);
    let request = v1::GetOrderRequest { order_id };
    let answer = gateway
        .backends
        .order()
        .get_order(request)
        .await?
        .into_inner();
    one(answer.order)
}

/// Cancel an order of which nothing is shipped.
#[utoipa::path(post, path = "/api/orders/{id}/cancel", operation_id = "cancelOrder", tag = "orders", security(("bearer" = [])),
    params(("id" = String, Path)), request_body = Option<Cancellation>, responses((status = 200, body = Order)))]
pub async fn cancel(
    State(gateway): State<Gateway>,
    _: SignedIn,
    Id(id): Id<OrderId>,
    JsonOrNothing(cancellation): JsonOrNothing<Cancellation>,
) -> Result<Answer<Order>, Problem> {
    let order_id = id.to_string();
    record(&order_id);
    let request = v1::CancelOrderRequest {
        order_id,
        reason: cancellation.reason,
    };
    let answer = gateway
        .backends
        .order()
        .cancel_order(request)
        .await?
        .into_inner();
    one(answer.order)
}

/// What happened to an order.
#[utoipa::path(get, path = "/api/orders/{id}/timeline", operation_id = "getOrderTimeline", tag = "orders", security(("bearer" = [])),
    params(("id" = String, Path)), responses((status = 200, body = Timeline)))]
pub async fn timeline(
    State(gateway): State<Gateway>,
    _: SignedIn,
    Id(id): Id<OrderId>,
) -> Result<Answer<Timeline>, Problem> {
    let order_id = id.to_string();
    record(&order_id);
    let request = v1::GetOrderTimelineRequest { order_id };
    let answer = gateway
        .backends
        .order()
        .get_order_timeline(request)
        .await?
        .into_inner();
    let entries = answer.entries.into_iter().map(|entry| {
        let from = Some(entry.from()).filter(|from| *from != OrderStatus::Unspecified);
        Ok(TimelineEntry {
            from: from.map(status_word),
            to: status_word(entry.to()),
            at: shapes::instant(entry.at)?,
            by: entry.by,
            reason: entry.reason,
            attempt: entry.attempt,
        })
    });
    Ok(Answer(Timeline {
        entries: entries.collect::<Result<_, Problem>>()?,
        order_id: answer.order_id,
        trace_id: answer.trace_id,
    }))
}
