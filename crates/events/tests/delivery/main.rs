//! Events from an outbox on PostgreSQL through Kafka into effects.
#![expect(clippy::unwrap_used, reason = "tests")]

mod shop;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use events::{dead_letters, follow, outbox};
use rdkafka::ClientConfig;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use shop::{LIMIT, Shop, new_order, rejected};
use testkit::eventually;

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committed_event_takes_effect_once_and_a_rolled_back_one_never() {
    let shop = Shop::open(&[]).await;
    let (committed, rolled_back) = (new_order(), new_order());
    shop.consume("once", &[committed, rolled_back]).await;
    shop.relay();

    let mut tx = shop.cluster.begin(&rolled_back).await.unwrap();
    outbox::append(&mut tx, &rejected(rolled_back, "0"))
        .await
        .unwrap();
    tx.rollback().await;
    shop.publish(committed, "0").await;

    shop.until_effects("once", committed, &numbered(1)).await;
    assert!(shop.effects("once", rolled_back).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_key_take_effect_in_the_order_of_their_commits() {
    let shop = Shop::open(&[]).await;
    let orders: Vec<_> = (0..8).map(|_| new_order()).collect();
    shop.consume("ordered", &orders).await;
    // Two relays, as of two processes.
    shop.relay();
    let other = Shop::open(&[]).await;
    other.relay();

    let publishing = orders.iter().map(async |order| {
        for reason in numbered(20) {
            shop.publish(*order, &reason).await;
        }
    });
    futures::future::join_all(publishing).await;

    for order in orders {
        shop.until_effects("ordered", order, &numbered(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_events_in_one_statement_keep_their_order() {
    let shop = Shop::open(&[]).await;
    let order = new_order();
    shop.consume("several", &[order]).await;
    shop.relay();

    let entries: Vec<_> = numbered(100)
        .iter()
        .map(|reason| outbox::Entry::new(&rejected(order, reason)))
        .collect();
    let mut tx = shop.cluster.begin(&order).await.unwrap();
    outbox::append_all(&mut tx, &entries).await.unwrap();
    tx.commit().await.unwrap();

    shop.until_effects("several", order, &numbered(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_replayed_leaves_the_same_state() {
    let shop = Shop::open(&[]).await;
    let (first, last) = (new_order(), new_order());
    shop.consume("replayed", &[first, last]).await;
    shop.relay();
    shop.publish(first, "0").await;
    shop.until_effects("replayed", first, &numbered(1)).await;

    let again = Shop::open(&["--group-prefix=again."]).await;
    again.consume("replayed", &[first, last]).await;
    shop.publish(last, "0").await;
    // The second group has come past the replay when its own group has the last event.
    until_consumed(&again, "again.replayed").await;

    assert_eq!(shop.effects("replayed", first).await, numbered(1));
    assert_eq!(shop.effects("replayed", last).await, numbered(1));
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
async fn without_the_inbox_a_replay_is_seen_to_change_the_state() {
    let shop = Shop::open(&[]).await;
    let order = new_order();
    shop.consume("mutant", &[order]).await;
    shop.relay();
    shop.publish(order, "0").await;
    shop.until_effects("mutant", order, &numbered(1)).await;

    let mutant = Shop::open(&["--group-prefix=mutant.", "--inbox-off"]).await;
    mutant.consume("mutant", &[order]).await;

    let doubled = ["0".to_owned(), "0".to_owned()];
    shop.until_effects("mutant", order, &doubled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_event_delays_only_its_key_and_later_events_of_the_key_wait_behind() {
    let shop = Shop::open(&[]).await;
    let (poisoned, healthy) = (new_order(), new_order());
    let consumer = shop.consume("poisoned", &[poisoned, healthy]).await;
    shop.relay();
    consumer.poison(poisoned);

    for reason in numbered(5) {
        shop.publish(poisoned, &reason).await;
        shop.publish(healthy, &reason).await;
    }
    shop.until_effects("poisoned", healthy, &numbered(5)).await;
    eventually(LIMIT, async || {
        let parked = dead_letters::list(&shop.cluster, "poisoned").await.unwrap();
        (parked.len() == 5).then_some(())
    })
    .await;
    assert!(shop.effects("poisoned", poisoned).await.is_empty());
    eventually(LIMIT, async || {
        let parked = testkit::metric(shop.admin, "parked_events", &[]).await;
        (parked == 5.0).then_some(())
    })
    .await;
    consumer.heal();
    let key = poisoned.to_string();
    let replayed = dead_letters::replay(&shop.cluster, "poisoned", Some(&key))
        .await
        .unwrap();

    assert_eq!(replayed, 5);
    shop.until_effects("poisoned", poisoned, &numbered(5)).await;
    assert!(
        dead_letters::list(&shop.cluster, "poisoned")
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_cannot_be_decoded_become_a_dead_letter_with_the_reason() {
    let shop = Shop::open(&[]).await;
    let order = new_order();
    shop.consume("undecodable", &[order]).await;
    shop.relay();

    shop.produce("garbage", b"\xff\xff").await;
    shop.publish(order, "0").await;

    shop.until_effects("undecodable", order, &numbered(1)).await;
    let (payload, reason) = dead_letter(&shop, "undecodable.dead-letters").await;
    assert_eq!(payload, b"\xff\xff");
    assert!(reason.contains("ce_id"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_catches_up_with_the_past_and_sees_what_comes_next() {
    let shop = Shop::open(&[]).await;
    shop.relay();
    let (before, after) = (new_order(), new_order());
    shop.consume("past", &[before]).await;
    shop.publish(before, "0").await;
    shop.until_effects("past", before, &numbered(1)).await;

    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let since = Duration::from_secs(900);
    let on_event = move |event: events::Received| note.lock().unwrap().push(event.key);
    let follower = follow::start(
        &shop.chassis,
        &shop.config,
        &["order.events"],
        since,
        on_event,
    )
    .unwrap();
    tokio::time::timeout(LIMIT, follower.caught_up())
        .await
        .unwrap();

    let has_seen = |key: &str| seen.lock().unwrap().iter().any(|other| other == key);
    assert!(has_seen(&before.to_string()));
    shop.publish(after, "0").await;
    eventually(LIMIT, async || has_seen(&after.to_string()).then_some(())).await;
}

/// After a broker's restart Kafka may give a member's name away and fence the member itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_the_group_has_fenced_joins_again() {
    let shop = Shop::open(&["--group-member=first"]).await;
    shop.relay();
    let (before, after) = (new_order(), new_order());
    shop.consume("fenced", &[before, after]).await;
    shop.publish(before, "0").await;
    shop.until_effects("fenced", before, &numbered(1)).await;

    let usurper: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &shop.config.kafka_brokers)
        .set("group.id", format!("{}fenced", shop.config.group_prefix))
        .set("group.instance.id", "fenced-first")
        .set("partition.assignment.strategy", "range")
        .create()
        .unwrap();
    let topic = format!("{}order.events", shop.config.topic_prefix);
    usurper.subscribe(&[&topic]).unwrap();
    // It is fenced in its turn when the member is back.
    let fenced = async {
        let fatal = |error| matches!(error, KafkaError::MessageConsumptionFatal(_));
        while !usurper.recv().await.is_err_and(fatal) {}
    };
    tokio::time::timeout(LIMIT, fenced).await.unwrap();
    drop(usurper);

    shop.publish(after, "0").await;
    shop.until_effects("fenced", after, &numbered(1)).await;
}

/// Waits until the group has committed the end of every partition.
async fn until_consumed(shop: &Shop, group: &str) {
    let client: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &shop.config.kafka_brokers)
        .set("group.id", group)
        .create()
        .unwrap();
    let topic = format!("{}order.events", shop.config.topic_prefix);
    let mut partitions = rdkafka::TopicPartitionList::new();
    partitions.add_partition_range(&topic, 0, 1);
    eventually(LIMIT, async || {
        let committed = client.committed_offsets(partitions.clone(), LIMIT).unwrap();
        let done = committed.elements().iter().all(|partition| {
            let (_, end) = client
                .fetch_watermarks(&topic, partition.partition(), LIMIT)
                .unwrap();
            end == 0 || partition.offset() == rdkafka::Offset::Offset(end)
        });
        done.then_some(())
    })
    .await;
}

async fn dead_letter(shop: &Shop, topic: &str) -> (Vec<u8>, String) {
    let client: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &shop.config.kafka_brokers)
        .set("group.id", "dead-letter-test")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    let topic = format!("{}{topic}", shop.config.topic_prefix);
    client.subscribe(&[&topic]).unwrap();
    let letter = tokio::time::timeout(LIMIT, client.recv())
        .await
        .unwrap()
        .unwrap();
    let headers = letter.headers().unwrap();
    let reason = headers
        .iter()
        .find(|header| header.key == "reason")
        .unwrap();
    let reason = String::from_utf8(reason.value.unwrap().to_vec()).unwrap();
    (letter.payload().unwrap().to_vec(), reason)
}
