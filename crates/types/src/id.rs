use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{Builder, Uuid, Variant, Version};
use xxhash_rust::xxh3::xxh3_64;

use crate::goods::Sku;
use crate::slot::{Routes, Slot};

/// The text is no UUIDv7, or its slot is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: a UUIDv7 whose slot is below 1024 is expected")]
pub struct InvalidId;

/// A UUIDv7 (RFC 9562 §5.7) with the slot in its 12 bits of `rand_a`.
///
/// Ids do not order events inside a millisecond: never use them as a sequence.
fn with_slot(slot: Slot, millis: u64, random: [u8; 8]) -> Uuid {
    let [high, low] = slot.get().to_be_bytes();
    let mut bytes = [0; 10];
    bytes[0] = high;
    bytes[1] = low;
    bytes[2..].copy_from_slice(&random);
    Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
}

fn slot_of(uuid: Uuid) -> Result<Slot, InvalidId> {
    if uuid.get_version() != Some(Version::SortRand) || uuid.get_variant() != Variant::RFC4122 {
        return Err(InvalidId);
    }
    let bytes = uuid.as_bytes();
    let rand_a = u16::from_be_bytes([bytes[6] & 0x0f, bytes[7]]);
    Slot::new(rand_a).ok_or(InvalidId)
}

fn unix_millis() -> u64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since_epoch.as_millis() as u64
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize, sqlx::Type,
        )]
        #[serde(try_from = "Uuid", into = "Uuid")]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id in the slot.
            pub fn new(slot: Slot) -> Self {
                Self(with_slot(slot, unix_millis(), rand::random()))
            }

            pub fn slot(&self) -> Slot {
                // An id is only made with a slot or after its slot was checked; a row cannot break it.
                slot_of(self.0).unwrap_or(Slot::FIRST)
            }

            pub fn uuid(&self) -> Uuid {
                self.0
            }
        }

        impl TryFrom<Uuid> for $name {
            type Error = InvalidId;

            fn try_from(uuid: Uuid) -> Result<Self, InvalidId> {
                slot_of(uuid).map(|_| Self(uuid))
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Only the canonical form, 36 characters with hyphens.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.len() != 36 {
                    return Err(InvalidId);
                }
                Uuid::try_parse(text).map_err(|_| InvalidId)?.try_into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Routes<$name> for $name {
            fn slot(&self) -> Slot {
                $name::slot(self)
            }
        }
    )+};
}

ids! {
    /// A user; its slot is drawn when the user is made.
    UserId,
    /// A session, in its user's slot.
    SessionId,
    /// An address, in its user's slot.
    AddressId,
    /// A cart, in its customer's slot; a guest's cart draws its own.
    CartId,
    /// An order, in its customer's slot.
    OrderId,
    /// A payment, in its order's slot.
    PaymentId,
    /// One shipment of an order, in the order's slot.
    FulfillmentId,
    /// A product; draws its own slot.
    ProductId,
    /// A category; draws its own slot.
    CategoryId,
    /// One intent to move money, in its payment's slot.
    OperationId,
    /// One entry of the ledger, in its payment's slot.
    TransferId,
    /// A correction of stock, in its SKU's slot.
    AdjustmentId,
    /// An event, in the slot of the aggregate whose change it tells.
    EventId,
}

impl OperationId {
    /// The id of what is asked of the payment under this key: always the same, so that even a
    /// database that was restored to an earlier moment calls it by the name the provider knows.
    pub fn of(payment_id: PaymentId, key: &str) -> Self {
        let bytes = payment_id.0.as_bytes();
        let millis = bytes[..6]
            .iter()
            .fold(0, |millis, byte| millis << 8 | u64::from(*byte));
        let hash = xxh3_64(&[bytes, key.as_bytes()].concat());
        Self(with_slot(payment_id.slot(), millis, hash.to_be_bytes()))
    }
}

macro_rules! routes {
    ($key:ident: $($name:ident),+) => {$(
        impl Routes<$key> for $name {
            fn slot(&self) -> Slot {
                $name::slot(self)
            }
        }
    )+};
}

routes!(UserId: SessionId, AddressId, CartId, OrderId, PaymentId, FulfillmentId);
routes!(ProductId: CategoryId, Sku);
routes!(Sku: OrderId);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pinned for good: a change here would lose rows.
    #[test]
    fn an_id_keeps_its_golden_bytes() {
        let slot = Slot::new(0x2a7).unwrap();

        let uuid = with_slot(slot, 1_790_000_000_000, [7; 8]);

        assert_eq!(uuid.to_string(), "01a0c450-6c00-72a7-8707-070707070707");
        assert_eq!(slot_of(uuid), Ok(slot));
    }

    /// Pinned for good: under another id the provider would do it again.
    #[test]
    fn an_operation_keeps_the_id_of_its_payment_and_key() {
        let payment_id: PaymentId = "01a0c450-6c00-72a7-8707-070707070707".parse().unwrap();

        let capture = OperationId::of(payment_id, "capture");

        assert_eq!(capture.to_string(), "01a0c450-6c00-72a7-a413-c58a35079aa8");
        assert_eq!(capture.slot(), payment_id.slot());
        assert_ne!(capture, OperationId::of(payment_id, "refund"));
    }

    #[test]
    fn another_bit_position_would_be_caught() {
        let uuid = with_slot(Slot::new(0x2a7).unwrap(), 1_790_000_000_000, [7; 8]);

        let mutant = u16::from_be_bytes([uuid.as_bytes()[8] & 0x0f, uuid.as_bytes()[9]]);

        assert_ne!(mutant, 0x2a7);
    }

    #[test]
    fn texts_that_are_no_id_are_refused() {
        let refused = [
            "",
            "x",
            "01a0c4506c0072a78707070707070707",
            // Version 4.
            "01a0c450-6c00-42a7-8707-070707070707",
            // Slot 1024.
            "01a0c450-6c00-7400-8707-070707070707",
        ];

        for text in refused {
            assert_eq!(text.parse::<OrderId>(), Err(InvalidId), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_id_routes_to_the_slot_it_was_made_with(number in 0..crate::SLOT_COUNT) {
            let slot = Slot::new(number).unwrap();

            let id = OrderId::new(slot);

            prop_assert_eq!(id.slot(), slot);
            prop_assert_eq!(id.to_string().parse::<OrderId>(), Ok(id));
        }
    }
}
