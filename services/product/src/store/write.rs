use events::Event;
use futures::future::try_join_all;
use proto::product::v1::{ProductCreated, ProductDeleted, ProductUpdated};
use serde_json::json;
use sqlx::types::Json;
use storage::WriteTx;
use storage::directory::{self, Reservation};
use types::{CategoryId, ProductId, Sku, Slot};
use uuid::Uuid;

use super::{CATEGORY, RESERVATION, SKU, SLUG, Store};
use crate::error::Error;
use crate::product::{Draft, Product, invalid};

/// What a change leads to.
pub(crate) struct Change {
    pub(crate) draft: Draft,
    pub(crate) active: bool,
    pub(crate) expected_version: i64,
}

impl Store {
    pub(crate) async fn create(&self, draft: Draft) -> Result<Product, Error> {
        let category_id = self.get_category_id(&draft.category).await?;
        let product_id = ProductId::new(Slot::draw());
        self.reserve_slug(&draft.slug, product_id).await?;
        let skus: Vec<Sku> = draft.skus().cloned().collect();
        self.reserve_skus(&skus, product_id).await?;
        let mut tx = self.cluster.begin(&product_id).await?;
        insert_product(&mut tx, product_id, category_id, &draft).await?;
        upsert_variants(&mut tx, product_id, &draft).await?;
        let created = ProductCreated {
            product_id: product_id.to_string(),
            slug: draft.slug.clone(),
            category: draft.category.clone(),
            skus: draft.skus().map(Sku::to_string).collect(),
            version: 1,
        };
        self.finish(tx, product_id, &created).await?;
        self.activate(&draft.slug, &skus, product_id).await?;
        self.forget_keys(&draft.slug, skus.iter()).await;
        self.get_newest(product_id).await
    }

    /// `before` is the product that the change was made from.
    pub(crate) async fn update(&self, before: &Product, change: Change) -> Result<Product, Error> {
        let (product_id, draft) = (before.product_id, &change.draft);
        let category_id = self.get_category_id(&draft.category).await?;
        if draft.slug != before.draft.slug {
            self.reserve_slug(&draft.slug, product_id).await?;
        }
        let added: Vec<Sku> = missing(draft, &before.draft);
        self.reserve_skus(&added, product_id).await?;
        let mut tx = self.cluster.begin(&product_id).await?;
        let Some(version) = update_product(&mut tx, product_id, category_id, &change).await? else {
            tx.rollback().await;
            return Err(self.version_mismatch(product_id).await);
        };
        upsert_variants(&mut tx, product_id, draft).await?;
        let previous_slug = Some(before.draft.slug.clone()).filter(|slug| *slug != draft.slug);
        let updated = ProductUpdated {
            product_id: product_id.to_string(),
            slug: draft.slug.clone(),
            previous_slug,
            category: draft.category.clone(),
            skus: draft.skus().map(Sku::to_string).collect(),
            version,
        };
        self.finish(tx, product_id, &updated).await?;
        self.activate(&draft.slug, &added, product_id).await?;
        self.free_keys(&before.draft, draft, product_id).await?;
        self.forget_keys(&draft.slug, added.iter()).await;
        self.get_newest(product_id).await
    }

    /// Makes the product inactive; again changes nothing.
    pub(crate) async fn deactivate(
        &self,
        product: &Product,
        expected_version: i64,
    ) -> Result<(), Error> {
        let product_id = product.product_id;
        let mut tx = self.cluster.begin(&product_id).await?;
        let version = sqlx::query_scalar::<_, i64>(
            "update products set
                active = false,
                version = version + 1,
                updated_at = now()
            where slot = $1
                and product_id = $2
                and version = $3
            returning version",
        )
        .bind(tx.slot().to_db())
        .bind(product_id)
        .bind(expected_version)
        .fetch_optional(&mut tx)
        .await?;
        let Some(version) = version else {
            tx.rollback().await;
            return Err(self.version_mismatch(product_id).await);
        };
        let deleted = ProductDeleted {
            product_id: product_id.to_string(),
            slug: product.draft.slug.clone(),
            category: product.draft.category.clone(),
            skus: product.draft.skus().map(Sku::to_string).collect(),
            version,
        };
        self.finish(tx, product_id, &deleted).await
    }

    /// Publishes, commits, and only then invalidates: the other way round, a reader could cache
    /// the old row again.
    async fn finish<E: Event>(
        &self,
        mut tx: WriteTx,
        product_id: ProductId,
        event: &E,
    ) -> Result<(), Error> {
        events::outbox::append(&mut tx, event).await?;
        tx.commit().await?;
        self.forget(product_id, event.version().unwrap_or_default())
            .await;
        Ok(())
    }

    async fn get_newest(&self, product_id: ProductId) -> Result<Product, Error> {
        self.find_newest(product_id).await?.ok_or(Error::NotFound)
    }

    pub(crate) async fn version_mismatch(&self, product_id: ProductId) -> Error {
        match self.find_newest(product_id).await {
            Ok(Some(product)) => Error::VersionMismatch {
                current: product.version,
            },
            Ok(None) => Error::NotFound,
            Err(error) => error,
        }
    }

    async fn get_category_id(&self, slug: &str) -> Result<CategoryId, Error> {
        let owner = directory::find_newest(&self.cluster, CATEGORY, slug).await?;
        owner
            .and_then(|owner| owner.try_into().ok())
            .ok_or_else(|| {
                let detail = "there is no such category".to_owned();
                Error::Invalid(vec![invalid("category", "unknown", detail)])
            })
    }

