//! The gateway as its callers see it.

#[path = "api/backends.rs"]
mod backends;
#[path = "api/shop.rs"]
mod shop;

use auth::Role;
use chassis::fault;
use jiff::{SignedDuration, Timestamp};
use proto::common::v1::Money;
use proto::order::v1 as order;
use proto::product::v1 as product;
use proto::user::v1 as user;
use reqwest::Method;
use serde_json::{Value, json};
use shop::{Shop, claims, problem};
use tonic::{Code, Status};
use types::{OrderId, PaymentId, ProductId, SessionId, Slot, UserId};

const GET_PRODUCT: &str = "product.v1.ProductService/GetProduct";
const PLACE_ORDER: &str = "order.v1.OrderService/PlaceOrder";
const GET_CART: &str = "order.v1.OrderService/GetCart";

fn usd(minor_units: i64) -> Option<Money> {
    Some(Money {
        minor_units,
        currency: "USD".to_owned(),
    })
}

fn now() -> Option<prost_types::Timestamp> {
    Some(proto::timestamp(Timestamp::now()))
}

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

fn sell_mugs(shop: &Shop) {
    let mug = mug(7);
    shop.backends
        .on(GET_PRODUCT, move |_: product::GetProductRequest| {
            Ok(product::GetProductResponse {
                product: Some(mug.clone()),
            })
        });
}

fn an_order(status: order::OrderStatus) -> order::Order {
    let slot = Slot::draw();
    order::Order {
        order_id: OrderId::new(slot).to_string(),
        payment_id: PaymentId::new(slot).to_string(),
        user_id: UserId::new(slot).to_string(),
        number: "7H3K9QXZ".to_owned(),
        status: status.into(),
        subtotal: usd(1999),
        total: usd(1999),
        created_at: now(),
        updated_at: now(),
        version: 4,
        ..Default::default()
    }
}

