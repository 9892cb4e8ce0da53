//! The catalogue.

pub mod categories;

use std::collections::BTreeMap;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use proto::product::v1;
use serde::{Deserialize, Serialize};
use types::ProductId;
use utoipa::ToSchema;

use crate::Gateway;
use crate::cache::{Freshness, Key, Public, Read};
use crate::error::{Problem, present};
use crate::extract::{Id, IfMatch, Json, Staff};
use crate::query::Parameters;
use crate::shapes::{self, Money};

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    id: String,
    slug: String,
    name: String,
    description: String,
    /// The category's slug.
    category: String,
    attributes: BTreeMap<String, String>,
    images: Vec<Image>,
    variants: Vec<Variant>,
    active: bool,
    version: i64,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize, ToSchema)]
pub struct Image {
    url: String,
    width: u32,
    height: u32,
    alt: String,
}

#[derive(Serialize, ToSchema)]
pub struct Variant {
    sku: String,
    options: BTreeMap<String, String>,
    price: Money,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Products {
    items: Vec<Product>,
    next_cursor: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVariant {
    sku: String,
    #[serde(default)]
    options: BTreeMap<String, String>,
    #[schema(value_type = Money)]
    price: types::Money,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProduct {
    slug: String,
    name: String,
    #[serde(default)]
    description: String,
    category: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    variants: Vec<NewVariant>,
}

/// What is absent stays as it is; `attributes` and `variants` replace the whole.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductChange {
    slug: Option<String>,
    name: Option<String>,
    description: Option<String>,
    category: Option<String>,
    attributes: Option<BTreeMap<String, String>>,
    variants: Option<Vec<NewVariant>>,
    active: Option<bool>,
}

impl TryFrom<v1::Product> for Product {
    type Error = Problem;

    fn try_from(product: v1::Product) -> Result<Self, Problem> {
        let variants = product.variants.into_iter().map(Variant::try_from);
        Ok(Self {
            id: product.product_id,
            slug: product.slug,
            name: product.name,
            description: product.description,
            category: product.category,
            attributes: product.attributes.into_iter().collect(),
            images: product.images.into_iter().map(Image::from).collect(),
            variants: variants.collect::<Result<_, _>>()?,
            active: product.active,
            version: product.version,
            created_at: shapes::instant(product.created_at)?,
            updated_at: shapes::instant(product.updated_at)?,
        })
    }
}

impl From<v1::Image> for Image {
    fn from(image: v1::Image) -> Self {
        Self {
            url: image.url,
            width: image.width,
            height: image.height,
            alt: image.alt,
        }
    }
}

impl TryFrom<v1::Variant> for Variant {
    type Error = Problem;

    fn try_from(variant: v1::Variant) -> Result<Self, Problem> {
        Ok(Self {
            sku: variant.sku,
            options: variant.options.into_iter().collect(),
            price: present(variant.price)?.into(),
        })
    }
}

impl From<NewVariant> for v1::Variant {
    fn from(variant: NewVariant) -> Self {
        Self {
            sku: variant.sku,
            options: variant.options.into_iter().collect(),
            price: Some(variant.price.into()),
        }
    }
}

/// A page, with the version of its newest product for nobody: lists are fresh by time.
fn page(products: Vec<v1::Product>, next_cursor: String) -> Result<Read<Products>, Problem> {
    let items = products.into_iter().map(Product::try_from);
    Ok(Read::unversioned(Products {
        items: items.collect::<Result<_, _>>()?,
        next_cursor: shapes::next_cursor(next_cursor),
    }))
}

/// Products, newest first.
#[utoipa::path(get, path = "/api/products", operation_id = "listProducts", tag = "products",
    params(("category" = Option<String>, Query), ("cursor" = Option<String>, Query),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100)),
    responses((status = 200, body = Products)))]
pub async fn list(
    State(gateway): State<Gateway>,
    public: Public,
    mut query: Parameters,
) -> Result<Response, Problem> {
    let request = v1::ListProductsRequest {
        category: query.text("category"),
        page: Some(query.page()?),
    };
    query.end()?;
    let load = async {
        let answer = gateway
            .backends
            .product()
            .list_products(request)
            .await?
            .into_inner();
        page(answer.products, answer.next_cursor)
    };
    gateway
        .cache
        .answer(public, Key::Catalogue, Freshness::CATALOGUE, load)
        .await
}

const SORTS: [(&str, v1::Sort); 4] = [
    ("relevance", v1::Sort::Relevance),
    ("price", v1::Sort::Price),
    ("-price", v1::Sort::PriceDescending),
    ("newest", v1::Sort::Newest),
];

/// Search by text and filters. A filter on an attribute is `attribute.<name>=<value>`.
#[utoipa::path(get, path = "/api/products/search", operation_id = "searchProducts", tag = "products",
    params(("q" = Option<String>, Query), ("category" = Option<String>, Query),
        ("minPrice" = Option<i64>, Query, description = "In minor units"),
        ("maxPrice" = Option<i64>, Query, description = "In minor units"),
        ("inStock" = Option<bool>, Query),
        ("sort" = Option<String>, Query, description = "`relevance`, `price`, `-price` or `newest`"),
        ("cursor" = Option<String>, Query),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100)),
    responses((status = 200, body = Products)))]
