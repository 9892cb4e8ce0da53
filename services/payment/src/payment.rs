//! What may be done to a payment, and what it changes. No I/O.

use jiff::Timestamp;
use types::{Currency, Money, OperationId, OrderId, PaymentId, UserId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Status {
    Pending,
    Authorized,
    Captured,
    PartiallyRefunded,
    Refunded,
    Voided,
    Declined,
}

/// What ends a payment before any money was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Ended {
    Voided,
    Declined,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Kind {
    Authorize,
    Capture,
    Void,
    Refund,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum State {
    /// The intent is committed; the provider is being called.
    Pending,
    /// The provider did not answer; it is asked until it does.
    Unknown,
    Succeeded,
    Declined,
}

impl State {
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Succeeded | Self::Declined)
    }
}

/// One intent to move money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub operation_id: OperationId,
    pub payment_id: PaymentId,
    pub kind: Kind,
    /// The caller's idempotency key.
    pub key: String,
    /// Of what was asked under the key.
    pub request_hash: Vec<u8>,
    pub state: State,
    pub amount: Money,
    /// Why it was declined; else why it was asked for, where that was said.
    pub reason: Option<String>,
    /// An authorization's, until it is settled: needed to repeat the call.
    pub payment_token: Option<String>,
    /// The trace that it belongs to, whoever settles it.
    pub traceparent: Option<String>,
    pub created_at: Timestamp,
}

/// One payment of one order; `operations` holds those that matter to whoever loaded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    pub payment_id: PaymentId,
    pub order_id: OrderId,
    pub user_id: Option<UserId>,
    pub status: Status,
    pub currency: Currency,
    pub authorized: i64,
    pub captured: i64,
    pub refunded: i64,
    pub capture_pending: i64,
    pub refund_pending: i64,
    pub voiding: bool,
    pub provider_ref: Option<String>,
    pub version: i64,
    pub operations: Vec<Operation>,
}

/// What a caller asks for under a key.
#[derive(Clone, Debug)]
pub struct Request {
    pub payment_id: PaymentId,
    pub key: String,
    pub hash: [u8; 32],
    pub action: Action,
}

#[derive(Clone, Debug)]
pub enum Action {
    Authorize {
        order_id: OrderId,
        user_id: UserId,
        amount: Money,
        token: String,
    },
    Capture {
        amount: Money,
    },
    Void {
        order_id: OrderId,
    },
    /// Without an amount: what is left.
    Refund {
        amount: Option<Money>,
        reason: String,
    },
}

impl Action {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Authorize { .. } => Kind::Authorize,
            Self::Capture { .. } => Kind::Capture,
            Self::Void { .. } => Kind::Void,
            Self::Refund { .. } => Kind::Refund,
        }
    }

    pub fn amount(&self) -> Option<Money> {
        match self {
            Self::Authorize { amount, .. } | Self::Capture { amount } => Some(*amount),
            Self::Refund { amount, .. } => *amount,
            Self::Void { .. } => None,
        }
    }
}

