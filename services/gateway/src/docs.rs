//! The API's description (OpenAPI 3.1) and a page to browse it.

use axum::Router;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa::{OpenApi as _, PartialSchema as _, ToSchema as _};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::error::{Document, FieldError};
use crate::extract::CART_TOKEN;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "CloudRetail",
        description = "A shop's API: catalogue, carts, checkout, orders, stock and payments.\n\n\
            Failures are problem documents (RFC 9457); `/problems/{code}` explains each.",
    ),
    tags(
        (name = "users", description = "Accounts, sessions and addresses"),
        (name = "products", description = "The catalogue"),
        (name = "cart", description = "Carts, of customers and of guests"),
        (name = "orders", description = "Checkout, orders and their fulfilment"),
        (name = "inventory", description = "Availability and stock"),
        (name = "payments", description = "Payments and refunds"),
    )
)]
struct Introduction;

/// What stands before the routes.
pub fn introduction() -> OpenApi {
    Introduction::openapi()
}

/// Adds what all routes have in common.
pub fn complete(mut description: OpenApi) -> OpenApi {
    let components = description.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT");
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
    let cart = ApiKey::Header(ApiKeyValue::new(CART_TOKEN));
    components.add_security_scheme("cart", SecurityScheme::ApiKey(cart));
    components
        .schemas
        .insert(Document::name().into_owned(), Document::schema());
    components
        .schemas
        .insert(FieldError::name().into_owned(), FieldError::schema());
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Document::name())));
    let problem = ResponseBuilder::new()
        .description("A problem document")
        .content("application/problem+json", content.build());
    components
        .responses
        .insert("Problem".to_owned(), RefOr::T(problem.build()));
    for item in description.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ];
        operations.into_iter().flatten().for_each(may_fail);
    }
    description
}

fn may_fail(operation: &mut Operation) {
    let problem = RefOr::Ref(Ref::from_response_name("Problem"));
    operation
        .responses
        .responses
        .insert("default".to_owned(), problem);
}

/// `/openapi.json`, and `/docs` with everything it needs in the binary.
pub fn pages(description: OpenApi) -> Router {
    // The page's validator badge would tell a foreign host which description it shows.
    let config = Config::default().validator_url("none");
    SwaggerUi::new("/docs")
        .url("/openapi.json", description)
        .config(config)
        .into()
}
