//! Sessions: a family of refresh tokens, each good for one use.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use types::SessionId;

const SECRET_BYTES: usize = 32;

/// `session_id.secret`: it finds its shard by itself, and only the secret's hash is stored.
#[derive(Debug)]
pub(crate) struct RefreshToken {
    pub(crate) session_id: SessionId,
    secret: SecretString,
}

impl RefreshToken {
    pub(crate) fn new(session_id: SessionId) -> Self {
        let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>());
        Self {
            session_id,
            secret: secret.into(),
        }
    }

    /// `None` when it is none of ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (session_id, secret) = text.split_once('.')?;
        Some(Self {
            session_id: session_id.parse().ok()?,
            secret: secret.into(),
        })
    }

    pub(crate) fn secret_hash(&self) -> Vec<u8> {
        let secret = self.secret.expose_secret();
        digest(&SHA256, secret.as_bytes()).as_ref().to_vec()
    }

    /// The text for the client.
    pub(crate) fn expose(&self) -> String {
        format!("{}.{}", self.session_id, self.secret.expose_secret())
    }
}

/// What is known of a refresh token that somebody shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The session is revoked or has expired.
    pub(crate) is_over: bool,
    pub(crate) use_before: UseBefore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UseBefore {
    Never,
    /// Within the last 10 s.
    JustNow,
    Earlier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A new token takes its place.
    Rotate,
    /// Perhaps the first answer was lost: refused, and nothing else.
    Refuse,
    /// Somebody has a copy: the whole family ends.
    Revoke,
}

pub(crate) fn judge(shown: Shown) -> Verdict {
    match (shown.is_over, shown.use_before) {
        (true, _) | (false, UseBefore::JustNow) => Verdict::Refuse,
        (false, UseBefore::Never) => Verdict::Rotate,
        (false, UseBefore::Earlier) => Verdict::Revoke,
    }
}

#[cfg(test)]
mod tests {
    use types::Slot;

    use super::*;

    #[test]
    fn a_token_comes_back_from_its_text() {
        let token = RefreshToken::new(SessionId::new(Slot::draw()));

        let parsed = RefreshToken::parse(&token.expose()).unwrap();

        assert_eq!(parsed.session_id, token.session_id);
        assert_eq!(parsed.secret_hash(), token.secret_hash());
        assert!(!format!("{token:?}").contains(&token.expose()));
    }

    #[test]
    fn texts_that_are_no_token_are_refused() {
        for text in ["", ".", "a.b", "01a0c4aa-8c00-72a7-8707-070707070707"] {
            assert!(RefreshToken::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn only_a_late_second_use_ends_the_family() {
        let judged = |is_over, use_before| {
            judge(Shown {
                is_over,
                use_before,
            })
        };

        assert_eq!(judged(false, UseBefore::Never), Verdict::Rotate);
        assert_eq!(judged(false, UseBefore::JustNow), Verdict::Refuse);
        assert_eq!(judged(false, UseBefore::Earlier), Verdict::Revoke);
        for use_before in [UseBefore::Never, UseBefore::JustNow, UseBefore::Earlier] {
            assert_eq!(judged(true, use_before), Verdict::Refuse);
        }
    }
}
