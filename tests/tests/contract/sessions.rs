//! Who somebody is, and what is theirs.

use std::time::Duration;

use auth::{Claims, Role, Signer};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use devstack::service::Service;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::eventually;
use tests::stall::run_sql;
use tests::visitor::Visitor;
use types::{SessionId, Slot, UserId};

use crate::{Shop, get, post, text};

/// A revoked session is refused within seconds.
const REVOKED_LIMIT: Duration = Duration::from_secs(10);

const REPLICA_LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn an_email_is_registered_once() {
    let shop = Shop::open(1).await;
    let customer = shop.customer().await;
    let mut again = customer.clone();
    again.email = again.email.to_uppercase();

    again
        .register()
        .await
        .unwrap()
        .expect_problem(409, "email-taken");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_email_look_alike() {
    let shop = Shop::open(1).await;
    let mut wrong = shop.customer().await;
    wrong.access_token = None;
    "not this one".clone_into(&mut wrong.password);

    let wrong = wrong
        .log_in()
        .await
        .unwrap()
        .expect_problem(401, "unauthenticated");
    let unknown = shop
        .guest()
        .log_in()
        .await
        .unwrap()
        .expect_problem(401, "unauthenticated");

    assert_eq!(wrong["title"], unknown["title"]);
    assert_eq!(wrong["detail"], unknown["detail"]);
}

/// A token's three parts, with another header or claims and the same signature.
fn forge(token: &str, header: Option<Value>, claim: Option<(&str, Value)>) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    if let Some(header) = header {
        parts[0] = URL_SAFE_NO_PAD.encode(header.to_string());
    }
    if let Some((name, value)) = claim {
        let claims = URL_SAFE_NO_PAD.decode(&parts[1]).unwrap();
        let mut claims: Value = serde_json::from_slice(&claims).unwrap();
        claims[name] = value;
        parts[1] = URL_SAFE_NO_PAD.encode(claims.to_string());
    }
    parts.join(".")
}

