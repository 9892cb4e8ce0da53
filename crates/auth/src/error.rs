/// Why keys were not loaded, or a token was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the key file {path} cannot be read: {source}")]
    KeyFile {
        path: String,
        source: std::io::Error,
    },
    #[error("not a JWK set of Ed25519 keys: {0}")]
    KeySet(String),
    #[error("no key could be made")]
    NoRandomness,
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid")]
    InvalidToken,
}
