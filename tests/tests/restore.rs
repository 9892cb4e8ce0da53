//! All shards brought back to one moment while a shop sells: nothing from before is missing,
//! nothing from after is left, and money that was taken for it goes back.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test panics where it fails, and this one has figures to tell"
)]

use std::collections::BTreeSet;
use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use devstack::backup::{self, Made};
use devstack::platform::Platform;
use devstack::restore::{self, Moment, Request, Restored};
use devstack::service::Service;
use devstack::shop::Shop;
use devstack::{services, verify};
use jiff::Timestamp;
use serde_json::json;
use testkit::{Setting, System, eventually};
use tests::shared::PATIENT;
use tests::stall::{Buyer, SETTLE_LIMIT, Stall, login_staff, run_sql};
use tokio::task::JoinSet;

const TILLS: usize = 4;

/// How many orders are waited for, each time; `make restore-drill` has more of them.
fn portion() -> usize {
    env::var("RESTORE_ORDERS").map_or(10, |count| count.parse().expect("RESTORE_ORDERS"))
}

/// A dead driver's orders are taken over sooner than in production, so that the test is short.
const IMPATIENT: [Setting<'static>; 2] = [
    (Service::Order, "STEP_TIMEOUT_MS", "2000"),
    (Service::Order, "POLL_MS", "100"),
];

/// An order that was answered as confirmed.
#[derive(Clone)]
struct Sale {
    order_id: String,
    buyer: Buyer,
    asked_at: Timestamp,
    answered_at: Timestamp,
}

/// Customers who buy one after the other, until it is dropped or closed.
struct Rush {
    sales: Arc<Mutex<Vec<Sale>>>,
    closed: Arc<AtomicBool>,
    tills: JoinSet<()>,
}

impl Rush {
    fn begin(stall: &Arc<Stall>) -> Self {
        let mut rush = Self {
            sales: Arc::default(),
            closed: Arc::default(),
            tills: JoinSet::new(),
        };
        for _ in 0..TILLS {
            let (stall, sales) = (Arc::clone(stall), Arc::clone(&rush.sales));
            let closed = Arc::clone(&rush.closed);
            rush.tills.spawn(async move {
                while !closed.load(Ordering::Relaxed) {
                    if let Some(sale) = sell(&stall).await {
                        sales.lock().unwrap().push(sale);
                    }
                }
            });
        }
        rush
    }

    fn sales(&self) -> Vec<Sale> {
        self.sales.lock().unwrap().clone()
    }

    /// Waits for so many more sales.
    async fn wait_for(&self, more: usize) {
        let count = self.sales().len() + more;
        eventually(SETTLE_LIMIT, async || {
            (self.sales().len() >= count).then_some(())
        })
        .await;
    }

    async fn close(mut self) -> Vec<Sale> {
        self.closed.store(true, Ordering::Relaxed);
        while self.tills.join_next().await.is_some() {}
        self.sales()
    }
}

async fn sell(stall: &Stall) -> Option<Sale> {
    let buyer = stall.buyer(1).await.ok()?;
    let asked_at = Timestamp::now();
    let order = buyer.place("key", "tok_ok").await.ok()?;
    Some(Sale {
        order_id: order["id"].as_str()?.to_owned(),
        buyer,
        asked_at,
        answered_at: Timestamp::now(),
    })
}

/// The ids of all orders, on all shards.
async fn orders(platform: &Platform) -> BTreeSet<String> {
    let answers = run_sql(platform, Service::Order, "select order_id from orders").await;
    let lines = answers.unwrap();
    let lines = lines.iter().flat_map(|answer| answer.lines());
    lines.map(str::to_owned).collect()
}

async fn bring_back(platform: &Platform, request: &Request) -> anyhow::Result<Restored> {
    let devstack = services::binary("devstack")?;
    restore::restore(&devstack, &platform.home, request, |_| {}).await
}

/// The same shop, at the addresses that the platform has now.
async fn reopen(stall: &Stall, platform: &Platform) -> Arc<Stall> {
    Arc::new(Stall {
        platform: platform.clone(),
        staff: login_staff(platform).await.unwrap(),
        sku: stall.sku.clone(),
        product_id: stall.product_id.clone(),
    })
}

async fn cancel(buyer: &Buyer, order_id: &str) {
    let path = format!("/api/orders/{order_id}/cancel");
    buyer.shop.post(&path, &json!({})).await.unwrap();
    buyer.expect_status(order_id, &["cancelled"]).await;
}

/// What was sold around a moment, and the backup from before it.
struct Day {
    made: Made,
    at: Timestamp,
    sales: Vec<Sale>,
    /// Sold before the moment and cancelled after it.
    regretted: Sale,
}

