//! The whole system, as its users see it, and the shape of the tree it is built from.

pub mod backends;
pub mod log;
pub mod pairs;
pub mod shared;
pub mod stall;
pub mod tidy;
pub mod visitor;
pub mod writes;
