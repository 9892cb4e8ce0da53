//! How much one address, and one customer, may ask for.
//!
//! The rate is counted over all gateways in Redis, by the generic cell rate algorithm (GCRA, ITU-T
//! I.371). Reads of the catalogue are counted in the process and settled with Redis in the
//! background, so that a kept answer needs no other process. While Redis is away each process allows
//! its share.

mod script;

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, header};
use chassis::Chassis;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::time::{Instant, MissedTickBehavior};
use types::UserId;

use crate::config::Limits;
use crate::error::Problem;
use crate::problems;
use crate::redis::{Away, Redis};
use script::{Allowance, Rate};

/// How often what was counted here is settled with Redis.
const SETTLE_PERIOD: Duration = Duration::from_millis(100);

/// How often forgotten addresses are dropped.
const PRUNE_PERIOD: Duration = Duration::from_secs(60);

/// Requests of one class are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Public reads.
    Browse,
    /// Everything that is none of the others.
    Use,
    Checkout,
    /// Whatever takes a password or makes a session.
    Login,
}

impl Class {
    const ALL: [Self; 4] = [Self::Browse, Self::Use, Self::Checkout, Self::Login];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Browse => "browse",
            Self::Use => "use",
            Self::Checkout => "checkout",
            Self::Login => "login",
        }
    }
}

type Local =
    RateLimiter<String, DefaultKeyedStateStore<String>, DefaultClock, StateInformationMiddleware>;

/// The limit of one class.
struct Tier {
    name: &'static str,
    rate: Rate,
    /// Allows as much as all processes together.
    whole: Local,
    /// Allows this process's share.
    share: Local,
}

impl Tier {
    fn new(name: &'static str, requests: u32, period: Duration, processes: u32) -> Self {
        let local = |requests: u32| {
            let burst = NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN);
            // A period divided by a number of requests is never zero here: rates are below 10⁹/s.
            let interval = (period / burst.get()).max(Duration::from_nanos(1));
            let quota = Quota::with_period(interval).unwrap_or_else(|| Quota::per_second(burst));
            RateLimiter::dashmap_with_clock(quota.allow_burst(burst), DefaultClock::default())
                .with_middleware()
        };
        Self {
            name,
            rate: Rate {
                requests: requests.max(1),
                period,
            },
            whole: local(requests),
            share: local(requests / processes.max(1)),
        }
    }

    fn count(&self, local: &Local, key: &str) -> Allowance {
        match local.check_key(&key.to_owned()) {
            Ok(state) => Allowance {
                left: state.remaining_burst_capacity(),
                wait: Duration::ZERO,
            },
            Err(until) => Allowance {
                left: 0,
                wait: until.wait_time_from(DefaultClock::default().now()),
            },
        }
    }

    fn prune(&self) {
        self.whole.retain_recent();
        self.share.retain_recent();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    class: &'static str,
}

pub struct RateLimits {
    redis: Arc<Redis>,
    tiers: [Tier; Class::ALL.len()],
    account: Tier,
    /// Browsing since the last settlement.
    unsettled: Mutex<HashMap<String, u32>>,
    /// Who browses more than all processes together allow, and until when they wait.
    blocked: Mutex<HashMap<String, Instant>>,
    refused: Family<Labels, Counter>,
    shed: Family<Labels, Counter>,
}

impl RateLimits {
    pub fn new(chassis: &Chassis, redis: Arc<Redis>, limits: &Limits) -> Self {
        let second = Duration::from_secs(1);
        let tiers = Class::ALL.map(|class| {
            let requests = match class {
                Class::Browse => limits.browse_per_second,
                Class::Use => limits.use_per_second,
                Class::Checkout => limits.checkout_per_second,
                Class::Login => limits.login_per_second,
            };
            Tier::new(class.name(), requests, second, limits.processes)
        });
        let per_minute = limits.account_logins_per_minute;
        let (refused, shed) = (Family::default(), Family::default());
        chassis.register(|registry| {
            let help = "Requests refused because their address or customer sent too many";
            registry.register("rate_limited", help, refused.clone());
            let help = "Requests refused because a database had too much to do";
            registry.register("shed", help, shed.clone());
        });
        Self {
            redis,
            tiers,
            account: Tier::new("account", per_minute, second * 60, limits.processes),
            unsettled: Mutex::default(),
            blocked: Mutex::default(),
            refused,
            shed,
        }
    }

    /// Counts the request if the answer says that it was shed.
    pub fn note_shed(&self, class: Class, answer: &Extensions) {
        if answer.get() == Some(&&problems::SHARD_BUSY) {
            let class = class.name();
            self.shed.get_or_create(&Labels { class }).inc();
        }
    }

