//! What cannot be answered, and how that is said.

use auth::Role;
use chassis::fault;
use proto::order::v1 as order;
use reqwest::{Method, Response};
use tonic::{Code, Status};

use crate::shop::{GET_CART, Shop, problem};

/// Checks the status, the code and, where one is given, the first field at fault.
async fn assert_refused(response: Response, status: u16, code: &str, field: Option<&str>) {
    let (found, document) = problem(response).await;
    assert_eq!(
        (found, document["code"].as_str()),
        (status, Some(code)),
        "{document}"
    );
    assert!(document["requestId"].is_string());
    assert_eq!(document["errors"][0]["field"].as_str(), field, "{document}");
}

#[tokio::test]
async fn a_body_that_cannot_be_taken_is_refused_by_the_field() {
    let shop = Shop::open().await;
    let json = "application/json";

    for (path, kind, body, status, code, field) in [
        ("/api/users", json, "{", 400, "malformed", None),
        (
            "/api/users",
            "text/plain",
            "{}",
            415,
            "unsupported-media-type",
            None,
        ),
        ("/api/users", json, "{}", 422, "invalid", Some("email")),
        (
            "/api/cart/items",
            json,
            r#"{"sku":"A","quantity":1e30}"#,
            422,
            "invalid",
            Some("quantity"),
        ),
        (
            "/api/cart/items",
            json,
            r#"{"sku":"A","quantity":1,"x":1}"#,
            422,
            "invalid",
            Some("x"),
        ),
        (
            "/api/cart/items",
            json,
            r#"{"sku":"a b","quantity":1}"#,
            422,
            "invalid",
            Some("sku"),
        ),
        (
            "/api/cart/items",
            json,
            r#"{"quantity":1}"#,
            422,
            "invalid",
            Some("sku"),
        ),
        (
            "/api/cart/items",
            json,
            r#"{"productId":"7","quantity":1}"#,
            422,
            "invalid-id",
            Some("productId"),
        ),
    ] {
        let request = shop
            .request(Method::POST, path)
            .header("content-type", kind);
        let response = request.body(body).send().await.unwrap();
        assert_refused(response, status, code, field).await;
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_taken_is_refused_by_the_parameter() {
    let shop = Shop::open().await;
    let long = format!("/api/products?cursor={}", "x".repeat(9000));

    for (path, status, code, field) in [
        ("/api/nothing", 404, "not-found", None),
        ("/api/inventory/a%20b", 422, "invalid-id", Some("sku")),
        ("/api/inventory/%ff", 400, "malformed", None),
        ("/api/products?limit=0", 422, "invalid", Some("limit")),
        ("/api/products?colour=red", 422, "invalid", Some("colour")),
        (
            "/api/products/search?sort=best",
            422,
            "invalid",
            Some("sort"),
        ),
        ("/api/orders", 401, "unauthenticated", None),
        (&long, 414, "uri-too-long", None),
    ] {
        assert_refused(shop.get(path).await, status, code, field).await;
    }
}

#[tokio::test]
async fn a_wrong_method_lists_the_right_ones() {
    let shop = Shop::open().await;

    let response = shop
        .request(Method::PUT, "/api/users/me")
        .send()
        .await
        .unwrap();

    let mut allowed: Vec<&str> = response.headers()["allow"]
        .to_str()
        .unwrap()
        .split(',')
        .collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PATCH"]);
}

#[tokio::test]
async fn a_body_over_a_mebibyte_is_too_large() {
    let shop = Shop::open().await;

    let body = format!("\"{}\"", "x".repeat(1024 * 1024));
    let request = shop
        .request(Method::POST, "/api/users")
        .header("content-type", "application/json");
    let (status, document) = problem(request.body(body).send().await.unwrap()).await;

    assert_eq!(
        (status, document["code"].as_str()),
        (413, Some("too-large"))
    );
}

#[tokio::test]
async fn only_json_is_answered() {
    let shop = Shop::open().await;

    let html = shop
        .request(Method::GET, "/api/products")
        .header("accept", "text/html");
    let (status, document) = problem(html.send().await.unwrap()).await;

    assert_eq!(
        (status, document["code"].as_str()),
        (406, Some("not-acceptable"))
    );
}

#[tokio::test]
async fn a_fenced_slot_or_a_busy_shard_is_unavailable_for_a_moment() {
    for (code, reason, slug) in [
        (Code::Unavailable, "SLOT_FENCED", "slot-fenced"),
        (Code::ResourceExhausted, "SHARD_BUSY", "shard-busy"),
    ] {
        let shop = Shop::open().await;
        shop.backends.on(
            GET_CART,
            move |_: order::GetCartRequest| -> Result<order::GetCartResponse, Status> {
                Err(fault::refuse(code, reason, "not now", &[]))
            },
        );

        let response = shop
            .request(Method::GET, "/api/cart")
            .bearer_auth(shop.token(Role::Customer))
            .send()
            .await
            .unwrap();

        assert_eq!(response.headers()["retry-after"], "1");
        let (status, document) = problem(response).await;
        assert_eq!((status, document["code"].as_str()), (503, Some(slug)));
    }
}

#[tokio::test]
async fn a_service_that_is_too_slow_is_a_timeout_and_is_not_asked_again() {
    let shop = Shop::open_with(&["--read-budget-ms=200"]).await;
    shop.backends.fall_silent(GET_CART);

    let response = shop.get("/api/cart").await;

    assert_refused(response, 504, "deadline-exceeded", None).await;
    assert_eq!(shop.backends.calls(GET_CART).len(), 1);
}

#[tokio::test]
async fn each_kind_of_problem_has_a_page() {
    let shop = Shop::open().await;

    let page = shop.get("/problems/out-of-stock").await;
    let unknown = shop.get("/problems/nonsense").await;

    assert!(page.text().await.unwrap().contains("not enough stock"));
    assert_eq!(unknown.status(), 404);
}
