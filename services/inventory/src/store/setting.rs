//! Stock that staff set: a count, or a correction of it.

use serde::{Deserialize, Serialize};
use storage::{WriteTx, idempotency};
use types::{AdjustmentId, Sku, UserId, WarehouseId};
use uuid::Uuid;

use super::{Store, publish};
use crate::error::Error;
use crate::stock::{Change, Policy, Stock};

/// What a warehouse has of a SKU from now on.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) sku: Sku,
    pub(crate) warehouse_id: WarehouseId,
    pub(crate) on_hand: i64,
    pub(crate) low_stock_threshold: i64,
    pub(crate) policy: Policy,
    pub(crate) backorder_limit: i64,
    /// Refused when the stock has another version.
    pub(crate) expected_version: Option<i64>,
}

/// A correction of what a warehouse has.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Adjustment {
    pub(crate) sku: Sku,
    pub(crate) warehouse_id: WarehouseId,
    pub(crate) delta: i64,
    pub(crate) reason: String,
    #[serde(skip)]
    pub(crate) by: Option<UserId>,
}

/// Under which key a request is done once.
#[derive(Clone, Debug)]
pub(crate) struct IdempotencyKey {
    pub(crate) scope: Uuid,
    pub(crate) key: String,
    pub(crate) request_hash: [u8; 32],
}

/// The first answer to an adjustment, as it is kept for repetitions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Adjusted {
    Done {
        adjustment_id: AdjustmentId,
        stock: Stock,
    },
    BelowReserved {
        reserved: i64,
    },
}

impl Store {
    /// Creates or replaces the stock of one warehouse.
    pub(crate) async fn put_stock(&self, setting: &Setting) -> Result<Stock, Error> {
        let mut tx = self.cluster.begin(&setting.sku).await?;
        let before = lock(&mut tx, &setting.sku).await?;
        let known = find(&before, &setting.warehouse_id);
        let version = known.map(|stock| stock.version);
        if setting.expected_version.is_some() && setting.expected_version != version {
            return refuse(tx, Error::VersionMismatch).await;
        }
        let wanted = setting.stock(known.map_or(0, |stock| stock.reserved));
        if wanted.is_below_reserved() {
            let reserved = wanted.reserved;
            return refuse(tx, Error::BelowReserved { reserved }).await;
        }
        let stock = upsert(&mut tx, &wanted).await?;
        self.commit_setting(tx, before, &stock).await?;
        Ok(stock)
    }

    /// Adds to the stock of one warehouse, or takes from it, once for each key. The second value
    /// tells whether this is the answer to an earlier request.
    pub(crate) async fn adjust_stock(
        &self,
        adjustment: &Adjustment,
        key: &IdempotencyKey,
    ) -> Result<(Adjusted, bool), Error> {
        let mut tx = self.cluster.begin(&adjustment.sku).await?;
        match idempotency::begin(&mut tx, key.scope, &key.key, key.request_hash).await? {
            idempotency::Started::New => {}
            idempotency::Started::Replay(answer) => {
                tx.rollback().await;
                return Ok((serde_json::from_slice(&answer)?, true));
            }
            idempotency::Started::InProgress => return refuse(tx, Error::KeyInProgress).await,
            idempotency::Started::Reused => return refuse(tx, Error::KeyReused).await,
        }
        let before = lock(&mut tx, &adjustment.sku).await?;
        let Some(known) = find(&before, &adjustment.warehouse_id) else {
            return refuse(tx, Error::NoStock).await;
        };
        let wanted = Stock {
            on_hand: known.on_hand + adjustment.delta,
            ..known.clone()
        };
        if wanted.is_below_reserved() {
            // A refusal is kept too: whoever repeats the request hears the same.
            let refused = Adjusted::BelowReserved {
                reserved: wanted.reserved,
            };
            finish(&mut tx, key, &refused).await?;
            tx.commit().await?;
            return Ok((refused, false));
        }
        let stock = upsert(&mut tx, &wanted).await?;
        let adjustment_id = AdjustmentId::new(tx.slot());
        insert_adjustment(&mut tx, adjustment_id, adjustment).await?;
        let done = Adjusted::Done {
            adjustment_id,
            stock: stock.clone(),
        };
        finish(&mut tx, key, &done).await?;
        self.commit_setting(tx, before, &stock).await?;
        Ok((done, false))
    }

