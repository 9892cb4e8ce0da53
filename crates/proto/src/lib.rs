//! The wire: what `/proto` says, as Rust, and the conversions to our own types.

mod convert;
mod methods;

pub use convert::{InvalidMoney, from_timestamp, timestamp};
pub use methods::{Idempotency, Method, methods};

/// Every file of `/proto` with its imports, as a serialised `FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

macro_rules! packages {
    ($($package:ident),+) => {$(
        pub mod $package {
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/", stringify!($package), ".v1.rs"));
            }
        }
    )+};
}

packages!(common, inventory, order, payment, product, user);
