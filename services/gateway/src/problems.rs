//! Every kind of problem that the gateway answers, and the page that explains it to a person.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::error::Problem;

/// One kind of problem. The slug is stable: programs compare it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    pub slug: &'static str,
    pub status: StatusCode,
    pub title: &'static str,
    /// What the reader of the page can do about it.
    pub advice: &'static str,
}

macro_rules! kinds {
    ($($name:ident $status:ident $slug:literal $title:literal $advice:literal)+) => {
        $(
            pub static $name: Kind = Kind {
                slug: $slug,
                status: StatusCode::$status,
                title: $title,
                advice: $advice,
            };
        )+

        pub static ALL: &[&Kind] = &[$(&$name),+];
    };
}

kinds! {
    MALFORMED BAD_REQUEST "malformed"
        "The request cannot be read"
        "The body is no JSON, or the path or a header is not text. Correct it before sending it again."
    UNAUTHENTICATED UNAUTHORIZED "unauthenticated"
        "You are not signed in"
        "The e-mail, password or token is missing, wrong, expired or revoked. Log in or refresh the session."
    PAYMENT_DECLINED PAYMENT_REQUIRED "payment-declined"
        "The payment was declined"
        "`reason` says why. The order `orderId` is rejected and its stock released; place a new one with another means of payment."
    FORBIDDEN FORBIDDEN "forbidden"
        "Your role does not allow this"
        "The route is for staff."
    NOT_FOUND NOT_FOUND "not-found"
        "There is no such thing"
        "It does not exist, or it is not yours."
    METHOD_NOT_ALLOWED METHOD_NOT_ALLOWED "method-not-allowed"
        "This address does not take that method"
        "The `Allow` header lists the methods that it takes."
    NOT_ACCEPTABLE NOT_ACCEPTABLE "not-acceptable"
        "Only JSON can be answered"
        "Let `Accept` include `application/json`."
    CONFLICT CONFLICT "conflict"
        "The request does not fit the present state"
        "Read the thing again and decide anew."
    EMAIL_TAKEN CONFLICT "email-taken"
        "The e-mail address has an account"
        "Log in, or register with another address."
    OUT_OF_STOCK CONFLICT "out-of-stock"
        "There is not enough stock"
        "`sku` names the variant and `available` says how many are left. Change the cart and order again."
    PRICE_CHANGED CONFLICT "price-changed"
        "A price changed since the cart was read"
        "`total` is the new total. Show it to the customer and order again."
    TIMED_OUT CONFLICT "timed-out"
        "The order could not be completed in time"
        "The order `orderId` is rejected, its stock released and no money taken. Order again."
    TOO_LATE CONFLICT "too-late"
        "It is too late for this"
        "`orderStatus` says how far the order is. A shipped order is refunded, not cancelled."
    BELOW_RESERVED CONFLICT "below-reserved"
        "Orders hold more than what would be left"
        "Release or ship those orders first, or leave at least what is reserved."
    REFUND_EXCEEDS_CAPTURED CONFLICT "refund-exceeds-captured"
        "More would be refunded than was captured"
        "Read the payment: what is captured and not yet refunded is the most that can be given back."
    KEY_IN_PROGRESS CONFLICT "key-in-progress"
        "A request with this Idempotency-Key is still running"
        "Wait a moment and send the same request with the same key again."
    SLUG_TAKEN CONFLICT "slug-taken"
        "The slug is in use"
        "Choose another slug."
    SKU_TAKEN CONFLICT "sku-taken"
        "The SKU belongs to another product"
        "Choose another SKU."
    VERSION_MISMATCH PRECONDITION_FAILED "version-mismatch"
        "It was changed in the meantime"
        "Read it again, apply your change to the new version and send its `ETag` as `If-Match`."
    TOO_LARGE PAYLOAD_TOO_LARGE "too-large"
        "The body is too large"
        "At most 1 MiB is taken."
    URI_TOO_LONG URI_TOO_LONG "uri-too-long"
        "The address is too long"
        "At most 8 KiB are taken."
    UNSUPPORTED_MEDIA_TYPE UNSUPPORTED_MEDIA_TYPE "unsupported-media-type"
        "The body is not JSON"
        "Send `Content-Type: application/json`, in UTF-8."
    INVALID UNPROCESSABLE_ENTITY "invalid"
        "The request is understood but not acceptable"
        "`errors` names each field at fault and what it must be."
    INVALID_ID UNPROCESSABLE_ENTITY "invalid-id"
        "That is no id of ours"
        "Use an id exactly as it was answered."
    INVALID_CURSOR UNPROCESSABLE_ENTITY "invalid-cursor"
        "That is no cursor of this list"
        "Use `nextCursor` exactly as it was answered, or start again without one."
    CART_EMPTY UNPROCESSABLE_ENTITY "cart-empty"
        "The cart is empty"
        "Put something into it first."
    UNKNOWN_SKU UNPROCESSABLE_ENTITY "unknown-sku"
        "No such variant is sold"
        "Take a SKU from the product's `variants`."
    SKU_REQUIRED UNPROCESSABLE_ENTITY "sku-required"
        "The product has several variants"
        "Send one of `skus` as `sku`."
    CURRENCY_MISMATCH UNPROCESSABLE_ENTITY "currency-mismatch"
        "The currencies differ"
        "One cart, order or refund has one currency."
    KEY_REUSED UNPROCESSABLE_ENTITY "key-reused"
        "The Idempotency-Key was used for another request"
        "Use a new key for a new request, and the same key only to repeat the same one."
    KEY_REQUIRED PRECONDITION_REQUIRED "key-required"
        "An Idempotency-Key is required"
        "Make a random one for each thing to be done, and send the same one when you repeat the request."
    IF_MATCH_REQUIRED PRECONDITION_REQUIRED "if-match-required"
        "An If-Match is required"
        "Send the `ETag` of the version that you want to change."
    RATE_LIMITED TOO_MANY_REQUESTS "rate-limited"
        "Too many requests"
        "Wait for `Retry-After` seconds."
    INTERNAL INTERNAL_SERVER_ERROR "internal"
        "Something went wrong on our side"
        "Tell us the `requestId`."
    UNAVAILABLE SERVICE_UNAVAILABLE "unavailable"
        "A part of the shop is away"
        "Try again after `Retry-After` seconds; repeat a write with the same Idempotency-Key."
    SLOT_FENCED SERVICE_UNAVAILABLE "slot-fenced"
        "Your data is being moved"
        "Try again after `Retry-After` seconds."
    SHARD_DOWN SERVICE_UNAVAILABLE "shard-down"
        "A database is away"
        "Try again after `Retry-After` seconds."
    SHARD_BUSY SERVICE_UNAVAILABLE "shard-busy"
        "A database has too much to do"
        "Try again after `Retry-After` seconds; repeat a write with the same Idempotency-Key."
    COMMIT_UNKNOWN SERVICE_UNAVAILABLE "commit-unknown"
        "It is not known whether the change was made"
        "Read the thing again, or repeat the request with the same Idempotency-Key."
    DEADLINE_EXCEEDED GATEWAY_TIMEOUT "deadline-exceeded"
        "It took too long"
        "Try again; repeat a write with the same Idempotency-Key."
}

