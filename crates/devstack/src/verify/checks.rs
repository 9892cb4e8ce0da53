//! What must agree in the books. No I/O.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::verify::books::{
    Account, Books, Charge, Finding, Leftover, Order, OrderLine, Payment, Reservation, Stock,
};

/// The findings so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, invariant: &'static str, what: String) {
        self.push(invariant, None, what);
    }

    fn of_order(&mut self, invariant: &'static str, order_id: Uuid, what: &str) {
        self.push(
            invariant,
            Some(order_id),
            format!("order {order_id} {what}"),
        );
    }

    fn push(&mut self, invariant: &'static str, order_id: Option<Uuid>, what: String) {
        self.0.push(Finding {
            invariant,
            order_id,
            what,
        });
    }
}

impl Books {
    /// Everything that does not agree; an order may take `grace_seconds` to settle.
    pub fn findings(&self, grace_seconds: i64) -> Vec<Finding> {
        let mut findings = Findings::default();
        self.check_settled(grace_seconds, &mut findings);
        self.check_stock(&mut findings);
        self.check_sold_lines(&mut findings);
        self.check_holds(&mut findings);
        self.check_ledger(&mut findings);
        self.check_counters(&mut findings);
        self.check_money_of_orders(&mut findings);
        self.check_charges(&mut findings);
        self.check_strangers(&mut findings);
        for Leftover { what, count } in self.leftovers.iter().filter(|leftover| leftover.count > 0)
        {
            findings.add("C1", format!("{count} {what}"));
        }
        findings.0
    }

    /// The same for some orders alone, which must be settled by now.
    pub fn findings_of(&self, orders: &HashSet<Uuid>) -> Vec<Finding> {
        let mut findings = Findings(self.findings(0));
        findings
            .0
            .retain(|finding| finding.order_id.is_none_or(|id| orders.contains(&id)));
        for order_id in orders.difference(&self.steady) {
            findings.of_order("C5", *order_id, "is unknown or still changing");
        }
        findings.0
    }

    /// Settled orders that did not change while the rest was read.
    fn settled(&self) -> impl Iterator<Item = &Order> {
        let steady = |order: &&Order| self.steady.contains(&order.order_id);
        self.orders
            .iter()
            .filter(steady)
            .filter(|order| order.is_settled())
    }

    fn check_settled(&self, grace_seconds: i64, findings: &mut Findings) {
        for order in self.orders.iter().filter(|order| !order.is_settled()) {
            let Order {
                status,
                idle_seconds,
                ..
            } = order;
            if *idle_seconds >= grace_seconds {
                let what = format!("is {status} and unsettled since {idle_seconds} s");
                findings.of_order("C5", order.order_id, &what);
            }
        }
    }

    fn check_stock(&self, findings: &mut Findings) {
        for stock in &self.stock {
            let Stock {
                sku,
                warehouse_id,
                on_hand,
                reserved,
                backorder_limit,
                held,
            } = stock;
            let place = format!("{sku} in {warehouse_id}: {reserved} reserved");
            if *reserved < 0 || *reserved > on_hand + backorder_limit {
                let what =
                    format!("{place} of {on_hand} on hand and {backorder_limit} to backorder");
                findings.add("C6", what);
            }
            if held != reserved {
                findings.add("C6", format!("{place}, but orders hold {held}"));
            }
        }
    }

    fn check_sold_lines(&self, findings: &mut Findings) {
        let taken: HashMap<(Uuid, &str), (&str, i64)> = self
            .reservations
            .iter()
            .map(|part| {
                (
                    (part.order_id, part.sku.as_str()),
                    (part.state.as_str(), part.quantity),
                )
            })
            .collect();
        let sold: HashSet<Uuid> = self
            .settled()
            .filter(|order| order.is_sold())
            .map(|order| order.order_id)
            .collect();
        for line in self
            .lines
            .iter()
            .filter(|line| sold.contains(&line.order_id))
        {
            let OrderLine {
                order_id,
                sku,
                quantity,
            } = line;
            let (state, count) = taken
                .get(&(*order_id, sku.as_str()))
                .copied()
                .unwrap_or(("unknown", 0));
            if (state, count) != ("claimed", *quantity) {
                let what = format!("sold {quantity} of {sku}, but inventory has {count} {state}");
                findings.of_order("C5", *order_id, &what);
            }
        }
    }

