//! Carts and orders.

use auth::Role;
use chassis::fault;
use proto::order::v1 as order;
use reqwest::Method;
use serde_json::{Value, json};
use tonic::{Code, Status};
use types::{OrderId, PaymentId, Slot, UserId};

use crate::shop::{GET_CART, Shop, claims, now, problem, usd};

const PLACE_ORDER: &str = "order.v1.OrderService/PlaceOrder";

fn an_order(status: order::OrderStatus) -> order::Order {
    let slot = Slot::draw();
    order::Order {
        order_id: OrderId::new(slot).to_string(),
        payment_id: PaymentId::new(slot).to_string(),
        user_id: UserId::new(slot).to_string(),
        number: "7H3K9QXZ".to_owned(),
        status: status.into(),
        subtotal: usd(1999),
        total: usd(1999),
        created_at: now(),
        updated_at: now(),
        version: 4,
        ..Default::default()
    }
}

fn new_order() -> Value {
    json!({
        "shippingAddress": {
            "name": "Customer One", "line1": "Street 1", "city": "Town", "postalCode": "1000", "country": "DE"
        },
        "paymentMethod": { "token": "tok_ok" }
    })
}

#[tokio::test]
async fn an_order_is_created_when_confirmed_and_accepted_before() {
    let shop = Shop::open().await;
    let token = shop.token(Role::Customer);

    for (order_status, status) in [
        (order::OrderStatus::Confirmed, 201),
        (order::OrderStatus::Pending, 202),
    ] {
        let placed = an_order(order_status);
        let order_id = placed.order_id.clone();
        shop.backends
            .on(PLACE_ORDER, move |_: order::PlaceOrderRequest| {
                Ok(order::PlaceOrderResponse {
                    order: Some(placed.clone()),
                    replayed: true,
                })
            });
        let request = shop
            .request(Method::POST, "/api/orders")
            .bearer_auth(&token);
        let response = request
            .header("idempotency-key", "k1")
            .json(&new_order())
            .send()
            .await
            .unwrap();

        assert_eq!(response.status(), status);
        assert_eq!(
            response.headers()["location"],
            format!("/api/orders/{order_id}")
        );
        assert_eq!(response.headers()["idempotent-replayed"], "true");
        let body: Value = response.json().await.unwrap();
        assert_eq!(
            body["total"],
            json!({ "minorUnits": 1999, "currency": "USD" })
        );
        assert!(body.get("needsOperator").is_none());
    }
}

#[tokio::test]
async fn an_order_without_a_key_is_refused() {
    let shop = Shop::open().await;

    let request = shop
        .request(Method::POST, "/api/orders")
        .bearer_auth(shop.token(Role::Customer));
    let (status, document) = problem(request.json(&new_order()).send().await.unwrap()).await;

    assert_eq!(
        (status, document["code"].as_str()),
        (428, Some("key-required"))
    );
}

/// Places an order that the order service refuses; answers the problem.
async fn refused(reason: &'static str, metadata: &[(&'static str, &str)]) -> (u16, Value) {
    let shop = Shop::open().await;
    let metadata: Vec<_> = metadata
        .iter()
        .map(|(key, text)| (*key, (*text).to_owned()))
        .collect();
    shop.backends
        .on(PLACE_ORDER, move |_: order::PlaceOrderRequest| {
            let status = fault::refuse(Code::FailedPrecondition, reason, "refused", &metadata);
            Err::<order::PlaceOrderResponse, Status>(status)
        });
    let request = shop
        .request(Method::POST, "/api/orders")
        .bearer_auth(shop.token(Role::Customer));
    let request = request.header("idempotency-key", "k1").json(&new_order());
    problem(request.send().await.unwrap()).await
}

#[tokio::test]
async fn what_is_out_of_stock_is_named_with_what_is_left() {
    let metadata = [("sku", "MUG-1"), ("available", "2"), ("order_id", "7")];

    let (status, document) = refused("OUT_OF_STOCK", &metadata).await;

    assert_eq!((status, &document["code"]), (409, &json!("out-of-stock")));
    assert_eq!(document["sku"], "MUG-1");
    assert_eq!(document["available"], 2);
    assert_eq!(document["orderId"], "7");
}

#[tokio::test]
async fn a_declined_payment_says_why() {
    let metadata = [("reason", "card-declined"), ("order_id", "7")];

    let (status, document) = refused("PAYMENT_DECLINED", &metadata).await;

    assert_eq!(
        (status, &document["code"]),
        (402, &json!("payment-declined"))
    );
    assert_eq!(document["reason"], "card-declined");
    assert_eq!(document["orderId"], "7");
}

#[tokio::test]
async fn a_changed_price_comes_with_the_new_total() {
    let metadata = [("total_minor_units", "2099"), ("currency", "USD")];

    let (status, document) = refused("PRICE_CHANGED", &metadata).await;

    assert_eq!((status, &document["code"]), (409, &json!("price-changed")));
    assert_eq!(
        document["total"],
        json!({ "minorUnits": 2099, "currency": "USD" })
    );
}

#[tokio::test]
async fn a_guests_cart_becomes_the_customers() {
    let shop = Shop::open().await;
    let claims = claims(Role::Customer);
    let token = shop.signer.sign(&claims).unwrap();
    shop.backends.on(
        "order.v1.OrderService/MergeCart",
        move |request: order::MergeCartRequest| {
            assert_eq!(request.user_id, claims.user_id.to_string());
            Ok(order::MergeCartResponse {
                cart: Some(order::Cart::default()),
            })
        },
    );
    shop.backends
        .on(GET_CART, |request: order::GetCartRequest| {
            assert_eq!(request.cart_token, None);
            Ok(order::GetCartResponse {
                cart: Some(order::Cart::default()),
            })
        });

    let request = shop.request(Method::GET, "/api/cart").bearer_auth(token);
    let response = request
        .header("x-cart-token", "cart.secret")
        .send()
        .await
        .unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(shop.backends.calls("MergeCart").len(), 1);
}

#[tokio::test]
async fn a_refusal_that_is_repeated_says_so() {
    let shop = Shop::open().await;
    let token = shop.token(Role::Customer);
    let place = async |again: bool| {
        shop.backends
            .on(PLACE_ORDER, move |_: order::PlaceOrderRequest| {
                let code = Code::FailedPrecondition;
                let late = fault::refuse(code, "TIMED_OUT", "refused", &[]);
                Err::<order::PlaceOrderResponse, Status>(fault::with_replayed(late, again))
            });
        let request = shop
            .request(Method::POST, "/api/orders")
            .bearer_auth(&token);
        let request = request.header("idempotency-key", "k1").json(&new_order());
        request.send().await.unwrap()
    };

    let first = place(false).await;
    let again = place(true).await;

    assert!(!first.headers().contains_key("idempotent-replayed"));
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    let (status, document) = problem(again).await;
    assert_eq!((status, &document["code"]), (409, &json!("timed-out")));
}
