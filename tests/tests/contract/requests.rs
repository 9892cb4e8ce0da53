//! Requests that cannot be read, or that nobody offers.

use std::process::Command;

use devstack::service::Service;
use devstack::services;
use reqwest::Method;
use serde_json::json;
use tests::stall::order_body;
use tests::visitor::Visitor;

use crate::{Shop, get, place, post};

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused() {
    let shop = Shop::open(1).await;
    let send = async |kind: &str, body: String| {
        let request = shop
            .guest()
            .request(Method::POST, "/api/users")
            .header("content-type", kind);
        Visitor::answer(request.body(body)).await.unwrap()
    };
    let json = "application/json";

    send(json, "{\"email\": ".to_owned())
        .await
        .expect_problem(400, "malformed");
    send("text/plain", "{}".to_owned())
        .await
        .expect_problem(415, "unsupported-media-type");
    let large = format!("{{\"email\": \"{}\"}}", "x".repeat(1024 * 1024));
    send(json, large).await.expect_problem(413, "too-large");
    send(json, "{}".to_owned())
        .await
        .expect_fault("invalid", "email");
    let unknown = json!({"email": "a@example.com", "password": "x", "name": "x", "admin": true});
    send(json, unknown.to_string())
        .await
        .expect_fault("invalid", "admin");
}

#[tokio::test]
async fn a_route_or_method_that_is_not_there_is_a_problem_too() {
    let shop = Shop::open(1).await;

    get(&shop.guest(), "/api/nothing")
        .await
        .expect_problem(404, "not-found");
    let answer = shop
        .guest()
        .send(Method::PUT, "/api/orders", &json!({}))
        .await
        .unwrap();
    answer.expect_problem(405, "method-not-allowed");
    let mut allowed: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
}

#[tokio::test]
async fn an_id_that_cannot_be_ours_is_refused() {
    let shop = Shop::open(1).await;
    let customer = shop.customer().await;
    let impossible = [
        "nonsense",
        // Of version 4.
        "8c8e3c1c-2f5b-4d0e-9b0a-1b2c3d4e5f60",
        // Its slot is 4095.
        "01890a5d-ac96-7fff-8000-0123456789ab",
    ];

    for id in impossible {
        get(&customer, &format!("/api/orders/{id}"))
            .await
            .expect_fault("invalid-id", "id");
        get(&customer, &format!("/api/payments/{id}"))
            .await
            .expect_fault("invalid-id", "id");
        let path = format!("/api/orders/{id}/cancel");
        post(&customer, &path, &json!({}))
            .await
            .expect_fault("invalid-id", "id");
        let item = json!({"productId": id, "quantity": 1});
        let answer = post(&customer, "/api/cart/items", &item).await;
        answer.expect_fault("invalid-id", "productId");
        let path = format!("/api/products/{id}");
        get(&shop.guest(), &path)
            .await
            .expect_problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_forged_cursor_is_refused() {
    let shop = Shop::open(1).await;
    let customer = shop.customer().await;
    let lists = [
        (&customer, "/api/products"),
        (&customer, "/api/products/search"),
        (&customer, "/api/orders"),
        (&shop.staff, "/api/inventory/low-stock"),
    ];

    for (visitor, list) in lists {
        for cursor in ["forged", "eyJpZCI6MX0", "%00"] {
            let answer = get(visitor, &format!("{list}?cursor={cursor}")).await;
            answer.expect_fault("invalid-cursor", "cursor");
        }
    }
}

#[tokio::test]
async fn a_text_that_no_database_keeps_is_refused() {
    let shop = Shop::open(1).await;
    let buyer = shop.buyer(1).await;
    let mut order = order_body("tok_ok");
    order["shippingAddress"]["line2"] = json!("\0");
    let category = json!({"slug": "nul", "name": "a\0b"});

    let address = buyer.post_once("/api/orders", "key", &order).await.unwrap();
    let token = place(&buyer, "another key", "tok\0").await;
    let name = post(&shop.staff, "/api/categories", &category).await;
    let search = get(&buyer, "/api/products/search?q=%00").await;
    let slug = get(&buyer, "/api/products/%00").await;

    for answer in [address, token, name, search] {
        answer.expect_problem(422, "invalid");
    }
    slug.expect_problem(404, "not-found");
    place(&buyer, "key", "tok_ok").await.expect(201);
}

#[tokio::test]
async fn a_quantity_that_nobody_can_buy_is_refused() {
    let shop = Shop::open(1).await;
    let buyer = shop.buyer(1).await;
    let sku = &shop.stall.sku;

    for quantity in [
        json!(0),
        json!(-1),
        json!(1_000_000),
        json!(1e30),
        json!("1"),
        json!(1.5),
    ] {
        let item = json!({"sku": sku, "quantity": quantity});
        post(&buyer, "/api/cart/items", &item)
            .await
            .expect_fault("invalid", "quantity");
        let path = format!("/api/cart/items/{sku}");
        let change = json!({"quantity": quantity});
        let answer = buyer.send(Method::PATCH, &path, &change).await.unwrap();
        answer.expect_fault("invalid", "quantity");
    }
    let cart = get(&buyer, "/api/cart").await.expect(200);
    assert_eq!(cart["items"][0]["quantity"], 1);
}

#[tokio::test]
async fn what_is_not_sold_cannot_be_put_into_a_cart() {
    let shop = Shop::open(1).await;

    let item = json!({"sku": "NO-SUCH-THING", "quantity": 1});
    post(&shop.customer().await, "/api/cart/items", &item)
        .await
        .expect_fault("unknown-sku", "sku");
}

#[test]
fn a_setting_that_is_unknown_keeps_every_service_from_starting() {
    for service in Service::ALL {
        let name = format!("{}_NO_SUCH_SETTING", service.name().to_uppercase());

        let output = Command::new(services::binary(service.name()).unwrap())
            .env(&name, "1")
            .output()
            .unwrap();

        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{service}: {said}");
        assert_eq!(said.lines().count(), 1, "{service}: {said}");
        assert!(said.contains(&name), "{service}: {said}");
    }
}