async fn sell_around_a_moment(stall: &Arc<Stall>) -> Day {
    let platform = &stall.platform;
    let rush = Rush::begin(stall);
    rush.wait_for(5).await;
    let made = backup::make(platform).await.unwrap();
    rush.wait_for(portion()).await;
    let regretted = rush.sales().remove(0);
    let of_regretted = [regretted.order_id.parse().unwrap()];
    eventually(SETTLE_LIMIT, async || {
        let findings = verify::check_orders(platform, &of_regretted).await.ok()?;
        findings.is_empty().then_some(())
    })
    .await;
    let at = Timestamp::now();
    rush.wait_for(portion()).await;
    cancel(&regretted.buyer, &regretted.order_id).await;
    Day {
        made,
        at,
        sales: rush.close().await,
        regretted,
    }
}

/// Every order answered before the moment is there, none that was asked for after it.
async fn expect_the_orders_of(day: &Day, restored: &Restored) {
    let found = orders(&restored.platform).await;
    let at = restored.at;
    let is_there = |sale: &&Sale| found.contains(&sale.order_id);
    let before = day.sales.iter().filter(|sale| sale.answered_at <= at);
    let after = day.sales.iter().filter(|sale| sale.asked_at > at);
    let kept = (before.clone().filter(is_there).count(), before.count());
    let left = (after.clone().filter(is_there).count(), after.count());
    assert_eq!(kept.0, kept.1, "an order from before the moment is lost");
    assert_eq!(left.0, 0, "an order from after the moment is left");
    println!(
        "backup: {} MiB in {:.1} s; answered before the moment: {}, lost: {}; after it: {}, left: {}",
        day.made.backup.bytes >> 20,
        day.made.took.as_secs_f64(),
        kept.1,
        kept.1 - kept.0,
        left.1,
        left.0,
    );
    println!(
        "closed for {:.1} s, checked after {:.1} s; undone: {:?}",
        restored.closed.as_secs_f64(),
        restored.took.as_secs_f64(),
        restored.undone,
    );
}

/// What a customer did after the moment, and the provider with it, is told. Done again it moves no
/// money twice: the provider knows its key.
async fn expect_to_be_told_of(regretted: &Sale, restored: &Restored) {
    let about: Vec<_> = restored.findings.iter().map(|it| it.order_id).collect();
    let regretted_id = regretted.order_id.parse().ok();
    assert_eq!(about, [regretted_id], "{:?}", restored.findings);
    let mut buyer = regretted.buyer.clone();
    buyer.shop = Shop::new(restored.platform.gateway_url()).unwrap();
    let (email, password) = (&buyer.email, &buyer.password);
    buyer.shop.login(email, password).await.unwrap();
    cancel(&buyer, &regretted.order_id).await;
}

/// A moment that cannot be had leaves everything as it is.
async fn expect_refusal(platform: &Platform, moment: Timestamp) {
    let running = platform.process("postgres-a");
    let refused = bring_back(platform, &Request::to(Moment::At(moment))).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("--at"), "{error}");
    assert_eq!(platform.process("postgres-a"), running);
}

#[tokio::test]
async fn all_shards_go_back_to_one_moment() {
    let settings: Vec<_> = PATIENT.into_iter().chain(IMPATIENT).collect();
    let system = System::start_alone(&settings).await;
    let stall = Arc::new(Stall::open(&system.platform, 10_000).await.unwrap());
    let before_all = Timestamp::now();
    let day = sell_around_a_moment(&stall).await;
    expect_refusal(&system.platform, before_all).await;

    let request = Request::to(Moment::At(day.at));
    let restored = bring_back(&system.platform, &request).await.unwrap();

    expect_the_orders_of(&day, &restored).await;
    expect_to_be_told_of(&day.regretted, &restored).await;
    let platform = &restored.platform;
    let given = restore::finish(platform).await.unwrap();
    assert_eq!(given.charges, restored.strangers);
    assert!(given.charges > 0, "no money was taken after the moment");
    let stall = reopen(&stall, platform).await;
    stall.expect_agreement().await;

    // The shop goes on; and were its shards of two moments, that would be seen.
    let rush = Rush::begin(&stall);
    rush.wait_for(12).await;
    let sales = rush.close().await;
    stall.expect_agreement().await;
    let since = Timestamp::now().duration_since(sales[0].asked_at);
    let mutant = Request {
        apart: since.try_into().unwrap(),
        patience: Duration::from_secs(5),
        ..Request::to(Moment::Latest)
    };
    let torn = bring_back(platform, &mutant).await.unwrap();
    let mut findings = torn.findings.iter();
    assert!(
        findings.any(|finding| finding.invariant == "C5"),
        "{:?}",
        torn.findings
    );
}
