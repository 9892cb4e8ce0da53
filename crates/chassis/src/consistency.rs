//! What a caller has written or read, so that a replica or a cache never shows them less.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Metadata that carries the positions, both ways.
pub(crate) const HEADER: &str = "x-consistency";

/// Stands for "something was written, but nobody knows where": everything is read from primaries.
const LOST: &str = "lost";

/// A place in one shard's write-ahead log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub service: String,
    pub shard: String,
    pub timeline: u32,
    pub lsn: u64,
    pub map_version: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a consistency token")]
pub struct InvalidToken;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}/{:x}/{}",
            self.service, self.shard, self.timeline, self.lsn, self.map_version
        )
    }
}

impl FromStr for Position {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let parts: Vec<&str> = text.split('/').collect();
        let [service, shard, timeline, lsn, map_version] = parts[..] else {
            return Err(InvalidToken);
        };
        Ok(Self {
            service: service.to_owned(),
            shard: shard.to_owned(),
            timeline: timeline.parse().map_err(|_| InvalidToken)?,
            lsn: u64::from_str_radix(lsn, 16).map_err(|_| InvalidToken)?,
            map_version: map_version.parse().map_err(|_| InvalidToken)?,
        })
    }
}

/// What a read of one shard must see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Any replica will do.
    Nothing,
    /// A copy that has replayed this position.
    At(Position),
    /// Only the primary: it is not known what the caller has seen.
    Primary,
}

#[derive(Debug, Default)]
struct Seen {
    lost: bool,
    positions: BTreeMap<(String, String), Position>,
}

/// The newest position for each shard. Clones share it: a request and the calls it makes add to one.
#[derive(Clone, Debug, Default)]
pub struct Consistency(Arc<Mutex<Seen>>);

impl Consistency {
    /// Nothing is known of what the caller has seen: every read goes to a primary.
    pub fn lost() -> Self {
        let consistency = Self::default();
        consistency.lock().lost = true;
        consistency
    }

    /// An unreadable token is a lost one.
    pub fn from_token(token: &str) -> Self {
        let consistency = Self::default();
        consistency.merge(token);
        consistency
    }

    /// Adds what another service has seen; an unreadable token is a lost one.
    pub fn merge(&self, token: &str) {
        for entry in token.split(',').filter(|entry| !entry.is_empty()) {
            match entry.parse() {
                Ok(position) => self.observe(position),
                Err(InvalidToken) => self.lock().lost = true,
            }
        }
    }

    /// As metadata; `None` while nothing was seen.
    pub fn to_token(&self) -> Option<String> {
        let seen = self.lock();
        let mut entries: Vec<String> = seen.positions.values().map(Position::to_string).collect();
        if seen.lost {
            entries.push(LOST.to_owned());
        }
        (!entries.is_empty()).then(|| entries.join(","))
    }

    pub fn required(&self, service: &str, shard: &str) -> Need {
        let seen = self.lock();
        let key = (service.to_owned(), shard.to_owned());
        match seen.positions.get(&key) {
            _ if seen.lost => Need::Primary,
            Some(position) => Need::At(position.clone()),
            None => Need::Nothing,
        }
    }

    /// Whether the caller has seen anything of this service: if so, lists without a version are not for them.
    pub fn has_seen(&self, service: &str) -> bool {
        let seen = self.lock();
        seen.lost
            || seen
                .positions
                .values()
                .any(|position| position.service == service)
    }

    /// The newest slot map of this service that the caller has met.
    pub fn map_version(&self, service: &str) -> Option<u64> {
        let seen = self.lock();
        let positions = seen.positions.values();
        let ours = positions.filter(|position| position.service == service);
        ours.map(|position| position.map_version).max()
    }

    /// Every position, for the one who keeps them between requests.
    pub fn positions(&self) -> Vec<Position> {
        self.lock().positions.values().cloned().collect()
    }

    /// Keeps the newer of this and what is known of the shard.
    pub fn observe(&self, position: Position) {
        let key = (position.service.clone(), position.shard.clone());
        let mut seen = self.lock();
        let newer =
            |known: &Position| (position.timeline, position.lsn) > (known.timeline, known.lsn);
        if seen.positions.get(&key).is_none_or(newer) {
            seen.positions.insert(key, position);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(shard: &str, timeline: u32, lsn: u64) -> Position {
        Position {
            service: "order".to_owned(),
            shard: shard.to_owned(),
            timeline,
            lsn,
            map_version: 1,
        }
    }

    #[test]
    fn a_token_survives_the_wire_and_keeps_the_newest() {
        let seen = Consistency::default();
        seen.observe(position("a", 1, 10));
        seen.observe(position("a", 1, 9));
        seen.observe(position("b", 2, 1));
        seen.observe(position("b", 1, 99));

        let read = Consistency::from_token(&seen.to_token().unwrap());

        assert_eq!(read.required("order", "a"), Need::At(position("a", 1, 10)));
        assert_eq!(read.required("order", "b"), Need::At(position("b", 2, 1)));
        assert_eq!(read.required("user", "a"), Need::Nothing);
        assert!(read.has_seen("order") && !read.has_seen("user"));
    }

    #[test]
    fn an_unreadable_token_means_the_primary_everywhere() {
        for token in ["lost", "x", "order/a/1/zz/1"] {
            let read = Consistency::from_token(token);

            assert_eq!(read.required("order", "a"), Need::Primary, "{token}");
            assert_eq!(read.to_token().as_deref(), Some(LOST));
        }
    }
}
