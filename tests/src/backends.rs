//! Calls straight at the services, made as the gateway makes them, in anybody's name.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use chassis::caller::Kind;
use chassis::client::{Channel, Retry};
use chassis::{Caller, Chassis, Consistency, Context};
use clap::Parser as _;
use devstack::platform::Platform;
use devstack::service::Service;
use prost::Message;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;
use types::{Slot, UserId};

/// Longer than any call takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    chassis: chassis::Config,
}

/// A client of all services. Clones share it.
#[derive(Clone)]
pub struct Backends {
    platform: Platform,
    chassis: Chassis,
}

impl Backends {
    pub async fn connect(platform: &Platform) -> anyhow::Result<Self> {
        let secret = fs::read_to_string(platform.home.caller_secret())?;
        let settings = Cli::try_parse_from(["tests", &format!("--caller-secret={secret}")])?;
        let admin = TcpListener::bind("127.0.0.1:0").await?;
        let stop = CancellationToken::new();
        Ok(Self {
            platform: platform.clone(),
            chassis: Chassis::start("gateway", &settings.chassis, admin, stop)?,
        })
    }

    /// Makes a call by its name in `/proto`. Reads on the way see everything that was written.
    ///
    /// # Errors
    /// The service's refusal, once the retries are spent.
    pub async fn ask<Q, A>(
        &self,
        service: Service,
        name: &str,
        caller: &Caller,
        request: Q,
    ) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let method = proto::methods()
            .iter()
            .find(|method| method.service == service.name() && method.name == name)
            .ok_or_else(|| Status::unimplemented(format!("{service} has no {name}")))?;
        let path = method.path.parse();
        let path = path.map_err(|_| Status::internal("a method's path is none"))?;
        let context = Context {
            caller: caller.clone(),
            deadline: Some(Instant::now() + DEADLINE),
            consistency: Consistency::lost(),
            ..Context::default()
        };
        let mut client = Grpc::new(self.channel(service)?);
        let codec = ProstCodec::<Q, A>::default();
        let asked = client.unary(tonic::Request::new(request), path, codec);
        Ok(context.scope(asked).await?.into_inner())
    }

    /// A new one for each call: a channel's budget of retries must not run out under many.
    fn channel(&self, service: Service) -> Result<Channel, Status> {
        let endpoint = format!("127.0.0.1:{}", self.platform.ports.main(service));
        let endpoints = endpoint.parse().map_err(Status::internal)?;
        Ok(Channel::forwarding(
            &self.chassis,
            service.name(),
            &endpoints,
            Retry::Keyed,
        ))
    }
}

/// A customer who is known to nobody yet: services believe the gateway.
pub fn customer() -> Caller {
    signed_in(Kind::Customer)
}

pub fn staff() -> Caller {
    signed_in(Kind::Staff)
}

fn signed_in(kind: Kind) -> Caller {
    Caller {
        kind,
        user_id: Some(UserId::new(Slot::draw())),
        session_id: None,
    }
}

/// The field that an answer must have.
pub fn present<T>(field: Option<T>) -> anyhow::Result<T> {
    field.context("an answer lacks a field")
}
