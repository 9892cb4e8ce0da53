//! What `make bench` measures can be measured; the figures of this build mean nothing.

use devstack::service::Service;
use tests::pairs::{Effort, Pair, cached_read, checkout, footprint};
use tests::shared;

const EFFORT: Effort = Effort {
    rounds: 1,
    requests: 2_000,
    orders: 32,
    reference_seconds: 1,
};

fn expect_figures(pair: &Pair) {
    assert_eq!(pair.rounds.len(), 1, "{pair}");
    let [round] = pair.rounds[..] else { return };
    assert!(round.program > 0.0 && round.reference > 0.0, "{pair}");
}

#[tokio::test]
async fn the_pairs_and_the_footprint_of_a_platform_are_measured() {
    let platform = shared::platform().await;

    let cached_read = cached_read::measure(platform, &EFFORT).await.unwrap();
    let checkout = checkout::measure(platform, &EFFORT).await.unwrap();
    let ready = footprint::time_to_ready(platform, Service::Product, 1).await;
    let memory = footprint::idle_memory(platform).await.unwrap();

    expect_figures(&cached_read);
    expect_figures(&checkout);
    let ready = ready.unwrap().median;
    assert!((1.0..20_000.0).contains(&ready), "{ready} ms");
    assert!(memory.iter().all(|mib| *mib > 1.0), "{memory:?}");
}
