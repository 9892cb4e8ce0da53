//! What a cart is and what may be put into it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use types::{CartId, Money, ProductId, Sku};

use crate::error::{Error, Invalid};
use crate::order::Line;

/// How much a cart takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) quantity_max: u32,
    pub(crate) lines_max: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) sku: Sku,
    pub(crate) product_id: ProductId,
    pub(crate) name: String,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) quantity: u32,
    /// The price that the customer saw last.
    pub(crate) unit_price: Money,
}

impl Item {
    pub(crate) fn total(&self) -> Option<Money> {
        self.unit_price.checked_mul(self.quantity)
    }
}

impl From<&Line> for Item {
    fn from(line: &Line) -> Self {
        Self {
            sku: line.sku.clone(),
            product_id: line.product_id,
            name: line.name.clone(),
            options: line.options.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price,
        }
    }
}

/// A SKU as the catalogue sells it today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) sku: Sku,
    pub(crate) product_id: ProductId,
    pub(crate) name: String,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) price: Money,
    pub(crate) active: bool,
}

impl Variant {
    pub(crate) fn times(self, quantity: u32) -> Item {
        Item {
            sku: self.sku,
            product_id: self.product_id,
            name: self.name,
            options: self.options,
            quantity,
            unit_price: self.price,
        }
    }
}

/// A cart that was never written has neither id nor expiry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cart {
    pub(crate) cart_id: Option<CartId>,
    pub(crate) items: Vec<Item>,
    pub(crate) version: i64,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Cart {
    /// Adds up with what is there of the SKU, at the new price. Answers with the whole line.
    pub(crate) fn add(&mut self, item: Item, limits: Limits) -> Result<&Item, Error> {
        let currency = item.unit_price.currency;
        if let Some(other) = self.items.iter().find(|other| other.sku != item.sku)
            && other.unit_price.currency != currency
        {
            return Err(Error::CurrencyMismatch {
                cart: other.unit_price.currency,
                item: currency,
            });
        }
        let known = self.items.iter().position(|known| known.sku == item.sku);
        let index = match known {
            Some(index) => {
                let quantity = self.items[index].quantity.saturating_add(item.quantity);
                self.items[index] = Item { quantity, ..item };
                index
            }
            None if self.items.len() >= limits.lines_max => {
                let detail = format!("a cart has at most {} lines", limits.lines_max);
                return Err(Invalid::new("sku", "too-many-lines", detail).into());
            }
            None => {
                self.items.push(item);
                self.items.len() - 1
            }
        };
        if self.items[index].quantity > limits.quantity_max {
            return Err(too_many(limits));
        }
        Ok(&self.items[index])
    }

    /// Takes in another cart's lines as far as they fit: what exceeds a limit is cut.
    pub(crate) fn merge(&mut self, items: Vec<Item>, limits: Limits) {
        for item in items {
            let known = self.items.iter().find(|known| known.sku == item.sku);
            let room = limits.quantity_max
                - known.map_or(0, |known| known.quantity.min(limits.quantity_max));
            if room > 0 {
                let quantity = item.quantity.min(room);
                // Another currency or one line too many: the customer's own lines go first.
                let _ = self.add(Item { quantity, ..item }, limits);
            }
        }
    }

    /// The sum of all lines; `None` while the cart is empty, or when it does not fit.
    pub(crate) fn subtotal(&self) -> Option<Money> {
        let mut totals = self.items.iter().map(Item::total);
        let first = totals.next()??;
        totals.try_fold(first, |sum, total| sum.checked_add(total?).ok()?)
    }
}

/// A quantity as it came from outside.
pub(crate) fn quantity(given: i64, limits: Limits) -> Result<u32, Error> {
    if given < 1 {
        return Err(Invalid::new("quantity", "not-positive", "at least 1 is expected").into());
    }
    let quantity = u32::try_from(given).ok();
    quantity
        .filter(|quantity| *quantity <= limits.quantity_max)
        .ok_or_else(|| too_many(limits))
}

