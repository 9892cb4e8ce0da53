//! Orders that cannot be as they were wished, and orders that are wished twice.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::eventually;
use tests::stall::order_body;
use tests::visitor::Visitor;

use crate::{Shop, get, place, post, text};

/// The order service may remember a price for a few seconds.
const PRICE_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_empty_cart_cannot_be_ordered() {
    let shop = Shop::open(1).await;

    place(&shop.customer().await, "key", "tok_ok")
        .await
        .expect_problem(422, "cart-empty");
}

#[tokio::test]
async fn what_is_out_of_stock_is_named_with_what_is_left() {
    let shop = Shop::open(2).await;
    let buyer = shop.buyer(3).await;

    let answer = place(&buyer, "key", "tok_ok").await;

    let problem = answer.expect_problem(409, "out-of-stock");
    assert_eq!(problem["sku"], shop.stall.sku);
    assert_eq!(problem["available"], 2);
    let path = format!("/api/orders/{}", text(&problem["orderId"]));
    assert_eq!(get(&buyer, &path).await.expect(200)["status"], "rejected");
    let cart = get(&buyer, "/api/cart").await.expect(200);
    assert_eq!(
        cart["items"][0]["quantity"], 3,
        "the cart is as it was: {cart}"
    );
}

#[tokio::test]
async fn a_declined_card_rejects_the_order_and_gives_the_stock_back() {
    let shop = Shop::open(5).await;
    let buyer = shop.buyer(2).await;

    let answer = place(&buyer, "key", "tok_declined").await;

    let problem = answer.expect_problem(402, "payment-declined");
    assert_eq!(problem["reason"], "card-declined");
    let path = format!("/api/orders/{}", text(&problem["orderId"]));
    assert_eq!(get(&buyer, &path).await.expect(200)["status"], "rejected");
    shop.stall.expect_available(5).await;
    place(&buyer, "another key", "tok_ok").await.expect(201);
}

