//! Categories of products.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use proto::product::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Gateway;
use crate::cache::{Freshness, Key, Public, Read};
use crate::error::{Problem, present};
use crate::extract::{Json, Staff};
use crate::query::Parameters;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Category {
    id: String,
    slug: String,
    name: String,
    parent_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct Categories {
    items: Vec<Category>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCategory {
    slug: String,
    name: String,
    parent_id: Option<String>,
}

impl From<v1::Category> for Category {
    fn from(category: v1::Category) -> Self {
        Self {
            id: category.category_id,
            slug: category.slug,
            name: category.name,
            parent_id: category.parent_id,
        }
    }
}

/// All categories.
#[utoipa::path(get, path = "/api/categories", operation_id = "listCategories", tag = "products", responses((status = 200, body = Categories)))]
pub async fn list(
    State(gateway): State<Gateway>,
    public: Public,
    query: Parameters,
) -> Result<Response, Problem> {
    query.end()?;
    let load = async {
        let request = v1::ListCategoriesRequest {};
        let answer = gateway
            .backends
            .product()
            .list_categories(request)
            .await?
            .into_inner();
        let items = answer.categories.into_iter().map(Category::from).collect();
        Ok(Read::unversioned(Categories { items }))
    };
    gateway
        .cache
        .answer(public, Key::Catalogue, Freshness::CATALOGUE, load)
        .await
}

/// Make a category.
#[utoipa::path(post, path = "/api/categories", operation_id = "createCategory", tag = "products", security(("bearer" = [])),
    request_body = NewCategory, responses((status = 201, body = Category)))]
pub async fn create(
    State(gateway): State<Gateway>,
    _: Staff,
    Json(new): Json<NewCategory>,
) -> Result<Response, Problem> {
    let request = v1::CreateCategoryRequest {
        slug: new.slug,
        name: new.name,
        parent_id: new.parent_id,
    };
    let answer = gateway
        .backends
        .product()
        .create_category(request)
        .await?
        .into_inner();
    let category = Category::from(present(answer.category)?);
    Ok((StatusCode::CREATED, Answer(category)).into_response())
}
