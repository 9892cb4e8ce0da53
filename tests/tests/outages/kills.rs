//! The broker and every consumer, killed while events flow.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "`make chaos-events` is a command line in the shape of a test"
)]

use std::env;
use std::fmt::Display;
use std::time::Duration;

use devstack::service::Service;
use futures::future::join_all;
use testkit::{Setting, System, eventually};
use tests::shared::PATIENT;
use tests::stall::Stall;

use crate::effects::{CONSUMERS, Effects, so_far, wait_until_quiet};
use crate::shopper::{Sale, Shopper, shoppers};

/// How many orders are on their way when something is killed.
const ORDERS_PER_KILL: usize = 4;
const RESTART_LIMIT: Duration = Duration::from_secs(30);
/// A broker that was killed needs some seconds to be back, and consumers some to notice; many
/// times as long on a machine that is busy with something else.
const EFFECT_LIMIT: Duration = Duration::from_secs(180);

/// Who is killed, and whose effects tell when: once one has just been made, some are made and not
/// yet remembered by Kafka.
const VICTIMS: [(&str, Service); 5] = [
    ("kafka", Service::Product),
    ("product", Service::Product),
    ("inventory", Service::Inventory),
    ("user", Service::User),
    ("order", Service::Product),
];

/// Takes every delivery for the first.
const fn inbox_off(service: Service) -> Setting<'static> {
    (service, "INBOX_OFF", "true")
}

/// Kills the process while `orders` customers buy.
async fn buy_and_kill(stall: &Stall, orders: usize, victim: (&str, Service)) -> Vec<Sale> {
    let (platform, (name, witness)) = (&stall.platform, victim);
    let shoppers = shoppers(stall, orders).await;
    let before = so_far(platform, witness).await;
    let killing = async {
        eventually(EFFECT_LIMIT, async || {
            (so_far(platform, witness).await > before).then_some(())
        })
        .await;
        platform.kill(name).await.unwrap();
        eventually(RESTART_LIMIT, async || platform.process(name)).await;
    };
    let (sales, ()) = tokio::join!(join_all(shoppers.into_iter().map(Shopper::buy)), killing);
    sales
}

/// Everything that was committed took effect, and once.
async fn expect_exact_effects(stall: &Stall, sales: &[Sale]) {
    let platform = &stall.platform;
    stall.expect_agreement().await;
    wait_until_quiet(platform).await;
    for consumer in CONSUMERS {
        let committed = consumer.committed(platform).unwrap();
        let settled = consumer.settled(platform).await;
        report(consumer.service.name(), committed.len(), settled.len());
        assert_eq!(settled, committed, "events of {}", consumer.service);
    }
    let (expected, found) = (Effects::of(sales, stall), Effects::read(platform).await);
    report("units sold", expected.sold, found.sold);
    report("lines to pick", expected.picks.len(), found.picks.len());
    report("mails", expected.mails.len(), found.mails.len());
    assert_eq!(found.sold, expected.sold, "units sold");
    assert_eq!(found, expected);
}

fn report(what: &str, committed: impl Display, applied: impl Display) {
    println!("{what:<16} {committed:>6} committed {applied:>6} applied");
}

/// `make chaos-events` has more kills and orders; without inboxes, `CHAOS_INBOX=off`, it fails.
#[tokio::test]
async fn every_event_takes_effect_once_while_the_broker_and_the_consumers_are_killed() {
    let kills = count("CHAOS_KILLS", 2);
    let orders = count("CHAOS_ORDERS", ORDERS_PER_KILL);
    let mut settings = PATIENT.to_vec();
    match env::var("CHAOS_INBOX").as_deref() {
        Ok("off") => settings.extend(CONSUMERS.map(|consumer| inbox_off(consumer.service))),
        Ok("on") | Err(_) => {}
        Ok(other) => panic!("CHAOS_INBOX is on or off, not {other}"),
    }
    let system = System::start_alone(&settings).await;
    let stall = Stall::open(&system.platform, 1_000_000).await.unwrap();
    let mut sales = Vec::new();
    for round in 1..=kills {
        for victim in VICTIMS {
            sales.extend(buy_and_kill(&stall, orders, victim).await);
            println!("kill {round} of {}: {} orders", victim.0, sales.len());
        }
    }
    assert_eq!(sales.len(), kills * VICTIMS.len() * orders);
    expect_exact_effects(&stall, &sales).await;
}

fn count(setting: &str, default: usize) -> usize {
    env::var(setting).map_or(default, |count| count.parse().expect(setting))
}

#[tokio::test]
async fn without_the_inbox_an_event_is_caught_taking_effect_twice() {
    const KILLS_MAX: usize = 8;
    let system = System::start(&[inbox_off(Service::Product)]).await;
    let platform = &system.platform;
    let stall = Stall::open(platform, 1_000).await.unwrap();

    let mut sales = Vec::new();
    // One kill is nearly always enough; Kafka may have learned of the effect just before it.
    for _ in 0..KILLS_MAX {
        let victim = ("product", Service::Product);
        sales.extend(buy_and_kill(&stall, ORDERS_PER_KILL, victim).await);
        wait_until_quiet(platform).await;
        if Effects::read(platform).await != Effects::of(&sales, &stall) {
            break;
        }
    }

    let (effects, expected) = (Effects::read(platform).await, Effects::of(&sales, &stall));
    assert!(effects.sold > expected.sold, "the mutant went unseen");
    // A second pick list or mail of an event finds the first by its key.
    assert_eq!(effects.picks, expected.picks);
    assert_eq!(effects.mails, expected.mails);
}
