use chassis::Caller;
use devstack::service::Service;
use prost::Message;
use proto::product::v1;

use super::{Write, dollars, unique};
use crate::backends::{Backends, present, staff};

pub(super) async fn writes(backends: &Backends) -> anyhow::Result<Vec<Write>> {
    let staff = staff();
    let category = create_category(backends, &staff).await?;
    let changed = create(backends, &staff, &category).await?;
    let deleted = create(backends, &staff, &category).await?;
    let change = v1::UpdateProductRequest {
        product_id: changed.product_id,
        expected_version: changed.version,
        name: Some("Another Thing".to_owned()),
        ..v1::UpdateProductRequest::default()
    };
    let delete = v1::DeleteProductRequest {
        product_id: deleted.product_id,
        expected_version: deleted.version,
    };
    Ok(vec![
        write(backends, "CreateCategory", &staff, new_category()),
        write(backends, "CreateProduct", &staff, new_product(&category)),
        write(backends, "UpdateProduct", &staff, change),
        write(backends, "DeleteProduct", &staff, delete),
    ])
}

/// The SKU of a new product.
pub(super) async fn sell(backends: &Backends, staff: &Caller) -> anyhow::Result<String> {
    let category = create_category(backends, staff).await?;
    let product = create(backends, staff, &category).await?;
    Ok(present(product.variants.into_iter().next())?.sku)
}

fn write(
    backends: &Backends,
    name: &'static str,
    caller: &Caller,
    request: impl Message + Clone + 'static,
) -> Write {
    Write::new(backends, Service::Product, name, caller, request)
}

fn new_category() -> v1::CreateCategoryRequest {
    v1::CreateCategoryRequest {
        slug: unique("kind"),
        name: "Things".to_owned(),
        parent_id: None,
    }
}

fn new_product(category: &str) -> v1::CreateProductRequest {
    let slug = unique("thing");
    let variant = v1::Variant {
        sku: slug.to_uppercase(),
        price: Some(dollars(1_000)),
        ..v1::Variant::default()
    };
    v1::CreateProductRequest {
        slug,
        name: "A thing".to_owned(),
        category: category.to_owned(),
        variants: vec![variant],
        ..v1::CreateProductRequest::default()
    }
}

/// The slug of a new category.
async fn create_category(backends: &Backends, staff: &Caller) -> anyhow::Result<String> {
    let answer: v1::CreateCategoryResponse = backends
        .ask(Service::Product, "CreateCategory", staff, new_category())
        .await?;
    Ok(present(answer.category)?.slug)
}

async fn create(
    backends: &Backends,
    staff: &Caller,
    category: &str,
) -> anyhow::Result<v1::Product> {
    let answer: v1::CreateProductResponse = backends
        .ask(
            Service::Product,
            "CreateProduct",
            staff,
            new_product(category),
        )
        .await?;
    present(answer.product)
}
