//! What inventory publishes, and how it reacts to orders.

use std::collections::BTreeMap;

use async_trait::async_trait;
use events::outbox::Entry;
use events::{Consumer, Error, Received};
use proto::inventory::v1::{LowStockReached, StockLevelChanged};
use proto::order::v1::{
    OrderCancelled, OrderConfirmed, OrderEventLine, OrderFulfilled, OrderRejected,
};
use storage::WriteTx;
use types::{OrderId, Sku, Slot, WarehouseId};

use crate::grpc;
use crate::stock::News;
use crate::store::{self, PickLine, PickList, Picked, Store};

pub(crate) fn entry(news: &News) -> Entry {
    match news {
        News::LevelChanged(sku, level) => Entry::new(&StockLevelChanged {
            sku: sku.to_string(),
            status: grpc::status(level.status).into(),
            available: level.available,
            version: level.version,
        }),
        News::LowReached(stock) => Entry::new(&LowStockReached {
            sku: stock.sku.to_string(),
            warehouse_id: stock.warehouse_id.to_string(),
            available: stock.available(),
            threshold: stock.low_stock_threshold,
        }),
    }
}

/// What an order's event asks of inventory.
#[derive(Debug, PartialEq, Eq)]
enum Reaction {
    /// Each warehouse is told what to pick.
    Pick(OrderId, Vec<PickList>),
    /// The order is over: nothing is picked, and what the saga may have left behind is given back.
    GiveBack(OrderId, Vec<Sku>),
    /// Everything is shipped.
    Close(OrderId),
}

/// Follows `order.events`.
pub(crate) struct Orders {
    pub(crate) store: Store,
}

#[async_trait]
impl Consumer<Sku> for Orders {
    fn slots(&self, event: &Received) -> Result<Vec<Slot>, Error> {
        Ok(reaction(event)?.map_or_else(Vec::new, |reaction| reaction.slots()))
    }

    async fn on_event(&self, tx: &mut WriteTx, event: &Received) -> Result<(), Error> {
        match reaction(event)? {
            Some(Reaction::Pick(order_id, lists)) => {
                store::insert_pick_lists(tx, order_id, &lists).await?;
            }
            Some(Reaction::Close(order_id)) => {
                store::close_pick_lists(tx, order_id, Picked::Done).await?;
            }
            Some(Reaction::GiveBack(order_id, mut skus)) => {
                if order_id.slot() == tx.slot() {
                    store::close_pick_lists(tx, order_id, Picked::Cancelled).await?;
                }
                skus.retain(|sku| sku.slot() == tx.slot());
                self.store.release_in(tx, order_id, skus).await?;
            }
            None => {}
        }
        Ok(())
    }
}

impl Reaction {
    fn slots(&self) -> Vec<Slot> {
        let mut slots = match self {
            Self::Pick(order_id, _) | Self::Close(order_id) => vec![order_id.slot()],
            Self::GiveBack(order_id, skus) => skus
                .iter()
                .map(Sku::slot)
                .chain([order_id.slot()])
                .collect(),
        };
        slots.sort();
        slots.dedup();
        slots
    }
}

fn reaction(event: &Received) -> Result<Option<Reaction>, Error> {
    if let Some(confirmed) = event.decode::<OrderConfirmed>() {
        let confirmed = confirmed?;
        let lists = pick_lists(confirmed.lines)?;
        return Ok(Some(Reaction::Pick(confirmed.order_id.parse()?, lists)));
    }
    if let Some(rejected) = event.decode::<OrderRejected>() {
        let rejected = rejected?;
        let skus = skus(&rejected.lines)?;
        return Ok(Some(Reaction::GiveBack(rejected.order_id.parse()?, skus)));
    }
    if let Some(cancelled) = event.decode::<OrderCancelled>() {
        let cancelled = cancelled?;
        let skus = skus(&cancelled.lines)?;
        return Ok(Some(Reaction::GiveBack(cancelled.order_id.parse()?, skus)));
    }
    if let Some(fulfilled) = event.decode::<OrderFulfilled>() {
        let fulfilled = fulfilled?;
        let order_id = fulfilled.order_id.parse()?;
        return Ok(fulfilled.complete.then_some(Reaction::Close(order_id)));
    }
    Ok(None)
}

fn skus(lines: &[OrderEventLine]) -> Result<Vec<Sku>, Error> {
    let skus = lines.iter().map(|line| line.sku.parse());
    skus.collect::<Result<_, _>>().map_err(Error::reaction)
}

fn pick_lists(lines: Vec<OrderEventLine>) -> Result<Vec<PickList>, Error> {
    let mut by_warehouse: BTreeMap<WarehouseId, Vec<PickLine>> = BTreeMap::new();
    for line in lines {
        let sku: Sku = line.sku.parse().map_err(Error::reaction)?;
        for part in line.parts {
            let warehouse_id = part.warehouse_id.parse().map_err(Error::reaction)?;
            by_warehouse
                .entry(warehouse_id)
                .or_default()
                .push(PickLine {
                    sku: sku.clone(),
                    quantity: part.quantity,
                });
        }
    }
    let lists = by_warehouse.into_iter();
    Ok(lists
        .map(|(warehouse_id, lines)| PickList {
            warehouse_id,
            lines,
        })
        .collect())
}
