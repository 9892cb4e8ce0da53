//! Opaque cursors: a list's sort key, checksummed so that a forged or cut one is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64_with_seed;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list")]
pub struct InvalidCursor;

const CHECKSUM_BYTES: usize = 8;

/// `list` names the list that the cursor belongs to; another list refuses it.
pub fn encode<T: Serialize>(list: &str, position: &T) -> String {
    // A position is a tuple of plain values, which always serialises.
    let mut bytes = serde_json::to_vec(position).unwrap_or_default();
    let checksum = checksum(list, &bytes);
    bytes.extend_from_slice(&checksum);
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn decode<T: DeserializeOwned>(list: &str, cursor: &str) -> Result<T, InvalidCursor> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| InvalidCursor)?;
    let (position, found) = bytes
        .split_last_chunk::<CHECKSUM_BYTES>()
        .ok_or(InvalidCursor)?;
    if checksum(list, position) != *found {
        return Err(InvalidCursor);
    }
    serde_json::from_slice(position).map_err(|_| InvalidCursor)
}

fn checksum(list: &str, position: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let seed = xxh3_64_with_seed(list.as_bytes(), 0);
    xxh3_64_with_seed(position, seed).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_to_its_own_list_only() {
        let cursor = encode("orders", &(5_u64, "x"));

        assert_eq!(decode("orders", &cursor), Ok((5_u64, "x".to_owned())));
        assert_eq!(
            decode::<(u64, String)>("users", &cursor),
            Err(InvalidCursor)
        );
    }

    #[test]
    fn a_forged_cursor_is_refused() {
        let forged = URL_SAFE_NO_PAD.encode(b"[5,\"x\"]12345678");

        for cursor in [forged.as_str(), "", "!", "AAAA"] {
            assert_eq!(
                decode::<(u64, String)>("orders", cursor),
                Err(InvalidCursor)
            );
        }
    }
}