    async fn reserve_slug(&self, slug: &str, product_id: ProductId) -> Result<(), Error> {
        let has_slug = |product: &Product| product.draft.slug == slug;
        match self.reserve(SLUG, slug, product_id, has_slug).await? {
            Reservation::Held => Ok(()),
            Reservation::Taken(_) => Err(Error::SlugTaken),
        }
    }

    async fn reserve_skus(&self, skus: &[Sku], product_id: ProductId) -> Result<(), Error> {
        try_join_all(skus.iter().map(async |sku| {
            let has_sku = |product: &Product| product.draft.skus().any(|other| other == sku);
            match self.reserve(SKU, sku.as_str(), product_id, has_sku).await? {
                Reservation::Held => Ok(()),
                Reservation::Taken(_) => Err(Error::SkuTaken(sku.clone())),
            }
        }))
        .await?;
        Ok(())
    }

    async fn reserve(
        &self,
        kind: &'static str,
        key: &str,
        product_id: ProductId,
        has_key: impl Fn(&Product) -> bool,
    ) -> Result<Reservation, Error> {
        let still_has_key = async |owner: Uuid| match ProductId::try_from(owner) {
            Ok(owner) => Ok(self
                .find_newest(owner)
                .await?
                .is_some_and(|product| has_key(&product))),
            Err(_) => Ok(false),
        };
        let owner = product_id.uuid();
        directory::reserve(&self.cluster, kind, key, owner, RESERVATION, still_has_key).await
    }

    async fn activate(&self, slug: &str, skus: &[Sku], product_id: ProductId) -> Result<(), Error> {
        let owner = product_id.uuid();
        if !directory::activate(&self.cluster, SLUG, slug, owner).await? {
            return Err(Error::SlugTaken);
        }
        try_join_all(skus.iter().map(async |sku| {
            match directory::activate(&self.cluster, SKU, sku.as_str(), owner).await? {
                true => Ok(()),
                false => Err(Error::SkuTaken(sku.clone())),
            }
        }))
        .await?;
        self.adopt_stock(product_id, skus).await
    }

    async fn free_keys(
        &self,
        before: &Draft,
        after: &Draft,
        product_id: ProductId,
    ) -> Result<(), Error> {
        let owner = product_id.uuid();
        if before.slug != after.slug {
            directory::remove(&self.cluster, SLUG, &before.slug, owner).await?;
        }
        for sku in missing(before, after) {
            directory::remove(&self.cluster, SKU, sku.as_str(), owner).await?;
        }
        Ok(())
    }
}

/// The SKUs of `of` that `from` lacks.
fn missing(of: &Draft, from: &Draft) -> Vec<Sku> {
    let lacks = |sku: &&Sku| !from.skus().any(|other| other == *sku);
    of.skus().filter(lacks).cloned().collect()
}

async fn insert_product(
    tx: &mut WriteTx,
    product_id: ProductId,
    category_id: CategoryId,
    draft: &Draft,
) -> Result<(), Error> {
    sqlx::query(
        "insert into products (
            slot,
            product_id,
            slug,
            name,
            description,
            category_id,
            category,
            attributes,
            price
        )
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tx.slot().to_db())
    .bind(product_id)
    .bind(&draft.slug)
    .bind(draft.name.trim())
    .bind(draft.description.trim())
    .bind(category_id)
    .bind(&draft.category)
    .bind(Json(&draft.attributes))
    .bind(draft.price_min())
    .execute(tx)
    .await?;
    Ok(())
}

async fn update_product(
    tx: &mut WriteTx,
    product_id: ProductId,
    category_id: CategoryId,
    change: &Change,
) -> Result<Option<i64>, Error> {
    let draft = &change.draft;
    let version = sqlx::query_scalar::<_, i64>(
        "update products set
            slug = $4,
            name = $5,
            description = $6,
            category_id = $7,
            category = $8,
            attributes = $9,
            price = $10,
            active = $11,
            version = version + 1,
            updated_at = now()
        where slot = $1
            and product_id = $2
            and version = $3
        returning version",
    )
    .bind(tx.slot().to_db())
    .bind(product_id)
    .bind(change.expected_version)
    .bind(&draft.slug)
    .bind(draft.name.trim())
    .bind(draft.description.trim())
    .bind(category_id)
    .bind(&draft.category)
    .bind(Json(&draft.attributes))
    .bind(draft.price_min())
    .bind(change.active)
    .fetch_optional(tx)
    .await?;
    Ok(version)
}

/// Makes the draft's variants the product's; what is known of a variant's stock stays.
async fn upsert_variants(
    tx: &mut WriteTx,
    product_id: ProductId,
    draft: &Draft,
) -> Result<(), Error> {
    let variants = draft.variants.iter().map(|variant| {
        json!({
            "sku": variant.sku,
            "options": variant.options,
            "minor_units": variant.price.minor_units,
            "currency": variant.price.currency,
        })
    });
    sqlx::query(
        "with wanted as (
            select
                (position - 1)::smallint as position,
                variant ->> 'sku' as sku,
                variant -> 'options' as options,
                (variant ->> 'minor_units')::bigint as minor_units,
                variant ->> 'currency' as currency
            from jsonb_array_elements($3) with ordinality as given (variant, position)
        ),
        gone as (
            delete from variants
            where slot = $1
                and product_id = $2
                and sku not in (select sku from wanted)
        )
        insert into variants (slot, product_id, sku, position, options, minor_units, currency)
        select $1, $2, sku, position, options, minor_units, currency
        from wanted
        on conflict (slot, product_id, sku) do update set
            position = excluded.position,
            options = excluded.options,
            minor_units = excluded.minor_units,
            currency = excluded.currency",
    )
    .bind(tx.slot().to_db())
    .bind(product_id)
    .bind(Json(variants.collect::<Vec<_>>()))
    .execute(tx)
    .await?;
    Ok(())
}
