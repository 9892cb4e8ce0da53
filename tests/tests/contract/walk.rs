//! The way through the shop that the README describes, and what staff do behind it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::eventually;
use tests::visitor::Visitor;

use crate::{Shop, get, place, post, text};

const LIMIT: Duration = Duration::from_secs(20);

fn statuses(timeline: &Value) -> Vec<&str> {
    let entries = timeline["entries"].as_array().unwrap();
    entries.iter().map(|entry| text(&entry["to"])).collect()
}

#[tokio::test]
async fn a_customer_searches_orders_and_cancels_and_the_stock_comes_back() {
    let shop = Shop::open(10).await;
    let sku = &shop.stall.sku;
    let category = format!("kind-{}", sku.to_lowercase());

    let found = eventually(LIMIT, async || {
        let path = format!("/api/products/search?q=thing&category={category}");
        let found = get(&shop.guest(), &path).await.expect(200);
        (found["items"][0]["variants"][0]["sku"] == *sku).then_some(found)
    })
    .await;
    assert_eq!(found["items"][0]["id"], shop.stall.product_id);

    let buyer = shop.buyer(2).await;
    let cart = get(&buyer, "/api/cart").await.expect(200);
    assert_eq!(
        cart["subtotal"],
        json!({"minorUnits": 2000, "currency": "USD"})
    );
    let order = place(&buyer, "first", "tok_ok").await.expect(201);
    assert_eq!(order["status"], "confirmed");
    assert_eq!(order["total"], cart["subtotal"]);
    assert_eq!(
        get(&buyer, "/api/cart").await.expect(200)["items"],
        json!([])
    );
    let path = format!("/api/orders/{}", text(&order["id"]));
    let timeline = get(&buyer, &format!("{path}/timeline")).await.expect(200);
    assert_eq!(
        statuses(&timeline),
        ["pending", "reserved", "authorized", "confirmed"]
    );
    assert_eq!(timeline["traceId"], order["traceId"]);
    shop.stall.expect_available(8).await;

    shop.fill(&buyer, 3).await.expect(200);
    let second = place(&buyer, "second", "tok_ok").await.expect(201);
    shop.stall.expect_available(5).await;
    let second = format!("/api/orders/{}", text(&second["id"]));
    let reason = json!({"reason": "too many"});
    let cancelled = post(&buyer, &format!("{second}/cancel"), &reason)
        .await
        .expect(200);
    assert!(
        ["cancelling", "cancelled"].contains(&text(&cancelled["status"])),
        "{cancelled}"
    );
    eventually(LIMIT, async || {
        let order = get(&buyer, &second).await.expect(200);
        (order["status"] == "cancelled").then_some(())
    })
    .await;
    shop.stall.expect_available(8).await;
    let orders = get(&buyer, "/api/orders?status=cancelled")
        .await
        .expect(200);
    assert_eq!(
        orders["items"].as_array().map(Vec::len),
        Some(1),
        "{orders}"
    );
}

#[tokio::test]
async fn a_product_that_has_not_changed_is_not_sent_again() {
    let shop = Shop::open(1).await;
    let path = format!("/api/products/{}", shop.stall.product_id);
    let guest = shop.guest();
    let first = eventually(LIMIT, async || {
        Some(get(&guest, &path).await).filter(|answer| answer.status == 200)
    })
    .await;

    let etag = first.header("etag");
    let request = guest
        .request(Method::GET, &path)
        .header("if-none-match", etag);
    let second = Visitor::answer(request).await.unwrap();

    assert_eq!(etag, format!("\"{}\"", first.json()["version"]));
    assert!(
        first
            .header("cache-control")
            .starts_with("public, max-age=300")
    );
    second.expect(304);
    assert!(second.body.is_empty());
    assert_eq!(second.header("etag"), etag);
}

#[tokio::test]
async fn a_product_is_changed_only_by_who_knows_its_version() {
    let shop = Shop::open(1).await;
    let path = format!("/api/products/{}", shop.stall.product_id);
    let etag = get(&shop.staff, &path).await.header("etag").to_owned();
    let change = async |etag: Option<&str>, name: &str| {
        let request = shop
            .staff
            .request(Method::PATCH, &path)
            .json(&json!({"name": name}));
        let request = match etag {
            Some(etag) => request.header("if-match", etag),
            None => request,
        };
        Visitor::answer(request).await.unwrap()
    };

    change(None, "A")
        .await
        .expect_problem(428, "if-match-required");
    let changed = change(Some(&etag), "B").await;
    changed.expect(200);
    change(Some(&etag), "C")
        .await
        .expect_problem(412, "version-mismatch");

    assert_ne!(changed.header("etag"), etag);
    let seen = get(&shop.staff, &path).await.expect(200);
    assert_eq!(seen["name"], "B", "staff see their own change at once");
}

#[tokio::test]
async fn staff_ship_an_order_in_parts_and_then_it_is_too_late_to_cancel() {
    let shop = Shop::open(5).await;
    let (buyer, order) = shop.sell(3).await;
    let path = format!("/api/orders/{}", text(&order["id"]));
    let ship = async |body: &Value| post(&shop.staff, &format!("{path}/fulfillments"), body).await;

    let items = json!([{"sku": shop.stall.sku, "quantity": 1}]);
    let part = ship(&json!({"items": items, "trackingNumber": "T-1"}))
        .await
        .expect(201);
    let too_many = json!({"items": [{"sku": shop.stall.sku, "quantity": 3}]});
    let refused = ship(&too_many).await;
    let rest = ship(&json!({})).await.expect(201);

    assert_eq!(part["orderStatus"], "confirmed", "{part}");
    assert_eq!(part["items"], items);
    assert_eq!(refused.status, 422, "{:?}", refused.json());
    assert_eq!(rest["orderStatus"], "fulfilled", "{rest}");
    assert_eq!(rest["items"][0]["quantity"], 2);
    assert_eq!(get(&buyer, &path).await.expect(200)["status"], "fulfilled");
    let late = post(&buyer, &format!("{path}/cancel"), &json!({})).await;
    let problem = late.expect_problem(409, "too-late");
    assert_eq!(problem["orderStatus"], "fulfilled", "{problem}");
}

#[tokio::test]
async fn staff_give_back_no_more_than_was_captured() {
    let shop = Shop::open(5).await;
    let (buyer, order) = shop.sell(1).await;
    let payment = format!("/api/payments/{}", text(&order["paymentId"]));
    let refund = async |key: &str, minor_units: i64| {
        let amount = json!({"minorUnits": minor_units, "currency": "USD"});
        let body = json!({"amount": amount, "reason": "broken"});
        let path = format!("{payment}/refunds");
        shop.staff.post_once(&path, key, &body).await.unwrap()
    };
    eventually(LIMIT, async || {
        let payment = get(&buyer, &payment).await.expect(200);
        (payment["status"] == "captured").then_some(())
    })
    .await;

    let first = refund("first", 600).await;
    let again = refund("first", 600).await;
    let too_much = refund("second", 600).await;
    let rest = refund("third", 400).await;

    assert_eq!(first.expect(201)["status"], "succeeded");
    again.expect(201);
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("idempotent-replayed"), "true");
    too_much.expect_problem(409, "refund-exceeds-captured");
    rest.expect(201);
    let payment = get(&shop.staff, &payment).await.expect(200);
    assert_eq!(
        payment["refunded"],
        json!({"minorUnits": 1000, "currency": "USD"})
    );
    assert_eq!(payment["status"], "refunded");
}