/// Sets the price, and waits until carts know it.
async fn change_price(shop: &Shop, minor_units: i64) {
    let sku = &shop.stall.sku;
    let path = format!("/api/products/{}", shop.stall.product_id);
    let product = get(&shop.staff, &path).await;
    let price = json!({"minorUnits": minor_units, "currency": "USD"});
    let change = json!({"variants": [{"sku": sku, "options": {}, "price": price}]});
    let request = shop.staff.request(Method::PATCH, &path).json(&change);
    let request = request.header("if-match", product.header("etag"));
    Visitor::answer(request).await.unwrap().expect(200);
    eventually(PRICE_LIMIT, async || {
        let cart = shop.fill(&shop.guest(), 1).await.expect(200);
        (cart["items"][0]["unitPrice"] == price).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_price_that_changed_since_the_cart_was_read_is_told_and_not_charged() {
    let shop = Shop::open(5).await;
    let buyer = shop.buyer(2).await;
    let total = json!({"minorUnits": 3000, "currency": "USD"});

    change_price(&shop, 1_500).await;
    let refused = place(&buyer, "key", "tok_ok").await;
    let again = place(&buyer, "key", "tok_ok").await;

    for answer in [&refused, &again] {
        assert_eq!(answer.expect_problem(409, "price-changed")["total"], total);
    }
    assert_eq!(refused.header("idempotent-replayed"), "");
    assert_eq!(again.header("idempotent-replayed"), "true");
    let cart = get(&buyer, "/api/cart").await.expect(200);
    assert_eq!(
        cart["subtotal"], total,
        "the cart shows the new price: {cart}"
    );
    let order = place(&buyer, "another key", "tok_ok").await.expect(201);
    assert_eq!(order["total"], total);
}

#[tokio::test]
async fn a_total_that_is_not_the_expected_one_is_told_and_not_charged() {
    let shop = Shop::open(5).await;
    let buyer = shop.buyer(1).await;
    let mut body = order_body("tok_ok");
    body["expectedTotal"] = json!({"minorUnits": 999, "currency": "USD"});

    let answer = buyer.post_once("/api/orders", "key", &body).await.unwrap();

    let problem = answer.expect_problem(409, "price-changed");
    assert_eq!(
        problem["total"],
        json!({"minorUnits": 1000, "currency": "USD"})
    );
}

#[tokio::test]
async fn an_address_in_no_country_is_refused_by_the_field() {
    let shop = Shop::open(1).await;
    let buyer = shop.buyer(1).await;
    let mut body = order_body("tok_ok");
    body["shippingAddress"]["country"] = json!("XX");

    let answer = buyer.post_once("/api/orders", "key", &body).await.unwrap();

    answer.expect_fault("invalid", "shippingAddress.country");
}

#[tokio::test]
async fn one_key_makes_one_order_and_answers_the_same_bytes() {
    let shop = Shop::open(5).await;
    let buyer = shop.buyer(1).await;

    let first = place(&buyer, "key", "tok_ok").await;
    let second = place(&buyer, "key", "tok_ok").await;
    let other = place(&buyer, "key", "tok_declined").await;

    first.expect(201);
    second.expect(201);
    assert_eq!(first.body, second.body);
    assert_eq!(first.header("idempotent-replayed"), "");
    assert_eq!(second.header("idempotent-replayed"), "true");
    other.expect_problem(422, "key-reused");
    let orders = get(&buyer, "/api/orders").await.expect(200);
    assert_eq!(
        orders["items"].as_array().map(Vec::len),
        Some(1),
        "{orders}"
    );
}

#[tokio::test]
async fn one_key_is_refused_the_same_way_again() {
    let shop = Shop::open(5).await;
    let buyer = shop.buyer(1).await;
    let decided = |mut problem: Value| {
        for own in ["requestId", "traceId"] {
            problem.as_object_mut().unwrap().remove(own);
        }
        problem
    };

    let first = place(&buyer, "key", "tok_declined").await;
    let second = place(&buyer, "key", "tok_declined").await;

    assert_eq!(first.header("idempotent-replayed"), "");
    assert_eq!(second.header("idempotent-replayed"), "true");
    let first = decided(first.expect_problem(402, "payment-declined"));
    assert_eq!(
        first,
        decided(second.expect_problem(402, "payment-declined"))
    );
}

#[tokio::test]
async fn what_may_be_sent_twice_needs_a_key() {
    let shop = Shop::open(5).await;
    let (buyer, order) = shop.sell(1).await;
    let order_body = order_body("tok_ok");
    let adjustment = json!({"warehouseId": "main", "delta": 1, "reason": "found"});
    let refund = json!({"amount": {"minorUnits": 1, "currency": "USD"}, "reason": "broken"});
    let adjustments = format!("/api/inventory/{}/adjustments", shop.stall.sku);
    let refunds = format!("/api/payments/{}/refunds", text(&order["paymentId"]));

    post(&buyer, "/api/orders", &order_body)
        .await
        .expect_problem(428, "key-required");
    post(&shop.staff, &adjustments, &adjustment)
        .await
        .expect_problem(428, "key-required");
    post(&shop.staff, &refunds, &refund)
        .await
        .expect_problem(428, "key-required");
}

#[tokio::test]
async fn stock_is_adjusted_once_for_each_key_and_never_below_what_is_reserved() {
    let shop = Shop::open(5).await;
    let path = format!("/api/inventory/{}/adjustments", shop.stall.sku);
    let adjust = async |key: &str, delta: i64| {
        let body = json!({"warehouseId": "main", "delta": delta, "reason": "counted"});
        shop.staff.post_once(&path, key, &body).await.unwrap()
    };

    let first = adjust("more", 2).await;
    let again = adjust("more", 2).await;
    let other = adjust("more", 3).await;
    let below = adjust("less", -8).await;
    let below_again = adjust("less", -8).await;

    assert_eq!(first.expect(201)["stock"]["onHand"], 7);
    again.expect(201);
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("idempotent-replayed"), "true");
    other.expect_problem(422, "key-reused");
    below.expect_problem(409, "below-reserved");
    below_again.expect_problem(409, "below-reserved");
    assert_eq!(below.header("idempotent-replayed"), "");
    assert_eq!(below_again.header("idempotent-replayed"), "true");
    shop.stall.expect_available(7).await;
}
