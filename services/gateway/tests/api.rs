//! The gateway as its callers see it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "api/backends.rs"]
mod backends;
#[path = "api/catalogue.rs"]
mod catalogue;
#[path = "api/checkout.rs"]
mod checkout;
#[path = "api/limits.rs"]
mod limits;
#[path = "api/outages.rs"]
mod outages;
#[path = "api/rejections.rs"]
mod rejections;
#[path = "api/sessions.rs"]
mod sessions;
#[path = "api/shop.rs"]
mod shop;
#[path = "api/telemetry.rs"]
mod telemetry;

use std::time::Duration;

use auth::Role;
use reqwest::Method;
use serde_json::Value;
use shop::{GET_CART, Shop, claims};

#[tokio::test]
async fn a_backend_learns_who_calls_and_how_much_time_is_left() {
    let shop = Shop::open().await;
    let claims = claims(Role::Customer);
    let token = shop.signer.sign(&claims).unwrap();
    shop.keep_carts();

    let request = shop
        .request(Method::GET, "/api/cart")
        .bearer_auth(token)
        .header("x-request-id", "abc-1");
    let response = request.send().await.unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-request-id"], "abc-1");
    assert!(
        response.headers()["cache-control"]
            .to_str()
            .unwrap()
            .starts_with("private")
    );
    let call = &shop.backends.calls(GET_CART)[0];
    let key = chassis::caller::CallerKey::new(&"k".repeat(32).into()).unwrap();
    let caller = key
        .verify(call.metadata.get("x-caller").unwrap().to_str().unwrap())
        .unwrap();
    assert_eq!(caller.signed_in(), Some(claims.user_id));
    assert_eq!(call.metadata.get("x-request-id").unwrap(), "abc-1");
    assert!(call.metadata.contains_key("grpc-timeout"));
}

#[tokio::test]
async fn the_next_request_brings_back_what_the_last_one_has_seen() {
    let shop = Shop::open().await;
    let token = shop.token(Role::Customer);
    shop.backends.set_position("order/a/1/16b3748/1");
    shop.keep_carts();
    let get = || {
        shop.request(Method::GET, "/api/cart")
            .bearer_auth(&token)
            .send()
    };

    let first = get().await.unwrap();
    let token_header = first.headers()["x-consistency-token"].clone();
    testkit::eventually(Duration::from_secs(15), async || {
        get().await.unwrap();
        let calls = shop.backends.calls(GET_CART);
        let seen = calls
            .last()?
            .metadata
            .get("x-consistency")?
            .to_str()
            .ok()?
            .to_owned();
        // For 10 s after its Redis started, nothing that it says is believed.
        (seen == "order/a/1/16b3748/1").then_some(())
    })
    .await;
    let guest = shop
        .request(Method::GET, "/api/cart")
        .header("x-consistency-token", token_header);
    guest.send().await.unwrap();

    let calls = shop.backends.calls(GET_CART);
    assert_eq!(calls[0].metadata.get("x-consistency").unwrap(), "lost");
    assert_eq!(
        calls.last().unwrap().metadata.get("x-consistency").unwrap(),
        "order/a/1/16b3748/1"
    );
}

#[tokio::test]
async fn the_docs_need_nobody_else() {
    let shop = Shop::open().await;

    let page = shop.get("/docs/").await.text().await.unwrap();
    let description: Value = shop.get("/openapi.json").await.json().await.unwrap();
    let keys: Value = shop
        .get("/.well-known/jwks.json")
        .await
        .json()
        .await
        .unwrap();
    let ready = shop.get("/health/ready").await;

    assert!(page.contains("swagger-ui") && !page.contains("https://"));
    assert_eq!(description["openapi"], "3.1.0");
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!(ready.status(), 200);
}

#[tokio::test]
async fn pages_of_the_origins_in_the_settings_may_call_with_a_token() {
    let shop = Shop::open_with(&["--cors-origins=https://shop.example"]).await;
    let preflight = async |origin: &str| {
        let request = shop.request(Method::OPTIONS, "/api/orders");
        let request = request
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,idempotency-key",
            );
        request.send().await.unwrap()
    };

    let ours = preflight("https://shop.example").await;
    let other = preflight("https://other.example").await;

    let allowed = |name: &str| ours.headers()[name].to_str().unwrap();
    assert_eq!(
        allowed("access-control-allow-origin"),
        "https://shop.example"
    );
    assert_eq!(
        allowed("access-control-allow-headers"),
        "authorization,idempotency-key"
    );
    assert!(!other.headers().contains_key("access-control-allow-origin"));
}
