use types::{Currency, Money};

use crate::common::v1;

/// The message's currency is no ISO 4217 code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the currency is not an ISO 4217 code in upper case")]
pub struct InvalidMoney;

impl From<Money> for v1::Money {
    fn from(money: Money) -> Self {
        Self {
            minor_units: money.minor_units,
            currency: money.currency.code().to_owned(),
        }
    }
}

impl TryFrom<v1::Money> for Money {
    type Error = InvalidMoney;

    fn try_from(money: v1::Money) -> Result<Self, InvalidMoney> {
        let currency: Currency = money.currency.parse().map_err(|_| InvalidMoney)?;
        Ok(Self::new(money.minor_units, currency))
    }
}

pub fn timestamp(at: jiff::Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

/// `None` when the message is out of range.
pub fn from_timestamp(at: prost_types::Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::new(at.seconds, at.nanos).ok()
}
