//! Plans pods, databases and money from what a run under load measured.
#![doc = include_str!("../README.md")]

pub mod capacity;
pub mod check;
pub mod cost;
mod data;
mod databases;
pub mod demand;
mod kafka;
pub mod measure;
pub mod overlay;
pub mod plan;
mod pods;
pub mod quantity;
pub mod report;
mod service;
pub mod values;

pub use capacity::Capacity;
pub use plan::Plan;
pub use service::Service;
pub use values::Values;
