//! What the gateway does without its Redis.

use auth::Role;
use reqwest::Method;

use crate::shop::{GET_CART, Shop};

/// Nobody listens there.
const AWAY: &str = "--redis-url=redis://127.0.0.1:1";

#[tokio::test]
async fn without_redis_everything_is_read_from_primaries() {
    let shop = Shop::open_with(&[AWAY]).await;
    shop.keep_carts();
    let token = shop.token(Role::Customer);

    let response = shop
        .request(Method::GET, "/api/cart")
        .bearer_auth(token)
        .send()
        .await
        .unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(
        shop.backends.calls(GET_CART)[0]
            .metadata
            .get("x-consistency")
            .unwrap(),
        "lost"
    );
}

#[tokio::test]
async fn without_redis_a_process_allows_its_share() {
    let shop = Shop::open_with(&[AWAY, "--use-per-second=4", "--processes=2"]).await;
    shop.keep_carts();

    let mut admitted = 0;
    let start = std::time::Instant::now();
    for _ in 0..8 {
        admitted += i32::from(shop.get("/api/cart").await.status() == 200);
    }

    let seconds = start.elapsed().as_secs_f64();
    assert!(
        admitted >= 2 && f64::from(admitted) <= 2.0 + 2.0 * seconds,
        "{admitted} in {seconds} s"
    );
}
