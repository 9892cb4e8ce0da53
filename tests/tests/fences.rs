//! A slot that is fenced refuses every write, and takes it once the fence is lifted.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chassis::fault;
use devstack::platform::Platform;
use devstack::service::Service;
use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use testkit::eventually;
use tests::backends::Backends;
use tests::shared;
use tests::stall::{Stall, order_body, run_sql};
use tests::visitor::{Answer, Visitor};
use tests::writes::{self, Write};
use tokio::sync::Mutex;
use tonic::Code;

/// One test at a time puts fences up: they are in everybody's way.
static FENCES: Mutex<()> = Mutex::const_new(());

/// Three attempts of a caller, each of which waits this long for the fence to be lifted.
const PATIENCE: Duration = Duration::from_millis(3 * 300);

/// How long a write may still be put off once its fence is lifted.
const CATCH_UP: Duration = Duration::from_secs(20);

async fn fence(platform: &Platform, service: Service) {
    let script = "update slot_owner set state = 'fenced' where state = 'active';";
    run_sql(platform, service, script).await.unwrap();
}

async fn lift(platform: &Platform, service: Service) {
    let script = "update slot_owner set state = 'active' where state = 'fenced';";
    run_sql(platform, service, script).await.unwrap();
}

/// What is wrong with how a fenced write was answered.
async fn flaw(write: &Write) -> Option<String> {
    let begun = Instant::now();
    let name = write.name;
    let Err(refusal) = write.send().await else {
        return Some(format!("{name} went through"));
    };
    if fault::reason(&refusal).as_deref() != Some("SLOT_FENCED") {
        return Some(format!(
            "{name} was refused for another reason: {refusal:?}"
        ));
    }
    let waited = begun.elapsed();
    (waited < PATIENCE).then(|| format!("{name} was given up after {waited:?}"))
}

async fn flaws(writes: &[Write]) -> Vec<String> {
    let answers = join_all(writes.iter().map(flaw)).await;
    answers.into_iter().flatten().collect()
}

async fn expect_fences_to_hold(service: Service) {
    let _alone = FENCES.lock().await;
    let platform = shared::platform().await;
    let backends = Backends::connect(platform).await.unwrap();
    let writes = writes::of(&backends, service).await.unwrap();

    fence(platform, service).await;
    let flaws = flaws(&writes).await;
    lift(platform, service).await;

    assert!(flaws.is_empty(), "{flaws:#?}");
    for write in &writes {
        // What was put off meanwhile, such as an order's saga, may need a moment to catch up.
        eventually(CATCH_UP, async || match write.send().await {
            Err(refusal) if refusal.code() == Code::Unavailable => None,
            Err(refusal) => panic!("{} is refused without a fence: {refusal:?}", write.name),
            Ok(_) => Some(()),
        })
        .await;
    }
}

#[tokio::test]
async fn every_write_of_user_waits_for_the_fence() {
    expect_fences_to_hold(Service::User).await;
}

#[tokio::test]
async fn every_write_of_product_waits_for_the_fence() {
    expect_fences_to_hold(Service::Product).await;
}

#[tokio::test]
async fn every_write_of_order_waits_for_the_fence() {
    expect_fences_to_hold(Service::Order).await;
}

#[tokio::test]
async fn every_write_of_inventory_waits_for_the_fence() {
    expect_fences_to_hold(Service::Inventory).await;
}

#[tokio::test]
async fn every_write_of_payment_waits_for_the_fence() {
    expect_fences_to_hold(Service::Payment).await;
}

#[tokio::test]
async fn a_write_that_passes_the_fence_is_caught() {
    let _alone = FENCES.lock().await;
    let backends = Backends::connect(shared::platform().await).await.unwrap();
    let writes = writes::of(&backends, Service::Inventory).await.unwrap();

    let flaws = flaws(&writes).await;

    assert_eq!(flaws.len(), writes.len(), "{flaws:#?}");
}

#[tokio::test]
async fn a_write_that_nobody_tests_is_caught() {
    let known = BTreeSet::from(["Authorize", "Capture", "Void"]);

    assert_eq!(writes::missing(Service::Payment, &known), ["Refund"]);
}

/// Writes of every backend that shops make over REST.
struct Shopping {
    stall: Stall,
    guest: Visitor,
    customer: Visitor,
    staff: Visitor,
}

impl Shopping {
    async fn prepare(platform: &Platform) -> Self {
        let shopping = Self {
            stall: Stall::open(platform, 100).await.unwrap(),
            guest: Visitor::guest(platform).unwrap(),
            customer: Visitor::customer(platform).await.unwrap(),
            staff: Visitor::staff(platform).await.unwrap(),
        };
        shopping.fill_cart().await.expect(200);
        shopping
    }

    async fn create_product(&self) -> Answer {
        let sku = format!("{}-2", self.stall.sku);
        let product = json!({
            "slug": sku.to_lowercase(),
            "name": "A thing",
            "description": "",
            "category": format!("kind-{}", self.stall.sku.to_lowercase()),
            "attributes": {},
            "variants": [{"sku": sku, "options": {}, "price": {"minorUnits": 1000, "currency": "USD"}}],
        });
        self.staff.post("/api/products", &product).await.unwrap()
    }

    async fn put_stock(&self) -> Answer {
        let path = format!("/api/inventory/{}/warehouses/main", self.stall.sku);
        self.staff
            .send(Method::PUT, &path, &json!({"onHand": 100}))
            .await
            .unwrap()
    }

    async fn fill_cart(&self) -> Answer {
        let item = json!({"sku": self.stall.sku, "quantity": 1});
        self.customer.post("/api/cart/items", &item).await.unwrap()
    }

    /// Every write, and the status of its success.
    async fn shop(&self) -> Vec<(&'static str, u16, Answer)> {
        let order = order_body("tok_ok");
        let place = self.customer.post_once("/api/orders", "key", &order);
        let (registered, placed, stocked, created) = tokio::join!(
            self.guest.register(),
            place,
            self.put_stock(),
            self.create_product(),
        );
        vec![
            ("register", 201, registered.unwrap()),
            ("place an order", 201, placed.unwrap()),
            ("put stock", 200, stocked),
            ("create a product", 201, created),
            ("fill a cart", 200, self.fill_cart().await),
        ]
    }
}

#[tokio::test]
async fn shops_are_told_to_come_back_when_the_fence_is_lifted() {
    const FENCED: [Service; 4] = [
        Service::User,
        Service::Product,
        Service::Order,
        Service::Inventory,
    ];
    let _alone = FENCES.lock().await;
    let platform = shared::platform().await;
    let shopping = Shopping::prepare(platform).await;

    join_all(FENCED.map(|service| fence(platform, service))).await;
    let refused = shopping.shop().await;
    join_all(FENCED.map(|service| lift(platform, service))).await;
    let done = shopping.shop().await;

    for (write, _, answer) in &refused {
        println!("{write}");
        answer.expect_problem(503, "slot-fenced");
        assert_eq!(answer.header("retry-after"), "1", "{write}");
    }
    for (write, status, answer) in &done {
        println!("{write}");
        answer.expect(*status);
    }
}
