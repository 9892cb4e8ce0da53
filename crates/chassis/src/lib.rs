//! What every service stands on: settings, telemetry, health, gRPC both ways, shutdown.

mod admin;
pub mod caller;
mod chassis;
pub mod client;
mod config;
pub mod consistency;
pub mod context;
pub mod deadline;
pub mod fault;
pub mod faults;
pub mod health;
pub mod server;
pub mod settings;
pub mod shutdown;
mod tasks;
pub mod telemetry;
pub mod trace;

pub use caller::Caller;
pub use chassis::Chassis;
pub use config::{Config, Listeners, LogFormat};
pub use consistency::{Consistency, Need, Position};
pub use context::Context;
pub use tasks::Tasks;