#[tokio::test]
async fn a_token_that_is_not_ours_or_no_longer_good_is_refused() {
    let shop = Shop::open(1).await;
    let customer = shop.customer().await;
    let token = customer.access_token.clone().unwrap();
    let signer = Signer::from_jwk_file(&shop.stall.platform.home.keys()).unwrap();
    let slot = Slot::draw();
    let now = Timestamp::now();
    let expired = Claims {
        user_id: UserId::new(slot),
        session_id: SessionId::new(slot),
        role: Role::Admin,
        issued_at: now - SignedDuration::from_hours(2),
        expires_at: now - SignedDuration::from_hours(1),
    };
    let none = json!({"alg": "none", "typ": "JWT"});
    let unsigned = forge(&token, Some(none.clone()), None);
    let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
    let bad = [
        "nonsense".to_owned(),
        signer.sign(&expired).unwrap(),
        unsigned,
        forge(&token, Some(none), None),
        forge(&token, Some(json!({"alg": "HS256", "typ": "JWT"})), None),
        forge(&token, None, Some(("role", json!("admin")))),
        forge(&token, None, Some(("exp", json!(4_000_000_000_u32)))),
    ];

    get(&customer, "/api/users/me").await.expect(200);
    for token in bad {
        let mut forger = shop.guest();
        forger.access_token = Some(token);
        for path in ["/api/users/me", "/api/products", "/api/cart"] {
            let answer = get(&forger, path).await;
            answer.expect_problem(401, "unauthenticated");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    }
}

#[tokio::test]
async fn what_is_somebody_elses_is_not_there() {
    let shop = Shop::open(5).await;
    let (_, order) = shop.sell(1).await;
    let other = shop.customer().await;
    let path = format!("/api/orders/{}", text(&order["id"]));
    let payment = format!("/api/payments/{}", text(&order["paymentId"]));
    for known in [&path, &payment] {
        // From then on nobody misses it because a replica is late.
        eventually(REPLICA_LIMIT, async || {
            (get(&shop.staff, known).await.status == 200).then_some(())
        })
        .await;
    }

    get(&other, &path).await.expect_problem(404, "not-found");
    get(&other, &format!("{path}/timeline"))
        .await
        .expect_problem(404, "not-found");
    post(&other, &format!("{path}/cancel"), &json!({}))
        .await
        .expect_problem(404, "not-found");
    get(&other, &payment).await.expect_problem(404, "not-found");
    get(&shop.guest(), &path)
        .await
        .expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn what_is_for_staff_is_refused_to_customers_and_guests() {
    let shop = Shop::open(5).await;
    let (buyer, order) = shop.sell(1).await;
    let sku = &shop.stall.sku;
    let product = format!("/api/products/{}", shop.stall.product_id);
    let routes = [
        (Method::POST, "/api/categories".to_owned()),
        (Method::POST, "/api/products".to_owned()),
        (Method::PATCH, product.clone()),
        (Method::DELETE, product),
        (Method::PUT, format!("/api/inventory/{sku}/warehouses/main")),
        (Method::POST, format!("/api/inventory/{sku}/adjustments")),
        (Method::GET, "/api/inventory/low-stock".to_owned()),
        (
            Method::POST,
            format!("/api/orders/{}/fulfillments", text(&order["id"])),
        ),
        (
            Method::POST,
            format!("/api/payments/{}/refunds", text(&order["paymentId"])),
        ),
    ];

    for (method, path) in routes {
        println!("{method} {path}");
        let answer = buyer.send(method.clone(), &path, &json!({})).await.unwrap();
        answer.expect_problem(403, "forbidden");
        let answer = shop.guest().send(method, &path, &json!({})).await.unwrap();
        answer.expect_problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_refresh_token_is_good_for_one_use_and_its_theft_ends_the_session() {
    let shop = Shop::open(1).await;
    let mut customer = shop.customer().await;
    let mut thief = customer.clone();

    customer.refresh().await.unwrap().expect(200);
    let honest = thief.refresh().await.unwrap();
    get(&customer, "/api/users/me").await.expect(200);
    let session_id = thief.refresh_token.split('.').next().unwrap();
    // As if the first use were a minute ago.
    let script = format!(
        "update refresh_tokens set used_at = used_at - interval '1 minute'
         where session_id = '{session_id}' and used_at is not null;"
    );
    run_sql(&shop.stall.platform, Service::User, &script)
        .await
        .unwrap();
    let stolen = thief.refresh().await.unwrap();

    honest.expect_problem(401, "unauthenticated");
    stolen.expect_problem(401, "unauthenticated");
    customer
        .refresh()
        .await
        .unwrap()
        .expect_problem(401, "unauthenticated");
    eventually(REVOKED_LIMIT, async || {
        (get(&customer, "/api/users/me").await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_session_that_was_ended_is_over() {
    let shop = Shop::open(1).await;
    let mut customer = shop.customer().await;

    let ended = Visitor::answer(customer.request(Method::POST, "/api/auth/logout"))
        .await
        .unwrap();

    ended.expect(204);
    get(&customer, "/api/users/me")
        .await
        .expect_problem(401, "unauthenticated");
    customer
        .refresh()
        .await
        .unwrap()
        .expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_guests_cart_becomes_the_customers_at_login() {
    let shop = Shop::open(9).await;
    let mut visitor = shop.buyer(2).await;
    visitor.access_token = None;
    let filled = shop.fill(&visitor, 3).await;
    filled.expect(200);
    visitor.cart_token = Some(filled.header("x-cart-token").to_owned());
    let guest = get(&visitor, "/api/cart").await.expect(200);
    assert_eq!(guest["items"][0]["quantity"], 3);

    visitor.log_in().await.unwrap().expect(200);
    let merged = get(&visitor, "/api/cart").await.expect(200);
    let again = get(&visitor, "/api/cart").await.expect(200);
    visitor.access_token = None;
    let left = get(&visitor, "/api/cart").await.expect(200);

    assert_eq!(merged["items"][0]["quantity"], 5, "{merged}");
    assert_eq!(again["items"], merged["items"]);
    assert_eq!(left["items"], json!([]));
}