    async fn commit_setting(
        &self,
        mut tx: WriteTx,
        before: Vec<Stock>,
        stock: &Stock,
    ) -> Result<(), Error> {
        let others = before
            .iter()
            .filter(|other| other.warehouse_id != stock.warehouse_id);
        let after: Vec<_> = others.chain([stock]).cloned().collect();
        let change = Change {
            sku: stock.sku.clone(),
            before,
            after,
        };
        publish(&mut tx, &change.news_of_setting()).await?;
        tx.commit().await?;
        self.forget_level_before(&change).await;
        Ok(())
    }
}

/// Dropped without a rollback, the transaction would cost its connection.
async fn refuse<T>(tx: WriteTx, error: Error) -> Result<T, Error> {
    tx.rollback().await;
    Err(error)
}

impl Setting {
    fn stock(&self, reserved: i64) -> Stock {
        Stock {
            sku: self.sku.clone(),
            warehouse_id: self.warehouse_id.clone(),
            on_hand: self.on_hand,
            reserved,
            backorder_limit: self.backorder_limit,
            low_stock_threshold: self.low_stock_threshold,
            policy: self.policy,
            version: 1,
        }
    }
}

fn find<'a>(warehouses: &'a [Stock], warehouse_id: &WarehouseId) -> Option<&'a Stock> {
    warehouses
        .iter()
        .find(|stock| stock.warehouse_id == *warehouse_id)
}

/// The SKU's stock, which nobody else changes until the transaction ends.
async fn lock(tx: &mut WriteTx, sku: &Sku) -> Result<Vec<Stock>, Error> {
    // A statement of its own: the next one sees what was committed while this one waited.
    sqlx::query("select lock_sku($1, $2)")
        .bind(tx.slot().to_db())
        .bind(sku)
        .execute(&mut *tx)
        .await?;
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
         where slot = $1 and sku = $2",
    )
    .bind(tx.slot().to_db())
    .bind(sku)
    .fetch_all(tx)
    .await?;
    Ok(stock)
}

/// What is reserved stays as it is in the row: only orders change it.
async fn upsert(tx: &mut WriteTx, stock: &Stock) -> Result<Stock, Error> {
    let stored = sqlx::query_as(
        "insert into stock (
             slot,
             sku,
             warehouse_id,
             on_hand,
             backorder_limit,
             low_stock_threshold,
             policy
         )
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict on constraint stock_pkey do update
         set on_hand = excluded.on_hand,
             backorder_limit = excluded.backorder_limit,
             low_stock_threshold = excluded.low_stock_threshold,
             policy = excluded.policy,
             version = stock.version + 1
         returning
             sku,
             warehouse_id,
             on_hand,
             reserved,
             backorder_limit,
             low_stock_threshold,
             policy,
             version",
    )
    .bind(tx.slot().to_db())
    .bind(&stock.sku)
    .bind(&stock.warehouse_id)
    .bind(stock.on_hand)
    .bind(stock.backorder_limit)
    .bind(stock.low_stock_threshold)
    .bind(stock.policy)
    .fetch_one(tx)
    .await?;
    Ok(stored)
}

async fn insert_adjustment(
    tx: &mut WriteTx,
    adjustment_id: AdjustmentId,
    adjustment: &Adjustment,
) -> Result<(), Error> {
    sqlx::query(
        r#"insert into adjustments (slot, sku, adjustment_id, warehouse_id, delta, reason, "by")
           values ($1, $2, $3, $4, $5, $6, $7)"#,
    )
    .bind(tx.slot().to_db())
    .bind(&adjustment.sku)
    .bind(adjustment_id)
    .bind(&adjustment.warehouse_id)
    .bind(adjustment.delta)
    .bind(&adjustment.reason)
    .bind(adjustment.by)
    .execute(tx)
    .await?;
    Ok(())
}

async fn finish(tx: &mut WriteTx, key: &IdempotencyKey, answer: &Adjusted) -> Result<(), Error> {
    let answer = serde_json::to_vec(answer)?;
    idempotency::finish(tx, key.scope, &key.key, &answer).await?;
    Ok(())
}
