#![doc = include_str!("../README.md")]

pub mod catalog;
mod config;
mod consumer;
pub mod dead_letters;
mod error;
mod event;
pub mod follow;
#[cfg(test)]
mod golden;
mod inbox;
mod kafka;
mod member;
mod metrics;
pub mod operator;
pub mod outbox;
mod parked;
mod reaction;
mod received;
mod relay;
mod trace;

pub use config::Config;
pub use consumer::{Consumer, Consumers};
pub use error::Error;
pub use event::Event;
pub use received::Received;
pub use relay::Relay;

/// The tables `outbox`, `inbox` and `parked_events`.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();
