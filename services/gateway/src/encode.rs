//! Content codings (RFC 9110 §8.4) of answers that are kept.

use std::convert::Infallible;

use axum::http::{HeaderMap, HeaderValue, Request, Response, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

/// Smaller answers gain nothing.
pub const ENCODED_BYTES_MIN: u64 = 1024;

const LEVEL: CompressionLevel = CompressionLevel::Precise(6);

/// In the order that we prefer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Brotli,
    Zstd,
    Gzip,
}

impl Encoding {
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The one that the caller likes best; `None`: as it is.
    pub fn preferred(headers: &HeaderMap) -> Option<Self> {
        let accepted = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
        let weight = |encoding: Self| {
            let mut entries = accepted.split(',').map(str::trim);
            let entry = entries.find(|entry| {
                entry.split(';').next().unwrap_or_default().trim() == encoding.name()
            })?;
            let quality = entry
                .split_once("q=")
                .map_or("1", |(_, quality)| quality.trim());
            quality.parse::<f32>().ok().filter(|quality| *quality > 0.0)
        };
        let mut best = None;
        for encoding in Self::ALL {
            let weight = weight(encoding);
            if weight > best.map(|(weight, _)| weight) {
                best = weight.map(|weight| (weight, encoding));
            }
        }
        best.map(|(_, encoding)| encoding)
    }

    /// The body in this coding.
    pub async fn encode(self, body: Bytes) -> Bytes {
        let plain = body.clone();
        let encoder = layer().layer(service_fn(move |_: Request<()>| {
            let body = body.clone();
            async move { Ok::<_, Infallible>(Response::new(Full::new(body))) }
        }));
        let mut request = Request::new(());
        let name = HeaderValue::from_static(self.name());
        request.headers_mut().insert(header::ACCEPT_ENCODING, name);
        let Ok(response) = encoder.oneshot(request).await;
        match response.into_body().collect().await {
            Ok(encoded) => encoded.to_bytes(),
            Err(error) => {
                tracing::error!(%error, "an answer cannot be encoded");
                plain
            }
        }
    }
}

/// Compresses answers that are not kept.
pub fn layer() -> CompressionLayer<impl tower_http::compression::Predicate> {
    use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};
    CompressionLayer::new()
        .quality(LEVEL)
        .compress_when(SizeAbove::new(ENCODED_BYTES_MIN).and(NotForContentType::IMAGES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred(accepted: &'static str) -> Option<Encoding> {
        let header = (header::ACCEPT_ENCODING, HeaderValue::from_static(accepted));
        Encoding::preferred(&[header].into_iter().collect())
    }

    #[test]
    fn the_best_liked_coding_is_taken() {
        assert_eq!(preferred("gzip, br, zstd"), Some(Encoding::Brotli));
        assert_eq!(preferred("gzip;q=1.0, br;q=0.5"), Some(Encoding::Gzip));
        assert_eq!(preferred("br;q=0, zstd"), Some(Encoding::Zstd));
        assert_eq!(preferred("identity"), None);
        assert_eq!(preferred(""), None);
    }

    #[tokio::test]
    async fn an_encoded_body_is_smaller_and_starts_as_its_coding_does() {
        let body = Bytes::from("a shop ".repeat(1000));

        let gzip = Encoding::Gzip.encode(body.clone()).await;
        let zstd = Encoding::Zstd.encode(body.clone()).await;
        let brotli = Encoding::Brotli.encode(body.clone()).await;

        assert_eq!(gzip[..2], [0x1f, 0x8b]);
        assert_eq!(zstd[..4], [0x28, 0xb5, 0x2f, 0xfd]);
        assert!(
            [gzip, zstd, brotli]
                .iter()
                .all(|encoded| encoded.len() < body.len() / 4)
        );
    }
}
