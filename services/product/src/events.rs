//! How the catalogue reacts to orders and to stock.

use ::events::{Consumer, Error, Received};
use async_trait::async_trait;
use proto::inventory::v1::{StockLevelChanged, StockStatus};
use proto::order::v1::OrderConfirmed;
use storage::WriteTx;
use types::{ProductId, Sku, Slot};

use crate::store::Store;

pub(crate) const TOPICS: [&str; 2] = ["order.events", "inventory.events"];

/// Popularity from orders, and what is in stock.
pub(crate) struct Reactions {
    store: Store,
}

impl Reactions {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Consumer<ProductId> for Reactions {
    fn slots(&self, event: &Received) -> Result<Vec<Slot>, Error> {
        if let Some(confirmed) = event.decode::<OrderConfirmed>() {
            let mut slots = Vec::new();
            for (product_id, _) in sold(&confirmed?)? {
                slots.push(product_id.slot());
            }
            slots.sort_unstable();
            slots.dedup();
            return Ok(slots);
        }
        match event.decode::<StockLevelChanged>() {
            Some(changed) => Ok(vec![sku(&changed?)?.slot()]),
            None => Ok(Vec::new()),
        }
    }

    async fn on_event(&self, tx: &mut WriteTx, event: &Received) -> Result<(), Error> {
        if let Some(confirmed) = event.decode::<OrderConfirmed>() {
            let sold = sold(&confirmed?)?;
            let here = sold
                .iter()
                .filter(|(product_id, _)| product_id.slot() == tx.slot());
            let here: Vec<_> = here.copied().collect();
            return self
                .store
                .count_sales(tx, &here)
                .await
                .map_err(Error::reaction);
        }
        if let Some(changed) = event.decode::<StockLevelChanged>() {
            let changed = changed?;
            let in_stock = changed.status() != StockStatus::Out;
            let sku = sku(&changed)?;
            let set = self.store.set_in_stock(tx, &sku, in_stock, changed.version);
            return set.await.map_err(Error::reaction);
        }
        Ok(())
    }
}

fn sold(confirmed: &OrderConfirmed) -> Result<Vec<(ProductId, i64)>, Error> {
    let lines = confirmed.lines.iter();
    lines
        .map(|line| Ok((line.product_id.parse()?, i64::from(line.quantity))))
        .collect()
}

fn sku(changed: &StockLevelChanged) -> Result<Sku, Error> {
    changed.sku.parse().map_err(Error::reaction)
}
