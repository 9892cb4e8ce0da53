//! Every call of every service that writes, each with a request that is valid now.

mod inventory;
mod order;
mod payment;
mod product;
mod user;

use std::collections::BTreeSet;

use anyhow::bail;
use chassis::Caller;
use devstack::service::Service;
use futures::future::BoxFuture;
use prost::Message;
use proto::Idempotency;
use proto::common::v1::{Address, Money};
use tonic::Status;

use crate::backends::Backends;
use crate::stall::random;

type Sending = BoxFuture<'static, Result<(), Status>>;

/// One write that can be made once.
pub struct Write {
    pub name: &'static str,
    send: Box<dyn Fn() -> Sending + Send + Sync>,
}

impl Write {
    fn new<Q>(
        backends: &Backends,
        service: Service,
        name: &'static str,
        caller: &Caller,
        request: Q,
    ) -> Self
    where
        Q: Message + Clone + 'static,
    {
        let (backends, caller) = (backends.clone(), caller.clone());
        let send = move || -> Sending {
            let (backends, caller, request) = (backends.clone(), caller.clone(), request.clone());
            Box::pin(async move { backends.ask(service, name, &caller, request).await })
        };
        Self {
            name,
            send: Box::new(send),
        }
    }

    /// # Errors
    /// The service's refusal, once the retries are spent.
    pub async fn send(&self) -> Result<(), Status> {
        (self.send)().await
    }
}

/// The service's writes, to be made in this order, after everything that they build on was made.
///
/// # Errors
/// When `/proto` declares a write that has no request here: what it is called.
pub async fn of(backends: &Backends, service: Service) -> anyhow::Result<Vec<Write>> {
    let writes = match service {
        Service::User => user::writes(backends).await?,
        Service::Product => product::writes(backends).await?,
        Service::Order => order::writes(backends).await?,
        Service::Inventory => inventory::writes(backends).await?,
        Service::Payment => payment::writes(backends).await?,
        Service::Gateway => bail!("the gateway has no gRPC calls"),
    };
    let known: BTreeSet<&str> = writes.iter().map(|write| write.name).collect();
    let missing = missing(service, &known);
    if !missing.is_empty() {
        bail!("{service} has writes that are not tested: {missing:?}");
    }
    Ok(writes)
}

/// The service's writes that are not among the known.
pub fn missing(service: Service, known: &BTreeSet<&str>) -> Vec<&'static str> {
    let declared = proto::methods().iter().filter(|method| {
        method.service == service.name() && method.idempotency != Idempotency::NoSideEffects
    });
    let names = declared.map(|method| method.name.as_str());
    names.filter(|name| !known.contains(name)).collect()
}

/// A text that no other test draws.
fn unique(start: &str) -> String {
    format!("{start}-{:016x}", random())
}

fn address() -> Address {
    Address {
        name: "A Customer".to_owned(),
        line1: "1 Example Street".to_owned(),
        city: "Springfield".to_owned(),
        postal_code: "12345".to_owned(),
        country: "US".to_owned(),
        ..Address::default()
    }
}

fn dollars(minor_units: i64) -> Money {
    Money {
        minor_units,
        currency: "USD".to_owned(),
    }
}
