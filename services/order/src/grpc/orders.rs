use aws_lc_rs::digest::{SHA256, digest};
use chassis::Caller;
use prost::Message as _;
use proto::order::v1 as wire;
use proto::order::v1::place_order_request::Address as WireAddress;
use tonic::Status;
use tracing::Span;
use types::{AddressId, Money, OrderId, Page, Sku, cursor};

use super::{convert, signed_in};
use crate::checkout::{Driver, Placement};
use crate::error::{Error, Invalid};
use crate::order::{Address, Order};
use crate::store::Cursor;

/// The name of the list that cursors belong to.
const LIST: &str = "orders";

const KEY_CHARS_MAX: usize = 255;
const TOKEN_CHARS_MAX: usize = 255;
const REASON_CHARS_MAX: usize = 500;

pub(super) async fn place_order(
    driver: &Driver,
    mut request: wire::PlaceOrderRequest,
) -> Result<wire::PlaceOrderResponse, Status> {
    let caller = Caller::current();
    let user_id = signed_in(&caller)?;
    let key = std::mem::take(&mut request.idempotency_key);
    text("idempotencyKey", &key, KEY_CHARS_MAX)?;
    text(
        "paymentMethod.token",
        &request.payment_token,
        TOKEN_CHARS_MAX,
    )?;
    let mut request_hash = [0; 32];
    request_hash.copy_from_slice(digest(&SHA256, &request.encode_to_vec()).as_ref());
    let expected_total = request.expected_total.map(Money::try_from).transpose();
    let expected_total = expected_total.map_err(|error| {
        let field = "expectedTotal.currency";
        Error::from(Invalid::new(field, "not-a-currency", error.to_string()))
    })?;
    let placement = Placement {
        user_id,
        key,
        request_hash,
        shipping_address: shipping_address(driver, request.address).await?,
        payment_token: request.payment_token,
        expected_total,
        by: caller.label(),
    };
    let (order, replayed) = driver.place(placement).await?;
    Ok(wire::PlaceOrderResponse {
        order: Some(order.into()),
        replayed,
    })
}

/// The address in the request, or the customer's one that it names. That one may be gone when the
/// request is repeated: whether it matters is not known here.
async fn shipping_address(
    driver: &Driver,
    address: Option<WireAddress>,
) -> Result<Result<Address, Status>, Error> {
    match address {
        Some(WireAddress::ShippingAddress(address)) => {
            let address = Address::from(address);
            address.check()?;
            Ok(Ok(address))
        }
        Some(WireAddress::AddressId(text)) => {
            let address_id: AddressId = text.parse().map_err(|_| Error::InvalidId("addressId"))?;
            match driver.peers().address(address_id).await {
                Ok(address) => Ok(Ok(address)),
                Err(Error::Peer { status, .. }) => Ok(Err(*status)),
                Err(error) => Err(error),
            }
        }
        None => {
            let detail = "shippingAddress or addressId is expected";
            Err(Invalid::new("shippingAddress", "required", detail).into())
        }
    }
}

pub(super) async fn get_order(
    driver: &Driver,
    request: wire::GetOrderRequest,
) -> Result<wire::GetOrderResponse, Status> {
    let order = visible(driver, &request.order_id).await?;
    Ok(wire::GetOrderResponse {
        order: Some(order.into()),
    })
}