    fn check_holds(&self, findings: &mut Findings) {
        let known: HashSet<Uuid> = self.orders.iter().map(|order| order.order_id).collect();
        let undone: HashSet<Uuid> = self
            .settled()
            .filter(|order| order.is_undone())
            .map(|order| order.order_id)
            .collect();
        let kept = |part: &&Reservation| matches!(part.state.as_str(), "held" | "claimed");
        for part in self.reservations.iter().filter(kept) {
            let Reservation {
                order_id,
                sku,
                state,
                quantity,
            } = part;
            let why = if !known.contains(order_id) {
                "does not exist"
            } else if undone.contains(order_id) {
                "is undone"
            } else {
                continue;
            };
            let what = format!("{why}, but {quantity} of {sku} are {state} for it");
            findings.of_order("C5", *order_id, &what);
        }
    }

    fn check_ledger(&self, findings: &mut Findings) {
        let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
        for account in &self.accounts {
            let Account {
                slot,
                kind,
                currency,
                balance,
                folded,
            } = account;
            *sums.entry(currency).or_default() += balance;
            if balance != folded {
                let account = format!("account {kind} of slot {slot}");
                let what =
                    format!("{account} has {balance} {currency}, its transfers make {folded}");
                findings.add("C8", what);
            }
        }
        for (currency, sum) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
            findings.add("C8", format!("the ledger sums to {sum} {currency}"));
        }
    }

    fn check_counters(&self, findings: &mut Findings) {
        for payment in &self.payments {
            let Payment {
                order_id,
                authorized,
                captured,
                refunded,
                captures,
                ..
            } = payment;
            if !(0 <= *refunded && refunded <= captured && captured <= authorized) {
                let what = format!(
                    "has {authorized} authorized, {captured} captured, {refunded} refunded"
                );
                findings.of_order("C9", *order_id, &what);
            }
            if *captures > 1 {
                findings.of_order("C9", *order_id, &format!("was captured {captures} times"));
            }
        }
    }

    fn check_money_of_orders(&self, findings: &mut Findings) {
        let payments: HashMap<Uuid, &Payment> = self
            .payments
            .iter()
            .map(|payment| (payment.order_id, payment))
            .collect();
        for order in self.settled() {
            let Order {
                order_id,
                status,
                minor_units: total,
                ..
            } = order;
            let payment = payments.get(order_id);
            let captured = payment.map_or(0, |payment| payment.captured);
            let refunded = payment.map_or(0, |payment| payment.refunded);
            if order.is_sold() && captured != *total {
                let what = format!("is {status} for {total}, but {captured} was captured");
                findings.of_order("C9", *order_id, &what);
            }
            if order.is_undone() && captured != refunded {
                let what =
                    format!("is {status}, but {captured} was captured and {refunded} refunded");
                findings.of_order("C9", *order_id, &what);
            }
            if order.is_undone() && payment.is_some_and(|payment| payment.status == "authorized") {
                let what = format!("is {status}, but its payment is still authorized");
                findings.of_order("C9", *order_id, &what);
            }
        }
    }

    fn check_charges(&self, findings: &mut Findings) {
        let mut charges: BTreeMap<Uuid, Vec<&Charge>> = BTreeMap::new();
        for charge in &self.charges {
            match charge.reference.parse() {
                Ok(order_id) => charges.entry(order_id).or_default().push(charge),
                Err(_) => findings.add("C9", format!("a charge for {}", charge.reference)),
            }
        }
        for (order_id, charges) in charges.iter().filter(|(_, charges)| charges.len() > 1) {
            let what = format!("was charged {} times by the provider", charges.len());
            findings.of_order("C9", *order_id, &what);
        }
        for payment in self.payments.iter().filter(|payment| payment.is_steady) {
            let Payment {
                order_id,
                captured,
                refunded,
                status,
                ..
            } = payment;
            let charges = charges.get(order_id).map_or(&[][..], Vec::as_slice);
            let theirs: i64 = charges.iter().map(|charge| charge.captured).sum();
            let back: i64 = charges.iter().map(|charge| charge.refunded).sum();
            if (theirs, back) != (*captured, *refunded) {
                let what = format!(
                    "was captured {captured} and refunded {refunded}; the provider says {theirs} and {back}"
                );
                findings.of_order("C9", *order_id, &what);
            }
            let holds = charges
                .iter()
                .any(|charge| charge.captured == 0 && !charge.voided);
            if holds && status != "authorized" {
                let what =
                    format!("has a payment that is {status}, but the provider still holds money");
                findings.of_order("C9", *order_id, &what);
            }
        }
    }

    fn check_strangers(&self, findings: &mut Findings) {
        for charge in self.strangers() {
            let Charge {
                reference,
                authorized,
                captured,
                refunded,
                currency,
                ..
            } = charge;
            let Ok(order_id) = reference.parse() else {
                continue;
            };
            let what = match captured - refunded {
                0 => format!("is in no books, but the provider holds {authorized} {currency}"),
                kept => format!("is in no books, but {kept} {currency} were taken for it"),
            };
            findings.of_order("C9", order_id, &what);
        }
    }
}

#[cfg(test)]
mod tests;
