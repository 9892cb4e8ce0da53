use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 4217 currency code in upper case")]
pub struct InvalidCurrency;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} cannot be counted together with {1}")]
pub struct CurrencyMismatch(pub Currency, pub Currency);

/// An ISO 4217 currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// `XXX`, where no currency is involved.
    pub const NONE: Self = Self(iso_currency::Currency::XXX);

    pub fn code(self) -> &'static str {
        self.0.code()
    }
}

impl FromStr for Currency {
    type Err = InvalidCurrency;

    fn from_str(code: &str) -> Result<Self, InvalidCurrency> {
        iso_currency::Currency::from_code(code)
            .map(Self)
            .ok_or(InvalidCurrency)
    }
}

impl TryFrom<String> for Currency {
    type Error = InvalidCurrency;

    fn try_from(code: String) -> Result<Self, InvalidCurrency> {
        code.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount in the currency's smallest unit. Never a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Money {
    pub minor_units: i64,
    pub currency: Currency,
}

impl Money {
    pub const fn new(minor_units: i64, currency: Currency) -> Self {
        Self {
            minor_units,
            currency,
        }
    }

    /// `None` when the amount does not fit.
    pub fn checked_mul(self, quantity: u32) -> Option<Self> {
        let minor_units = self.minor_units.checked_mul(i64::from(quantity))?;
        Some(Self::new(minor_units, self.currency))
    }

    /// `Ok(None)` when the sum does not fit.
    pub fn checked_add(self, other: Self) -> Result<Option<Self>, CurrencyMismatch> {
        if self.currency != other.currency {
            return Err(CurrencyMismatch(self.currency, other.currency));
        }
        let sum = self.minor_units.checked_add(other.minor_units);
        Ok(sum.map(|minor_units| Self::new(minor_units, self.currency)))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.currency.0.exponent().unwrap_or(0);
        let unit = 10_u64.pow(u32::from(digits));
        let amount = self.minor_units.unsigned_abs();
        let sign = if self.minor_units < 0 { "-" } else { "" };
        write!(f, "{sign}{}", amount / unit)?;
        if digits > 0 {
            write!(f, ".{:0width$}", amount % unit, width = usize::from(digits))?;
        }
        write!(f, " {}", self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor_units: i64, code: &str) -> Money {
        Money::new(minor_units, code.parse().unwrap())
    }

    #[test]
    fn sums_refuse_another_currency_and_an_overflow() {
        assert_eq!(
            money(1, "USD").checked_add(money(2, "USD")),
            Ok(Some(money(3, "USD")))
        );
        assert!(money(1, "USD").checked_add(money(2, "EUR")).is_err());
        assert_eq!(
            money(i64::MAX, "USD").checked_add(money(1, "USD")),
            Ok(None)
        );
        assert_eq!(money(i64::MAX, "USD").checked_mul(2), None);
    }

    #[test]
    fn money_prints_as_people_write_it() {
        assert_eq!(money(1999, "USD").to_string(), "19.99 USD");
        assert_eq!(money(-5, "EUR").to_string(), "-0.05 EUR");
        assert_eq!(money(1999, "JPY").to_string(), "1999 JPY");
    }
}
