//! Redis away, Kafka away, and processes that are killed while events flow.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics where it fails"
)]

mod effects;
mod kills;
mod shopper;
mod topics;

use std::collections::{BTreeMap, BTreeSet};

use devstack::platform::Platform;
use devstack::redis;
use devstack::service::Service;
use futures::future::join_all;
use serde_json::json;
use testkit::{System, eventually};
use tests::shared::PATIENT;
use tests::stall::{Buyer, SETTLE_LIMIT, Stall};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::effects::wait_until_quiet;
use crate::shopper::{Shopper, shoppers};

/// Registers, searches, fills a cart, orders and reads how the order went.
async fn walk(stall: &Stall) {
    let buyer = stall.buyer(1).await.unwrap();
    let category = format!("kind-{}", stall.sku.to_lowercase());
    let search = format!("/api/products/search?q=thing&category={category}");
    let found = buyer.shop.get(&search).await.unwrap();
    assert_eq!(found["items"][0]["id"], stall.product_id);

    let order = buyer.place_until_decided("key", "tok_ok").await.unwrap();
    let order_id = order["id"].as_str().unwrap();
    buyer.expect_status(order_id, &["confirmed"]).await;
    let timeline = format!("/api/orders/{order_id}/timeline");
    let timeline = buyer.shop.get(&timeline).await.unwrap();
    let last = timeline["entries"].as_array().and_then(|all| all.last());
    assert_eq!(last.unwrap()["to"], "confirmed", "{timeline}");
}

/// How many keys a service's Redis has.
async fn cached(platform: &Platform, service: Service) -> anyhow::Result<u64> {
    let url = platform.redis_url(service);
    let mut redis = TcpStream::connect(url.trim_start_matches("redis://")).await?;
    redis.write_all(b"DBSIZE\r\n").await?;
    let mut answer = [0; 32];
    let count = redis.read(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer[..count]);
    Ok(answer.trim().trim_start_matches(':').parse()?)
}

#[tokio::test]
async fn the_shop_works_while_redis_is_stopped_and_uses_it_again_afterwards() {
    let system = System::start(&PATIENT).await;
    let platform = &system.platform;
    let stall = Stall::open(platform, 10).await.unwrap();
    let processes = Service::ALL.map(|service| platform.process(service.name()));

    for service in Service::ALL {
        let name = format!("redis-{service}");
        platform.hold(&name).unwrap();
        platform.kill(&name).await.unwrap();
    }
    walk(&stall).await;
    for service in Service::ALL {
        platform.release(&format!("redis-{service}")).unwrap();
        redis::ready(platform, service).await.unwrap();
    }
    walk(&stall).await;

    eventually(SETTLE_LIMIT, async || {
        // Whatever is asked for is cached again.
        stall.staff.get("/api/categories").await.ok()?;
        let cached = cached(platform, Service::Gateway).await.ok()?;
        (cached > 0).then_some(())
    })
    .await;
    let still = Service::ALL.map(|service| platform.process(service.name()));
    assert_eq!(still, processes, "a service was started again");
    stall.expect_agreement().await;
}

/// The ids of each key's events, in their order; of one that came twice, the first.
fn by_key(events: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, id) in events {
        if seen.insert(id.clone()) {
            by_key.entry(key).or_default().push(id);
        }
    }
    by_key
}

#[tokio::test]
async fn orders_confirm_while_kafka_is_stopped_and_their_events_follow_in_order() {
    let system = System::start_alone(&PATIENT).await;
    let platform = &system.platform;
    let stall = Stall::open(platform, 100).await.unwrap();
    wait_until_quiet(platform).await;
    let shoppers = shoppers(&stall, 6).await;
    let buyers: Vec<Buyer> = shoppers.iter().map(|it| it.buyer.clone()).collect();

    platform.hold("kafka").unwrap();
    platform.kill("kafka").await.unwrap();
    let sales = join_all(shoppers.into_iter().map(Shopper::buy)).await;
    // Once Kafka is back, their payments' events find them cancelled.
    for (buyer, sale) in buyers.iter().zip(&sales) {
        let path = format!("/api/orders/{}/cancel", sale.order_id);
        buyer.shop.post(&path, &json!({})).await.unwrap();
        buyer.expect_status(&sale.order_id, &["cancelled"]).await;
    }

    let mut waiting = BTreeMap::new();
    for service in Service::BACKENDS {
        waiting.extend(by_key(effects::outbox(platform, service).await));
    }
    for sale in &sales {
        let events = waiting.get(&sale.order_id).map(Vec::len);
        assert_eq!(events, Some(3), "placed, confirmed and cancelled");
    }
    platform.release("kafka").unwrap();
    wait_until_quiet(platform).await;
    let mut arrived = BTreeMap::new();
    for service in Service::BACKENDS {
        let events = topics::published(platform, service).unwrap().into_iter();
        arrived.extend(by_key(events.map(|event| (event.key, event.id))));
    }
    for (key, ids) in waiting {
        let mut found = arrived.remove(&key).unwrap_or_default();
        found.retain(|id| ids.contains(id));
        assert_eq!(found, ids, "the events of {key}");
    }
    stall.expect_agreement().await;
}
