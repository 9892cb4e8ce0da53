//! What must be caught: the service with its protection switched off.
#![cfg(feature = "faults")]
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "api/checker.rs"]
mod checker;
#[path = "api/harness.rs"]
#[expect(dead_code, reason = "shared with api.rs, which needs more of it")]
mod harness;

use futures::future::join_all;
use harness::{Harness, order_id};
use proto::inventory::v1::ReserveOutcome;
use types::Sku;

#[tokio::test]
async fn reading_and_then_writing_oversells() {
    let harness = Harness::get(&["--read-then-write"]);
    let orders = harness.orders().await;
    let sku: Sku = "MUTANT".parse().unwrap();
    harness.staff().await.stock(&sku, "east", 50).await;

    let buyers = (0..200).map(|_| orders.hold(order_id(), &sku, 1));
    let answers = join_all(buyers).await;

    let held = answers
        .iter()
        .filter(|line| line.outcome() == ReserveOutcome::Held);
    assert!(held.count() > 50);
    let findings = checker::findings(&harness.fixture.databases, &sku, 50).await;
    assert!(!findings.is_empty());
}
