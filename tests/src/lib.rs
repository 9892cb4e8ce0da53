//! The whole system, as its users see it, and the shape of the tree it is built from.

pub mod log;
pub mod stall;
pub mod tidy;
