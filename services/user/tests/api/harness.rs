//! The user service on real servers, one for the test binary.

use std::path::Path;
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use chassis::client::{Channel, Endpoints, Retry};
use chassis::{Caller, Chassis, Consistency, Context, Listeners, caller};
use clap::Parser as _;
use events::operator::Operation;
use proto::user::v1 as wire;
use proto::user::v1::user_service_client::UserServiceClient;
use storage::Cluster;
use testkit::{Databases, Fixture, Service};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};
use types::UserId;
use user::Config;

/// Long enough for a machine that is busy with something else.
pub const LIMIT: Duration = Duration::from_secs(60);
pub const PASSWORD: &str = "correct horse";

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

/// `folder` is where the keys are and the mails land.
fn config(folder: &Path, flags: impl IntoIterator<Item = String>) -> Config {
    let own = [
        "user".to_owned(),
        format!("--caller-secret={}", "s".repeat(32)),
        format!("--signing-keys={}", folder.join("keys.json").display()),
        format!("--mail-dir={}", folder.join("mail").display()),
        // As cheap as it may be.
        "--password-memory-kib=8".to_owned(),
        "--password-passes=1".to_owned(),
    ];
    Cli::try_parse_from(own.into_iter().chain(flags))
        .unwrap_or_else(|error| panic!("{error}"))
        .config
}

async fn migrate(databases: Databases) -> anyhow::Result<()> {
    let flags = [
        format!("--shards={}", databases.shards),
        format!("--direct={}", databases.direct),
    ];
    user::operate(&config(Path::new("unused"), flags), &Operation::Migrate).await
}

/// What runs behind the tests.
pub struct Harness {
    fixture: &'static Fixture,
    endpoint: String,
}

impl Harness {
    /// Started by the first test, on threads that outlive each test.
    pub fn get() -> &'static Self {
        static HARNESS: OnceLock<Harness> = OnceLock::new();
        HARNESS.get_or_init(|| {
            let (started, harness) = mpsc::channel();
            thread::spawn(move || {
                Runtime::new().unwrap().block_on(async {
                    let (harness, serving) = start().await;
                    started.send(harness).unwrap();
                    serving.await.unwrap();
                });
            });
            harness.recv().unwrap()
        })
    }

    /// It goes when the test binary ends.
    fn folder(&self) -> &Path {
        self.fixture.platform.home.root()
    }

    pub fn config(&self) -> Config {
        config(self.folder(), self.fixture.flags())
    }

    pub async fn chassis(&self, name: &'static str) -> Chassis {
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Chassis::start(
            name,
            &self.config().chassis,
            admin,
            CancellationToken::new(),
        )
        .unwrap()
    }

    /// The service's own databases, seen from this test.
    pub async fn cluster(&self) -> Cluster<UserId> {
        let chassis = self.chassis("test").await;
        Cluster::connect(&chassis, &self.config().storage)
            .await
            .unwrap()
    }

    /// The mail that is about this, once it is sent.
    pub async fn mail(&self, about: &str) -> String {
        testkit::eventually(LIMIT, async || self.find_mail(about)).await
    }

    pub fn find_mail(&self, about: &str) -> Option<String> {
        let files = std::fs::read_dir(self.folder().join("mail")).ok()?;
        files
            .filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok())
            .find(|mail| mail.contains(about))
    }

    pub async fn guest(&self) -> Client {
        self.caller(Caller::default()).await
    }

    /// A caller with a memory of its own, as the gateway keeps it.
    pub async fn caller(&self, caller: Caller) -> Client {
        let chassis = self.chassis("gateway").await;
        let endpoints: Endpoints = self.endpoint.parse().unwrap();
        let channel = Channel::forwarding(&chassis, "user", &endpoints, Retry::Never);
        Client {
            caller,
            consistency: Consistency::default(),
            client: UserServiceClient::new(channel),
        }
    }

    /// A new customer, signed in.
    pub async fn customer(&self, email: &str) -> (Client, wire::Tokens) {
        let guest = self.guest().await;
        guest.register(email).await.unwrap();
        let tokens = guest.login(email, PASSWORD).await.unwrap();
        (guest.signed_in(&tokens), tokens)
    }
}

