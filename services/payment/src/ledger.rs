//! The double-entry ledger: which accounts an operation moves its amount between.

use crate::payment::Kind;

/// A slot's account in one currency; its balance is what was credited less what was debited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// What customers have promised.
    CustomerHold,
    /// What is promised to the shop.
    MerchantPending,
    /// What the provider owes the shop.
    ProviderReceivable,
    /// What the shop has earned.
    MerchantRevenue,
    /// What the shop has given back.
    Refunds,
}

impl Account {
    pub fn name(self) -> &'static str {
        match self {
            Self::CustomerHold => "customer_hold",
            Self::MerchantPending => "merchant_pending",
            Self::ProviderReceivable => "provider_receivable",
            Self::MerchantRevenue => "merchant_revenue",
            Self::Refunds => "refunds",
        }
    }
}

/// One line of the ledger, still without its amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: &'static str,
    pub debit: Account,
    pub credit: Account,
}

const fn entry(kind: &'static str, debit: Account, credit: Account) -> Entry {
    Entry {
        kind,
        debit,
        credit,
    }
}

/// What a successful operation books, each with its whole amount.
///
/// An authorization is pending: `hold` stays until `post` (with each capture) or `void` undoes it.
pub fn entries(kind: Kind) -> &'static [Entry] {
    use Account::{CustomerHold, MerchantPending, MerchantRevenue, ProviderReceivable, Refunds};
    const HOLD: Entry = entry("hold", CustomerHold, MerchantPending);
    const POST: Entry = entry("post", MerchantPending, CustomerHold);
    const CHARGE: Entry = entry("charge", ProviderReceivable, MerchantRevenue);
    const VOID: Entry = entry("void", MerchantPending, CustomerHold);
    const REFUND: Entry = entry("refund", Refunds, ProviderReceivable);
    match kind {
        Kind::Authorize => &[HOLD],
        Kind::Capture => &[POST, CHARGE],
        Kind::Void => &[VOID],
        Kind::Refund => &[REFUND],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn balances(operations: &[(Kind, i64)]) -> BTreeMap<Account, i64> {
        let mut balances = BTreeMap::new();
        for &(kind, amount) in operations {
            for entry in entries(kind) {
                *balances.entry(entry.debit).or_default() -= amount;
                *balances.entry(entry.credit).or_default() += amount;
            }
        }
        balances.retain(|_, balance| *balance != 0);
        balances
    }

    #[test]
    fn a_void_and_a_whole_capture_leave_nothing_on_hold() {
        let voided = balances(&[(Kind::Authorize, 100), (Kind::Void, 100)]);
        let captured = balances(&[(Kind::Authorize, 100), (Kind::Capture, 100)]);

        assert!(voided.is_empty());
        assert_eq!(
            captured,
            [
                (Account::ProviderReceivable, -100),
                (Account::MerchantRevenue, 100)
            ]
            .into()
        );
    }

    #[test]
    fn a_refund_takes_from_what_the_provider_owes() {
        let refunded = balances(&[
            (Kind::Authorize, 100),
            (Kind::Capture, 100),
            (Kind::Refund, 60),
        ]);

        assert_eq!(refunded[&Account::ProviderReceivable], -40);
        assert_eq!(refunded[&Account::Refunds], -60);
        assert_eq!(refunded.values().sum::<i64>(), 0);
    }
}
