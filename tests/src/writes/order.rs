use chassis::Caller;
use devstack::service::Service;
use prost::Message;
use proto::order::v1;
use proto::order::v1::add_cart_item_request::Item;
use proto::order::v1::place_order_request::Address;
use types::{Slot, UserId};

use super::{Write, address, inventory, product, unique};
use crate::backends::{Backends, customer, present, staff};

pub(super) async fn writes(backends: &Backends) -> anyhow::Result<Vec<Write>> {
    let staff = staff();
    let sku = product::sell(backends, &staff).await?;
    inventory::stock(backends, &staff, &sku).await?;
    // Each has a cart of their own, so that no write changes what another one finds.
    let mut buyers = Vec::new();
    for _ in 0..5 {
        let buyer = customer();
        fill_cart(backends, &buyer, &sku).await?;
        buyers.push(buyer);
    }
    let guests = fill_cart(backends, &Caller::default(), &sku).await?;
    let merge = v1::MergeCartRequest {
        cart_token: present(guests.cart_token)?,
        user_id: UserId::new(Slot::draw()).to_string(),
    };
    let (canceller, cancelled) = order(backends, &sku).await?;
    let (_, shipped) = order(backends, &sku).await?;
    let update = v1::UpdateCartItemRequest {
        cart_token: None,
        sku: sku.clone(),
        quantity: 2,
    };
    let remove = v1::RemoveCartItemRequest {
        cart_token: None,
        sku: sku.clone(),
    };
    let cancel = v1::CancelOrderRequest {
        order_id: cancelled,
        reason: None,
    };
    let ship = v1::CreateFulfillmentRequest {
        order_id: shipped,
        ..v1::CreateFulfillmentRequest::default()
    };
    let gateway = Caller::service("gateway", None);
    Ok(vec![
        write(backends, "AddCartItem", &buyers[0], item(&sku)),
        write(backends, "UpdateCartItem", &buyers[1], update),
        write(backends, "RemoveCartItem", &buyers[2], remove),
        write(
            backends,
            "ClearCart",
            &buyers[3],
            v1::ClearCartRequest { cart_token: None },
        ),
        write(backends, "MergeCart", &gateway, merge),
        write(backends, "PlaceOrder", &buyers[4], placement()),
        write(backends, "CancelOrder", &canceller, cancel),
        write(backends, "CreateFulfillment", &staff, ship),
    ])
}

fn write(
    backends: &Backends,
    name: &'static str,
    caller: &Caller,
    request: impl Message + Clone + 'static,
) -> Write {
    Write::new(backends, Service::Order, name, caller, request)
}

fn item(sku: &str) -> v1::AddCartItemRequest {
    v1::AddCartItemRequest {
        cart_token: None,
        item: Some(Item::Sku(sku.to_owned())),
        quantity: 1,
    }
}

fn placement() -> v1::PlaceOrderRequest {
    v1::PlaceOrderRequest {
        idempotency_key: unique("key"),
        address: Some(Address::ShippingAddress(address())),
        payment_token: "tok_ok".to_owned(),
        expected_total: None,
    }
}

async fn fill_cart(
    backends: &Backends,
    caller: &Caller,
    sku: &str,
) -> anyhow::Result<v1::AddCartItemResponse> {
    Ok(backends
        .ask(Service::Order, "AddCartItem", caller, item(sku))
        .await?)
}

/// Somebody's order.
async fn order(backends: &Backends, sku: &str) -> anyhow::Result<(Caller, String)> {
    let buyer = customer();
    fill_cart(backends, &buyer, sku).await?;
    let answer: v1::PlaceOrderResponse = backends
        .ask(Service::Order, "PlaceOrder", &buyer, placement())
        .await?;
    Ok((buyer, present(answer.order)?.order_id))
}