async fn start() -> (Harness, impl Future<Output = anyhow::Result<()>>) {
    let fixture = testkit::fixture(Service::User, migrate).await;
    let listeners = Listeners {
        main: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        admin: TcpListener::bind("127.0.0.1:0").await.unwrap(),
    };
    let harness = Harness {
        fixture,
        endpoint: listeners.main.local_addr().unwrap().to_string(),
    };
    let config = harness.config();
    user::create_keys(&config.signing_keys).unwrap();
    let serving = user::serve(config, listeners, CancellationToken::new());
    (harness, serving)
}

/// One caller of the user service, who remembers what was seen.
pub struct Client {
    caller: Caller,
    consistency: Consistency,
    client: UserServiceClient<Channel>,
}

impl Client {
    /// The same caller after the login, who has seen the same: so does the gateway keep it.
    pub fn signed_in(&self, tokens: &wire::Tokens) -> Self {
        let caller = Caller {
            kind: caller::Kind::Customer,
            user_id: Some(tokens.user_id.parse().unwrap()),
            session_id: Some(tokens.session_id.parse().unwrap()),
        };
        Self {
            caller,
            consistency: self.consistency.clone(),
            client: self.client.clone(),
        }
    }

    pub async fn call<T>(
        &self,
        call: impl AsyncFnOnce(UserServiceClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, Status> {
        let context = Context {
            caller: self.caller.clone(),
            deadline: Some(Instant::now() + LIMIT),
            consistency: self.consistency.clone(),
            ..Context::default()
        };
        let answer = context.scope(call(self.client.clone())).await;
        answer.map(Response::into_inner)
    }

    pub async fn register(&self, email: &str) -> Result<wire::User, Status> {
        let request = wire::RegisterUserRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
            name: "Customer One".to_owned(),
        };
        let answer = self.call(async |mut client| client.register_user(request).await);
        Ok(answer.await?.user.unwrap())
    }

    pub async fn login(&self, email: &str, password: &str) -> Result<wire::Tokens, Status> {
        let request = wire::LoginRequest {
            email: email.to_owned(),
            password: password.to_owned(),
        };
        let answer = self.call(async |mut client| client.login(request).await);
        Ok(answer.await?.tokens.unwrap())
    }

    pub async fn refresh(&self, tokens: &wire::Tokens) -> Result<wire::Tokens, Status> {
        let request = wire::RefreshSessionRequest {
            refresh_token: tokens.refresh_token.clone(),
        };
        let answer = self.call(async |mut client| client.refresh_session(request).await);
        Ok(answer.await?.tokens.unwrap())
    }

    pub async fn profile(&self) -> Result<wire::User, Status> {
        let answer = self.call(async |mut client| client.get_user(wire::GetUserRequest {}).await);
        Ok(answer.await?.user.unwrap())
    }

    pub async fn update(&self, request: wire::UpdateUserRequest) -> Result<wire::User, Status> {
        let answer = self.call(async |mut client| client.update_user(request).await);
        Ok(answer.await?.user.unwrap())
    }

    pub async fn erase(&self) -> Result<(), Status> {
        let erase = async |mut client: UserServiceClient<Channel>| {
            client.erase_user(wire::EraseUserRequest {}).await
        };
        self.call(erase).await.map(drop)
    }

    pub async fn addresses(&self) -> Vec<wire::UserAddress> {
        let list = async |mut client: UserServiceClient<Channel>| {
            client.list_addresses(wire::ListAddressesRequest {}).await
        };
        self.call(list).await.unwrap().addresses
    }

    pub async fn address(&self, address_id: &str) -> Result<wire::UserAddress, Status> {
        let address_id = address_id.to_owned();
        let request = wire::GetAddressRequest { address_id };
        let answer = self.call(async |mut client| client.get_address(request).await);
        Ok(answer.await?.address.unwrap())
    }

    pub async fn add_address(
        &self,
        address: proto::common::v1::Address,
    ) -> Result<wire::UserAddress, Status> {
        let address = Some(address);
        let request = wire::CreateAddressRequest { address };
        let answer = self.call(async |mut client| client.create_address(request).await);
        Ok(answer.await?.address.unwrap())
    }
}
