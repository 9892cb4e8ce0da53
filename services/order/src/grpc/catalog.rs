//! What the product service sells, remembered for a few seconds.

use std::collections::HashMap;
use std::time::Duration;

use chassis::client::Channel;
use proto::product::v1::product_service_client::ProductServiceClient;
use proto::product::v1::{BatchGetVariantsRequest, SoldVariant};
use storage::cache::{Cache, Cached};
use types::{ProductId, Sku};

use crate::cart::Variant;
use crate::error::Error;

/// A price at checkout is never older than this, give or take the cache's jitter.
const PRICE_AGE_MAX: Duration = Duration::from_secs(4);

#[derive(Clone, PartialEq, prost::Message)]
struct CachedVariant {
    #[prost(message, optional, tag = "1")]
    variant: Option<SoldVariant>,
}

impl Cached for CachedVariant {
    const PREFIX: &'static str = "variant";
    const TTL: Duration = PRICE_AGE_MAX;
}

pub(super) async fn variants(
    product: &ProductServiceClient<Channel>,
    cache: &Cache,
    skus: &[Sku],
) -> Result<HashMap<Sku, Variant>, Error> {
    let keys: Vec<String> = skus.iter().map(Sku::to_string).collect();
    let load = async |skus: Vec<String>| {
        let request = BatchGetVariantsRequest {
            skus,
            product_ids: Vec::new(),
        };
        let sold = ask(product, request).await?;
        let cached = sold.into_iter().map(|variant| {
            let (sku, version) = (variant.sku.clone(), variant.version.unsigned_abs());
            let variant = Some(variant);
            (sku, version, CachedVariant { variant })
        });
        Ok::<_, Error>(cached.collect())
    };
    let found = cache
        .get_many_or_load::<CachedVariant, Error>(&keys, load)
        .await?;
    let variants = found
        .into_iter()
        .filter_map(|(_, cached)| cached.variant.clone());
    variants
        .map(|sold| {
            let variant = Variant::try_from(sold)?;
            Ok((variant.sku.clone(), variant))
        })
        .collect()
}

pub(super) async fn variants_of(
    product: &ProductServiceClient<Channel>,
    product_id: ProductId,
) -> Result<Vec<Variant>, Error> {
    let request = BatchGetVariantsRequest {
        skus: Vec::new(),
        product_ids: vec![product_id.to_string()],
    };
    let sold = ask(product, request).await?;
    sold.into_iter().map(Variant::try_from).collect()
}

async fn ask(
    product: &ProductServiceClient<Channel>,
    request: BatchGetVariantsRequest,
) -> Result<Vec<SoldVariant>, Error> {
    let answer = product.clone().batch_get_variants(request).await;
    let answer = answer.map_err(|status| Error::Peer {
        peer: "product",
        status: Box::new(status),
    })?;
    Ok(answer.into_inner().variants)
}
