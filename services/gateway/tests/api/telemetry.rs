//! What is counted and traced of requests.

use std::time::Duration;

use auth::Role;
use chassis::fault;
use proto::order::v1 as order;
use reqwest::Method;
use serde_json::json;
use tonic::{Code, Status};

use crate::shop::{GET_CART, Shop};

const CANCEL_ORDER: &str = "order.v1.OrderService/CancelOrder";
const SILENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// The `traceparent` of the last call of the method.
fn passed_on(shop: &Shop, method: &str) -> String {
    let calls = shop.backends.calls(method);
    let traceparent = calls.last().unwrap().metadata.get("traceparent").unwrap();
    traceparent.to_str().unwrap().to_owned()
}

async fn cancel_an_order(shop: &Shop, headers: &[(&'static str, &'static str)]) {
    let order_id = types::OrderId::new(types::Slot::draw());
    let mut request = shop
        .request(Method::POST, &format!("/api/orders/{order_id}/cancel"))
        .bearer_auth(shop.token(Role::Customer))
        .json(&json!({}));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    // The fake order service knows no such call.
    assert_eq!(request.send().await.unwrap().status(), 500);
}

#[tokio::test]
async fn reads_are_traced_by_the_ratio_and_checkout_always() {
    let shop = Shop::open_with(&["--trace-ratio=0"]).await;
    shop.keep_carts();

    shop.get("/api/cart").await;
    let read = passed_on(&shop, GET_CART);
    cancel_an_order(&shop, &[]).await;
    let checkout = passed_on(&shop, CANCEL_ORDER);
    cancel_an_order(&shop, &[("traceparent", SILENT)]).await;
    let decided = passed_on(&shop, CANCEL_ORDER);

    assert!(read.ends_with("-00"), "{read}");
    assert!(checkout.ends_with("-01"), "{checkout}");
    assert!(
        decided.starts_with(&SILENT[..36]) && decided.ends_with("-01"),
        "{decided}"
    );
}

#[tokio::test]
async fn only_a_traced_request_is_pointed_to_by_the_histogram() {
    const ROUTE: [&str; 2] = [
        "http_request_duration_seconds_bucket",
        "route=\"/api/cart\"",
    ];
    let (silent, traced) = (
        Shop::open_with(&["--trace-ratio=0", "--trace-slow-ms=60000"]).await,
        Shop::open_with(&["--trace-ratio=1"]).await,
    );
    for shop in [&silent, &traced] {
        shop.keep_carts();
        assert_eq!(shop.get("/api/cart").await.status(), 200);
        shop.metric(&ROUTE).await;
    }

    let trace_id = passed_on(&traced, GET_CART)[3..35].to_owned();
    let exemplar = format!("# {{trace_id=\"{trace_id}\"}} ");

    traced.metric(&[ROUTE[0], ROUTE[1], &exemplar]).await;
    let metrics = silent.metrics().await;
    assert!(!metrics.contains("trace_id"), "{metrics}");
}

#[tokio::test]
async fn a_request_whose_client_goes_away_is_counted() {
    let shop = Shop::open().await;
    shop.backends.fall_silent(GET_CART);

    let impatient = shop
        .request(Method::GET, "/api/cart")
        .timeout(Duration::from_millis(300));
    assert!(impatient.send().await.unwrap_err().is_timeout());

    let counted = [
        "http_requests_total",
        "route=\"/api/cart\"",
        "status=\"499\"} 1",
    ];
    shop.metric(&counted).await;
    shop.metric(&["http_requests_in_flight 0"]).await;
}

#[tokio::test]
async fn what_is_shed_is_counted_by_class() {
    let shop = Shop::open().await;
    shop.backends.on(
        GET_CART,
        |_: order::GetCartRequest| -> Result<order::GetCartResponse, Status> {
            Err(fault::refuse(
                Code::ResourceExhausted,
                "SHARD_BUSY",
                "not now",
                &[],
            ))
        },
    );

    assert_eq!(shop.get("/api/cart").await.status(), 503);

    shop.metric(&["shed_total{class=\"use\"} 1"]).await;
}

#[tokio::test]
async fn a_service_that_fails_again_and_again_has_its_breaker_open() {
    let shop = Shop::open().await;
    shop.backends.on(
        GET_CART,
        |_: order::GetCartRequest| -> Result<order::GetCartResponse, Status> {
            Err(Status::unavailable("away"))
        },
    );
    shop.metric(&["grpc_breaker_open{peer=\"order\"} 0"]).await;

    for _ in 0..10 {
        assert_eq!(shop.get("/api/cart").await.status(), 503);
    }

    shop.metric(&["grpc_breaker_open{peer=\"order\"} 1"]).await;
}
