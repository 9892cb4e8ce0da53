//! Orders and staff who meet at one SKU in any sequence keep invariant C6.

use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::join_all;
use proptest::prelude::*;
use proto::inventory::v1::{self as wire, StockPolicy};
use tokio::runtime::Runtime;
use types::{OrderId, Sku};
use uuid::Uuid;

use super::{Client, checker, harness, order_id, reserve, sku, stock};

const ORDERS: usize = 6;
const BACKORDERS: i64 = 3;

#[derive(Clone, Debug)]
enum Step {
    Reserve {
        order: usize,
        quantity: u32,
        expires: bool,
    },
    Claim {
        order: usize,
    },
    Release {
        order: usize,
    },
    Adjust {
        delta: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let order = 0..ORDERS;
    prop_oneof![
        4 => (order.clone(), 1_u32..6, any::<bool>())
            .prop_map(|(order, quantity, expires)| Step::Reserve { order, quantity, expires }),
        2 => order.clone().prop_map(|order| Step::Claim { order }),
        1 => order.prop_map(|order| Step::Release { order }),
        2 => (-4_i64..7)
            .prop_filter("an adjustment changes something", |delta| *delta != 0)
            .prop_map(|delta| Step::Adjust { delta }),
    ]
}

/// Everybody who works on one SKU.
struct Crowd {
    orders: Client,
    staff: Client,
    order_ids: Vec<OrderId>,
    sku: Sku,
}

impl Crowd {
    async fn gather(on_hand: i64) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let sku = sku(&format!("CROWD-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let staff = harness().staff().await;
        staff.stock(&sku, "east", on_hand).await;
        let backordered = wire::PutStockRequest {
            policy: StockPolicy::Track.into(),
            backorder_limit: BACKORDERS,
            ..stock(&sku, "west", 0)
        };
        staff.put(backordered).await.unwrap();
        Self {
            orders: harness().orders().await,
            staff,
            order_ids: (0..ORDERS).map(|_| order_id()).collect(),
            sku,
        }
    }

    /// How many units came in by it.
    async fn take(&self, step: &Step) -> i64 {
        match *step {
            Step::Reserve {
                order,
                quantity,
                expires,
            } => {
                let hold = prost_types::Duration {
                    seconds: if expires { 0 } else { 900 },
                    nanos: 1_000_000,
                };
                let request = wire::ReserveRequest {
                    hold: Some(hold),
                    ..reserve(self.order_ids[order], &[(&self.sku, quantity)])
                };
                self.orders.reserve(request).await.unwrap();
                0
            }
            Step::Claim { order } => {
                self.orders.claim(self.order_ids[order], &self.sku).await;
                0
            }
            Step::Release { order } => {
                self.orders.release(self.order_ids[order], &self.sku).await;
                0
            }
            Step::Adjust { delta } => {
                let request = wire::AdjustStockRequest {
                    idempotency_key: Uuid::now_v7().to_string(),
                    sku: self.sku.to_string(),
                    warehouse_id: "east".to_owned(),
                    delta,
                    reason: "counted".to_owned(),
                };
                if self.staff.adjust(request).await.is_ok() {
                    delta
                } else {
                    0
                }
            }
        }
    }

    async fn take_all(&self, steps: &[Step]) -> i64 {
        let mut received = 0;
        for step in steps {
            received += self.take(step).await;
        }
        received
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        max_shrink_iters: 40,
        ..ProptestConfig::default()
    })]

    #[test]
    fn stock_stays_sound_whoever_comes_first(
        on_hand in 0_i64..12,
        sequences in prop::collection::vec(prop::collection::vec(step(), 1..12), 1..5),
    ) {
        let findings = Runtime::new().unwrap().block_on(async {
            let crowd = Crowd::gather(on_hand).await;
            let received = join_all(sequences.iter().map(|steps| crowd.take_all(steps))).await;
            let received = on_hand + received.iter().sum::<i64>();
            checker::findings(&harness().fixture.databases, &crowd.sku, received).await
        });

        prop_assert!(findings.is_empty(), "{findings:#?}");
    }
}
