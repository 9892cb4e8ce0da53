//! What happens to every request of the API before and after its handler: who sends it, how much
//! they may, what they must see, and how long it may take.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chassis::{Caller, Context};
use tokio::time::Instant;

use crate::Gateway;
use crate::config::Config;
use crate::consistency::{self, Owner};
use crate::error::Problem;
use crate::extract::CART_TOKEN;
use crate::rate_limit::Class;

/// How a group of routes is treated.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub class: Class,
    /// What a request may take, all its calls together.
    pub budget: Duration,
}

impl Policy {
    pub fn browse(config: &Config) -> Self {
        Self::new(Class::Browse, config.read_budget_ms)
    }

    pub fn read(config: &Config) -> Self {
        Self::new(Class::Use, config.read_budget_ms)
    }

    pub fn write(config: &Config) -> Self {
        Self::new(Class::Use, config.write_budget_ms)
    }

    pub fn log_in(config: &Config) -> Self {
        Self::new(Class::Login, config.write_budget_ms)
    }

    pub fn checkout(config: &Config) -> Self {
        Self::new(Class::Checkout, config.write_budget_ms)
    }

    pub fn refund(config: &Config) -> Self {
        Self::new(Class::Checkout, config.payment_budget_ms)
    }

    fn new(class: Class, budget_ms: u64) -> Self {
        Self {
            class,
            budget: Duration::from_millis(budget_ms),
        }
    }
}

/// Runs a request under its policy.
pub async fn apply(
    State((gateway, policy)): State<(Gateway, Policy)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    // Logging in needs no session, and a refresh is sent because the old one's token has expired.
    let caller = match policy.class {
        Class::Login => Caller::default(),
        _ => gateway.auth.caller(request.headers()).await?,
    };
    let address = client_address(
        request.headers(),
        request.extensions(),
        gateway.config.trusted_proxies,
    );
    let admitted = gateway
        .limits
        .admit(policy.class, address, caller.signed_in())
        .await?;
    let cart = request.headers().get(CART_TOKEN).cloned();
    let owner = match caller.signed_in() {
        Some(user_id) => Some(Owner::User(user_id)),
        None => cart.as_ref().and_then(Owner::of_cart),
    };
    let context = Context {
        consistency: gateway.tokens.load(owner, request.headers()).await,
        deadline: Some(Instant::now() + policy.budget),
        caller,
        ..Context::current()
    };
    let consistency = context.consistency.clone();
    let before = consistency::seen(&consistency);
    let mut response = context
        .scope(async {
            match gateway.merge_cart(cart.as_ref()).await {
                Ok(()) => next.run(request).await,
                Err(problem) => problem.into_response(),
            }
        })
        .await;
    gateway
        .limits
        .note_shed(policy.class, response.extensions());
    let owner = owner_of(&response).or(owner);
    let seen = consistency::seen(&consistency);
    if seen != before {
        remember(&gateway, owner, &seen, &mut response).await;
    }
    admitted.write(response.headers_mut());
    Ok(response)
}

/// Whose the answer became: somebody who registered or logged in, or a guest who got a cart.
fn owner_of(response: &Response) -> Option<Owner> {
    let told = response.extensions().get::<Owner>().copied();
    told.or_else(|| response.headers().get(CART_TOKEN).and_then(Owner::of_cart))
}

/// Keeps what was seen before the answer goes out: the next request may come at once.
async fn remember(gateway: &Gateway, owner: Option<Owner>, seen: &str, response: &mut Response) {
    if let Some(owner) = owner {
        gateway.tokens.save(owner, seen).await;
    }
    let cache_control = response.headers().get(header::CACHE_CONTROL);
    let shared = cache_control.is_some_and(|value| value.as_bytes().starts_with(b"public"));
    // An answer for everybody must not carry one caller's token.
    if let Some(token) = consistency::encode(seen).filter(|_| !shared) {
        response.headers_mut().insert(consistency::HEADER, token);
    }
}

/// The client's address: each proxy of ours appended the address that it saw.
fn client_address(headers: &HeaderMap, extensions: &Extensions, trusted_proxies: usize) -> IpAddr {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip());
    let Some(skipped) = trusted_proxies.checked_sub(1) else {
        return peer;
    };
    let values = headers.get_all("x-forwarded-for").iter();
    let text = values
        .map(HeaderValue::to_str)
        .filter_map(Result::ok)
        .collect::<Vec<_>>()
        .join(",");
    let forwarded = text
        .rsplit(',')
        .nth(skipped)
        .and_then(|address| address.trim().parse().ok());
    forwarded.unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_proxies_are_believed() {
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 5000))));
        let forwarded = HeaderValue::from_static("1.1.1.1, 2.2.2.2, 3.3.3.3");
        let headers: HeaderMap = [("x-forwarded-for".parse().unwrap(), forwarded)]
            .into_iter()
            .collect();

        let address = |trusted| client_address(&headers, &extensions, trusted).to_string();

        assert_eq!(address(0), "10.0.0.1");
        assert_eq!(address(1), "3.3.3.3");
        assert_eq!(address(2), "2.2.2.2");
        assert_eq!(address(9), "10.0.0.1");
    }
}
