use std::fmt;

use unicode_normalization::UnicodeNormalization;
use xxhash_rust::xxh3::xxh3_64;

/// Fixed for good: changing it would move every row.
pub const SLOT_COUNT: u16 = 1024;

/// One of the 1,024 virtual shards. Rows belong to a slot for ever; slots move between shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Slot(u16);

impl Slot {
    pub(crate) const FIRST: Self = Self(0);

    /// `None` from [`SLOT_COUNT`] on.
    pub const fn new(number: u16) -> Option<Self> {
        if number < SLOT_COUNT {
            Some(Self(number))
        } else {
            None
        }
    }

    /// A slot at random, for an entity that starts a family of rows.
    pub fn draw() -> Self {
        Self(rand::random_range(0..SLOT_COUNT))
    }

    /// The slot of a key that people choose: XXH3 with seed 0 of the [normal form](normalise).
    pub fn of_natural_key(key: &str) -> Self {
        let hash = xxh3_64(normalise(key).as_bytes());
        Self((hash % u64::from(SLOT_COUNT)) as u16)
    }

    pub const fn get(self) -> u16 {
        self.0
    }

    /// The value of a `slot smallint` column.
    pub const fn to_db(self) -> i16 {
        self.0 as i16
    }

    /// `None` where the column holds no slot.
    pub fn from_db(column: i16) -> Option<Self> {
        u16::try_from(column).ok().and_then(Self::new)
    }

    /// Every slot, in order.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..SLOT_COUNT).map(Self)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Trimmed, in Unicode's composed form (NFC), and lower case.
pub fn normalise(key: &str) -> String {
    key.trim().nfc().collect::<String>().to_lowercase()
}

/// What finds its shard in a cluster whose rows are keyed by `K`.
///
/// A cluster of `UserId` accepts a user's id and every id that copies a customer's slot; anything
/// else does not compile.
pub trait Routes<K>: Sync {
    fn slot(&self) -> Slot;
}

impl<K> Routes<K> for Slot {
    fn slot(&self) -> Slot {
        *self
    }
}

/// An e-mail, a slug or another key that people choose.
#[derive(Clone, Copy, Debug)]
pub struct NaturalKey<'a>(pub &'a str);

impl<K> Routes<K> for NaturalKey<'_> {
    fn slot(&self) -> Slot {
        Slot::of_natural_key(self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pinned for good: a change here would lose rows.
    #[test]
    fn natural_keys_keep_their_golden_slots() {
        let golden = [
            ("customer-1@example.com", 901),
            ("SKU-0001", 374),
            ("red-mug", 926),
            ("\u{e9}clair@example.com", 793),
        ];

        let found = golden.map(|(key, _)| (key, Slot::of_natural_key(key).get()));

        assert_eq!(found, golden);
    }

    #[test]
    fn spelling_variants_of_a_key_share_a_slot() {
        let composed = Slot::of_natural_key(" \u{c9}clair@Example.com ");
        let decomposed = Slot::of_natural_key("e\u{301}clair@example.com");

        assert_eq!(composed, decomposed);
    }

    #[test]
    fn another_seed_would_be_caught() {
        let mutant = |key: &str| {
            (xxhash_rust::xxh3::xxh3_64_with_seed(normalise(key).as_bytes(), 1)
                % u64::from(SLOT_COUNT)) as u16
        };

        assert_ne!(mutant("customer-1@example.com"), 901);
    }

    proptest! {
        #[test]
        fn every_key_has_one_slot_in_range(key in ".{0,64}") {
            let slot = Slot::of_natural_key(&key);

            prop_assert!(slot.get() < SLOT_COUNT);
            prop_assert_eq!(slot, Slot::of_natural_key(&format!("  {key} ")));
            prop_assert_eq!(Slot::from_db(slot.to_db()), Some(slot));
        }
    }
}
