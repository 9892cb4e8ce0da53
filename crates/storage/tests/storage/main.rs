//! The crate on real databases: two shards, each with a replica that lags 500 ms, and Redis.

mod cache;
mod churn;
mod cluster;
mod directory;
mod idempotency;
mod outage;
mod replica;
mod round_trips;
mod shards;
mod support;
