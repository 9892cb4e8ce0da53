//! Public reads and what staff change about them.

use std::time::Duration;

use auth::Role;
use chassis::fault;
use proto::inventory::v1 as stock;
use proto::product::v1 as product;
use reqwest::{Method, Response};
use serde_json::json;
use tonic::{Code, Status};
use types::{ProductId, Slot};

use crate::shop::{Shop, now, problem, usd};

const GET_AVAILABILITY: &str = "inventory.v1.InventoryService/GetAvailability";
const GET_PRODUCT: &str = "product.v1.ProductService/GetProduct";

fn mug(version: i64) -> product::Product {
    product::Product {
        product_id: ProductId::new(Slot::draw()).to_string(),
        slug: "mug".to_owned(),
        name: "Mug".to_owned(),
        description: "A mug. ".repeat(300),
        version,
        active: true,
        variants: vec![product::Variant {
            sku: "MUG-1".to_owned(),
            price: usd(1999),
            ..Default::default()
        }],
        created_at: now(),
        updated_at: now(),
        ..Default::default()
    }
}

fn sell_mugs(shop: &Shop, version: i64) {
    let mug = mug(version);
    shop.backends
        .on(GET_PRODUCT, move |_: product::GetProductRequest| {
            Ok(product::GetProductResponse {
                product: Some(mug.clone()),
            })
        });
}

#[tokio::test]
async fn a_public_answer_is_kept_and_told_apart_by_its_version() {
    let shop = Shop::open().await;
    sell_mugs(&shop, 7);

    let first = shop.get("/api/products/mug").await;
    let second = shop.get("/api/products/mug").await;
    let unchanged = shop
        .request(Method::GET, "/api/products/mug")
        .header("if-none-match", "W/\"7\"")
        .send()
        .await
        .unwrap();

    assert_eq!(first.headers()["x-cache"], "miss");
    assert_eq!(first.headers()["etag"], "\"7\"");
    assert_eq!(first.headers()["cache-control"], "public, max-age=300");
    assert_eq!(first.headers()["cdn-cache-control"], "max-age=600");
    assert_eq!(second.headers()["x-cache"], "hit");
    assert!(second.headers().contains_key("age"));
    assert_eq!(unchanged.status(), 304);
    assert_eq!(shop.backends.calls(GET_PRODUCT).len(), 1);
    assert_eq!(first.bytes().await.unwrap(), second.bytes().await.unwrap());
    for counted in ["result=\"miss\"} 1", "result=\"hit\"} 2"] {
        shop.metric(&["cache_requests_total{layer=\"l1\"", counted])
            .await;
    }
}

#[tokio::test]
async fn somebody_signed_in_passes_the_cache() {
    let shop = Shop::open().await;
    sell_mugs(&shop, 7);
    let token = shop.token(Role::Staff);

    for _ in 0..2 {
        let response = shop
            .request(Method::GET, "/api/products/mug")
            .bearer_auth(&token)
            .send()
            .await
            .unwrap();
        assert_eq!(response.headers()["cache-control"], "private, no-cache");
        assert!(!response.headers().contains_key("x-cache"));
    }

    assert_eq!(shop.backends.calls(GET_PRODUCT).len(), 2);
}

#[tokio::test]
async fn a_large_answer_is_encoded_unless_the_caller_opts_out() {
    let shop = Shop::open().await;
    sell_mugs(&shop, 7);
    let get = |encoding: &'static str| {
        shop.request(Method::GET, "/api/products/mug")
            .header("accept-encoding", encoding)
    };

    for encoding in ["br", "zstd", "gzip"] {
        let response = get(encoding).send().await.unwrap();
        assert_eq!(response.headers()["content-encoding"], encoding);
        assert_eq!(response.headers()["vary"], "accept-encoding");
        assert!(response.bytes().await.unwrap().len() < 1024);
    }
    let plain = get("br")
        .header("x-no-compression", "1")
        .send()
        .await
        .unwrap();

    assert!(!plain.headers().contains_key("content-encoding"));
}

