//! What a customer is written about an order.

use types::{Money, OrderId};

/// What happened to an order that its customer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Confirmed {
        lines: Vec<Line>,
        total: Money,
    },
    Rejected,
    Cancelled,
    Shipped {
        lines: Vec<Line>,
        tracking_number: Option<String>,
        /// Nothing is left to ship.
        complete: bool,
    },
    Refunded {
        amount: Money,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) quantity: u32,
}

/// A mail without its recipient: personal data is looked up when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) kind: &'static str,
    pub(crate) subject: String,
    pub(crate) body: String,
}

impl Mail {
    /// `number` is absent where only the order's id is known.
    pub(crate) fn new(order_id: OrderId, number: Option<&str>, notice: &Notice) -> Self {
        let (kind, what) = notice.kind_and_title();
        let name = number.map_or_else(|| order_id.to_string(), str::to_owned);
        let reference = match number {
            Some(number) => format!("Order number: {number}\nOrder id: {order_id}"),
            None => format!("Order id: {order_id}"),
        };
        Self {
            kind,
            subject: format!("Your order {name} {what}"),
            body: format!("Your order {what}.\n\n{}{reference}\n", notice.details()),
        }
    }
}

impl Notice {
    fn kind_and_title(&self) -> (&'static str, &'static str) {
        match self {
            Self::Confirmed { .. } => ("confirmed", "is confirmed"),
            Self::Rejected => ("rejected", "could not be completed"),
            Self::Cancelled => ("cancelled", "is cancelled"),
            Self::Shipped { complete: true, .. } => ("shipped", "is on its way"),
            Self::Shipped {
                complete: false, ..
            } => ("shipped", "is on its way in part"),
            Self::Refunded { .. } => ("refunded", "is refunded"),
        }
    }

    /// Empty, or paragraphs that each end in an empty line.
    fn details(&self) -> String {
        match self {
            Self::Confirmed { lines, total } => format!("{}Total: {total}\n\n", list(lines)),
            Self::Shipped {
                lines,
                tracking_number: Some(number),
                ..
            } => format!("{}Tracking number: {number}\n\n", list(lines)),
            Self::Shipped { lines, .. } => list(lines),
            Self::Refunded { amount } => format!("Amount: {amount}\n\n"),
            Self::Rejected => "You have not been charged.\n\n".to_owned(),
            Self::Cancelled => String::new(),
        }
    }
}

fn list(lines: &[Line]) -> String {
    let mut text: String = lines
        .iter()
        .map(|line| format!("{} x {}\n", line.quantity, line.name))
        .collect();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use types::Slot;

    use super::*;

    #[test]
    fn a_confirmation_names_the_order_and_what_it_costs() {
        let order_id = OrderId::new(Slot::draw());
        let notice = Notice::Confirmed {
            lines: vec![Line {
                name: "Red mug".to_owned(),
                quantity: 2,
            }],
            total: Money::new(1999, "USD".parse().unwrap()),
        };

        let mail = Mail::new(order_id, Some("7K3QXW2M"), &notice);

        assert_eq!(mail.subject, "Your order 7K3QXW2M is confirmed");
        for expected in [
            "2 x Red mug",
            "Total: 19.99 USD",
            &order_id.to_string(),
            "7K3QXW2M",
        ] {
            assert!(mail.body.contains(expected), "{}", mail.body);
        }
    }

    #[test]
    fn a_refund_names_the_order_by_its_id() {
        let order_id = OrderId::new(Slot::draw());
        let amount = Money::new(500, "EUR".parse().unwrap());

        let mail = Mail::new(order_id, None, &Notice::Refunded { amount });

        assert!(mail.subject.contains(&order_id.to_string()));
        assert!(mail.body.contains("Amount: 5.00 EUR"));
    }
}
