//! How much may be asked for.

use std::time::{Duration, Instant};

use proto::product::v1::{ListCategoriesRequest, ListCategoriesResponse};
use proto::user::v1 as user;
use reqwest::Method;
use serde_json::json;
use tonic::Status;
use types::{Slot, UserId};

use crate::shop::{Shop, problem};

/// Several tests share one Redis and one address: each pretends to be behind a proxy.
const PROXIED: &str = "--trusted-proxies=1";

/// Asks for the cart from an address; the status.
async fn ask(shop: &Shop, address: &str) -> u16 {
    let request = shop.request(Method::GET, "/api/cart");
    let response = request
        .header("x-forwarded-for", address)
        .send()
        .await
        .unwrap();
    response.status().as_u16()
}

#[tokio::test]
async fn too_many_requests_are_refused_and_told_when_to_come_back() {
    let shop = Shop::open_with(&[PROXIED, "--use-per-second=1"]).await;
    shop.keep_carts();
    let get = || {
        let request = shop.request(Method::GET, "/api/cart");
        request.header("x-forwarded-for", "10.0.0.1").send()
    };

    let admitted = get().await.unwrap();
    let refused = get().await.unwrap();

    assert_eq!(admitted.headers()["ratelimit-policy"], "\"use\";q=1;w=1");
    assert_eq!(admitted.headers()["ratelimit"], "\"use\";r=0;t=1");
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["ratelimit-policy"], "\"use\";q=1;w=1");
    assert_eq!(refused.headers()["ratelimit"], "\"use\";r=0;t=1");
    let (status, document) = problem(refused).await;
    assert_eq!(
        (status, document["code"].as_str()),
        (429, Some("rate-limited"))
    );
    assert_eq!(ask(&shop, "10.0.0.2").await, 200);
}

#[tokio::test]
async fn two_gateways_admit_no_more_than_the_burst_and_the_rate() {
    let settings = [PROXIED, "--use-per-second=20"];
    let shops = [
        Shop::open_with(&settings).await,
        Shop::open_with(&settings).await,
    ];
    shops.iter().for_each(Shop::keep_carts);

    let started = Instant::now();
    let mut admitted = 0;
    for number in 0..80 {
        let status = ask(&shops[number % 2], "10.0.0.3").await;
        admitted += i32::from(status == 200);
    }

    let seconds = started.elapsed().as_secs_f64();
    assert!(admitted >= 20, "{admitted}");
    assert!(
        f64::from(admitted) <= 20.0 + 20.0 * seconds,
        "{admitted} in {seconds} s"
    );
}

#[tokio::test]
async fn browsing_is_settled_over_all_gateways() {
    let settings = [PROXIED, "--browse-per-second=20"];
    let shops = [
        Shop::open_with(&settings).await,
        Shop::open_with(&settings).await,
    ];
    shops.iter().for_each(|shop| {
        shop.backends.on(
            "product.v1.ProductService/ListCategories",
            |_: ListCategoriesRequest| Ok(ListCategoriesResponse::default()),
        );
    });
    let browse = async |shop: &Shop| {
        let request = shop.request(Method::GET, "/api/categories");
        request
            .header("x-forwarded-for", "10.0.0.4")
            .send()
            .await
            .unwrap()
            .status()
    };

    for _ in 0..20 {
        browse(&shops[0]).await;
    }

    // The other gateway never saw this address, but learns of it from Redis once it settles too.
    let refused = async || (browse(&shops[1]).await == 429).then_some(());
    testkit::eventually(Duration::from_secs(5), refused).await;
}

#[tokio::test]
async fn one_account_takes_so_many_logins() {
    let shop = Shop::open_with(&["--account-logins-per-minute=2"]).await;
    shop.backends
        .on("user.v1.UserService/Login", |_: user::LoginRequest| {
            Err::<user::LoginResponse, Status>(Status::unauthenticated("no"))
        });
    let email = format!("{}@example.com", UserId::new(Slot::draw()));
    let credentials = json!({ "email": email, "password": "guess" });

    let log_in = async || {
        let login = shop.request(Method::POST, "/api/auth/login");
        login.json(&credentials).send().await.unwrap()
    };
    let admitted = [log_in().await, log_in().await];
    let refused = log_in().await;

    for response in admitted {
        let policy = response.headers()["ratelimit-policy"].to_str().unwrap();
        assert!(policy.starts_with("\"login\""), "{policy}");
        assert_eq!(problem(response).await.0, 401);
    }
    assert_eq!(
        refused.headers()["ratelimit-policy"],
        "\"account\";q=2;w=60"
    );
    let wait = refused.headers()["retry-after"].to_str().unwrap();
    let state = format!("\"account\";r=0;t={wait}");
    assert_eq!(refused.headers()["ratelimit"], state);
    assert_eq!(problem(refused).await.0, 429);
}
