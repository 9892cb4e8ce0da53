//! The provider's rules: what a request does to the charges. No I/O.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::token::{self, Manner};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Money {
    pub(crate) minor_units: i64,
    pub(crate) currency: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Authorize,
    Capture,
    Void,
    Refund,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    Succeeded,
    Declined,
}

/// Why an operation was declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reason {
    CardDeclined,
    InsufficientFunds,
    ExpiredCard,
    AuthenticationRequired,
    InvalidToken,
    CurrencyMismatch,
    AmountExceedsAuthorized,
    AmountExceedsCaptured,
    AlreadyCaptured,
    AlreadyVoided,
}

/// What the caller asks for; two calls under one key must be equal in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(crate) enum Request {
    Authorize {
        amount: Money,
        token: String,
        reference: String,
    },
    Capture {
        authorization_id: String,
        amount: Money,
    },
    Void {
        authorization_id: String,
    },
    Refund {
        authorization_id: String,
        amount: Money,
    },
}

impl Request {
    fn kind(&self) -> Kind {
        match self {
            Self::Authorize { .. } => Kind::Authorize,
            Self::Capture { .. } => Kind::Capture,
            Self::Void { .. } => Kind::Void,
            Self::Refund { .. } => Kind::Refund,
        }
    }
}

/// What became of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operation {
    pub(crate) key: String,
    pub(crate) kind: Kind,
    pub(crate) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorization_id: Option<String>,
    pub(crate) amount: Money,
    pub(crate) created_at: Timestamp,
}

/// An authorization that was granted, and what was done with it since.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Charge {
    authorization_id: String,
    pub(crate) reference: String,
    currency: String,
    authorized: i64,
    captured: i64,
    refunded: i64,
    voided: bool,
    #[serde(skip)]
    token: String,
}

/// One line of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) request: Request,
    pub(crate) operation: Operation,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Error {
    KeyReused,
    NotFound,
    /// `tok_error_500`: nothing was done.
    Failing,
}

/// What a request came to.
pub(crate) enum Decision {
    /// The key was seen before: nothing to do again.
    Repeated(Operation),
    /// To be written down, then applied, then answered in this manner.
    Fresh(Record, Manner),
}

#[derive(Default)]
pub(crate) struct Provider {
    records: HashMap<String, Record>,
    charges: Vec<Charge>,
    charge_by_id: HashMap<String, usize>,
    failures: HashMap<String, u32>,
}

impl Provider {
    pub(crate) fn find_operation(&self, key: &str) -> Option<&Operation> {
        self.records.get(key).map(|record| &record.operation)
    }

    pub(crate) fn charges(&self) -> &[Charge] {
        &self.charges
    }

    /// Decides without any effect but the count of `tok_error_500`.
    pub(crate) fn decide(&mut self, key: &str, request: Request) -> Result<Decision, Error> {
        if let Some(record) = self.records.get(key) {
            return if record.request == request {
                Ok(Decision::Repeated(record.operation.clone()))
            } else {
                Err(Error::KeyReused)
            };
        }
        let kind = request.kind();
        let token = self.token(&request)?;
        let manner = token::manner(token, kind);
        if token::fails_at_first(token, kind) {
            let failures = self.failures.entry(key.to_owned()).or_default();
            if *failures < token::FAILURES_PER_KEY {
                *failures += 1;
                return Err(Error::Failing);
            }
        }
        let operation = self.outcome(key, &request)?;
        Ok(Decision::Fresh(Record { request, operation }, manner))
    }

    /// Takes in a record that is written down.
    pub(crate) fn apply(&mut self, record: Record) {
        let operation = &record.operation;
        if let (Status::Succeeded, Some(id)) = (operation.status, &operation.authorization_id) {
            if let Request::Authorize {
                amount,
                token,
                reference,
            } = &record.request
            {
                self.charge_by_id.insert(id.clone(), self.charges.len());
                self.charges.push(Charge {
                    authorization_id: id.clone(),
                    reference: reference.clone(),
                    currency: amount.currency.clone(),
                    authorized: amount.minor_units,
                    captured: 0,
                    refunded: 0,
                    voided: false,
                    token: token.clone(),
                });
            } else if let Some(index) = self.charge_by_id.get(id) {
                let charge = &mut self.charges[*index];
                match operation.kind {
                    Kind::Authorize => {}
                    Kind::Capture => charge.captured += operation.amount.minor_units,
                    Kind::Void => charge.voided = true,
                    Kind::Refund => charge.refunded += operation.amount.minor_units,
                }
            }
        }
        self.failures.remove(&operation.key);
        self.records.insert(operation.key.clone(), record);
    }

    fn token<'a>(&'a self, request: &'a Request) -> Result<&'a str, Error> {
        match request {
            Request::Authorize { token, .. } => Ok(token),
            Request::Capture {
                authorization_id, ..
            }
            | Request::Void { authorization_id }
            | Request::Refund {
                authorization_id, ..
            } => Ok(&self.get_charge(authorization_id)?.token),
        }
    }

    fn get_charge(&self, authorization_id: &str) -> Result<&Charge, Error> {
        let index = self
            .charge_by_id
            .get(authorization_id)
            .ok_or(Error::NotFound)?;
        Ok(&self.charges[*index])
    }

    fn outcome(&self, key: &str, request: &Request) -> Result<Operation, Error> {
        let (authorization_id, amount, reason) = match request {
            Request::Authorize { amount, token, .. } => {
                let reason = token::refusal(token);
                let id = reason.is_none().then(|| format!("auth_{}", Uuid::now_v7()));
                (id, amount.clone(), reason)
            }
            Request::Capture {
                authorization_id,
                amount,
            } => {
                let charge = self.get_charge(authorization_id)?;
                (
                    Some(authorization_id.clone()),
                    amount.clone(),
                    charge.refuse_capture(amount),
                )
            }
            Request::Void { authorization_id } => {
                let charge = self.get_charge(authorization_id)?;
                (
                    Some(authorization_id.clone()),
                    charge.total(),
                    charge.refuse_void(),
                )
            }
            Request::Refund {
                authorization_id,
                amount,
            } => {
                let charge = self.get_charge(authorization_id)?;
                (
                    Some(authorization_id.clone()),
                    amount.clone(),
                    charge.refuse_refund(amount),
                )
            }
        };
        Ok(Operation {
            key: key.to_owned(),
            kind: request.kind(),
            status: if reason.is_none() {
                Status::Succeeded
            } else {
                Status::Declined
            },
            reason,
            authorization_id,
            amount,
            created_at: Timestamp::now(),
        })
    }
}

impl Charge {
    fn total(&self) -> Money {
        Money {
            minor_units: self.authorized,
            currency: self.currency.clone(),
        }
    }

    fn refuse_capture(&self, amount: &Money) -> Option<Reason> {
        if self.voided {
            return Some(Reason::AlreadyVoided);
        }
        if self.currency != amount.currency {
            return Some(Reason::CurrencyMismatch);
        }
        (amount.minor_units > self.authorized - self.captured)
            .then_some(Reason::AmountExceedsAuthorized)
    }

    fn refuse_void(&self) -> Option<Reason> {
        if self.voided {
            return Some(Reason::AlreadyVoided);
        }
        (self.captured > 0).then_some(Reason::AlreadyCaptured)
    }

    fn refuse_refund(&self, amount: &Money) -> Option<Reason> {
        if self.currency != amount.currency {
            return Some(Reason::CurrencyMismatch);
        }
        (amount.minor_units > self.captured - self.refunded)
            .then_some(Reason::AmountExceedsCaptured)
    }
}
