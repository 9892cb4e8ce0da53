//! Accounts, tokens and roles.

use std::time::Duration;

use auth::Role;
use jiff::{SignedDuration, Timestamp};
use proto::user::v1 as user;
use reqwest::Method;
use serde_json::{Value, json};
use types::{SessionId, Slot, UserId};

use crate::shop::{Shop, claims, now, problem};

#[tokio::test]
async fn a_customer_registers_and_logs_in() {
    let shop = Shop::open().await;
    let user_id = UserId::new(Slot::draw());
    shop.backends.on(
        "user.v1.UserService/RegisterUser",
        move |request: user::RegisterUserRequest| {
            Ok(user::RegisterUserResponse {
                user: Some(user::User {
                    user_id: user_id.to_string(),
                    email: request.email,
                    name: request.name,
                    role: user::Role::Customer.into(),
                    version: 1,
                    created_at: now(),
                }),
            })
        },
    );
    shop.backends
        .on("user.v1.UserService/Login", move |_: user::LoginRequest| {
            Ok(user::LoginResponse {
                tokens: Some(user::Tokens {
                    access_token: "a".to_owned(),
                    refresh_token: "r".to_owned(),
                    expires_in_seconds: 900,
                    user_id: user_id.to_string(),
                    session_id: SessionId::new(user_id.slot()).to_string(),
                }),
            })
        });

    let new = json!({ "email": "customer-1@example.com", "password": "correct horse", "name": "Customer One" });
    let registered = shop
        .request(Method::POST, "/api/users")
        .json(&new)
        .send()
        .await
        .unwrap();
    let credentials = json!({ "email": "customer-1@example.com", "password": "correct horse" });
    let logged_in = shop
        .request(Method::POST, "/api/auth/login")
        .json(&credentials)
        .send()
        .await
        .unwrap();

    assert_eq!(registered.status(), 201);
    assert_eq!(registered.headers()["location"], "/api/users/me");
    let registered: Value = registered.json().await.unwrap();
    assert_eq!(registered["id"], user_id.to_string());
    assert_eq!(registered["role"], "customer");
    assert_eq!(logged_in.status(), 200);
    let tokens: Value = logged_in.json().await.unwrap();
    assert_eq!(
        tokens,
        json!({ "accessToken": "a", "refreshToken": "r", "tokenType": "Bearer", "expiresIn": 900 })
    );
}

#[tokio::test]
async fn tokens_that_are_not_good_are_refused() {
    let shop = Shop::open().await;
    let mut expired = claims(Role::Customer);
    expired.expires_at = Timestamp::now() - SignedDuration::from_mins(1);
    let stranger = auth::Signer::from_jwks(&auth::generate_keys().unwrap()).unwrap();
    let good = shop.token(Role::Customer);
    let refused = [
        shop.signer.sign(&expired).unwrap(),
        stranger.sign(&claims(Role::Customer)).unwrap(),
        format!("{}x", &good[..good.len() - 1]),
        // {"alg":"none"}
        format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap()),
        "nonsense".to_owned(),
    ];

    for token in refused {
        let response = shop
            .request(Method::GET, "/api/users/me")
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(problem(response).await.0, 401);
    }
}

#[tokio::test]
async fn a_customer_is_not_staff() {
    let shop = Shop::open().await;
    let category = json!({ "slug": "mugs", "name": "Mugs" });

    let request = shop
        .request(Method::POST, "/api/categories")
        .json(&category);
    let (status, document) = problem(
        request
            .bearer_auth(shop.token(Role::Customer))
            .send()
            .await
            .unwrap(),
    )
    .await;

    assert_eq!(
        (status, document["code"].as_str()),
        (403, Some("forbidden"))
    );
}

#[tokio::test]
async fn a_revoked_session_is_refused_within_seconds() {
    let shop = Shop::open().await;
    shop.keep_carts();
    let claims = claims(Role::Customer);
    let token = shop.signer.sign(&claims).unwrap();
    let get = async || {
        let request = shop.request(Method::GET, "/api/cart").bearer_auth(&token);
        request.send().await.unwrap().status()
    };
    let before = get().await;

    let revoked = user::SessionRevoked {
        session_id: claims.session_id.to_string(),
        user_id: claims.user_id.to_string(),
        revoked_at: now(),
    };
    shop.publish("user.events", "user.v1.SessionRevoked", &revoked)
        .await;

    assert_eq!(before, 200);
    let limit = Duration::from_secs(5);
    testkit::eventually(limit, async || (get().await == 401).then_some(())).await;
}