/// How a request goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// The request was made before, and became this operation.
    Repeat(&'a Operation),
    /// This operation has to be settled first; `None` when it is too new to be seen yet.
    Await(Option<&'a Operation>),
    /// The provider is to be asked for this many minor units.
    Submit(i64),
    /// There is nothing left to do.
    Succeed,
    /// Refused without asking the provider.
    Decline(&'static str),
}

/// A request that leaves no trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    KeyReused,
    CurrencyMismatch,
}

pub const REFUND_EXCEEDS_CAPTURED: &str = "refund-exceeds-captured";

impl Payment {
    /// A payment that nothing has happened to.
    pub fn new(
        payment_id: PaymentId,
        order_id: OrderId,
        user_id: Option<UserId>,
        currency: Currency,
    ) -> Self {
        Self {
            payment_id,
            order_id,
            user_id,
            status: Status::Pending,
            currency,
            authorized: 0,
            captured: 0,
            refunded: 0,
            capture_pending: 0,
            refund_pending: 0,
            voiding: false,
            provider_ref: None,
            version: 1,
            operations: Vec::new(),
        }
    }

    /// What becomes of a request, given the payment's row as it is while it is locked.
    ///
    /// The operations may be older than the row: only the row's own columns may refuse a request.
    pub fn decide(&self, request: &Request) -> Result<Decision<'_>, Refusal> {
        let earlier = self.operations.iter().find(|it| it.key == request.key);
        if let Some(operation) = earlier {
            let same =
                operation.kind == request.action.kind() && operation.request_hash == request.hash;
            return same
                .then_some(Decision::Repeat(operation))
                .ok_or(Refusal::KeyReused);
        }
        match &request.action {
            Action::Authorize { .. } => Ok(self.decide_authorize()),
            Action::Void { .. } => Ok(self.decide_void()),
            action
                if action
                    .amount()
                    .is_some_and(|it| it.currency != self.currency) =>
            {
                Err(Refusal::CurrencyMismatch)
            }
            Action::Capture { amount } => Ok(self.decide_capture(amount.minor_units)),
            Action::Refund { amount, .. } => {
                Ok(self.decide_refund(amount.map(|it| it.minor_units)))
            }
        }
    }

    /// One authorization a payment: this one comes second.
    fn decide_authorize(&self) -> Decision<'_> {
        match self.status {
            Status::Pending => self.wait_for(Kind::Authorize),
            Status::Voided => Decision::Decline("already-voided"),
            Status::Declined => Decision::Decline("already-declined"),
            _ => Decision::Decline("already-authorized"),
        }
    }

    fn decide_capture(&self, amount: i64) -> Decision<'_> {
        let left = self.authorized - self.captured - self.capture_pending;
        match self.status {
            Status::Pending => self.wait_for(Kind::Authorize),
            Status::Voided => Decision::Decline("already-voided"),
            Status::Declined => Decision::Decline("not-authorized"),
            _ if self.voiding => self.wait_for(Kind::Void),
            _ if amount <= left => Decision::Submit(amount),
            _ if self.capture_pending > 0 => self.wait_for(Kind::Capture),
            _ => Decision::Decline("amount-exceeds-authorized"),
        }
    }

    fn decide_void(&self) -> Decision<'_> {
        match self.status {
            Status::Pending => self.wait_for(Kind::Authorize),
            Status::Voided | Status::Declined => Decision::Succeed,
            _ if self.voiding => self.wait_for(Kind::Void),
            _ if self.captured > 0 => Decision::Decline("already-captured"),
            _ if self.capture_pending > 0 => self.wait_for(Kind::Capture),
            _ => Decision::Submit(self.authorized),
        }
    }

    fn decide_refund(&self, amount: Option<i64>) -> Decision<'_> {
        let left = self.captured - self.refunded - self.refund_pending;
        match amount {
            _ if self.capture_pending > 0 => self.wait_for(Kind::Capture),
            None if self.refund_pending > 0 => self.wait_for(Kind::Refund),
            None if left > 0 => Decision::Submit(left),
            Some(amount) if amount <= left => Decision::Submit(amount),
            _ => Decision::Decline(REFUND_EXCEEDS_CAPTURED),
        }
    }

    fn wait_for(&self, kind: Kind) -> Decision<'_> {
        let under_way = |it: &&Operation| it.kind == kind && !it.state.is_settled();
        Decision::Await(self.operations.iter().find(under_way))
    }
}

/// What changes in a payment's row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub authorized: i64,
    pub captured: i64,
    pub refunded: i64,
    pub capture_pending: i64,
    pub refund_pending: i64,
    pub voiding: Option<bool>,
    pub ended: Option<Ended>,
}

impl Change {
    /// What an intent reserves until it is settled.
    pub fn reserve(kind: Kind, minor_units: i64) -> Self {
        match kind {
            Kind::Authorize => Self::default(),
            Kind::Capture => Self {
                capture_pending: minor_units,
                ..Self::default()
            },
            Kind::Void => Self {
                voiding: Some(true),
                ..Self::default()
            },
            Kind::Refund => Self {
                refund_pending: minor_units,
                ..Self::default()
            },
        }
    }

    /// What the provider's answer makes of the reservation.
    pub fn settle(kind: Kind, minor_units: i64, succeeded: bool) -> Self {
        let moved = if succeeded { minor_units } else { 0 };
        match kind {
            Kind::Authorize => Self {
                authorized: moved,
                ended: (!succeeded).then_some(Ended::Declined),
                ..Self::default()
            },
            Kind::Capture => Self {
                capture_pending: -minor_units,
                captured: moved,
                ..Self::default()
            },
            Kind::Void => Self {
                voiding: Some(false),
                ended: succeeded.then_some(Ended::Voided),
                ..Self::default()
            },
            Kind::Refund => Self {
                refund_pending: -minor_units,
                refunded: moved,
                ..Self::default()
            },
        }
    }
}

#[cfg(test)]
mod tests;
