//! All the SQL of the catalogue, and what of it is cached.

mod cached;
mod category;
mod list;
mod write;

use std::time::Duration;

use futures::future::try_join_all;
use jiff_sqlx::Timestamp as DbTimestamp;
use serde::Deserialize;
use sqlx::types::Json;
use sqlx::{Executor, Postgres};
use storage::cache::Cache;
use storage::{Cluster, WriteTx, directory};
use types::{Money, ProductId, Sku};
use uuid::Uuid;

use crate::error::Error;
use crate::product::{Attributes, Draft, Product, Variant};

pub(crate) use list::{Search, Sort};
pub(crate) use write::Change;

/// Kinds of keys in the directory.
const SLUG: &str = "slug";
const SKU: &str = "sku";
const CATEGORY: &str = "category";

/// Longer than any write from here to the activation of its keys.
const RESERVATION: Duration = Duration::from_secs(30);

/// The catalogue's tables.
#[derive(Clone)]
pub(crate) struct Store {
    cluster: Cluster<ProductId>,
    cache: Cache,
}

#[derive(sqlx::FromRow)]
struct Row {
    product_id: ProductId,
    slug: String,
    name: String,
    description: String,
    category: String,
    attributes: Json<Attributes>,
    active: bool,
    version: i64,
    created_at: DbTimestamp,
    updated_at: DbTimestamp,
    variants: Json<Vec<VariantRow>>,
}

#[derive(Deserialize)]
struct VariantRow {
    sku: Sku,
    options: Attributes,
    minor_units: i64,
    currency: types::Currency,
}

impl From<Row> for Product {
    fn from(row: Row) -> Self {
        let variants = row.variants.0.into_iter().map(|variant| Variant {
            sku: variant.sku,
            options: variant.options,
            price: Money::new(variant.minor_units, variant.currency),
        });
        Self {
            product_id: row.product_id,
            version: row.version,
            active: row.active,
            draft: Draft {
                slug: row.slug,
                name: row.name,
                description: row.description,
                category: row.category,
                attributes: row.attributes.0,
                variants: variants.collect(),
            },
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
        }
    }
}

/// The columns of [`Row`], from `products as product`.
macro_rules! product_columns {
    () => {
        "product.product_id,
        product.slug,
        product.name,
        product.description,
        product.category,
        product.attributes,
        product.active,
        product.version,
        product.created_at,
        product.updated_at,
        (
            select coalesce(json_agg(json_build_object(
                'sku', variant.sku,
                'options', variant.options,
                'minor_units', variant.minor_units,
                'currency', variant.currency
            ) order by variant.position), '[]')
            from variants as variant
            where variant.slot = product.slot
                and variant.product_id = product.product_id
        ) as variants"
    };
}
use product_columns;

const FIND_PRODUCT: &str = concat!(
    "select ",
    product_columns!(),
    " from products as product where product.slot = $1 and product.product_id = $2"
);

async fn find_product(
    executor: impl Executor<'_, Database = Postgres>,
    product_id: ProductId,
) -> Result<Option<Product>, Error> {
    let row = sqlx::query_as::<_, Row>(FIND_PRODUCT)
        .bind(product_id.slot().to_db())
        .bind(product_id)
        .fetch_optional(executor)
        .await?;
    Ok(row.map(Product::from))
}

impl Store {
    pub(crate) fn new(cluster: Cluster<ProductId>, cache: Cache) -> Self {
        Self { cluster, cache }
    }

    async fn find_on_replica(&self, product_id: ProductId) -> Result<Option<Product>, Error> {
        let mut snapshot = self.cluster.shard(&product_id).replica().await?;
        find_product(&mut snapshot, product_id).await
    }

    /// As the primary knows it, for a decision about a write.
    pub(crate) async fn find_newest(
        &self,
        product_id: ProductId,
    ) -> Result<Option<Product>, Error> {
        let mut primary = self.cluster.shard(&product_id).primary_once().await?;
        find_product(&mut primary, product_id).await
    }

    /// Sales counted into popularity, of products in the transaction's slot.
    pub(crate) async fn count_sales(
        &self,
        tx: &mut WriteTx,
        sold: &[(ProductId, i64)],
    ) -> Result<(), Error> {
        let (product_ids, quantities): (Vec<Uuid>, Vec<i64>) = sold
            .iter()
            .map(|(id, quantity)| (id.uuid(), *quantity))
            .unzip();
        sqlx::query(
            "insert into product_popularity as known (slot, product_id, score)
            select $1, product_id, sum(quantity)
            from unnest($2::uuid[], $3::bigint[]) as sold (product_id, quantity)
            group by product_id
            on conflict (slot, product_id) do update set score = known.score + excluded.score",
        )
        .bind(tx.slot().to_db())
        .bind(product_ids)
        .bind(quantities)
        .execute(tx)
        .await?;
        Ok(())
    }

    /// What inventory says of a SKU, unless something newer is known. `tx` is in the SKU's slot.
    pub(crate) async fn set_in_stock(
        &self,
        tx: &mut WriteTx,
        sku: &Sku,
        in_stock: bool,
        version: i64,
    ) -> Result<(), Error> {
        sqlx::query(
            "insert into sku_stock as known (slot, sku, in_stock, version)
            values ($1, $2, $3, $4)
            on conflict (slot, sku) do update set
                in_stock = excluded.in_stock,
                version = excluded.version
            where known.version < excluded.version",
        )
        .bind(tx.slot().to_db())
        .bind(sku)
        .bind(in_stock)
        .bind(version)
        .execute(&mut *tx)
        .await?;
        // A product that is made later takes the level from `sku_stock`.
        let owner = directory::find_newest(&self.cluster, SKU, sku.as_str()).await?;
        if let Some(product_id) = owner.and_then(|owner| ProductId::try_from(owner).ok()) {
            self.mark_variant(product_id, sku, in_stock, version)
                .await?;
        }
        Ok(())
    }

    async fn mark_variant(
        &self,
        product_id: ProductId,
        sku: &Sku,
        in_stock: bool,
        version: i64,
    ) -> Result<(), Error> {
        let mut tx = self.cluster.begin(&product_id).await?;
        sqlx::query(
            "update variants set
                in_stock = $4,
                stock_version = $5
            where slot = $1
                and product_id = $2
                and sku = $3
                and stock_version < $5",
        )
        .bind(product_id.slot().to_db())
        .bind(product_id)
        .bind(sku)
        .bind(in_stock)
        .bind(version)
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Stock levels that came before the product did.
    async fn adopt_stock(&self, product_id: ProductId, skus: &[Sku]) -> Result<(), Error> {
        try_join_all(skus.iter().map(async |sku| {
            let mut primary = self.cluster.shard(sku).primary_once().await?;
            let known = sqlx::query_as::<_, (bool, i64)>(
                "select in_stock, version from sku_stock where slot = $1 and sku = $2",
            )
            .bind(sku.slot().to_db())
            .bind(sku)
            .fetch_optional(&mut primary)
            .await?;
            drop(primary);
            match known {
                Some((in_stock, version)) => {
                    self.mark_variant(product_id, sku, in_stock, version).await
                }
                None => Ok(()),
            }
        }))
        .await?;
        Ok(())
    }
}
