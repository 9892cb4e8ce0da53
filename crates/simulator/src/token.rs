//! What each test token makes the provider do.

use std::time::Duration;

use crate::provider::{Kind, Reason};

/// How an operation that was decided is answered the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    AtOnce,
    Late(Duration),
    /// No answer for this long, then 504.
    Never(Duration),
}

/// How often `tok_error_500` fails for one key before it works.
pub(crate) const FAILURES_PER_KEY: u32 = 2;

const SLOW: Duration = Duration::from_secs(3);
const HANG: Duration = Duration::from_secs(10);

/// Why an authorization with this token is declined; `None` when it is granted.
pub(crate) fn refusal(token: &str) -> Option<Reason> {
    match token {
        "tok_ok" | "tok_timeout_after_charge" | "tok_error_500" | "tok_slow_3s" => None,
        "tok_declined" => Some(Reason::CardDeclined),
        "tok_insufficient_funds" => Some(Reason::InsufficientFunds),
        "tok_expired" => Some(Reason::ExpiredCard),
        "tok_requires_action" => Some(Reason::AuthenticationRequired),
        _ => Some(Reason::InvalidToken),
    }
}

/// Whether an operation with this token fails at first, without effect.
pub(crate) fn fails_at_first(token: &str, kind: Kind) -> bool {
    token == "tok_error_500" && kind == Kind::Authorize
}

/// How the first answer for a key is given.
pub(crate) fn manner(token: &str, kind: Kind) -> Manner {
    match (token, kind) {
        ("tok_timeout_after_charge", Kind::Authorize | Kind::Capture) => Manner::Never(HANG),
        ("tok_slow_3s", Kind::Authorize) => Manner::Late(SLOW),
        _ => Manner::AtOnce,
    }
}
