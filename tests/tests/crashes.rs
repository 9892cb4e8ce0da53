//! Processes that are killed at every fail point, and clients that go away: every order settles,
//! and stock, money and orders agree.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::time::Duration;

use devstack::service::Service;
use devstack::verify;
use serde_json::json;
use testkit::{Setting, System, eventually};
use tests::log;
use tests::stall::{Buyer, SETTLE_LIMIT, Stall, order_body};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const REACH_LIMIT: Duration = Duration::from_secs(30);

/// A dead driver's orders are taken over sooner than in production, so that the test is short.
const IMPATIENT: [Setting<'static>; 2] = [
    (Service::Order, "STEP_TIMEOUT_MS", "2000"),
    (Service::Order, "POLL_MS", "100"),
];

/// What a customer does when the process dies.
#[derive(Clone, Copy)]
enum Scene {
    Buys,
    IsDeclined,
    Cancels,
}

/// A customer about to do it.
struct Actor {
    scene: Scene,
    buyer: Buyer,
    /// The settled order that is to be cancelled.
    order_id: Option<String>,
}

impl Scene {
    async fn prepare(self, stall: &Stall) -> Actor {
        // The service that was killed last may still be on its way back.
        let buyer = eventually(SETTLE_LIMIT, async || stall.buyer(1).await.ok()).await;
        let order_id = match self {
            Self::Cancels => Some(place_and_settle(&buyer, stall).await),
            Self::Buys | Self::IsDeclined => None,
        };
        Actor {
            scene: self,
            buyer,
            order_id,
        }
    }
}

impl Actor {
    /// Goes on in the background: its requests may fail, its order must settle.
    #[expect(clippy::disallowed_methods, reason = "a client, no part of a service")]
    fn play(self) -> JoinHandle<()> {
        tokio::spawn(async move {
            // The client may see the crash; what counts is what becomes of the order.
            let _ = match (self.scene, self.order_id) {
                (Scene::Cancels, Some(order_id)) => {
                    let path = format!("/api/orders/{order_id}/cancel");
                    self.buyer.shop.post(&path, &json!({})).await
                }
                (Scene::IsDeclined, _) => self.buyer.place("key", "tok_declined").await,
                _ => self.buyer.place("key", "tok_ok").await,
            };
        })
    }
}

async fn place_and_settle(buyer: &Buyer, stall: &Stall) -> String {
    let order = buyer.place_until_decided("key", "tok_ok").await.unwrap();
    stall.expect_agreement().await;
    order["id"].as_str().unwrap().to_owned()
}

/// Kills the service at each of the points in turn.
async fn kill_at(service: Service, scenes: &[(Scene, &[&str])]) {
    let system = System::start(&IMPATIENT).await;
    let platform = &system.platform;
    let stall = Stall::open(platform, 1_000).await.unwrap();
    for (scene, points) in scenes {
        for point in *points {
            // Before the point is armed, lest somebody else's order ends at it.
            let actor = scene.prepare(&stall).await;
            let line = format!("fault point {point}");
            let before = log::count(platform, service, &line);
            platform.set(service, "FAULT_POINT", Some(point)).unwrap();
            // The successor of the one that was killed last may still be on its way.
            eventually(REACH_LIMIT, async || platform.restart(service).await.ok()).await;

            let playing = actor.play();
            log::wait_for(platform, service, &line, before, REACH_LIMIT).await;
            platform.set(service, "FAULT_POINT", None).unwrap();
            platform.kill(service.name()).await.unwrap();

            stall.expect_agreement().await;
            timeout(SETTLE_LIMIT, playing).await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn orders_settle_when_order_is_killed_before_it_is_sure_of_the_money() {
    let buying: &[&str] = &[
        "reserve.after_intent",
        "reserve.after_call",
        "reserve.after_result",
        "authorize.after_intent",
        "authorize.after_call",
        "authorize.after_result",
    ];
    kill_at(Service::Order, &[(Scene::Buys, buying)]).await;
}

#[tokio::test]
async fn orders_settle_when_order_is_killed_on_the_rest_of_the_way() {
    let buying: &[&str] = &[
        "settle.after_intent",
        "settle.after_claim",
        "settle.after_call",
        "settle.after_result",
    ];
    kill_at(Service::Order, &[(Scene::Buys, buying)]).await;
}

#[tokio::test]
async fn orders_settle_when_order_is_killed_on_the_way_back() {
    let declined: &[&str] = &[
        "release.after_intent",
        "release.after_call",
        "release.after_result",
    ];
    let cancelled: &[&str] = &[
        "undo.after_intent",
        "undo.after_release",
        "undo.after_void",
        "undo.after_call",
        "undo.after_result",
    ];
    let scenes = [(Scene::IsDeclined, declined), (Scene::Cancels, cancelled)];
    kill_at(Service::Order, &scenes).await;
}

#[tokio::test]
async fn orders_settle_when_inventory_is_killed() {
    let buying: &[&str] = &[
        "reserve.before_commit",
        "reserve.after_commit",
        "claim.before_commit",
        "claim.after_commit",
    ];
    let declined: &[&str] = &["release.before_commit", "release.after_commit"];
    let scenes = [(Scene::Buys, buying), (Scene::IsDeclined, declined)];
    kill_at(Service::Inventory, &scenes).await;
}

#[tokio::test]
async fn orders_settle_when_payment_is_killed() {
    let buying: &[&str] = &[
        "authorize.after_intent",
        "authorize.after_provider",
        "authorize.after_result",
        "capture.after_intent",
        "capture.after_provider",
        "capture.after_result",
    ];
    let cancelled: &[&str] = &[
        "refund.after_intent",
        "refund.after_provider",
        "refund.after_result",
    ];
    let scenes = [(Scene::Buys, buying), (Scene::Cancels, cancelled)];
    kill_at(Service::Payment, &scenes).await;
}

#[tokio::test]
async fn orders_settle_when_clients_go_away_at_any_moment() {
    let system = System::start(&[]).await;
    let stall = Stall::open(&system.platform, 1_000).await.unwrap();

    for patience_ms in [0, 2, 5, 10, 20, 40, 80, 160] {
        let buyer = stall.buyer(1).await.unwrap();
        let body = order_body("tok_ok");
        let placing = buyer.shop.post_once("/api/orders", "key", &body);
        // Dropping the request closes its connection.
        let _ = timeout(Duration::from_millis(patience_ms), placing).await;

        let order = buyer.place_until_decided("key", "tok_ok").await.unwrap();

        let orders = buyer.shop.get("/api/orders").await.unwrap();
        let ids: Vec<_> = orders["items"].as_array().unwrap().iter().collect();
        assert_eq!(ids.len(), 1, "one key, one order");
        assert_eq!(ids[0]["id"], order["id"]);
    }

    stall.expect_agreement().await;
}

#[tokio::test]
async fn a_compensation_that_is_left_out_is_caught() {
    let mutant = [(Service::Order, "SKIP_COMPENSATION", "void")];
    let system = System::start(&mutant).await;
    let stall = Stall::open(&system.platform, 10).await.unwrap();
    let buyer = stall.buyer(1).await.unwrap();
    let order_id = place_and_settle(&buyer, &stall).await;

    let path = format!("/api/orders/{order_id}/cancel");
    buyer.shop.post(&path, &json!({})).await.unwrap();
    buyer.expect_status(&order_id, &["cancelled"]).await;

    let findings = verify::check(&system.platform, 0).await.unwrap();
    assert!(
        findings.iter().any(|finding| finding.invariant == "C9"),
        "the customer's money was kept, and nobody noticed: {findings:?}"
    );
}
