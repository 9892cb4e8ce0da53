#![doc = include_str!("../README.md")]

pub mod cache;
mod cluster;
mod config;
pub mod directory;
mod error;
pub mod idempotency;
mod map;
mod metrics;
mod migrations;
mod pool;
mod replica;
mod session;
mod shard;
pub mod shards;
mod transaction;

pub use cluster::Cluster;
pub use config::Config;
pub use error::Error;
pub use migrations::{MIGRATIONS, migrate};
pub use shard::Shard;
pub use transaction::{Autocommit, Snapshot, UnguardedTx, WriteTx};