fn new_order() -> Value {
    json!({
        "shippingAddress": {
            "name": "Customer One", "line1": "Street 1", "city": "Town", "postalCode": "1000", "country": "DE"
        },
        "paymentMethod": { "token": "tok_ok" }
    })
}

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
async fn every_rejection_is_a_problem_that_says_why() {
    let shop = Shop::open().await;
    let post = |path: &str, kind: &'static str, body: &'static str| {
        let request = shop
            .request(Method::POST, path)
            .header("content-type", kind);
        request.body(body).send()
    };
    let json = "application/json";

    let cases = [
        (shop.get("/api/nothing").await, 404, "not-found", ""),
        (
            shop.request(Method::PUT, "/api/users")
                .send()
                .await
                .unwrap(),
            405,
            "method-not-allowed",
            "",
        ),
        (
            post("/api/users", json, "{").await.unwrap(),
            400,
            "malformed",
            "",
        ),
        (
            post("/api/users", "text/plain", "{}").await.unwrap(),
            415,
            "unsupported-media-type",
            "",
        ),
        (
            post("/api/users", json, "{}").await.unwrap(),
            422,
            "invalid",
            "email",
        ),
        (
            post("/api/cart/items", json, r#"{"sku":"A","quantity":1e30}"#)
                .await
                .unwrap(),
            422,
            "invalid",
            "quantity",
        ),
        (
            post("/api/cart/items", json, r#"{"sku":"A","quantity":1,"x":1}"#)
                .await
                .unwrap(),
            422,
            "invalid",
            "x",
        ),
        (
            post("/api/cart/items", json, r#"{"quantity":1}"#)
                .await
                .unwrap(),
            422,
            "invalid",
            "sku",
        ),
        (
            shop.get("/api/inventory/a%20b").await,
            422,
            "invalid-id",
            "sku",
        ),
        (
            shop.get("/api/products?limit=0").await,
            422,
            "invalid",
            "limit",
        ),
        (
            shop.get("/api/products?colour=red").await,
            422,
            "invalid",
            "colour",
        ),
        (
            shop.get("/api/products/search?sort=best").await,
            422,
            "invalid",
            "sort",
        ),
        (shop.get("/api/orders").await, 401, "unauthenticated", ""),
        (
            shop.get(&format!("/api/products?cursor={}", "x".repeat(9000)))
                .await,
            414,
            "uri-too-long",
            "",
        ),
    ];

    for (response, status, code, field) in cases {
        let (found, document) = problem(response).await;
        assert_eq!(
            (found, document["code"].as_str()),
            (status, Some(code)),
            "{document}"
        );
        assert!(document["requestId"].is_string());
        if !field.is_empty() {
            assert_eq!(document["errors"][0]["field"], field, "{document}");
        }
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
async fn a_backend_learns_who_calls_and_how_much_time_is_left() {
    let shop = Shop::open().await;
    let claims = claims(Role::Customer);
    let token = shop.signer.sign(&claims).unwrap();
    shop.backends.on(GET_CART, |_: order::GetCartRequest| {
        Ok(order::GetCartResponse {
            cart: Some(order::Cart::default()),
        })
    });

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
async fn an_order_is_created_when_confirmed_and_accepted_before() {
    let shop = Shop::open().await;
    let token = shop.token(Role::Customer);

    for (order_status, status) in [
        (order::OrderStatus::Confirmed, 201),
        (order::OrderStatus::Pending, 202),
    ] {
        let placed = an_order(order_status);
        let order_id = placed.order_id.clone();
        shop.backends
            .on(PLACE_ORDER, move |_: order::PlaceOrderRequest| {
                Ok(order::PlaceOrderResponse {
                    order: Some(placed.clone()),
                    replayed: true,
                })
            });
        let request = shop
            .request(Method::POST, "/api/orders")
            .bearer_auth(&token);
        let response = request
            .header("idempotency-key", "k1")
            .json(&new_order())
            .send()
            .await
            .unwrap();

        assert_eq!(response.status(), status);
        assert_eq!(
            response.headers()["location"],
            format!("/api/orders/{order_id}")
        );
        assert_eq!(response.headers()["idempotent-replayed"], "true");
        let body: Value = response.json().await.unwrap();
        assert_eq!(
            body["total"],
            json!({ "minorUnits": 1999, "currency": "USD" })
        );
        assert!(body.get("needsOperator").is_none());
    }
}

#[tokio::test]
async fn an_order_without_a_key_is_refused() {
    let shop = Shop::open().await;

    let request = shop
        .request(Method::POST, "/api/orders")
        .bearer_auth(shop.token(Role::Customer));
    let (status, document) = problem(request.json(&new_order()).send().await.unwrap()).await;

    assert_eq!(
        (status, document["code"].as_str()),
        (428, Some("key-required"))
    );
}

#[tokio::test]
async fn refusals_of_the_saga_are_explained() {
    let shop = Shop::open().await;
    let token = shop.token(Role::Customer);
    let order_id = OrderId::new(Slot::draw()).to_string();
    let refusals: [(&str, Vec<(&'static str, String)>, u16, &str, Value); 3] = [
        (
            "OUT_OF_STOCK",
            vec![
                ("sku", "MUG-1".to_owned()),
                ("available", "2".to_owned()),
                ("order_id", order_id.clone()),
            ],
            409,
            "out-of-stock",
            json!({ "sku": "MUG-1", "available": 2, "orderId": order_id }),
        ),
        (
            "PAYMENT_DECLINED",
            vec![
                ("reason", "card-declined".to_owned()),
                ("order_id", order_id.clone()),
            ],
            402,
            "payment-declined",
            json!({ "reason": "card-declined", "orderId": order_id }),
        ),
        (
            "PRICE_CHANGED",
            vec![
                ("total_minor_units", "2099".to_owned()),
                ("currency", "USD".to_owned()),
            ],
            409,
            "price-changed",
            json!({ "total": { "minorUnits": 2099, "currency": "USD" } }),
        ),
    ];

    for (reason, metadata, status, code, members) in refusals {
        shop.backends.on(
            PLACE_ORDER,
            move |_: order::PlaceOrderRequest| -> Result<order::PlaceOrderResponse, Status> {
                Err(fault::refuse(
                    Code::FailedPrecondition,
                    reason,
                    "refused",
                    &metadata,
                ))
            },
        );
        let request = shop
            .request(Method::POST, "/api/orders")
            .bearer_auth(&token);
        let response = request
            .header("idempotency-key", "k1")
            .json(&new_order())
            .send()
            .await
            .unwrap();

        let (found, document) = problem(response).await;
        assert_eq!((found, document["code"].as_str()), (status, Some(code)));
        for (name, value) in members.as_object().unwrap() {
            assert_eq!(&document[name], value, "{document}");
        }
    }
}

#[tokio::test]
async fn a_fenced_slot_is_unavailable_for_a_moment() {
    let shop = Shop::open().await;
    shop.backends.on(
        GET_CART,
        |_: order::GetCartRequest| -> Result<order::GetCartResponse, Status> {
            Err(fault::refuse(
                Code::Unavailable,
                "SLOT_FENCED",
                "moving",
                &[],
            ))
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
    assert_eq!(
        (status, document["code"].as_str()),
        (503, Some("slot-fenced"))
    );
}

#[tokio::test]
async fn a_public_answer_is_kept_and_told_apart_by_its_version() {
    let shop = Shop::open().await;
    sell_mugs(&shop);

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
}

#[tokio::test]
async fn somebody_signed_in_passes_the_cache() {
    let shop = Shop::open().await;
    sell_mugs(&shop);
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
    sell_mugs(&shop);
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
async fn the_next_request_brings_back_what_the_last_one_has_seen() {
    let shop = Shop::open().await;
    let token = shop.token(Role::Customer);
    shop.backends.set_position("order/a/1/16b3748/1");
    shop.backends.on(GET_CART, |_: order::GetCartRequest| {
        Ok(order::GetCartResponse {
            cart: Some(order::Cart::default()),
        })
    });
    let get = || {
        shop.request(Method::GET, "/api/cart")
            .bearer_auth(&token)
            .send()
    };

    let first = get().await.unwrap();
    let token_header = first.headers()["x-consistency-token"].clone();
    testkit::eventually(std::time::Duration::from_secs(15), async || {
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
async fn a_guests_cart_becomes_the_customers() {
    let shop = Shop::open().await;
    let claims = claims(Role::Customer);
    let token = shop.signer.sign(&claims).unwrap();
    shop.backends.on(
        "order.v1.OrderService/MergeCart",
        move |request: order::MergeCartRequest| {
            assert_eq!(request.user_id, claims.user_id.to_string());
            Ok(order::MergeCartResponse {
                cart: Some(order::Cart::default()),
            })
        },
    );
    shop.backends
        .on(GET_CART, |request: order::GetCartRequest| {
            assert_eq!(request.cart_token, None);
            Ok(order::GetCartResponse {
                cart: Some(order::Cart::default()),
            })
        });

    let request = shop.request(Method::GET, "/api/cart").bearer_auth(token);
    let response = request
        .header("x-cart-token", "cart.secret")
        .send()
        .await
        .unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(shop.backends.calls("MergeCart").len(), 1);
}

#[tokio::test]
async fn too_many_requests_are_refused_and_told_when_to_come_back() {
    let shop = Shop::open_with(&["--use-per-second=1"]).await;
    let token = shop.token(Role::Customer);
    shop.backends.on(GET_CART, |_: order::GetCartRequest| {
        Ok(order::GetCartResponse {
            cart: Some(order::Cart::default()),
        })
    });
    let get = || {
        shop.request(Method::GET, "/api/cart")
            .bearer_auth(&token)
            .send()
    };

    let mut responses = Vec::new();
    for _ in 0..4 {
        responses.push(get().await.unwrap());
    }

    let admitted = responses
        .iter()
        .find(|response| response.status() == 200)
        .unwrap();
    assert_eq!(admitted.headers()["ratelimit-policy"], "\"use\";q=1;w=1");
    assert!(admitted.headers().contains_key("ratelimit"));
    let refused = responses
        .into_iter()
        .find(|response| response.status() == 429)
        .unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(problem(refused).await.1["code"], "rate-limited");
}

#[tokio::test]
async fn one_account_takes_so_many_logins() {
    let shop = Shop::open_with(&["--account-logins-per-minute=2"]).await;
    shop.backends.on(
        "user.v1.UserService/Login",
        |_: user::LoginRequest| -> Result<user::LoginResponse, Status> {
            Err(Status::unauthenticated("no"))
        },
    );
    let email = format!("{}@example.com", UserId::new(Slot::draw()));
    let credentials = json!({ "email": email, "password": "guess" });

    let mut statuses = Vec::new();
    for _ in 0..3 {
        let login = shop
            .request(Method::POST, "/api/auth/login")
            .json(&credentials);
        statuses.push(problem(login.send().await.unwrap()).await.0);
    }

    assert_eq!(statuses, [401, 401, 429]);
}

#[tokio::test]
async fn a_service_that_is_too_slow_is_a_timeout() {
    let shop = Shop::open_with(&["--read-budget-ms=100"]).await;
    shop.backends.on(
        GET_CART,
        |_: order::GetCartRequest| -> Result<order::GetCartResponse, Status> {
            Err(Status::deadline_exceeded("late"))
        },
    );

    let response = shop
        .request(Method::GET, "/api/cart")
        .bearer_auth(shop.token(Role::Customer))
        .send()
        .await
        .unwrap();

    let (status, document) = problem(response).await;
    assert_eq!(
        (status, document["code"].as_str()),
        (504, Some("deadline-exceeded"))
    );
}

#[tokio::test]
async fn each_kind_of_problem_has_a_page() {
    let shop = Shop::open().await;

    let page = shop.get("/problems/out-of-stock").await;
    let unknown = shop.get("/problems/nonsense").await;

    assert!(page.text().await.unwrap().contains("not enough stock"));
    assert_eq!(unknown.status(), 404);
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