    /// Counts a request; 429 when there were too many.
    pub async fn admit(
        &self,
        class: Class,
        address: IpAddr,
        user_id: Option<UserId>,
    ) -> Result<Standing, Problem> {
        let tier = &self.tiers[class as usize];
        let by_address = format!("rate_limit:{address}:{}", tier.name);
        let allowance = if class == Class::Browse {
            self.browse(tier, by_address)
        } else {
            let by_user = user_id.map(|id| format!("rate_limit:{id}:{}", tier.name));
            self.ask(tier, std::iter::once(by_address).chain(by_user).collect())
                .await
        };
        self.decide(tier, allowance)
    }

    /// Counts a login to an account, however many addresses it comes from.
    pub async fn log_in(&self, email: &str) -> Result<(), Problem> {
        let account = types::normalise(email);
        let key = format!(
            "rate_limit:{:x}:account",
            xxhash_rust::xxh3::xxh3_64(account.as_bytes())
        );
        let allowance = self.ask(&self.account, vec![key]).await;
        self.decide(&self.account, allowance).map(|_| ())
    }

    fn decide(&self, tier: &Tier, allowance: Allowance) -> Result<Standing, Problem> {
        let standing = Standing {
            name: tier.name,
            rate: tier.rate,
            allowance,
        };
        if allowance.wait.is_zero() {
            return Ok(standing);
        }
        self.refused
            .get_or_create(&Labels { class: tier.name })
            .inc();
        Err(Problem::rate_limited(standing))
    }

    async fn ask(&self, tier: &Tier, keys: Vec<String>) -> Allowance {
        match script::count(&self.redis, tier.rate, &keys).await {
            Ok(allowance) => allowance,
            Err(Away) => {
                let shares = keys.iter().map(|key| tier.count(&tier.share, key));
                shares
                    .max_by_key(|allowance| allowance.wait)
                    .unwrap_or_default()
            }
        }
    }

    fn browse(&self, tier: &Tier, key: String) -> Allowance {
        let blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = blocked
            .get(&key)
            .map(|until| until.saturating_duration_since(Instant::now()));
        drop(blocked);
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            return Allowance { left: 0, wait };
        }
        let local = if self.redis.is_away() {
            &tier.share
        } else {
            &tier.whole
        };
        let allowance = tier.count(local, &key);
        if allowance.wait.is_zero() {
            let mut unsettled = self
                .unsettled
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *unsettled.entry(key).or_default() += 1;
        }
        allowance
    }

    /// Settles browsing with Redis again and again; done at shutdown.
    pub async fn settle(self: Arc<Self>, chassis: Chassis) {
        let shutdown = chassis.shutdown();
        let mut ticks = tokio::time::interval(SETTLE_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pruned_at = Instant::now();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            self.settle_once().await;
            if pruned_at.elapsed() >= PRUNE_PERIOD {
                self.tiers
                    .iter()
                    .chain([&self.account])
                    .for_each(Tier::prune);
                pruned_at = Instant::now();
            }
        }
    }

    async fn settle_once(&self) {
        let counted = std::mem::take(
            &mut *self
                .unsettled
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if counted.is_empty() {
            return;
        }
        let rate = self.tiers[Class::Browse as usize].rate;
        // While Redis is away each process allows its share: there is nothing to settle.
        let Ok(waits) = script::settle(&self.redis, rate, &counted).await else {
            return;
        };
        let now = Instant::now();
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        blocked.retain(|_, until| *until > now);
        blocked.extend(waits.into_iter().map(|(key, wait)| (key, now + wait)));
    }
}

/// What a sender is told of a limit: how much is left, or how long to wait.
#[derive(Clone, Debug)]
pub struct Standing {
    name: &'static str,
    rate: Rate,
    allowance: Allowance,
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

impl Standing {
    /// As the IETF draft "RateLimit header fields for HTTP" has it. A refusal has written its own
    /// already.
    pub fn write(&self, headers: &mut HeaderMap) {
        let Self {
            name,
            rate,
            allowance,
        } = self;
        let window = rate.period.as_secs();
        let wait = allowance.wait.as_secs() + u64::from(allowance.wait.subsec_nanos() > 0);
        let until = if wait > 0 { wait } else { window };
        if wait > 0 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        let policy = format!("\"{name}\";q={};w={window}", rate.requests);
        let state = format!("\"{name}\";r={};t={until}", allowance.left);
        for (header, text) in [(POLICY, policy), (STATE, state)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.entry(header).or_insert(value);
            }
        }
    }
}
