//! Every public route, and how it is treated. Paths stand beside the handlers, from where the API's
//! description takes them too.

use std::collections::HashSet;

use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use axum::{Router, middleware};
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::Config;
use crate::error::Problem;
use crate::observe::{Metrics, observe};
use crate::policy::{self, Policy};
use crate::{
    Gateway, carts, docs, encode, health, manners, orders, payments, problems, products, stock,
    users,
};

const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Public reads, the same for everybody.
fn browse() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(products::categories::list))
        .routes(routes!(products::list))
        .routes(routes!(products::search))
        .routes(routes!(products::get))
        .routes(routes!(stock::availability))
}

/// Reads of one's own, and of staff.
fn read() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(users::get))
        .routes(routes!(users::list_addresses))
        .routes(routes!(carts::get))
        .routes(routes!(orders::list))
        .routes(routes!(orders::get))
        .routes(routes!(orders::timeline))
        .routes(routes!(payments::get))
        .routes(routes!(stock::low))
}

fn write() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(users::log_out))
        .routes(routes!(users::change, users::erase))
        .routes(routes!(users::create_address))
        .routes(routes!(users::change_address, users::delete_address))
        .routes(routes!(carts::clear))
        .routes(routes!(carts::add_item))
        .routes(routes!(carts::add))
        .routes(routes!(carts::change_item, carts::remove_item))
        .routes(routes!(products::categories::create))
        .routes(routes!(products::create))
        .routes(routes!(products::change, products::delete))
        .routes(routes!(stock::put))
        .routes(routes!(stock::adjust))
        .routes(routes!(orders::fulfillments::create))
}

fn log_in() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(users::register))
        .routes(routes!(users::log_in))
        .routes(routes!(users::refresh))
}

fn checkout() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(orders::place))
        .routes(routes!(orders::cancel))
}

fn refund() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(payments::refund))
}

/// The routes with their description, each group under its policy.
fn api(
    group: impl Fn(OpenApiRouter<Gateway>, fn(&Config) -> Policy) -> OpenApiRouter<Gateway>,
) -> OpenApiRouter<Gateway> {
    OpenApiRouter::with_openapi(docs::introduction())
        .merge(group(browse(), Policy::browse))
        .merge(group(read(), Policy::read))
        .merge(group(write(), Policy::write))
        .merge(group(log_in(), Policy::log_in))
        .merge(group(checkout(), Policy::checkout))
        .merge(group(refund(), Policy::refund))
}

/// The routes that move money, of which every request is traced. All of them are posted to.
pub fn of_checkout() -> HashSet<String> {
    let routes = checkout().merge(refund()).into_openapi();
    routes.paths.paths.into_keys().collect()
}

/// What the API says of itself.
pub fn description() -> OpenApi {
    docs::complete(api(|routes, _| routes).into_openapi())
}

/// Everything that the public port answers.
pub fn router(gateway: Gateway, metrics: Metrics) -> anyhow::Result<Router> {
    let cors = manners::cors(&gateway.config.cors_origins)?;
    let (router, _) = api(|routes, policy| {
        let state = (gateway.clone(), policy(&gateway.config));
        routes.route_layer(middleware::from_fn_with_state(state, policy::apply))
    })
    .split_for_parts();
    let router = router
        .route("/health", get(health::ready))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/.well-known/jwks.json", get(health::jwks))
        .route("/problems/{slug}", get(problems::page))
        .with_state(gateway)
        .merge(docs::pages(description()))
        .fallback(async || Problem::new(&problems::NOT_FOUND))
        .method_not_allowed_fallback(async || Problem::new(&problems::METHOD_NOT_ALLOWED))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CatchPanicLayer::custom(manners::on_panic))
        .layer(encode::layer())
        .layer(middleware::from_fn(manners::apply))
        .layer(option_layer(cors))
        .layer(middleware::from_fn_with_state(metrics, observe));
    Ok(router)
}
