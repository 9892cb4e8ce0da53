//! Access tokens: JSON Web Tokens (RFC 7519) signed with Ed25519, and the JWK sets of their keys.
//!
//! The user service signs with the first key of its set; the gateway verifies with all of them, so
//! that a key is rotated by putting a new one in front and dropping the old one a lifetime later.

mod error;
mod key;
mod token;

pub use error::Error;
pub use key::generate_keys;
pub use token::{Claims, Role, Signer, UnknownRole, Verifier};