pub async fn search(
    State(gateway): State<Gateway>,
    public: Public,
    mut query: Parameters,
) -> Result<Response, Problem> {
    let amount = "an amount in minor units";
    let request = v1::SearchProductsRequest {
        query: query.text("q"),
        category: query.text("category"),
        min_price: query.parsed("minPrice", amount)?,
        max_price: query.parsed("maxPrice", amount)?,
        attributes: query.with_prefix("attribute.").into_iter().collect(),
        in_stock: query.parsed("inStock", "true or false")?,
        sort: query.word("sort", &SORTS)?.unwrap_or_default().into(),
        page: Some(query.page()?),
    };
    query.end()?;
    let load = async {
        let answer = gateway
            .backends
            .product()
            .search_products(request)
            .await?
            .into_inner();
        page(answer.products, answer.next_cursor)
    };
    gateway
        .cache
        .answer(public, Key::Catalogue, Freshness::CATALOGUE, load)
        .await
}

/// One product, by its id or its slug.
#[utoipa::path(get, path = "/api/products/{id}", operation_id = "getProduct", tag = "products",
    params(("id" = String, Path, description = "Its id or its slug"), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = Product, headers(("ETag" = String))), (status = 304)))]
pub async fn get(
    State(gateway): State<Gateway>,
    public: Public,
    Path(id_or_slug): Path<String>,
    query: Parameters,
) -> Result<Response, Problem> {
    query.end()?;
    // Slugs are found however they are spelt; events spell them as they are kept.
    let key = Key::Product(types::normalise(&id_or_slug).into());
    let product = match id_or_slug.parse::<ProductId>() {
        Ok(id) => v1::get_product_request::Product::ProductId(id.to_string()),
        Err(_) => v1::get_product_request::Product::Slug(id_or_slug),
    };
    let load = async {
        let request = v1::GetProductRequest {
            product: Some(product),
        };
        let answer = gateway
            .backends
            .product()
            .get_product(request)
            .await?
            .into_inner();
        let product = Product::try_from(present(answer.product)?)?;
        Ok(Read::versioned(product.version, product))
    };
    gateway
        .cache
        .answer(public, key, Freshness::PRODUCT, load)
        .await
}

/// Offer a new product.
#[utoipa::path(post, path = "/api/products", operation_id = "createProduct", tag = "products", security(("bearer" = [])),
    request_body = NewProduct,
    responses((status = 201, body = Product, headers(("Location" = String), ("ETag" = String)))))]
pub async fn create(
    State(gateway): State<Gateway>,
    _: Staff,
    Json(new): Json<NewProduct>,
) -> Result<Response, Problem> {
    let request = v1::CreateProductRequest {
        slug: new.slug,
        name: new.name,
        description: new.description,
        category: new.category,
        attributes: new.attributes.into_iter().collect(),
        variants: new.variants.into_iter().map(v1::Variant::from).collect(),
    };
    let answer = gateway
        .backends
        .product()
        .create_product(request)
        .await?
        .into_inner();
    let product = Product::try_from(present(answer.product)?)?;
    let headers = [
        (header::LOCATION, format!("/api/products/{}", product.id)),
        (header::ETAG, shapes::etag(product.version)),
    ];
    Ok((StatusCode::CREATED, headers, Answer(product)).into_response())
}

/// Change a product that has the version of `If-Match`.
#[utoipa::path(patch, path = "/api/products/{id}", operation_id = "changeProduct", tag = "products", security(("bearer" = [])),
    params(("id" = String, Path), ("If-Match" = String, Header)), request_body = ProductChange,
    responses((status = 200, body = Product, headers(("ETag" = String)))))]
pub async fn change(
    State(gateway): State<Gateway>,
    _: Staff,
    Id(id): Id<ProductId>,
    IfMatch(expected_version): IfMatch,
    Json(change): Json<ProductChange>,
) -> Result<Response, Problem> {
    let request = v1::UpdateProductRequest {
        product_id: id.to_string(),
        expected_version,
        slug: change.slug,
        name: change.name,
        description: change.description,
        category: change.category,
        attributes: change.attributes.map(|values| v1::Attributes {
            values: values.into_iter().collect(),
        }),
        variants: change.variants.map(|values| v1::Variants {
            values: values.into_iter().map(v1::Variant::from).collect(),
        }),
        active: change.active,
    };
    let answer = gateway
        .backends
        .product()
        .update_product(request)
        .await?
        .into_inner();
    let product = Product::try_from(present(answer.product)?)?;
    let etag = [(header::ETAG, shapes::etag(product.version))];
    Ok((etag, Answer(product)).into_response())
}

/// Stop selling a product that has the version of `If-Match`.
#[utoipa::path(delete, path = "/api/products/{id}", operation_id = "deleteProduct", tag = "products", security(("bearer" = [])),
    params(("id" = String, Path), ("If-Match" = String, Header)), responses((status = 204)))]
pub async fn delete(
    State(gateway): State<Gateway>,
    _: Staff,
    Id(id): Id<ProductId>,
    IfMatch(expected_version): IfMatch,
) -> Result<StatusCode, Problem> {
    let request = v1::DeleteProductRequest {
        product_id: id.to_string(),
        expected_version,
    };
    gateway.backends.product().delete_product(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
