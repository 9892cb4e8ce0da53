//! Answers that are the same for everybody, kept in this process with their codings.
//!
//! An answer lives for a time, and shorter when an event says that it changed. Events and loads race,
//! so the event does not remove the answer: it raises a floor, and an answer below it is not served.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use chassis::{Chassis, Context};
use events::Received;
use moka::future::Cache as Moka;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use proto::inventory::v1::StockLevelChanged;
use proto::product::v1::{CategoryCreated, ProductCreated, ProductDeleted, ProductUpdated};
use serde::Serialize;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::encode::{ENCODED_BYTES_MIN, Encoding};
use crate::error::Problem;
use crate::problems;
use crate::shapes;

pub const CACHE_PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// The longest lifetime of an answer while its backend can be asked.
const LIFETIME_MAX: Duration = Duration::from_secs(300);

/// The longest lifetime of an answer while its backend fails, and so of a floor.
const STALE_MAX: Duration = Duration::from_secs(600);

/// What an answer is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A product, by its id or its slug.
    Product(Box<str>),
    /// Lists and searches: any change of the catalogue ends them.
    Catalogue,
    /// A SKU's availability.
    Stock(Box<str>),
}

/// For how long an answer is served, here and elsewhere.
pub struct Freshness {
    lifetime: Duration,
    cache_control: &'static str,
    cdn: Option<&'static str>,
    /// Whose answer it is: those who have seen this service's data pass the cache.
    service: &'static str,
}

impl Freshness {
    pub const PRODUCT: &'static Self = &Self {
        lifetime: LIFETIME_MAX,
        cache_control: "public, max-age=300",
        cdn: Some("max-age=600"),
        service: "product",
    };

    /// Shorter here: a list that was read from a late replica carries no version that would tell.
    pub const CATALOGUE: &'static Self = &Self {
        lifetime: Duration::from_secs(30),
        cache_control: "public, max-age=300",
        cdn: Some("max-age=600"),
        service: "product",
    };

    /// Events tell only when the status changes; the number is as old as this.
    pub const STOCK: &'static Self = &Self {
        lifetime: Duration::from_secs(2),
        cache_control: "public, max-age=2",
        cdn: None,
        service: "inventory",
    };
}

/// What a backend answered.
pub struct Read<T> {
    version: Option<i64>,
    body: T,
}

impl<T> Read<T> {
    pub fn versioned(version: i64, body: T) -> Self {
        Self {
            version: Some(version),
            body,
        }
    }

    pub fn unversioned(body: T) -> Self {
        Self {
            version: None,
            body,
        }
    }
}

/// How a public read is asked for.
pub struct Public {
    address: String,
    /// With credentials the answer is the caller's own.
    private: bool,
    encoding: Option<Encoding>,
    if_none_match: Option<HeaderValue>,
}

impl<S: Send + Sync> FromRequestParts<S> for Public {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let address = parts.uri.path_and_query().map(ToString::to_string);
        Ok(Self {
            address: address.unwrap_or_default(),
            private: parts.headers.contains_key(header::AUTHORIZATION),
            encoding: Encoding::preferred(&parts.headers),
            if_none_match: parts.headers.get(header::IF_NONE_MATCH).cloned(),
        })
    }
}

struct Entry {
    body: Bytes,
    etag: HeaderValue,
    version: Option<i64>,
    /// The catalogue's state when the answer was asked for.
    generation: u64,
    stored_at: Instant,
    encoded: [OnceCell<Bytes>; Encoding::ALL.len()],
}

impl Entry {
    fn new<T: Serialize>(read: Read<T>, generation: u64) -> Result<Self, Problem> {
        let body = serde_json::to_vec(&read.body).map_err(|error| {
            tracing::error!(%error, "an answer cannot be written");
            Problem::new(&problems::INTERNAL)
        })?;
        let etag = match read.version {
            Some(version) => shapes::etag(version),
            None => format!("\"{:x}\"", xxh3_64(&body)),
        };
        Ok(Self {
            body: body.into(),
            etag: HeaderValue::try_from(etag).map_err(|_| Problem::new(&problems::INTERNAL))?,
            version: read.version,
            generation,
            stored_at: Instant::now(),
            encoded: Default::default(),
        })
    }

    async fn respond(&self, public: &Public) -> Response {
        let unchanged = public
            .if_none_match
            .as_ref()
            .is_some_and(|tags| matches(tags, &self.etag));
        let mut response = if unchanged {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            self.content(public.encoding).await
        };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, self.etag.clone());
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        response
    }

    async fn content(&self, encoding: Option<Encoding>) -> Response {
        let encoding = encoding.filter(|_| self.body.len() as u64 >= ENCODED_BYTES_MIN);
        let (body, name) = match encoding {
            Some(encoding) => {
                let encode = || encoding.encode(self.body.clone());
                let body = self.encoded[encoding as usize].get_or_init(encode).await;
                (
                    body.clone(),
                    Some(HeaderValue::from_static(encoding.name())),
                )
            }
            None => (self.body.clone(), None),
        };
        let mut response = Response::new(body.into());
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some(name) = name {
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, name);
        }
        response
    }
}

/// Weak comparison (RFC 9110 §8.8.3.2), as `If-None-Match` wants it.
fn matches(tags: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(tags), Ok(etag)) = (tags.to_str(), etag.to_str()) else {
        return false;
    };
    let mut tags = tags
        .split(',')
        .map(|tag| tag.trim().trim_start_matches("W/"));
    tags.any(|tag| tag == "*" || tag == etag)
}

/// As the caches of the services are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Found {
    layer: &'static str,
    result: &'static str,
}

impl Found {
    const fn in_process(result: &'static str) -> Self {
        Self {
            layer: "l1",
            result,
        }
    }
}

