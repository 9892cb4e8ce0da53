//! What is left of SKUs, cached; and the list of what runs low.

use std::time::Duration;

use futures::future::try_join_all;
use storage::Shard;
use storage::cache::Cached;
use types::{Page, Sku, WarehouseId, cursor};

use super::Store;
use crate::error::Error;
use crate::stock::{Level, Status, Stock};

const LOW_STOCK_LIST: &str = "low-stock";

/// A SKU's level as the cache keeps it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CachedLevel {
    #[prost(enumeration = "CachedStatus", tag = "1")]
    status: i32,
    #[prost(int64, tag = "2")]
    available: i64,
    #[prost(int64, tag = "3")]
    version: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum CachedStatus {
    InStock = 0,
    Low = 1,
    Out = 2,
    Backorder = 3,
}

impl Cached for CachedLevel {
    const PREFIX: &'static str = "inventory";
    const TTL: Duration = Duration::from_secs(30);
}

impl From<Level> for CachedLevel {
    fn from(level: Level) -> Self {
        let status = match level.status {
            Status::InStock => CachedStatus::InStock,
            Status::Low => CachedStatus::Low,
            Status::Out => CachedStatus::Out,
            Status::Backorder => CachedStatus::Backorder,
        };
        Self {
            status: status.into(),
            available: level.available,
            version: level.version,
        }
    }
}

impl From<&CachedLevel> for Level {
    fn from(cached: &CachedLevel) -> Self {
        Self {
            status: match cached.status() {
                CachedStatus::InStock => Status::InStock,
                CachedStatus::Low => Status::Low,
                CachedStatus::Out => Status::Out,
                CachedStatus::Backorder => Status::Backorder,
            },
            available: cached.available,
            version: cached.version,
        }
    }
}

/// A page of what runs low, and the cursor of the next one.
pub(crate) type LowStock = (Vec<Stock>, Option<String>);

impl Store {
    /// The levels of the SKUs that a warehouse knows.
    pub(crate) async fn levels(&self, skus: &[Sku]) -> Result<Vec<(Sku, Level)>, Error> {
        let keys: Vec<_> = skus.iter().map(Sku::to_string).collect();
        let load = async |missing: Vec<String>| self.load_levels(missing).await;
        let cached = self
            .cache
            .get_many_or_load::<CachedLevel, Error>(&keys, load)
            .await?;
        let levels = cached
            .into_iter()
            .filter_map(|(key, level)| Some((key.parse().ok()?, Level::from(&*level))));
        Ok(levels.collect())
    }

    async fn load_levels(
        &self,
        keys: Vec<String>,
    ) -> Result<Vec<(String, u64, CachedLevel)>, Error> {
        let skus: Vec<Sku> = keys.iter().filter_map(|key| key.parse().ok()).collect();
        let of_shard = |shard: Shard| {
            let skus = skus.iter().filter(|sku| shard.owns(sku.slot()));
            let skus: Vec<_> = skus.cloned().collect();
            async move { find_stock(&shard, &skus).await }
        };
        let stock = try_join_all(self.cluster.shards().map(of_shard))
            .await?
            .concat();
        let by_sku = stock.chunk_by(|a, b| a.sku == b.sku);
        let levels = by_sku.filter_map(|warehouses| {
            let level = Level::of(warehouses)?;
            let key = warehouses.first()?.sku.to_string();
            Some((key, level.version.unsigned_abs(), level.into()))
        });
        Ok(levels.collect())
    }

    /// What is at or below its threshold, by SKU and warehouse over all shards.
    pub(crate) async fn list_low_stock(&self, page: &Page) -> Result<LowStock, Error> {
        let after: Option<(Sku, WarehouseId)> = page
            .cursor()
            .map(|cursor| cursor::decode(LOW_STOCK_LIST, cursor))
            .transpose()
            .map_err(|_| Error::InvalidCursor)?;
        let wanted = page.limit() as usize;
        // One more than wanted tells whether there is a next page.
        let of_shard = |shard: Shard| {
            let after = after.clone();
            async move { list_low_stock_of(&shard, after, wanted + 1).await }
        };
        let mut items = try_join_all(self.cluster.shards().map(of_shard))
            .await?
            .concat();
        items.sort_by(|a, b| (&a.sku, &a.warehouse_id).cmp(&(&b.sku, &b.warehouse_id)));
        let more = items.len() > wanted;
        items.truncate(wanted);
        let last = items.last().filter(|_| more);
        let next =
            last.map(|stock| cursor::encode(LOW_STOCK_LIST, &(&stock.sku, &stock.warehouse_id)));
        Ok((items, next))
    }
}

/// The SKUs' rows, those of one SKU together.
async fn find_stock(shard: &Shard, skus: &[Sku]) -> Result<Vec<Stock>, Error> {
    if skus.is_empty() {
        return Ok(Vec::new());
    }
    let slots: Vec<_> = skus.iter().map(|sku| sku.slot().to_db()).collect();
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
         from unnest($1::smallint[], $2::text[]) as asked (slot, sku)
         join stock using (slot, sku)
         order by sku, warehouse_id",
    )
    .bind(slots)
    .bind(skus)
    .fetch_all(&mut shard.replica().await?)
    .await?;
    Ok(stock)
}

async fn list_low_stock_of(
    shard: &Shard,
    after: Option<(Sku, WarehouseId)>,
    limit: usize,
) -> Result<Vec<Stock>, Error> {
    let (sku, warehouse_id) = after.unzip();
    let stock: Vec<Stock> = sqlx::query_as(
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
         where slot = any ($1)
             and ($2::text is null or (sku, warehouse_id) > ($2, $3))
             and policy <> 'none'
             and on_hand - reserved <= low_stock_threshold
         order by sku, warehouse_id
         limit $4",
    )
    .bind(shard.owned_slots())
    .bind(sku)
    .bind(warehouse_id)
    .bind(limit as i64)
    .fetch_all(&mut shard.replica().await?)
    .await?;
    Ok(stock)
}
