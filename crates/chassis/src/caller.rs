//! Who calls. The gateway verifies a customer and vouches for them by signed metadata.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use types::{SessionId, UserId};

use crate::Context;

/// Metadata that carries the caller between services.
pub(crate) const HEADER: &str = "x-caller";

/// A signed caller is refused this long after it was signed.
const LIFETIME: Duration = Duration::from_secs(60);

const SECRET_BYTES_MIN: usize = 32;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Guest,
    Customer,
    Staff,
    Admin,
    /// A service, by its name, perhaps for a user.
    Service(String),
}

/// Who a request comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    pub kind: Kind,
    pub user_id: Option<UserId>,
    pub session_id: Option<SessionId>,
}

impl Caller {
    /// The current request's caller.
    pub fn current() -> Self {
        Context::current().caller
    }

    pub fn service(name: &str, user_id: Option<UserId>) -> Self {
        Self {
            kind: Kind::Service(name.to_owned()),
            user_id,
            session_id: None,
        }
    }

    /// Somebody who logged in; staff and admins are customers too.
    pub fn signed_in(&self) -> Option<UserId> {
        match self.kind {
            Kind::Customer | Kind::Staff | Kind::Admin => self.user_id,
            Kind::Guest | Kind::Service(_) => None,
        }
    }

    pub fn is_staff(&self) -> bool {
        matches!(self.kind, Kind::Staff | Kind::Admin)
    }

    pub fn is_service(&self, name: &str) -> bool {
        matches!(&self.kind, Kind::Service(service) if service == name)
    }

    /// As history records it: `guest`, `customer`, `staff`, `admin` or `service:<name>`.
    pub fn label(&self) -> String {
        match &self.kind {
            Kind::Guest => "guest".to_owned(),
            Kind::Customer => "customer".to_owned(),
            Kind::Staff => "staff".to_owned(),
            Kind::Admin => "admin".to_owned(),
            Kind::Service(name) => format!("service:{name}"),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Signed {
    caller: Caller,
    expires_at: u64,
}

/// The caller's signature is missing, wrong or too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the caller is not vouched for")]
pub struct NotVouchedFor;

/// Signs and verifies callers (HMAC-SHA256, RFC 2104).
#[derive(Clone, Debug)]
pub struct CallerKey(hmac::Key);

impl CallerKey {
    pub fn new(secret: &SecretString) -> anyhow::Result<Self> {
        let secret = secret.expose_secret().as_bytes();
        anyhow::ensure!(
            secret.len() >= SECRET_BYTES_MIN,
            "--caller-secret: at least {SECRET_BYTES_MIN} bytes are needed"
        );
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    pub fn sign(&self, caller: &Caller) -> String {
        let signed = Signed {
            caller: caller.clone(),
            expires_at: (unix_time() + LIFETIME).as_secs(),
        };
        // Plain enums and ids always serialise.
        let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&signed).unwrap_or_default());
        let tag = hmac::sign(&self.0, claims.as_bytes());
        format!("{claims}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }

    pub fn verify(&self, header: &str) -> Result<Caller, NotVouchedFor> {
        let (claims, tag) = header.split_once('.').ok_or(NotVouchedFor)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| NotVouchedFor)?;
        hmac::verify(&self.0, claims.as_bytes(), &tag).map_err(|_| NotVouchedFor)?;
        let json = URL_SAFE_NO_PAD.decode(claims).map_err(|_| NotVouchedFor)?;
        let signed: Signed = serde_json::from_slice(&json).map_err(|_| NotVouchedFor)?;
        if signed.expires_at < unix_time().as_secs() {
            return Err(NotVouchedFor);
        }
        Ok(signed.caller)
    }
}

fn unix_time() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use types::Slot;

    use super::*;

    fn key(secret: &str) -> CallerKey {
        CallerKey::new(&secret.into()).unwrap()
    }

    #[test]
    fn a_signed_caller_comes_back() {
        let key = key(&"k".repeat(32));
        let caller = Caller::service("order", Some(UserId::new(Slot::draw())));

        assert_eq!(key.verify(&key.sign(&caller)), Ok(caller));
    }

    #[test]
    fn a_caller_of_another_key_or_with_other_claims_is_refused() {
        let ours = key(&"k".repeat(32));
        let signed = ours.sign(&Caller::default());
        let (_, tag) = signed.split_once('.').unwrap();
        let staff =
            URL_SAFE_NO_PAD.encode(r#"{"caller":{"kind":"staff"},"expires_at":99999999999}"#);

        assert_eq!(key(&"x".repeat(32)).verify(&signed), Err(NotVouchedFor));
        assert_eq!(ours.verify(&format!("{staff}.{tag}")), Err(NotVouchedFor));
        assert_eq!(ours.verify(""), Err(NotVouchedFor));
    }

    #[test]
    fn a_short_secret_is_refused_by_its_setting() {
        let error = CallerKey::new(&"short".into()).unwrap_err().to_string();

        assert!(error.contains("--caller-secret"), "{error}");
    }
}
