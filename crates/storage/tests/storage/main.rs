//! The crate on real databases: two shards, each with a replica that lags 500 ms, and Redis.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cache;
mod churn;
mod cluster;
mod directory;
mod idempotency;
mod map;
mod outage;
mod pool;
mod reads;
mod replica;
mod round_trips;
mod shards;
mod support;
