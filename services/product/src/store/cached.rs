use std::time::Duration;

use futures::future::try_join_all;
use proto::product::v1 as wire;
use storage::cache::Cached;
use storage::directory;
use types::{ProductId, Sku};

use super::{SKU, SLUG, Store};
use crate::error::Error;
use crate::product::{Product, check_slug};

/// A product in the cache, as the wire has it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Entry {
    #[prost(message, optional, tag = "1")]
    pub(crate) product: Option<wire::Product>,
}

impl Cached for Entry {
    const PREFIX: &'static str = "product";
    const TTL: Duration = Duration::from_secs(300);
}

/// Which product has a SKU; looked at again when the product denies it.
#[derive(Clone, PartialEq, prost::Message)]
struct SkuOwner {
    #[prost(string, tag = "1")]
    product_id: String,
}

impl Cached for SkuOwner {
    const PREFIX: &'static str = "sku";
    const TTL: Duration = Duration::from_secs(300);
}

/// Which product has a slug; looked at again when the product denies it.
#[derive(Clone, PartialEq, prost::Message)]
struct SlugOwner {
    #[prost(string, tag = "1")]
    product_id: String,
}

impl Cached for SlugOwner {
    const PREFIX: &'static str = "slug";
    const TTL: Duration = Duration::from_secs(300);
}

impl Store {
    /// The product, at least as new as what the caller has written.
    pub(crate) async fn find(&self, product_id: ProductId) -> Result<Option<wire::Product>, Error> {
        let load = async {
            let found = self.find_on_replica(product_id).await?;
            Ok(found.map(|product| (product.version.unsigned_abs(), entry(product))))
        };
        let key = product_id.to_string();
        let found = self.cache.get_or_load::<Entry, Error>(&key, load).await?;
        Ok(found.and_then(|entry| entry.product.clone()))
    }

    pub(crate) async fn find_by_slug(&self, slug: &str) -> Result<Option<wire::Product>, Error> {
        if check_slug("slug", slug).is_some() {
            return Ok(None);
        }
        let load = async {
            let owner = directory::find(&self.cluster, SLUG, slug).await?;
            Ok(owner.map(|owner| {
                (
                    1,
                    SlugOwner {
                        product_id: owner.to_string(),
                    },
                )
            }))
        };
        let owner = self
            .cache
            .get_or_load::<SlugOwner, Error>(slug, load)
            .await?;
        let found = self
            .find_owner(owner.map(|owner| owner.product_id.clone()))
            .await?;
        if let Some(product) = found.filter(|product| product.slug == slug) {
            return Ok(Some(product));
        }
        let owner = directory::find(&self.cluster, SLUG, slug).await?;
        let found = self
            .find_owner(owner.map(|owner| owner.to_string()))
            .await?;
        Ok(found.filter(|product| product.slug == slug))
    }

    /// The products that have these SKUs; a SKU that no product has is passed over.
    pub(crate) async fn find_by_skus(&self, skus: &[Sku]) -> Result<Vec<wire::Product>, Error> {
        let found = try_join_all(skus.iter().map(|sku| self.find_by_sku(sku))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn find_by_sku(&self, sku: &Sku) -> Result<Option<wire::Product>, Error> {
        let load = async {
            let owner = directory::find(&self.cluster, SKU, sku.as_str()).await?;
            Ok(owner.map(|owner| {
                (
                    1,
                    SkuOwner {
                        product_id: owner.to_string(),
                    },
                )
            }))
        };
        let owner = self
            .cache
            .get_or_load::<SkuOwner, Error>(sku.as_str(), load)
            .await?;
        let found = self
            .find_owner(owner.map(|owner| owner.product_id.clone()))
            .await?;
        if let Some(product) = found.filter(|product| has_sku(product, sku)) {
            return Ok(Some(product));
        }
        let owner = directory::find(&self.cluster, SKU, sku.as_str()).await?;
        let found = self
            .find_owner(owner.map(|owner| owner.to_string()))
            .await?;
        Ok(found.filter(|product| has_sku(product, sku)))
    }

    async fn find_owner(&self, owner: Option<String>) -> Result<Option<wire::Product>, Error> {
        match owner.and_then(|owner| owner.parse().ok()) {
            Some(product_id) => self.find(product_id).await,
            None => Ok(None),
        }
    }

    /// To be called after the commit of this version.
    pub(super) async fn forget(&self, product_id: ProductId, version: i64) {
        let key = product_id.to_string();
        self.cache
            .invalidate::<Entry>(&key, version.unsigned_abs())
            .await;
    }

    /// To be called when these keys have got their owner: their absence may be remembered.
    pub(super) async fn forget_keys(&self, slug: &str, skus: impl Iterator<Item = &Sku>) {
        self.cache.invalidate::<SlugOwner>(slug, 1).await;
        for sku in skus {
            self.cache.invalidate::<SkuOwner>(sku.as_str(), 1).await;
        }
    }
}

fn has_sku(product: &wire::Product, sku: &Sku) -> bool {
    product
        .variants
        .iter()
        .any(|variant| variant.sku == sku.as_str())
}

fn entry(product: Product) -> Entry {
    Entry {
        product: Some(product.into()),
    }
}