pub(super) async fn list_orders(
    driver: &Driver,
    request: wire::ListOrdersRequest,
) -> Result<wire::ListOrdersResponse, Status> {
    let user_id = signed_in(&Caller::current())?;
    let status = convert::status(request.status());
    let page = request.page.unwrap_or_default();
    let page = Page::new(page.limit, page.cursor)
        .map_err(|error| Error::from(Invalid::new("limit", "out-of-range", error.to_string())))?;
    let after = page
        .cursor()
        .map(|text| cursor::decode::<Cursor>(LIST, text));
    let after = after.transpose().map_err(|_| Error::InvalidCursor)?;
    let store = driver.store();
    let mut orders = store
        .list_orders(user_id, status, after, page.limit() + 1)
        .await?;
    let has_more = orders.len() > page.limit() as usize;
    orders.truncate(page.limit() as usize);
    let last = orders.last().filter(|_| has_more).map(|order| Cursor {
        created_at: order.created_at,
        order_id: order.order_id,
    });
    Ok(wire::ListOrdersResponse {
        orders: orders.into_iter().map(Into::into).collect(),
        next_cursor: last
            .map(|last| cursor::encode(LIST, &last))
            .unwrap_or_default(),
    })
}

pub(super) async fn cancel_order(
    driver: &Driver,
    request: wire::CancelOrderRequest,
) -> Result<wire::CancelOrderResponse, Status> {
    if let Some(reason) = &request.reason {
        text("reason", reason, REASON_CHARS_MAX)?;
    }
    let order = visible(driver, &request.order_id).await?;
    let by = Caller::current().label();
    let order = driver.cancel(order.order_id, request.reason, by).await?;
    Ok(wire::CancelOrderResponse {
        order: Some(order.into()),
    })
}

pub(super) async fn get_order_timeline(
    driver: &Driver,
    request: wire::GetOrderTimelineRequest,
) -> Result<wire::GetOrderTimelineResponse, Status> {
    let order = visible(driver, &request.order_id).await?;
    let entries = driver.store().list_timeline(order.order_id).await?;
    let trace_id = order
        .traceparent
        .as_deref()
        .and_then(chassis::trace::trace_id_of);
    Ok(wire::GetOrderTimelineResponse {
        order_id: order.order_id.to_string(),
        trace_id: trace_id.unwrap_or_default().to_owned(),
        entries: entries.into_iter().map(Into::into).collect(),
    })
}

pub(super) async fn create_fulfillment(
    driver: &Driver,
    request: wire::CreateFulfillmentRequest,
) -> Result<wire::CreateFulfillmentResponse, Status> {
    let order_id = order_id(&request.order_id)?;
    if let Some(tracking_number) = &request.tracking_number {
        text("trackingNumber", tracking_number, KEY_CHARS_MAX)?;
    }
    let wanted = request.items.into_iter().enumerate().map(|(index, item)| {
        let sku = item.sku.parse::<Sku>().map_err(|error| {
            let field = format!("items[{index}].sku");
            Error::from(Invalid::new(field, "not-a-sku", error.to_string()))
        })?;
        Ok((sku, item.quantity))
    });
    let wanted = wanted.collect::<Result<Vec<_>, Error>>()?;
    let by = Caller::current().label();
    let (shipment, order) = driver
        .fulfill(order_id, &wanted, request.tracking_number, by)
        .await?;
    Ok(wire::CreateFulfillmentResponse {
        fulfillment: Some(shipment.into()),
        order: Some(order.into()),
    })
}

/// The order, if it is the caller's own or the caller is staff; another's is as if it were not there.
async fn visible(driver: &Driver, text: &str) -> Result<Order, Error> {
    let order_id = order_id(text)?;
    let caller = Caller::current();
    let order = driver.store().find_order(order_id).await?;
    order
        .filter(|order| caller.is_staff() || caller.signed_in() == Some(order.user_id))
        .ok_or(Error::OrderNotFound)
}

fn order_id(text: &str) -> Result<OrderId, Error> {
    let order_id = text.parse().map_err(|_| Error::InvalidId("orderId"))?;
    Span::current().record("order.id", text);
    Ok(order_id)
}

fn text(field: &'static str, text: &str, chars_max: usize) -> Result<(), Error> {
    if text.trim().is_empty() {
        return Err(Invalid::new(field, "required", "must not be empty").into());
    }
    if text.chars().count() > chars_max {
        let detail = format!("at most {chars_max} characters");
        return Err(Invalid::new(field, "too-long", detail).into());
    }
    Ok(())
}
