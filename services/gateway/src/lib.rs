//! The public REST API, in front of the five services.

mod auth;
mod backends;
mod cache;
mod carts;
pub mod config;
mod consistency;
mod docs;
mod encode;
mod error;
mod extract;
mod health;
mod manners;
mod observe;
mod orders;
mod payments;
mod policy;
mod problems;
mod products;
mod query;
mod rate_limit;
mod redis;
mod routes;
mod shapes;
mod stock;
mod users;

use std::ops::Deref;
use std::sync::Arc;

use axum::http::HeaderValue;
use chassis::{Caller, Chassis, Listeners};
use events::follow;
use tokio_util::sync::CancellationToken;

pub use config::Config;
pub use routes::description;

use crate::auth::Auth;
use crate::backends::Backends;
use crate::cache::Cache;
use crate::consistency::Tokens;
use crate::error::Problem;
use crate::observe::Metrics;
use crate::rate_limit::RateLimits;
use crate::redis::Redis;

/// Everything that handlers use. Clones are the same gateway.
#[derive(Clone)]
struct Gateway(Arc<Inner>);

struct Inner {
    config: Config,
    chassis: Chassis,
    backends: Arc<Backends>,
    auth: Arc<Auth>,
    limits: Arc<RateLimits>,
    tokens: Tokens,
    cache: Arc<Cache>,
}

impl Deref for Gateway {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Gateway {
    fn new(chassis: &Chassis, config: Config) -> anyhow::Result<Self> {
        let redis = Arc::new(Redis::start(&config.redis_url)?);
        let backends = Arc::new(Backends::new(chassis, &config));
        Ok(Self(Arc::new(Inner {
            auth: Arc::new(Auth::new(backends.clone())),
            limits: Arc::new(RateLimits::new(chassis, redis.clone(), &config.limits)),
            tokens: Tokens::new(redis),
            cache: Arc::new(Cache::new(chassis, config.cached_answers_max)),
            chassis: chassis.clone(),
            backends,
            config,
        })))
    }

    /// A customer who still shows a guest's cart gets it added to their own.
    async fn merge_cart(&self, cart_token: Option<&HeaderValue>) -> Result<(), Problem> {
        let token = cart_token.and_then(|token| token.to_str().ok());
        match (token, Caller::current().signed_in()) {
            (Some(token), Some(user_id)) => self.backends.merge_cart(token, user_id).await,
            _ => Ok(()),
        }
    }

    /// Follows what other services publish, from the time that an access token may be as old as.
    async fn catch_up(&self) -> Result<(), events::Error> {
        let (auth, cache) = (self.auth.clone(), self.cache.clone());
        let topics = ["user.events", "product.events", "inventory.events"];
        let follower = follow::start(
            &self.chassis,
            &self.config.events,
            &topics,
            auth::TOKEN_LIFETIME,
            move |event| {
                auth.on_event(&event);
                cache.on_event(&event);
            },
        )?;
        follower.caught_up().await;
        Ok(())
    }
}

/// Answers requests until shutdown, once it has keys and knows the revoked sessions.
pub async fn serve(
    config: Config,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let chassis = Chassis::start(
        "gateway",
        &config.chassis,
        listeners.admin,
        shutdown.clone(),
    )?;
    let gateway = Gateway::new(&chassis, config)?;
    chassis
        .tasks()
        .spawn_worker(gateway.auth.clone().keep_keys(chassis.clone()));
    chassis
        .tasks()
        .spawn_worker(gateway.limits.clone().settle(chassis.clone()));
    let router = routes::router(
        gateway.clone(),
        Metrics::register(&chassis, routes::of_checkout()),
    )?;
    tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        caught_up = gateway.catch_up() => caught_up?,
    }
    tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        () = gateway.auth.has_keys() => {}
    }
    chassis.serve_http(listeners.main, router).await
}