fn too_many(limits: Limits) -> Error {
    let detail = format!("at most {} of a SKU", limits.quantity_max);
    Invalid::new("quantity", "too-large", detail).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::Slot;

    use super::*;

    const LIMITS: Limits = Limits {
        quantity_max: 999,
        lines_max: 3,
    };

    fn item(sku: &str, quantity: u32, currency: &str) -> Item {
        Item {
            sku: sku.parse().unwrap(),
            product_id: ProductId::new(Slot::draw()),
            name: "Mug".to_owned(),
            options: BTreeMap::new(),
            quantity,
            unit_price: Money::new(250, currency.parse().unwrap()),
        }
    }

    #[test]
    fn the_same_sku_adds_up_at_the_newest_price() {
        let mut cart = Cart::default();
        cart.add(item("A", 2, "USD"), LIMITS).unwrap();
        let mut dearer = item("A", 1, "USD");
        dearer.unit_price.minor_units = 300;

        let line = cart.add(dearer, LIMITS).unwrap();

        assert_eq!((line.quantity, line.unit_price.minor_units), (3, 300));
        assert_eq!(cart.items.len(), 1);
    }

    #[test]
    fn another_currency_is_refused_unless_it_replaces_the_only_line() {
        let mut cart = Cart::default();
        cart.add(item("A", 1, "USD"), LIMITS).unwrap();

        let refused = cart.add(item("B", 1, "EUR"), LIMITS);

        assert!(matches!(refused, Err(Error::CurrencyMismatch { .. })));
    }

    #[test]
    fn quantities_outside_the_limits_are_refused() {
        for given in [0, -1, 1_000, 1_000_000, i64::MAX, i64::MIN] {
            assert!(quantity(given, LIMITS).is_err(), "{given}");
        }
        assert_eq!(quantity(999, LIMITS).unwrap(), 999);
        let mut cart = Cart::default();
        cart.add(item("A", 999, "USD"), LIMITS).unwrap();
        assert!(cart.add(item("A", 1, "USD"), LIMITS).is_err());
    }

    #[test]
    fn one_line_too_many_is_refused() {
        let mut cart = Cart::default();
        for sku in ["A", "B", "C"] {
            cart.add(item(sku, 1, "USD"), LIMITS).unwrap();
        }

        assert!(cart.add(item("D", 1, "USD"), LIMITS).is_err());
        assert_eq!(cart.items.len(), 3);
    }

    proptest! {
        #[test]
        fn a_merge_keeps_the_limits_and_every_line_of_the_customer(
            own in prop::collection::btree_map("[A-D]", 1..=999_u32, 0..=3),
            guests in prop::collection::btree_map("[A-D]", 1..=999_u32, 0..=3),
        ) {
            let items = |lines: &BTreeMap<String, u32>| -> Vec<Item> {
                lines.iter().map(|(sku, quantity)| item(sku, *quantity, "USD")).collect()
            };
            let mut cart = Cart { items: items(&own), ..Cart::default() };

            cart.merge(items(&guests), LIMITS);

            prop_assert!(cart.items.len() <= LIMITS.lines_max);
            for line in &cart.items {
                let sum = [&own, &guests].map(|lines| lines.get(line.sku.as_str()).copied().unwrap_or(0));
                prop_assert_eq!(line.quantity, sum.iter().sum::<u32>().min(LIMITS.quantity_max));
            }
            for sku in own.keys() {
                prop_assert!(cart.items.iter().any(|line| line.sku.as_str() == sku));
            }
        }

        #[test]
        fn the_subtotal_is_the_sum_of_the_lines(quantities in prop::collection::vec(1..=999_u32, 1..=3)) {
            let items: Vec<Item> = quantities.iter().enumerate()
                .map(|(index, quantity)| item(&format!("S{index}"), *quantity, "USD"))
                .collect();
            let cart = Cart { items, ..Cart::default() };

            let expected: i64 = quantities.iter().map(|quantity| 250 * i64::from(*quantity)).sum();
            prop_assert_eq!(cart.subtotal().map(|sum| sum.minor_units), Some(expected));
        }
    }
}
