//! What the reservation functions of the database answer.

use serde::Deserialize;
use sqlx::types::Json;
use types::Sku;

use crate::reservation::{Part, Reserved};
use crate::stock::{Change, Stock};

/// The answer for one SKU of one order.
#[derive(sqlx::FromRow)]
pub(in crate::store) struct Row<O> {
    pub(in crate::store) sku: Sku,
    pub(in crate::store) outcome: O,
    pub(in crate::store) changed: bool,
    pub(in crate::store) warehouses: Json<Vec<Place>>,
}

/// A warehouse after the change, with the order's part in it.
#[derive(Deserialize)]
pub(in crate::store) struct Place {
    #[serde(flatten)]
    pub(in crate::store) stock: Stock,
    pub(in crate::store) quantity: u32,
    pub(in crate::store) counted: bool,
}

#[derive(sqlx::FromRow)]
pub(in crate::store) struct ReserveRow {
    #[sqlx(flatten)]
    pub(in crate::store) row: Row<Outcome>,
    pub(in crate::store) held_until: Option<jiff_sqlx::Timestamp>,
}

#[derive(Clone, Copy, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(in crate::store) enum Outcome {
    Held,
    OutOfStock,
    UnknownSku,
    Released,
}

/// What a reservation was before it was given back.
#[derive(Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(super) enum GivenBack {
    Held,
    Claimed,
    Released,
    Expired,
    Unknown,
}

/// By how many times the order's units a change moved the stock.
#[derive(Clone, Copy)]
pub(super) struct Moved {
    on_hand: i64,
    reserved: i64,
}

impl Moved {
    pub(super) const HELD: Self = Self {
        on_hand: 0,
        reserved: 1,
    };
    pub(super) const CLAIMED: Self = Self {
        on_hand: -1,
        reserved: -1,
    };
    pub(super) const HOLD_GIVEN_BACK: Self = Self {
        on_hand: 0,
        reserved: -1,
    };
    pub(super) const CLAIM_GIVEN_BACK: Self = Self {
        on_hand: 1,
        reserved: 0,
    };
}

impl<O> Row<O> {
    /// `None` where nothing changed.
    pub(super) fn change(&self, moved: Moved) -> Option<Change> {
        let places = self.warehouses.iter();
        self.changed.then(|| Change {
            sku: self.sku.clone(),
            before: places.clone().map(|place| place.before(moved)).collect(),
            after: places.map(|place| place.stock.clone()).collect(),
        })
    }
}

impl Place {
    fn before(&self, moved: Moved) -> Stock {
        let units = if self.counted {
            i64::from(self.quantity)
        } else {
            0
        };
        Stock {
            on_hand: self.stock.on_hand - moved.on_hand * units,
            reserved: self.stock.reserved - moved.reserved * units,
            ..self.stock.clone()
        }
    }
}

impl From<ReserveRow> for (Sku, Reserved) {
    fn from(ReserveRow { row, held_until }: ReserveRow) -> Self {
        let places = row.warehouses.0;
        let reserved = match (row.outcome, held_until) {
            (Outcome::Held, Some(held_until)) => Reserved::Held {
                expires_at: held_until.to_jiff(),
                parts: places.into_iter().filter_map(Place::part).collect(),
            },
            (Outcome::OutOfStock, _) => Reserved::OutOfStock {
                available: places.iter().map(|place| place.stock.available()).sum(),
            },
            (Outcome::UnknownSku, _) => Reserved::UnknownSku,
            // The constraint `reservations_expires_at` leaves no hold without a time.
            (Outcome::Released | Outcome::Held, _) => Reserved::Released,
        };
        (row.sku, reserved)
    }
}

impl Place {
    fn part(self) -> Option<Part> {
        (self.quantity > 0).then_some(Part {
            warehouse_id: self.stock.warehouse_id,
            quantity: self.quantity,
        })
    }
}
