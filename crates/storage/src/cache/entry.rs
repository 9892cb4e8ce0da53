use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes};

use super::Cached;

/// How long absence is remembered.
const ABSENCE: Duration = Duration::from_secs(8);

/// Outlives the longest fill: a replica's lag of 5 s and the loads that started at its end.
pub(super) const TOMBSTONE: Duration = Duration::from_secs(60);

const HEADER_BYTES: usize = 17;

const KIND_TOMBSTONE: u8 = 0;
const KIND_ABSENT: u8 = 1;
const KIND_VALUE: u8 = 2;

/// What Redis holds under a key: version (8 bytes, big-endian), soft expiry (8, milliseconds since
/// 1970), kind (1), value. The hard expiry is the key's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) version: u64,
    soft_expiry: SystemTime,
    pub(super) lifetime: Duration,
    pub(super) state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Versions below this one are dead; the value itself is not here.
    Tombstone,
    /// There is no such row.
    Absent,
    Value(Bytes),
}

impl Entry {
    pub(super) fn new<T: Cached>(version: u64, value: Option<&T>) -> Self {
        let lifetime = if value.is_some() { T::TTL } else { ABSENCE };
        let lifetime = with_jitter(lifetime);
        Self {
            version,
            soft_expiry: SystemTime::now() + lifetime.mul_f64(0.75),
            lifetime,
            state: value.map_or(State::Absent, |value| {
                State::Value(value.encode_to_vec().into())
            }),
        }
    }

    pub(super) fn tombstone(version: u64) -> Self {
        Self {
            version,
            soft_expiry: UNIX_EPOCH,
            lifetime: TOMBSTONE,
            state: State::Tombstone,
        }
    }

    pub(super) fn is_soft_expired(&self) -> bool {
        self.soft_expiry <= SystemTime::now()
    }

    pub(super) fn size(&self) -> usize {
        match &self.state {
            State::Tombstone | State::Absent => HEADER_BYTES,
            State::Value(bytes) => HEADER_BYTES + bytes.len(),
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        let soft_expiry = self
            .soft_expiry
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut bytes = Vec::with_capacity(self.size());
        bytes.put_u64(self.version);
        bytes.put_u64(soft_expiry.as_millis() as u64);
        match &self.state {
            State::Tombstone => bytes.put_u8(KIND_TOMBSTONE),
            State::Absent => bytes.put_u8(KIND_ABSENT),
            State::Value(value) => {
                bytes.put_u8(KIND_VALUE);
                bytes.put_slice(value);
            }
        }
        bytes.into()
    }

    /// `None` for bytes that this release cannot read.
    pub(super) fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.len() < HEADER_BYTES {
            return None;
        }
        let version = bytes.get_u64();
        let soft_expiry = UNIX_EPOCH + Duration::from_millis(bytes.get_u64());
        let state = match bytes.get_u8() {
            KIND_TOMBSTONE => State::Tombstone,
            KIND_ABSENT => State::Absent,
            KIND_VALUE => State::Value(bytes),
            _ => return None,
        };
        Some(Self {
            version,
            soft_expiry,
            lifetime: Duration::ZERO,
            state,
        })
    }
}

/// ±15 %, so that what was filled together does not expire together.
pub(super) fn with_jitter(lifetime: Duration) -> Duration {
    use rand::RngExt as _;
    lifetime.mul_f64(rand::rng().random_range(0.85..1.15))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_redis() {
        for state in [
            State::Tombstone,
            State::Absent,
            State::Value("value".into()),
        ] {
            let entry = Entry {
                version: 7,
                soft_expiry: UNIX_EPOCH + Duration::from_millis(1_790_000_000_123),
                lifetime: Duration::ZERO,
                state,
            };

            assert_eq!(Entry::decode(entry.encode()), Some(entry));
        }
    }

    #[test]
    fn bytes_of_another_make_are_no_entry() {
        assert_eq!(Entry::decode("short".into()), None);
        assert_eq!(Entry::decode(vec![9; HEADER_BYTES].into()), None);
    }
}
