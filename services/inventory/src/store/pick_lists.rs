//! What a warehouse has to pick for an order, in the order's slot.

use serde::Serialize;
use sqlx::types::Json;
use storage::WriteTx;
use types::{OrderId, Sku, WarehouseId};

use crate::error::Error;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PickLine {
    pub(crate) sku: Sku,
    pub(crate) quantity: u32,
}

/// The part of an order that one warehouse sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PickList {
    pub(crate) warehouse_id: WarehouseId,
    pub(crate) lines: Vec<PickLine>,
}

/// How a pick list ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Picked {
    Done,
    Cancelled,
}

pub(crate) async fn insert_pick_lists(
    tx: &mut WriteTx,
    order_id: OrderId,
    lists: &[PickList],
) -> Result<(), Error> {
    let warehouses: Vec<_> = lists
        .iter()
        .map(|list| list.warehouse_id.as_str())
        .collect();
    let lines: Vec<_> = lists.iter().map(|list| Json(&list.lines)).collect();
    sqlx::query(
        "insert into pick_lists (slot, order_id, warehouse_id, lines)
         select $1, $2, warehouse_id, lines
         from unnest($3::text[], $4::jsonb[]) as list (warehouse_id, lines)
         on conflict on constraint pick_lists_pkey do nothing",
    )
    .bind(tx.slot().to_db())
    .bind(order_id)
    .bind(warehouses)
    .bind(lines)
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends the order's open pick lists.
pub(crate) async fn close_pick_lists(
    tx: &mut WriteTx,
    order_id: OrderId,
    picked: Picked,
) -> Result<(), Error> {
    let state = match picked {
        Picked::Done => "done",
        Picked::Cancelled => "cancelled",
    };
    sqlx::query(
        "update pick_lists
         set state = $3
         where slot = $1 and order_id = $2 and state = 'open'",
    )
    .bind(tx.slot().to_db())
    .bind(order_id)
    .bind(state)
    .execute(tx)
    .await?;
    Ok(())
}