struct Floor {
    version: i64,
    raised_at: Instant,
}

/// Every public answer of this process.
pub struct Cache {
    entries: Moka<String, Arc<Entry>>,
    /// The last answer to each, for when its backend fails.
    spares: Moka<String, Arc<Entry>>,
    floors: RwLock<HashMap<Key, Floor>>,
    /// Counts changes of the catalogue.
    generation: AtomicU64,
    requests: Family<Found, Counter>,
}

impl Cache {
    pub fn new(chassis: &Chassis, entries_max: u64) -> Self {
        let requests = Family::default();
        let help = "Look-ups of public answers in this process, by result";
        chassis.register(|registry| registry.register("cache_requests", help, requests.clone()));
        let entries = |lifetime| {
            Moka::builder()
                .max_capacity(entries_max)
                .time_to_live(lifetime)
                .build()
        };
        Self {
            entries: entries(LIFETIME_MAX),
            spares: entries(STALE_MAX),
            floors: RwLock::default(),
            generation: AtomicU64::new(0),
            requests,
        }
    }

    /// The kept answer, or what `load` reads; one load however many ask. When the backend fails, the
    /// last answer serves on, unless an event told that it changed.
    pub async fn answer<T: Serialize>(
        &self,
        public: Public,
        key: Key,
        freshness: &Freshness,
        load: impl Future<Output = Result<Read<T>, Problem>> + Send,
    ) -> Result<Response, Problem> {
        let generation = self.generation.load(Ordering::Acquire);
        if public.private || Context::current().consistency.has_seen(freshness.service) {
            let entry = Entry::new(load.await?, generation)?;
            let mut response = entry.respond(&public).await;
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, CACHE_PRIVATE);
            return Ok(response);
        }
        let load = async { Entry::new(load.await?, generation).map(Arc::new) };
        let looked_up = self.find(&public.address, &key, freshness, load).await;
        let result = looked_up.as_ref().map_or("error", |(_, found)| *found);
        self.requests
            .get_or_create(&Found::in_process(result))
            .inc();
        let (entry, found) = looked_up?;
        let mut response = entry.respond(&public).await;
        let headers = response.headers_mut();
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static(freshness.cache_control),
        );
        if let Some(cdn) = freshness.cdn {
            headers.insert(CDN_CACHE_CONTROL, HeaderValue::from_static(cdn));
        }
        headers.insert(
            header::AGE,
            HeaderValue::from(entry.stored_at.elapsed().as_secs()),
        );
        headers.insert(X_CACHE, HeaderValue::from_static(found));
        Ok(response)
    }

    /// An answer, and how it was found.
    async fn find(
        &self,
        address: &String,
        key: &Key,
        freshness: &Freshness,
        load: impl Future<Output = Result<Arc<Entry>, Problem>> + Send,
    ) -> Result<(Arc<Entry>, &'static str), Problem> {
        if let Some(entry) = self.entries.get(address).await {
            if entry.stored_at.elapsed() < freshness.lifetime && self.is_current(&entry, key) {
                return Ok((entry, "hit"));
            }
            self.entries.invalidate(address).await;
        }
        let load = async {
            let entry = load.await?;
            self.spares.insert(address.clone(), entry.clone()).await;
            Ok(entry)
        };
        let loaded = self.entries.try_get_with_by_ref(address, load).await;
        let problem: Arc<Problem> = match loaded {
            Ok(entry) => return Ok((entry, "miss")),
            Err(problem) => problem,
        };
        if problem.is_outage()
            && let Some(entry) = self.spares.get(address).await
            && self.is_current(&entry, key)
        {
            return Ok((entry, "stale"));
        }
        Err(Problem::clone(&problem))
    }

    /// Whether no event has told of a newer state.
    fn is_current(&self, entry: &Entry, key: &Key) -> bool {
        match entry.version {
            None => entry.generation == self.generation.load(Ordering::Acquire),
            Some(version) => {
                let floors = self.floors.read().unwrap_or_else(PoisonError::into_inner);
                floors.get(key).is_none_or(|floor| version >= floor.version)
            }
        }
    }

    fn raise(&self, key: Key, version: i64) {
        let mut floors = self.floors.write().unwrap_or_else(PoisonError::into_inner);
        // A floor matters as long as an answer from before it may be kept.
        floors.retain(|_, floor| floor.raised_at.elapsed() <= STALE_MAX);
        let raised_at = Instant::now();
        let floor = floors.entry(key).or_insert(Floor { version, raised_at });
        *floor = Floor {
            version: floor.version.max(version),
            raised_at,
        };
    }

    fn raise_product(&self, version: i64, names: &[&str]) {
        for name in names {
            self.raise(Key::Product(types::normalise(name).into()), version);
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends the answers that the event changes.
    pub fn on_event(&self, event: &Received) {
        if let Some(Ok(changed)) = event.decode::<ProductUpdated>() {
            let previous = changed.previous_slug.as_deref().unwrap_or(&changed.slug);
            self.raise_product(
                changed.version,
                &[&changed.product_id, &changed.slug, previous],
            );
        } else if let Some(Ok(deleted)) = event.decode::<ProductDeleted>() {
            self.raise_product(deleted.version, &[&deleted.product_id, &deleted.slug]);
        } else if let Some(Ok(created)) = event.decode::<ProductCreated>() {
            self.raise_product(created.version, &[&created.product_id, &created.slug]);
        } else if let Some(Ok(_)) = event.decode::<CategoryCreated>() {
            self.generation.fetch_add(1, Ordering::AcqRel);
        } else if let Some(Ok(changed)) = event.decode::<StockLevelChanged>() {
            self.raise(Key::Stock(changed.sku.into()), changed.version);
        }
    }
}
