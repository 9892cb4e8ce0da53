//! What each customer has seen, kept between their requests, so that whichever copy serves the next
//! one never shows them less.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Extension;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::Consistency;
use fred::interfaces::KeysInterface as _;
use fred::types::scripts::Script;
use fred::types::{Expiration, SetOptions};
use types::{CartId, UserId};

use crate::redis::Redis;

/// For clients that rather carry the token themselves.
pub const HEADER: HeaderName = HeaderName::from_static("x-consistency-token");

/// Replicas leave the rotation long before: what is older is on all of them.
const LIFETIME: Duration = Duration::from_secs(30);

/// How long everybody reads primaries after tokens were lost.
const AFTER_LOSS: Duration = Duration::from_secs(10);

/// Present as long as Redis was not flushed; says when it was written.
const EPOCH: &str = "epoch";

const TOKEN_BYTES_MAX: usize = 4096;

/// Keeps the newer position of each shard, whichever of two requests comes last.
static MERGE: LazyLock<Script> = LazyLock::new(|| {
    Script::from_lua(
        r"
        local newest, order = {}, {}
        local function add(token)
            for entry in string.gmatch(token, '[^,]+') do
                local place, timeline, lsn = string.match(entry, '^([^/]+/[^/]+)/(%d+)/(%x+)/')
                if place then
                    timeline, lsn = tonumber(timeline), tonumber(lsn, 16)
                    local known = newest[place]
                    if not known then table.insert(order, place) end
                    if not known or timeline > known[1] or (timeline == known[1] and lsn > known[2]) then
                        newest[place] = {timeline, lsn, entry}
                    end
                end
            end
        end
        add(redis.call('GET', KEYS[1]) or '')
        add(ARGV[1])
        local entries = {}
        for _, place in ipairs(order) do table.insert(entries, newest[place][3]) end
        redis.call('SET', KEYS[1], table.concat(entries, ','), 'PX', ARGV[2])
        return 1
        ",
    )
});

/// Whose token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    User(UserId),
    /// A guest is known by their cart.
    Cart(CartId),
}

impl Owner {
    /// On an answer: whose it became, where the request did not say.
    pub fn extension(self) -> Extension<Self> {
        Extension(self)
    }

    /// The owner of a cart token, `cart_id.secret`.
    pub fn of_cart(token: &HeaderValue) -> Option<Self> {
        let (cart_id, _) = token.to_str().ok()?.split_once('.')?;
        cart_id.parse().ok().map(Self::Cart)
    }

    fn key(self) -> String {
        match self {
            Self::User(id) => format!("consistency:{id}"),
            Self::Cart(id) => format!("consistency:{id}"),
        }
    }
}

/// The tokens of everybody.
pub struct Tokens {
    redis: Arc<Redis>,
    /// A token could not be kept: until this Unix time in milliseconds, none can be believed.
    lost_until: AtomicU64,
}

impl Tokens {
    pub fn new(redis: Arc<Redis>) -> Self {
        Self {
            redis,
            lost_until: AtomicU64::new(0),
        }
    }

    /// What the owner has seen. When that cannot be known, every read goes to a primary.
    pub async fn load(&self, owner: Option<Owner>, headers: &HeaderMap) -> Consistency {
        let consistency = match owner {
            Some(owner) => self.find(owner).await.unwrap_or_else(Consistency::lost),
            None => Consistency::default(),
        };
        if let Some(header) = headers.get(HEADER) {
            consistency.merge(&decode(header).unwrap_or_else(|| "unreadable".to_owned()));
        }
        consistency
    }

    async fn find(&self, owner: Owner) -> Option<Consistency> {
        let now = unix_millis();
        if now < self.lost_until.load(Ordering::Relaxed) {
            return None;
        }
        let keys = vec![EPOCH.to_owned(), owner.key()];
        let found = self
            .redis
            .run(async |redis| redis.mget::<Vec<Option<String>>, _>(keys).await)
            .await;
        let [epoch, token] = <[Option<String>; 2]>::try_from(found.ok()?).ok()?;
        let Some(epoch) = epoch.and_then(|text| text.parse::<u64>().ok()) else {
            self.begin_epoch(now).await;
            return None;
        };
        if now < epoch + AFTER_LOSS.as_millis() as u64 {
            return None;
        }
        Some(Consistency::from_token(&token.unwrap_or_default()))
    }

    async fn begin_epoch(&self, now: u64) {
        let begun = self.redis.run(async |redis| {
            let only_new = Some(SetOptions::NX);
            redis
                .set::<(), _, _>(EPOCH, now.to_string(), None::<Expiration>, only_new, false)
                .await
        });
        // Away again: the next request tries it.
        let _ = begun.await;
    }

    /// Keeps what a request has seen, before its answer goes out.
    pub async fn save(&self, owner: Owner, seen: &str) {
        let arguments = vec![seen.to_owned(), LIFETIME.as_millis().to_string()];
        let saved = self.redis.run(async |redis| {
            MERGE
                .evalsha_with_reload::<(), _, _>(redis, owner.key(), arguments)
                .await
        });
        if saved.await.is_err() {
            let until = unix_millis() + AFTER_LOSS.as_millis() as u64;
            self.lost_until.fetch_max(until, Ordering::Relaxed);
        }
    }
}

/// The positions that are known; what was lost on the way is not told on.
pub fn seen(consistency: &Consistency) -> String {
    let positions = consistency.positions();
    let entries: Vec<String> = positions.iter().map(ToString::to_string).collect();
    entries.join(",")
}

/// As a header of an answer: opaque.
pub fn encode(token: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(URL_SAFE_NO_PAD.encode(token)).ok()
}

fn decode(header: &HeaderValue) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(header.as_bytes()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    (text.len() <= TOKEN_BYTES_MAX).then_some(text)
}

fn unix_millis() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_header() {
        let token = "order/a/1/16b3748/1";

        assert_eq!(decode(&encode(token).unwrap()).as_deref(), Some(token));
    }

    #[test]
    fn what_is_no_token_of_ours_cannot_be_read() {
        for text in ["!", "YQ=="] {
            assert_eq!(decode(&HeaderValue::from_static(text)), None, "{text}");
        }
    }
}
