//! Deadlines, as `grpc-timeout` on the wire.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::Context;

/// See the gRPC over HTTP/2 protocol, "Timeout".
pub(crate) const HEADER: &str = "grpc-timeout";

/// What is left to the current request; `None` where it has no deadline.
pub fn remaining() -> Option<Duration> {
    let deadline = Context::current().deadline?;
    Some(deadline.saturating_duration_since(Instant::now()))
}

pub(crate) fn to_header(left: Duration) -> HeaderValue {
    // At most 8 digits are allowed: milliseconds last for a day.
    let millis = left.as_millis().min(99_999_999);
    HeaderValue::from_str(&format!("{millis}m")).unwrap_or_else(|_| HeaderValue::from_static("0m"))
}

/// `None` where there is none; an unreadable one is none, as the protocol asks.
pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount.saturating_mul(3600))),
        "M" => Some(Duration::from_secs(amount.saturating_mul(60))),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_survives_the_wire() {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, to_header(Duration::from_millis(1_950)));

        assert_eq!(from_headers(&headers), Some(Duration::from_millis(1_950)));
    }

    #[test]
    fn an_unreadable_deadline_is_none() {
        for text in ["", "m", "5", "5x", "-1S"] {
            let headers = [(
                http::HeaderName::from_static(HEADER),
                HeaderValue::from_static(text),
            )];

            assert_eq!(from_headers(&headers.into_iter().collect()), None, "{text}");
        }
    }
}
