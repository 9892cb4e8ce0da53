//! The demo catalogue, loaded over the public REST API as staff.

mod goods;

use std::collections::HashSet;
use std::fs;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::catalogue::goods::{CATEGORIES, Product};
use crate::platform::Platform;
use crate::shop::{Shop, list, status, text};

/// More would only queue for a service's connections.
const CONCURRENCY: usize = 6;
const LOW_STOCK_THRESHOLD: i64 = 10;
const PAGE_SIZE: usize = 100;

/// The content of the staff file.
#[derive(Deserialize)]
struct Staff {
    email: String,
    password: String,
}

/// What [`load`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    pub created: usize,
    pub found: usize,
}

/// Loads what is missing; a second call changes nothing.
///
/// # Errors
///
/// When there is no staff account in the platform's home, or the API refuses.
pub async fn load(platform: &Platform) -> anyhow::Result<Loaded> {
    let mut shop = Shop::new(platform.gateway_url())?;
    let there = known_slugs(&shop, "/api/products").await?;
    let (found, missing): (Vec<_>, Vec<_>) = goods::products()
        .into_iter()
        .partition(|product| there.contains(&product.slug));
    let unstocked = unstocked(&shop, &found).await?;
    let loaded = Loaded {
        created: missing.len(),
        found: found.len(),
    };
    if missing.is_empty() && unstocked.is_empty() {
        return Ok(loaded);
    }
    let staff = fs::read(platform.home.staff()).context("the staff account")?;
    let Staff { email, password } = serde_json::from_slice(&staff)?;
    shop.login(&email, &password).await?;
    create_categories(&shop).await?;
    let shop = &shop;
    stream::iter(missing.iter().map(Ok))
        .try_for_each_concurrent(CONCURRENCY, async |product| {
            shop.create("/api/products", &product.body).await?;
            put_stock(shop, product).await
        })
        .await?;
    stream::iter(unstocked.into_iter().map(Ok))
        .try_for_each_concurrent(CONCURRENCY, async |product| put_stock(shop, product).await)
        .await?;
    Ok(loaded)
}

async fn create_categories(shop: &Shop) -> anyhow::Result<()> {
    let answer = shop.get("/api/categories").await?;
    let there = slugs(&answer)?;
    for category in CATEGORIES
        .iter()
        .filter(|category| !there.contains(category.slug))
    {
        let body = json!({"slug": category.slug, "name": category.name});
        shop.create("/api/categories", &body).await?;
    }
    Ok(())
}

async fn known_slugs(shop: &Shop, path: &str) -> anyhow::Result<HashSet<String>> {
    let mut known = HashSet::new();
    let mut page = shop.get(&format!("{path}?limit={PAGE_SIZE}")).await?;
    loop {
        known.extend(slugs(&page)?);
        let Some(cursor) = page["nextCursor"]
            .as_str()
            .filter(|cursor| !cursor.is_empty())
        else {
            return Ok(known);
        };
        page = shop
            .get(&format!("{path}?limit={PAGE_SIZE}&cursor={cursor}"))
            .await?;
    }
}

fn slugs(page: &Value) -> anyhow::Result<HashSet<String>> {
    list(page, "items")?
        .iter()
        .map(|item| text(item, "slug"))
        .collect()
}

/// The products whose last SKU was never stocked: the load was killed between the two.
async fn unstocked<'a>(shop: &Shop, products: &'a [Product]) -> anyhow::Result<Vec<&'a Product>> {
    let checked = stream::iter(products).map(async |product| {
        let Some(last) = product.stock.last() else {
            return Ok(None);
        };
        let level = shop.get(&format!("/api/inventory/{}", last.sku)).await;
        match level {
            Ok(_) => Ok(None),
            Err(error) if status(&error) == Some(StatusCode::NOT_FOUND) => Ok(Some(product)),
            Err(error) => Err(error),
        }
    });
    let checked: Vec<Option<&Product>> =
        checked.buffer_unordered(CONCURRENCY).try_collect().await?;
    Ok(checked.into_iter().flatten().collect())
}

/// One after another, so that the last being there says that all are.
async fn put_stock(shop: &Shop, product: &Product) -> anyhow::Result<()> {
    for stock in &product.stock {
        let path = format!(
            "/api/inventory/{}/warehouses/{}",
            stock.sku, stock.warehouse_id
        );
        let body = json!({
            "onHand": stock.on_hand,
            "lowStockThreshold": LOW_STOCK_THRESHOLD,
            "policy": "reserve-on-order",
        });
        shop.put(&path, &body).await?;
    }
    Ok(())
}