#[tokio::test]
async fn a_change_needs_the_version_it_changes() {
    let shop = Shop::open().await;
    let token = shop.token(Role::Staff);
    let product = mug(8);
    let path = format!("/api/products/{}", product.product_id);
    shop.backends.on(
        "product.v1.ProductService/UpdateProduct",
        move |request: product::UpdateProductRequest| {
            if request.expected_version == 7 {
                Ok(product::UpdateProductResponse {
                    product: Some(product.clone()),
                })
            } else {
                Err(fault::refuse(
                    Code::FailedPrecondition,
                    "VERSION_MISMATCH",
                    "changed",
                    &[],
                ))
            }
        },
    );
    let change = || {
        shop.request(Method::PATCH, &path)
            .bearer_auth(&token)
            .json(&json!({ "name": "Cup" }))
    };

    let blind = problem(change().send().await.unwrap()).await;
    let late = problem(change().header("if-match", "\"6\"").send().await.unwrap()).await;
    let changed = change().header("if-match", "\"7\"").send().await.unwrap();

    assert_eq!(
        (blind.0, blind.1["code"].as_str()),
        (428, Some("if-match-required"))
    );
    assert_eq!(
        (late.0, late.1["code"].as_str()),
        (412, Some("version-mismatch"))
    );
    assert_eq!(changed.status(), 200);
    assert_eq!(changed.headers()["etag"], "\"8\"");
}

#[tokio::test]
async fn an_event_ends_the_answer_that_it_changes() {
    let shop = Shop::open().await;
    sell_mugs(&shop, 7);
    let kept = async || {
        let response = shop.get("/api/products/mug").await;
        let header = |name| response.headers()[name].to_str().unwrap().to_owned();
        (header("x-cache"), header("etag"))
    };
    kept().await;
    let before = kept().await;

    sell_mugs(&shop, 8);
    let updated = product::ProductUpdated {
        slug: "mug".to_owned(),
        version: 8,
        ..Default::default()
    };
    shop.publish("product.events", "product.v1.ProductUpdated", &updated)
        .await;

    assert_eq!(before, ("hit".to_owned(), "\"7\"".to_owned()));
    let changed = async || (kept().await.1 == "\"8\"").then_some(());
    testkit::eventually(Duration::from_secs(5), changed).await;
    assert_eq!(kept().await.0, "hit");
}

fn count_mugs(shop: &Shop, answer: Result<i64, Status>) {
    let answer = answer.map(|available| stock::Availability {
        sku: "MUG-1".to_owned(),
        available,
        status: stock::StockStatus::InStock.into(),
        version: 5,
        known: true,
    });
    shop.backends
        .on(GET_AVAILABILITY, move |_: stock::GetAvailabilityRequest| {
            let items = answer.clone().map(|mugs| vec![mugs]);
            items.map(|items| stock::GetAvailabilityResponse { items })
        });
}

#[tokio::test]
async fn the_last_answer_serves_on_while_the_backend_fails_until_an_event_ends_it() {
    let shop = Shop::open().await;
    let get = async || shop.get("/api/inventory/MUG-1").await;
    let found = |response: &Response| response.headers()["x-cache"].to_str().unwrap().to_owned();
    count_mugs(&shop, Ok(3));
    let fresh = get().await;

    count_mugs(&shop, Err(Status::unavailable("away")));
    let stale = testkit::eventually(Duration::from_secs(10), async || {
        let response = get().await;
        (found(&response) == "stale").then_some(response)
    })
    .await;
    let (one, other) = tokio::join!(get(), get());
    let never_read = shop.get("/api/inventory/MUG-2").await;
    let changed = stock::StockLevelChanged {
        sku: "MUG-1".to_owned(),
        version: 6,
        ..Default::default()
    };
    shop.publish(
        "inventory.events",
        "inventory.v1.StockLevelChanged",
        &changed,
    )
    .await;
    let ended = async || (get().await.status() == 503).then_some(());
    testkit::eventually(Duration::from_secs(10), ended).await;
    count_mugs(&shop, Ok(2));

    assert_eq!(found(&fresh), "miss");
    assert_ne!(stale.headers()["age"], "0");
    assert_eq!([found(&one), found(&other)], ["stale", "stale"]);
    assert_eq!(fresh.text().await.unwrap(), stale.text().await.unwrap());
    assert_eq!(problem(never_read).await.0, 503);
}
