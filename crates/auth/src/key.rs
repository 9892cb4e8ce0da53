//! Ed25519 keys as JSON Web Keys (RFC 8037).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::Error;

/// A set of keys, RFC 7517 §5.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeySet<K> {
    pub(crate) keys: Vec<K>,
}

impl<'a, K: Deserialize<'a>> KeySet<K> {
    pub(crate) fn parse(json: &'a str) -> Result<Self, Error> {
        let set: Self =
            serde_json::from_str(json).map_err(|error| Error::KeySet(error.to_string()))?;
        if set.keys.is_empty() {
            return Err(Error::KeySet("it is empty".to_owned()));
        }
        Ok(set)
    }
}

/// What everybody may know of a key.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PublicKey {
    pub(crate) kid: String,
    kty: KeyType,
    crv: Curve,
    alg: Algorithm,
    r#use: Use,
    /// The public key, base64url.
    pub(crate) x: String,
}

/// A key that signs.
#[derive(Deserialize)]
pub(crate) struct PrivateKey {
    #[serde(flatten)]
    pub(crate) public: PublicKey,
    /// The seed, base64url.
    d: String,
}

#[derive(Clone, Serialize, Deserialize)]
enum KeyType {
    #[serde(rename = "OKP")]
    OctetKeyPair,
}

#[derive(Clone, Serialize, Deserialize)]
enum Curve {
    Ed25519,
}

#[derive(Clone, Serialize, Deserialize)]
enum Algorithm {
    #[serde(rename = "EdDSA")]
    EdDsa,
}

#[derive(Clone, Serialize, Deserialize)]
enum Use {
    #[serde(rename = "sig")]
    Signature,
}

impl PublicKey {
    fn new(key: &[u8]) -> Self {
        let x = URL_SAFE_NO_PAD.encode(key);
        Self {
            kid: thumbprint(&x),
            kty: KeyType::OctetKeyPair,
            crv: Curve::Ed25519,
            alg: Algorithm::EdDsa,
            r#use: Use::Signature,
            x,
        }
    }
}

impl PrivateKey {
    /// PKCS #8; refused when the two halves do not belong together.
    pub(crate) fn to_der(&self) -> Result<Vec<u8>, Error> {
        let unfit = || Error::KeySet(format!("key {} is no Ed25519 key pair", self.public.kid));
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| unfit());
        let seed = decode(&self.d)?;
        let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &decode(&self.public.x)?)
            .map_err(|_| unfit())?;
        let der = pair.to_pkcs8v1().map_err(|_| unfit())?;
        Ok(der.as_ref().to_vec())
    }
}

/// RFC 7638: the members in this order, without spaces.
fn thumbprint(x: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()))
}

/// A private JWK set with one new key, as JSON. Keep it secret.
pub fn generate_keys() -> Result<String, Error> {
    #[derive(Serialize)]
    struct Generated {
        #[serde(flatten)]
        public: PublicKey,
        d: String,
    }

    let pair = Ed25519KeyPair::generate().map_err(|_| Error::NoRandomness)?;
    let seed = pair.seed().map_err(|_| Error::NoRandomness)?;
    let seed = seed.as_be_bytes().map_err(|_| Error::NoRandomness)?;
    let keys = vec![Generated {
        public: PublicKey::new(pair.public_key().as_ref()),
        d: URL_SAFE_NO_PAD.encode(seed.as_ref()),
    }];
    serde_json::to_string_pretty(&KeySet { keys }).map_err(|error| Error::KeySet(error.to_string()))
}