impl Kind {
    pub fn with_slug(slug: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|kind| kind.slug == slug)
    }

    /// A backend's reason is the slug in other letters: `OUT_OF_STOCK`.
    pub fn with_reason(reason: &str) -> Option<&'static Self> {
        let letters = |byte: u8| {
            if byte == b'_' {
                b'-'
            } else {
                byte.to_ascii_lowercase()
            }
        };
        ALL.iter()
            .copied()
            .find(|kind| kind.slug.bytes().eq(reason.bytes().map(letters)))
    }
}

/// Explains one kind of problem to a person.
pub async fn page(Path(slug): Path<String>) -> Response {
    let Some(kind) = Kind::with_slug(&slug) else {
        return Problem::new(&NOT_FOUND).into_response();
    };
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <h1>{title}</h1><p><code>{slug}</code>, HTTP status {status}</p><p>{advice}</p></html>",
        title = kind.title,
        slug = kind.slug,
        status = kind.status.as_u16(),
        advice = kind.advice,
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, html).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn slugs_are_unique() {
        let slugs: BTreeSet<_> = ALL.iter().map(|kind| kind.slug).collect();

        assert_eq!(slugs.len(), ALL.len());
    }

    #[test]
    fn every_settled_reason_has_a_kind() {
        let reasons = "EMAIL_TAKEN OUT_OF_STOCK PRICE_CHANGED PAYMENT_DECLINED CART_EMPTY UNKNOWN_SKU \
            SKU_REQUIRED CURRENCY_MISMATCH TOO_LATE BELOW_RESERVED REFUND_EXCEEDS_CAPTURED \
            VERSION_MISMATCH KEY_REUSED KEY_IN_PROGRESS INVALID_ID INVALID_CURSOR SLOT_FENCED \
            SHARD_DOWN SHARD_BUSY COMMIT_UNKNOWN TIMED_OUT SLUG_TAKEN SKU_TAKEN";

        for reason in reasons.split_whitespace() {
            assert!(Kind::with_reason(reason).is_some(), "{reason}");
        }
    }
}
