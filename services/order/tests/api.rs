//! The order service as its callers see it, on real databases.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "api/harness.rs"]
mod harness;
#[path = "api/peers.rs"]
mod peers;

#[path = "api/carts.rs"]
mod carts;
#[path = "api/life.rs"]
mod life;
#[path = "api/orders.rs"]
mod orders;
