//! Between the wire and the rules.

use proto::common::v1::PageRequest;
use proto::product::v1 as wire;
use types::{Page, ProductId, Sku};

use crate::category::{Category, CategoryDraft};
use crate::error::Error;
use crate::product::{Draft, Product, Variant, invalid};
use crate::store::{Search, Sort};

pub(super) fn id(text: &str) -> Result<ProductId, Error> {
    text.parse().map_err(|_| Error::InvalidId { field: "id" })
}

pub(super) fn sku(field: &str, text: &str) -> Result<Sku, Error> {
    text.parse().map_err(|error: types::InvalidSku| {
        Error::Invalid(vec![invalid(field, "malformed", error.to_string())])
    })
}

pub(super) fn page(page: Option<PageRequest>) -> Result<Page, Error> {
    let page = page.unwrap_or_default();
    Page::new(page.limit, page.cursor)
        .map_err(|error| Error::Invalid(vec![invalid("limit", "out-of-range", error.to_string())]))
}

pub(super) fn too_many(field: &str, max: usize) -> Error {
    let detail = format!("at most {max} are answered at once");
    Error::Invalid(vec![invalid(field, "too-many", detail)])
}

pub(super) fn category_draft(request: wire::CreateCategoryRequest) -> Result<CategoryDraft, Error> {
    let parent_id = request
        .parent_id
        .map(|parent_id| parent_id.parse())
        .transpose();
    let draft = CategoryDraft {
        slug: request.slug,
        name: request.name,
        parent_id: parent_id.map_err(|_| Error::InvalidId { field: "parentId" })?,
    };
    checked(draft.check())?;
    Ok(draft)
}

pub(super) fn draft(request: wire::CreateProductRequest) -> Result<Draft, Error> {
    let draft = Draft {
        slug: request.slug,
        name: request.name,
        description: request.description,
        category: request.category,
        attributes: request.attributes.into_iter().collect(),
        variants: variants(request.variants)?,
    };
    checked(draft.check())?;
    Ok(draft)
}

/// The draft with what the request names changed.
pub(super) fn changed(
    mut draft: Draft,
    request: wire::UpdateProductRequest,
) -> Result<Draft, Error> {
    let texts = [
        (&mut draft.slug, request.slug),
        (&mut draft.name, request.name),
        (&mut draft.description, request.description),
        (&mut draft.category, request.category),
    ];
    for (old, new) in texts {
        if let Some(new) = new {
            *old = new;
        }
    }
    if let Some(attributes) = request.attributes {
        draft.attributes = attributes.values.into_iter().collect();
    }
    if let Some(given) = request.variants {
        draft.variants = variants(given.values)?;
    }
    checked(draft.check())?;
    Ok(draft)
}

fn checked(faults: Vec<chassis::fault::InvalidField>) -> Result<(), Error> {
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(faults))
    }
}

fn variants(given: Vec<wire::Variant>) -> Result<Vec<Variant>, Error> {
    let variants = given.into_iter().enumerate().map(|(i, variant)| {
        let price = variant.price.and_then(|price| price.try_into().ok());
        let field = format!("variants[{i}].price");
        Ok(Variant {
            sku: sku(&format!("variants[{i}].sku"), &variant.sku)?,
            options: variant.options.into_iter().collect(),
            price: price.ok_or_else(|| {
                let detail = "an amount in an ISO 4217 currency is expected".to_owned();
                Error::Invalid(vec![invalid(&field, "malformed", detail)])
            })?,
        })
    });
    variants.collect()
}

pub(super) fn search(request: wire::SearchProductsRequest) -> Result<Search, Error> {
    let query = request
        .query
        .as_deref()
        .map(str::trim)
        .filter(|query| !query.is_empty());
    let sort = match request.sort() {
        wire::Sort::Price => Sort::Price,
        wire::Sort::PriceDescending => Sort::PriceDescending,
        wire::Sort::Newest => Sort::Newest,
        // Without words nothing is more relevant than anything else.
        wire::Sort::Relevance | wire::Sort::Unspecified if query.is_none() => Sort::Newest,
        wire::Sort::Relevance | wire::Sort::Unspecified => Sort::Relevance,
    };
    if let (Some(min), Some(max)) = (request.min_price, request.max_price)
        && min > max
    {
        let detail = "the lowest price is above the highest".to_owned();
        return Err(Error::Invalid(vec![invalid(
            "minPrice",
            "out-of-range",
            detail,
        )]));
    }
    Ok(Search {
        query: query.map(str::to_owned),
        category: request.category,
        price_min: request.min_price,
        price_max: request.max_price,
        attributes: request.attributes.into_iter().collect(),
        in_stock: request.in_stock.unwrap_or_default(),
        sort,
    })
}

/// A product's variants as carts and orders need them.
pub(super) fn sold(product: wire::Product) -> impl Iterator<Item = wire::SoldVariant> {
    let wire::Product {
        product_id,
        name,
        active,
        version,
        variants,
        ..
    } = product;
    variants.into_iter().map(move |variant| wire::SoldVariant {
        sku: variant.sku,
        product_id: product_id.clone(),
        name: name.clone(),
        options: variant.options,
        price: variant.price,
        active,
        version,
    })
}

impl From<Product> for wire::Product {
    fn from(product: Product) -> Self {
        let draft = product.draft;
        Self {
            product_id: product.product_id.to_string(),
            slug: draft.slug,
            name: draft.name,
            description: draft.description,
            category: draft.category,
            attributes: draft.attributes.into_iter().collect(),
            images: Vec::new(),
            variants: draft.variants.into_iter().map(Into::into).collect(),
            active: product.active,
            version: product.version,
            created_at: Some(proto::timestamp(product.created_at)),
            updated_at: Some(proto::timestamp(product.updated_at)),
        }
    }
}

impl From<Variant> for wire::Variant {
    fn from(variant: Variant) -> Self {
        Self {
            sku: variant.sku.into(),
            options: variant.options.into_iter().collect(),
            price: Some(variant.price.into()),
        }
    }
}

impl From<Category> for wire::Category {
    fn from(category: Category) -> Self {
        Self {
            category_id: category.category_id.to_string(),
            slug: category.draft.slug,
            name: category.draft.name,
            parent_id: category
                .draft
                .parent_id
                .map(|parent_id| parent_id.to_string()),
            version: category.version,
        }
    }
}
