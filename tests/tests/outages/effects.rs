//! What consumers made of events, counted.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use devstack::platform::Platform;
use devstack::service::Service;
use rdkafka::error::KafkaResult;
use testkit::eventually;
use tests::stall::{Stall, run_sql};

use crate::shopper::Sale;
use crate::topics;

/// A broker that was killed needs some seconds, and what waited for it some more.
const QUIET_LIMIT: Duration = Duration::from_secs(180);

/// What a service follows, and the events that have an effect there.
pub struct Consumer {
    pub service: Service,
    pub topics: &'static [Service],
    pub kinds: &'static [&'static str],
}

pub const CONSUMERS: [Consumer; 4] = [
    Consumer {
        service: Service::Product,
        topics: &[Service::Order, Service::Inventory],
        kinds: &["OrderConfirmed", "StockLevelChanged"],
    },
    Consumer {
        service: Service::Inventory,
        topics: &[Service::Order],
        kinds: &[
            "OrderConfirmed",
            "OrderRejected",
            "OrderCancelled",
            "OrderFulfilled",
        ],
    },
    Consumer {
        service: Service::User,
        topics: &[Service::Order, Service::Payment],
        kinds: &[
            "OrderConfirmed",
            "OrderRejected",
            "OrderCancelled",
            "OrderFulfilled",
            "PaymentRefunded",
        ],
    },
    Consumer {
        service: Service::Order,
        topics: &[Service::User, Service::Payment],
        kinds: &["UserErased", "PaymentAuthorized", "PaymentCaptured"],
    },
];

impl Consumer {
    /// The ids of all events that are to have an effect here.
    pub fn committed(&self, platform: &Platform) -> KafkaResult<BTreeSet<String>> {
        let mut ids = BTreeSet::new();
        for topic in self.topics {
            let events = topics::published(platform, *topic)?.into_iter();
            let ours = events.filter(|event| self.kinds.contains(&event.kind.as_str()));
            ids.extend(ours.map(|event| event.id));
        }
        Ok(ids)
    }

    /// The ids of all events that had theirs.
    pub async fn settled(&self, platform: &Platform) -> BTreeSet<String> {
        let rows = rows(platform, self.service, "select event_id from inbox").await;
        rows.into_iter().collect()
    }
}

/// What the consumers of `order.events` did for sales.
#[derive(Debug, PartialEq, Eq)]
pub struct Effects {
    /// The units that were counted into popularity.
    pub sold: i64,
    /// Order, SKU and quantity of each line that a warehouse is to pick.
    pub picks: Vec<String>,
    /// The order of each mail that says that it is confirmed.
    pub mails: Vec<String>,
}

impl Effects {
    /// Each effect of each sale, once.
    pub fn of(sales: &[Sale], stall: &Stall) -> Self {
        let picks = sales
            .iter()
            .map(|sale| format!("{} {} {}", sale.order_id, stall.sku, sale.quantity));
        let mails = sales.iter().map(|sale| sale.order_id.clone());
        Self {
            sold: sales.iter().map(|sale| sale.quantity).sum(),
            picks: sorted(picks),
            mails: sorted(mails),
        }
    }

    pub async fn read(platform: &Platform) -> Self {
        let picks = "select order_id || ' ' || (line ->> 'sku') || ' ' || (line ->> 'quantity')
            from pick_lists, jsonb_array_elements(lines) as line";
        Self {
            sold: so_far(platform, Service::Product).await,
            picks: sorted(rows(platform, Service::Inventory, picks).await),
            mails: sorted(confirmations(platform)),
        }
    }
}

/// How many effects the service has made by now.
pub async fn so_far(platform: &Platform, service: Service) -> i64 {
    let count = match service {
        Service::Product => "select coalesce(sum(score), 0) from product_popularity",
        Service::Inventory => "select count(*) from pick_lists",
        Service::User => "select count(*) from mails",
        _ => panic!("{service} makes nothing of orders"),
    };
    sum(platform, service, count).await
}

/// How many events the service has not published.
pub async fn unpublished(platform: &Platform, service: Service) -> i64 {
    sum(platform, service, "select count(*) from outbox").await
}

/// Key and id of what the service has not published, oldest first on each shard.
pub async fn outbox(platform: &Platform, service: Service) -> Vec<(String, String)> {
    let script = "select key || ' ' || event_id from outbox order by id";
    let rows = rows(platform, service, script).await.into_iter();
    rows.map(|row| {
        let (key, id) = row.rsplit_once(' ').unwrap();
        (key.to_owned(), id.to_owned())
    })
    .collect()
}

/// Returns when no event is on its way, and no mail.
pub async fn wait_until_quiet(platform: &Platform) {
    eventually(QUIET_LIMIT, async || {
        for service in Service::BACKENDS {
            let parked = "select count(*) from parked_events";
            if unpublished(platform, service).await + sum(platform, service, parked).await > 0 {
                return None;
            }
        }
        for consumer in CONSUMERS {
            let lag = topics::lag(platform, consumer.service, consumer.topics).ok()?;
            if lag > 0 {
                return None;
            }
        }
        let unsent = "select count(*) from mails where state = 'pending'";
        (sum(platform, Service::User, unsent).await == 0).then_some(())
    })
    .await;
}

async fn sum(platform: &Platform, service: Service, script: &str) -> i64 {
    let rows = rows(platform, service, script).await.into_iter();
    rows.map(|row| row.parse::<i64>().unwrap()).sum()
}

async fn rows(platform: &Platform, service: Service, script: &str) -> Vec<String> {
    let answers = run_sql(platform, service, script).await.unwrap();
    let lines = answers.iter().flat_map(|answer| answer.lines());
    lines.map(str::to_owned).collect()
}

fn confirmations(platform: &Platform) -> Vec<String> {
    let mut orders = Vec::new();
    for entry in fs::read_dir(platform.home.mail()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("confirmed-") && name.ends_with(".eml") {
            let mail = fs::read_to_string(&path).unwrap();
            let order = mail
                .lines()
                .find_map(|line| line.strip_prefix("Order id: "));
            orders.push(order.unwrap().trim().to_owned());
        }
    }
    orders
}

fn sorted(values: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut values: Vec<String> = values.into_iter().collect();
    values.sort();
    values
}
