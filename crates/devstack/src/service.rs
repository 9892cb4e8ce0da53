//! The names of what runs.

use std::fmt;

use clap::ValueEnum;

/// One of the six binaries, in the order of their ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Service {
    Gateway,
    User,
    Product,
    Order,
    Inventory,
    Payment,
}

impl Service {
    pub const ALL: [Self; 6] = [
        Self::Gateway,
        Self::User,
        Self::Product,
        Self::Order,
        Self::Inventory,
        Self::Payment,
    ];

    /// The services that own databases and publish events.
    pub const BACKENDS: [Self; 5] = [
        Self::User,
        Self::Product,
        Self::Order,
        Self::Inventory,
        Self::Payment,
    ];

    /// Package, binary, database, role and topic prefix alike.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::User => "user",
            Self::Product => "product",
            Self::Order => "order",
            Self::Inventory => "inventory",
            Self::Payment => "payment",
        }
    }

    /// The backends that it calls by gRPC.
    pub(crate) fn peers(self) -> &'static [Self] {
        match self {
            Self::Gateway => &Self::BACKENDS,
            Self::Order => &[Self::User, Self::Product, Self::Inventory, Self::Payment],
            Self::User | Self::Product | Self::Inventory | Self::Payment => &[],
        }
    }

    /// Whether a commit may be lost with its primary: data that somebody can enter again.
    pub(crate) fn commits_locally(self) -> bool {
        matches!(self, Self::User | Self::Product)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One pair of a primary and its streaming replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Shard {
    A,
    B,
}

impl Shard {
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    pub fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
