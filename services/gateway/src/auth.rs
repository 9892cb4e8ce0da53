//! Who sends a request: access tokens, and the sessions that were revoked before their tokens end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use auth::{Claims, Role, Verifier};
use axum::http::{HeaderMap, header};
use chassis::caller::Kind;
use chassis::{Caller, Chassis};
use events::Received;
use jiff::Timestamp;
use moka::future::Cache;
use proto::user::v1::{ListKeysRequest, SessionRevoked};
use tokio::time::{Instant, MissedTickBehavior};
use types::SessionId;

use crate::backends::Backends;
use crate::error::Problem;
use crate::problems;

/// How long an access token lives, with room for clocks that differ.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(16 * 60);

/// Keys are loaded anew this often, so that a withdrawn one is forgotten.
const KEYS_PERIOD: Duration = Duration::from_secs(60);

/// An unknown key makes them load at once, but not more often than this.
const KEYS_PERIOD_MIN: Duration = Duration::from_secs(2);

const VERIFIED_MAX: u64 = 50_000;

struct Keys {
    verifier: Verifier,
    /// As the user service publishes them.
    jwks: String,
}

pub struct Auth {
    backends: Arc<Backends>,
    keys: ArcSwapOption<Keys>,
    loaded_at: Mutex<Option<Instant>>,
    /// Signatures that were checked, by token.
    verified: Cache<String, Arc<Claims>>,
    revoked: RwLock<HashMap<SessionId, Instant>>,
}

impl Auth {
    pub fn new(backends: Arc<Backends>) -> Self {
        Self {
            backends,
            keys: ArcSwapOption::empty(),
            loaded_at: Mutex::new(None),
            verified: Cache::builder()
                .max_capacity(VERIFIED_MAX)
                .time_to_live(TOKEN_LIFETIME)
                .build(),
            revoked: RwLock::default(),
        }
    }

    /// Loads the keys now and then; done at shutdown.
    pub async fn keep_keys(self: Arc<Self>, chassis: Chassis) {
        let shutdown = chassis.shutdown();
        let mut ticks = tokio::time::interval(KEYS_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.load_keys().await {
                tracing::warn!(%error, "keys of access tokens cannot be loaded");
                if self.keys.load().is_none() {
                    ticks.reset_after(KEYS_PERIOD_MIN);
                }
            }
        }
    }

    /// Waits until there are keys.
    pub async fn has_keys(&self) {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while self.keys.load().is_none() {
            ticks.tick().await;
        }
    }

    async fn load_keys(&self) -> anyhow::Result<()> {
        let answer = self.backends.user().list_keys(ListKeysRequest {}).await?;
        let jwks = answer.into_inner().jwks;
        let verifier = Verifier::from_jwks(&jwks)?;
        let changed = self
            .keys
            .load()
            .as_ref()
            .is_none_or(|keys| keys.jwks != jwks);
        if changed {
            self.keys.store(Some(Arc::new(Keys { verifier, jwks })));
            // What a withdrawn key signed is not believed any longer.
            self.verified.invalidate_all();
        }
        Ok(())
    }

    /// The public keys, as a JWK set.
    pub fn jwks(&self) -> Option<String> {
        self.keys.load().as_ref().map(|keys| keys.jwks.clone())
    }

    /// A guest without a token; 401 for one that is not good.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Ok(Caller::default());
        };
        let text = value.to_str().unwrap_or_default();
        let refused = || Problem::new(&problems::UNAUTHENTICATED);
        let (scheme, token) = text.split_once(' ').ok_or_else(refused)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(refused());
        }
        let claims = self
            .claims(token.trim())
            .await
            .map_err(|error| match error {
                auth::Error::Expired => refused().with_detail("the access token has expired"),
                _ => refused(),
            })?;
        if self.is_revoked(claims.session_id) {
            return Err(refused().with_detail("the session was ended"));
        }
        Ok(Caller {
            kind: match claims.role {
                Role::Customer => Kind::Customer,
                Role::Staff => Kind::Staff,
                Role::Admin => Kind::Admin,
            },
            user_id: Some(claims.user_id),
            session_id: Some(claims.session_id),
        })
    }

    async fn claims(&self, token: &str) -> Result<Arc<Claims>, auth::Error> {
        if let Some(claims) = self.verified.get(token).await {
            if claims.expires_at <= Timestamp::now() {
                return Err(auth::Error::Expired);
            }
            return Ok(claims);
        }
        let claims = match self.verify(token) {
            Err(auth::Error::UnknownKey) if self.may_load_keys() => {
                // Without new keys the old ones decide.
                if let Err(error) = self.load_keys().await {
                    tracing::warn!(%error, "keys of access tokens cannot be loaded");
                }
                self.verify(token)?
            }
            other => other?,
        };
        let claims = Arc::new(claims);
        self.verified.insert(token.to_owned(), claims.clone()).await;
        Ok(claims)
    }

    fn verify(&self, token: &str) -> Result<Claims, auth::Error> {
        let keys = self.keys.load();
        let keys = keys.as_ref().ok_or(auth::Error::UnknownKey)?;
        keys.verifier.verify(token)
    }

    fn may_load_keys(&self) -> bool {
        let mut loaded_at = self
            .loaded_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let due = loaded_at.is_none_or(|at| at.elapsed() >= KEYS_PERIOD_MIN);
        if due {
            *loaded_at = Some(Instant::now());
        }
        due
    }

    fn is_revoked(&self, session_id: SessionId) -> bool {
        let revoked = self.revoked.read().unwrap_or_else(PoisonError::into_inner);
        revoked.contains_key(&session_id)
    }

    fn revoke(&self, session_id: SessionId) {
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        if !revoked.contains_key(&session_id) {
            revoked.retain(|_, at| at.elapsed() < TOKEN_LIFETIME);
        }
        revoked.insert(session_id, Instant::now());
    }

    /// The current request ended its own session: refused here at once, elsewhere by its event.
    pub fn revoke_current(&self) {
        if let Some(session_id) = Caller::current().session_id {
            self.revoke(session_id);
        }
    }

    /// Adds a revoked session to the deny list.
    pub fn on_event(&self, event: &Received) {
        let Some(Ok(revoked)) = event.decode::<SessionRevoked>() else {
            return;
        };
        match revoked.session_id.parse() {
            Ok(session_id) => self.revoke(session_id),
            Err(error) => tracing::error!(%error, "an event names no session"),
        }
    }
}
