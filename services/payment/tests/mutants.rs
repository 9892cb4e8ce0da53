//! What must be caught: the service with a protection switched off.
#![cfg(feature = "faults")]
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "api/harness.rs"]
#[expect(dead_code, reason = "shared with api.rs, which needs more of it")]
mod harness;

use harness::{Harness, Till, charges};

#[tokio::test]
async fn a_new_key_for_each_retry_charges_twice() {
    let harness = Harness::get(&["--new-key-per-retry"]);
    let till = Till::open(harness).await;

    till.authorize("tok_timeout_after_charge").await;

    assert!(charges(harness, till.order_id).await.len() > 1);
}
