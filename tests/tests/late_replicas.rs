//! Replicas are half a second late, and nobody misses what they have just written.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeSet;

use devstack::platform::Platform;
use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use tests::shared;
use tests::stall::{Stall, order_body};
use tests::visitor::Visitor;

const CUSTOMERS: usize = 5;
const ROUNDS: usize = 10;

/// A customer who reads what they have just written.
struct Reader<'a> {
    platform: &'a Platform,
    visitor: Visitor,
    user_id: String,
    sku: &'a str,
    /// The mutant: what the customer has seen is forgotten after each write.
    forgets: bool,
}

impl<'a> Reader<'a> {
    async fn register(stall: &'a Stall, forgets: bool) -> Self {
        let visitor = Visitor::customer(&stall.platform).await.unwrap();
        let user = visitor.get("/api/users/me").await.unwrap().expect(200);
        Self {
            platform: &stall.platform,
            visitor,
            user_id: user["id"].as_str().unwrap().to_owned(),
            sku: &stall.sku,
            forgets,
        }
    }

    async fn written(&self) {
        if self.forgets {
            let command = format!("DEL consistency:{}", self.user_id);
            shared::run_redis(self.platform, &command).await.unwrap();
        }
    }

    /// Writes and reads everything once; answers with what was read as it was before.
    async fn round(&self, number: usize) -> BTreeSet<&'static str> {
        let mut stale = BTreeSet::new();
        let visitor = &self.visitor;

        let name = format!("Name {number}");
        let change = json!({"name": name});
        let changed = visitor
            .send(Method::PATCH, "/api/users/me", &change)
            .await
            .unwrap();
        changed.expect(200);
        self.written().await;
        let user = visitor.get("/api/users/me").await.unwrap();
        if user.status != 200 || user.json()["name"] != name {
            stale.insert("profile");
        }

        let item = json!({"sku": self.sku, "quantity": 1});
        let cart = visitor
            .post("/api/cart/items", &item)
            .await
            .unwrap()
            .expect(200);
        self.written().await;
        if visitor.get("/api/cart").await.unwrap().expect(200) != cart {
            stale.insert("cart");
        }

        let (key, body) = (format!("order {number}"), order_body("tok_ok"));
        let order = visitor
            .post_once("/api/orders", &key, &body)
            .await
            .unwrap()
            .expect(201);
        self.written().await;
        let path = format!("/api/orders/{}", order["id"].as_str().unwrap());
        let read = visitor.get(&path).await.unwrap();
        if read.status != 200 || read.json()["status"] != order["status"] {
            stale.insert("order");
        }
        self.written().await;
        let listed = visitor
            .get("/api/orders?limit=1")
            .await
            .unwrap()
            .expect(200);
        if listed["items"][0]["id"] != order["id"] {
            stale.insert("orders");
        }
        stale
    }
}

#[tokio::test]
async fn a_customer_reads_their_own_profile_cart_and_order_at_once_50_times() {
    let stall = Stall::open(shared::platform().await, 1_000).await.unwrap();
    let readers = join_all((0..CUSTOMERS).map(|_| Reader::register(&stall, false))).await;

    let rounds = readers.iter().map(async |reader| {
        for number in 0..ROUNDS {
            let stale = reader.round(number).await;
            assert!(stale.is_empty(), "round {number}: {stale:?}");
        }
    });
    join_all(rounds).await;
}

#[tokio::test]
async fn without_knowing_what_was_seen_replicas_show_less() {
    let stall = Stall::open(shared::platform().await, 1_000).await.unwrap();
    let reader = Reader::register(&stall, true).await;

    let all = BTreeSet::from(["cart", "order", "profile"]);
    let mut stale = BTreeSet::new();
    for number in 0..ROUNDS {
        stale.extend(reader.round(number).await);
        if stale.is_superset(&all) {
            return;
        }
    }

    panic!("only {stale:?} were read as they had been before");
}
