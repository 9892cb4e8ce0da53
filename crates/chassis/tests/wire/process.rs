//! A payment service that answers nothing and notes what came with each call.

use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::Duration;

use chassis::client::{Channel, Endpoints, Retry};
use chassis::server::{Permissions, Who};
use chassis::{Chassis, Context, Position, deadline};
use clap::Parser;
use proto::payment::v1::payment_service_client::PaymentServiceClient;
use proto::payment::v1::payment_service_server::{PaymentService, PaymentServiceServer};
use proto::payment::v1::{
    AuthorizeRequest, AuthorizeResponse, CaptureRequest, CaptureResponse, GetPaymentRequest,
    GetPaymentResponse, RefundRequest, RefundResponse, VoidRequest, VoidResponse,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::client::GrpcService;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

const LIMIT: Duration = Duration::from_secs(20);

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    chassis: chassis::Config,
}

fn settings() -> chassis::Config {
    let secret = format!("--caller-secret={}", "s".repeat(32));
    Settings::parse_from(["payment", &secret, "--log-filter=off"]).chassis
}

/// Traces, for the whole test binary.
pub fn telemetry() {
    static STARTED: Once = Once::new();
    // Never dropped: it belongs to the process.
    STARTED.call_once(|| std::mem::forget(chassis::telemetry::init("payment", &settings())));
}

/// What came with a call.
pub struct Seen {
    pub timeout: Option<String>,
    pub traceparent: Option<String>,
    pub left: Duration,
    pub context: Context,
    /// As they were when the call came.
    pub positions: Vec<Position>,
    pub trace_id: Option<String>,
}

pub struct Process {
    chassis: Chassis,
    main: SocketAddr,
    admin: SocketAddr,
    shutdown: CancellationToken,
    serving: Option<JoinHandle<anyhow::Result<()>>>,
    seen: mpsc::UnboundedReceiver<Seen>,
    gate: Arc<Notify>,
}

pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Process {
    pub async fn start() -> Self {
        let main = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = (main.local_addr().unwrap(), admin.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let chassis = Chassis::start("payment", &settings(), admin, shutdown.clone()).unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        let gate = Arc::new(Notify::new());
        let api = Api {
            sender,
            gate: Arc::clone(&gate),
        };
        let routes = Routes::new(PaymentServiceServer::new(api));
        let permissions = Permissions::new([("GetPayment", Who::SignedInOr("payment"))]);
        let serving = {
            let chassis = chassis.clone();
            async move { chassis.serve_grpc(main, permissions, routes).await }
        };
        #[expect(clippy::disallowed_methods, reason = "the service itself")]
        let serving = tokio::spawn(serving);
        Self {
            chassis,
            main: addresses.0,
            admin: addresses.1,
            shutdown,
            serving: Some(serving),
            seen,
            gate,
        }
    }

    fn endpoints(&self) -> Endpoints {
        self.main.to_string().parse().unwrap()
    }

    /// As the gateway calls.
    pub fn channel(&self, retry: Retry) -> Channel {
        Channel::forwarding(&self.chassis, "payment", &self.endpoints(), retry)
    }

    /// As a service calls.
    pub fn own_channel(&self) -> Channel {
        Channel::new(&self.chassis, "payment", &self.endpoints(), Retry::Never)
    }

    /// As a stranger calls.
    pub async fn bare_channel(&self) -> tonic::transport::Channel {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", self.main));
        endpoint.unwrap().connect().await.unwrap()
    }

    pub fn prepare(&self, prepare: impl Fn() + Send + Sync + Copy + 'static) {
        self.chassis
            .before_calls(move || Box::pin(async move { prepare() }));
    }

    /// The next call that reached its handler.
    pub async fn seen(&mut self) -> Seen {
        let next = tokio::time::timeout(LIMIT, self.seen.recv());
        next.await.unwrap().unwrap()
    }

    /// Lets a slow call go on.
    pub fn let_go(&self) {
        self.gate.notify_one();
    }

    pub fn stop(&self) {
        self.shutdown.cancel();
    }

    pub async fn ended(&mut self) -> anyhow::Result<()> {
        let serving = self.serving.take().unwrap();
        tokio::time::timeout(LIMIT, serving).await.unwrap().unwrap()
    }

    pub async fn admin(&self, path: &str) -> Answer {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            body: body.to_owned(),
        }
    }

    pub async fn until_not_ready(&self) {
        let not_ready = async || self.admin("/health/ready").await.status == 503;
        until(not_ready).await;
    }

    pub async fn until_metrics_have(&self, text: &str) {
        until(async || self.admin("/metrics").await.body.contains(text)).await;
    }
}

async fn until(met: impl AsyncFn() -> bool) {
    let waiting = async {
        while !met().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.unwrap();
}

pub async fn get_payment<C>(channel: C, payment_id: &'static str) -> Result<(), Status>
where
    C: GrpcService<tonic::body::Body>,
    C::ResponseBody: tonic::codegen::Body<Data = bytes::Bytes> + Send + 'static,
    <C::ResponseBody as tonic::codegen::Body>::Error: Into<tonic::codegen::StdError> + Send,
{
    let request = GetPaymentRequest {
        payment_id: payment_id.to_owned(),
    };
    let mut client = PaymentServiceClient::new(channel);
    client.get_payment(request).await.map(drop)
}

struct Api {
    sender: mpsc::UnboundedSender<Seen>,
    gate: Arc<Notify>,
}

#[tonic::async_trait]
impl PaymentService for Api {
    /// A payment named `slow` is waited for.
    async fn get_payment(
        &self,
        request: Request<GetPaymentRequest>,
    ) -> Result<Response<GetPaymentResponse>, Status> {
        let header = |name| {
            let value = request.metadata().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let context = Context::current();
        let positions = context.consistency.positions();
        let seen = Seen {
            timeout: header("grpc-timeout"),
            traceparent: header("traceparent"),
            left: deadline::remaining().unwrap(),
            trace_id: chassis::trace::trace_id(),
            positions,
            context: context.clone(),
        };
        // The test may be past it.
        let _ = self.sender.send(seen);
        context.consistency.observe(Position {
            service: "payment".to_owned(),
            shard: "read-there".to_owned(),
            timeline: 1,
            lsn: 7,
            map_version: 2,
        });
        if request.into_inner().payment_id == "slow" {
            self.gate.notified().await;
        }
        Ok(Response::new(GetPaymentResponse::default()))
    }

    async fn authorize(
        &self,
        _: Request<AuthorizeRequest>,
    ) -> Result<Response<AuthorizeResponse>, Status> {
        Err(Status::unimplemented("authorize"))
    }

    async fn capture(
        &self,
        _: Request<CaptureRequest>,
    ) -> Result<Response<CaptureResponse>, Status> {
        Err(Status::unimplemented("capture"))
    }

    async fn void(&self, _: Request<VoidRequest>) -> Result<Response<VoidResponse>, Status> {
        Err(Status::unimplemented("void"))
    }

    async fn refund(&self, _: Request<RefundRequest>) -> Result<Response<RefundResponse>, Status> {
        Err(Status::unimplemented("refund"))
    }
}
