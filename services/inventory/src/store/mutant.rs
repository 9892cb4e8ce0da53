//! Reserving as it must not be done. It exists so that a test can show that it oversells.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::types::Json;
use storage::WriteTx;

use super::reservations::row::{Outcome, Place, ReserveRow, Row};
use crate::error::Error;
use crate::reservation::Request;
use crate::stock::Stock;

/// Reads, decides, then writes what it read: whoever does the same in between is overwritten.
pub(super) async fn reserve(
    tx: &mut WriteTx,
    requests: &[Request],
    hold: Duration,
) -> Result<Vec<ReserveRow>, Error> {
    let mut rows = Vec::new();
    for request in requests {
        let stock = read(tx, request).await?;
        let taken = stock
            .iter()
            .find(|stock| stock.available() >= request.quantity);
        if let Some(stock) = taken {
            write(tx, request, stock, hold).await?;
        }
        let outcome = match taken {
            Some(_) => Outcome::Held,
            None if stock.is_empty() => Outcome::UnknownSku,
            None => Outcome::OutOfStock,
        };
        let places = stock.iter().map(|stock| Place {
            quantity: match taken {
                Some(taken) if taken == stock => request.quantity.unsigned_abs() as u32,
                _ => 0,
            },
            counted: true,
            stock: stock.clone(),
        });
        let row = Row {
            sku: request.sku.clone(),
            outcome,
            changed: false,
            warehouses: Json(places.collect()),
        };
        let held_until = Some((Timestamp::now() + hold).to_sqlx());
        rows.push(ReserveRow { row, held_until });
    }
    Ok(rows)
}

async fn read(tx: &mut WriteTx, request: &Request) -> Result<Vec<Stock>, Error> {
    let stock = sqlx::query_as(
        "select
             sku,
             warehouse_id,
             on_hand,
             reserved,
             backorder_limit,
             low_stock_threshold,
             policy,
             version
         from stock
         where slot = $1 and sku = $2
         order by warehouse_id",
    )
    .bind(tx.slot().to_db())
    .bind(&request.sku)
    .fetch_all(tx)
    .await?;
    Ok(stock)
}

async fn write(
    tx: &mut WriteTx,
    request: &Request,
    stock: &Stock,
    hold: Duration,
) -> Result<(), Error> {
    sqlx::query(
        "with held as (
             insert into reservations (slot, sku, order_id, state, expires_at)
             values ($1, $2, $3, 'held', now() + make_interval(secs => $4))
             on conflict do nothing
             returning slot, sku, order_id
         ),
         part as (
             insert into reservation_parts (slot, sku, order_id, warehouse_id, quantity, counted)
             select slot, sku, order_id, $5, $6, true
             from held
             returning slot, sku, warehouse_id
         )
         update stock
         set reserved = $7,
             version = $8
         from part
         where stock.slot = part.slot
             and stock.sku = part.sku
             and stock.warehouse_id = part.warehouse_id",
    )
    .bind(tx.slot().to_db())
    .bind(&request.sku)
    .bind(request.order_id)
    .bind(hold.as_secs_f64())
    .bind(&stock.warehouse_id)
    .bind(request.quantity)
    .bind(stock.reserved + request.quantity)
    .bind(stock.version + 1)
    .execute(tx)
    .await?;
    Ok(())
}
