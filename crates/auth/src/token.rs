use std::collections::HashMap;
use std::path::Path;

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use types::{SessionId, UserId};

use crate::Error;
use crate::key::{KeySet, PrivateKey, PublicKey};

const ISSUER: &str = "cloudretail";
const AUDIENCE: &str = "cloudretail";

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Customer,
    Staff,
    Admin,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no role")]
pub struct UnknownRole(String);

impl Role {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Staff => "staff",
            Self::Admin => "admin",
        }
    }
}

impl TryFrom<String> for Role {
    type Error = UnknownRole;

    fn try_from(text: String) -> Result<Self, UnknownRole> {
        [Self::Customer, Self::Staff, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownRole(text))
    }
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    #[serde(rename = "sub")]
    pub user_id: UserId,
    #[serde(rename = "sid")]
    pub session_id: SessionId,
    pub role: Role,
    #[serde(rename = "iat", with = "jiff::fmt::serde::timestamp::second::required")]
    pub issued_at: Timestamp,
    #[serde(rename = "exp", with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
}

#[derive(Serialize)]
struct Registered<'a> {
    #[serde(flatten)]
    claims: &'a Claims,
    iss: &'static str,
    aud: &'static str,
}

/// Signs access tokens with the first key of a set.
pub struct Signer {
    header: Header,
    key: EncodingKey,
    public: KeySet<PublicKey>,
}

impl Signer {
    /// Reads a private JWK set, as [`generate_keys`](crate::generate_keys) writes it.
    pub fn from_jwk_file(path: &Path) -> Result<Self, Error> {
        let json = std::fs::read_to_string(path).map_err(|source| Error::KeyFile {
            path: path.display().to_string(),
            source,
        })?;
        Self::from_jwks(&json)
    }

    pub fn from_jwks(json: &str) -> Result<Self, Error> {
        let set = KeySet::<PrivateKey>::parse(json)?;
        let key = EncodingKey::from_ed_der(&set.keys[0].to_der()?);
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(set.keys[0].public.kid.clone());
        let keys = set.keys.into_iter().map(|key| key.public).collect();
        Ok(Self {
            header,
            key,
            public: KeySet { keys },
        })
    }

    pub fn sign(&self, claims: &Claims) -> Result<String, Error> {
        let claims = Registered {
            claims,
            iss: ISSUER,
            aud: AUDIENCE,
        };
        jsonwebtoken::encode(&self.header, &claims, &self.key).map_err(|_| Error::InvalidToken)
    }

    /// The public halves of all keys, as the JSON of a JWK set.
    pub fn jwks(&self) -> Result<String, Error> {
        serde_json::to_string(&self.public).map_err(|error| Error::KeySet(error.to_string()))
    }
}

/// Verifies access tokens with any key of a set.
pub struct Verifier {
    keys: HashMap<String, DecodingKey>,
    validation: Validation,
}

impl Verifier {
    /// Takes a public JWK set, as [`Signer::jwks`] answers it.
    pub fn from_jwks(json: &str) -> Result<Self, Error> {
        let set = KeySet::<PublicKey>::parse(json)?;
        let mut keys = HashMap::new();
        for key in set.keys {
            let decoding = DecodingKey::from_ed_components(&key.x)
                .map_err(|error| Error::KeySet(error.to_string()))?;
            keys.insert(key.kid, decoding);
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Issuer and verifier are ours, with synchronised clocks.
        validation.leeway = 5;
        Ok(Self { keys, validation })
    }

    /// [`Error::UnknownKey`] may mean that the keys were rotated: load them again.
    pub fn verify(&self, token: &str) -> Result<Claims, Error> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Error::InvalidToken)?;
        let kid = header.kid.ok_or(Error::InvalidToken)?;
        let key = self.keys.get(&kid).ok_or(Error::UnknownKey)?;
        match jsonwebtoken::decode::<Claims>(token, key, &self.validation) {
            Ok(token) => Ok(token.claims),
            Err(error) if *error.kind() == ErrorKind::ExpiredSignature => Err(Error::Expired),
            Err(_) => Err(Error::InvalidToken),
        }
    }
}
