//! The four services that an order needs, in memory and with every outcome on demand.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use proto::inventory::v1 as inventory;
use proto::inventory::v1::inventory_service_server::{InventoryService, InventoryServiceServer};
use proto::payment::v1 as payment;
use proto::payment::v1::payment_service_server::{PaymentService, PaymentServiceServer};
use proto::product::v1 as product;
use proto::product::v1::product_service_server::{ProductService, ProductServiceServer};
use proto::user::v1 as user;
use proto::user::v1::user_service_server::{UserService, UserServiceServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    Held(u32),
    Claimed(u32),
    Released,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paid {
    Authorized,
    Declined,
    Voided,
    Captured,
    Refunded,
}

#[derive(Default)]
pub struct State {
    pub variants: BTreeMap<String, product::SoldVariant>,
    pub stock: HashMap<String, u32>,
    pub holds: HashMap<(String, String), Hold>,
    pub payments: HashMap<String, Paid>,
    pub addresses: HashMap<String, proto::common::v1::Address>,
    /// Calls of orders with this SKU that fail before one succeeds.
    pub failures: HashMap<String, u32>,
    /// SKUs whose next hold is over before it is claimed.
    pub expiring: HashSet<String>,
    /// Payments that cannot be captured.
    pub stuck: HashSet<String>,
    /// How often each payment was asked for.
    asked: HashMap<String, u32>,
}

#[derive(Clone, Default)]
pub struct Peers(Arc<Mutex<State>>);

impl Peers {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// All four on one port.
    pub async fn serve(self, listener: TcpListener) -> anyhow::Result<()> {
        tonic::transport::Server::builder()
            .add_service(ProductServiceServer::new(self.clone()))
            .add_service(InventoryServiceServer::new(self.clone()))
            .add_service(PaymentServiceServer::new(self.clone()))
            .add_service(UserServiceServer::new(self))
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await?;
        Ok(())
    }

    fn fail(&self, sku: &str) -> Result<(), Status> {
        match self.state().failures.get_mut(sku) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(Status::internal("out of order"))
            }
            _ => Ok(()),
        }
    }
}

impl State {
    fn reserve(&mut self, order: &str, line: &inventory::ReserveLine) -> inventory::ReservedLine {
        use inventory::ReserveOutcome;
        let key = (order.to_owned(), line.sku.clone());
        let left = self.stock.entry(line.sku.clone()).or_default();
        let outcome = match self.holds.get(&key) {
            Some(Hold::Released) => ReserveOutcome::Released,
            Some(_) => ReserveOutcome::Held,
            None if *left < line.quantity => ReserveOutcome::OutOfStock,
            None => {
                *left -= line.quantity;
                self.holds.insert(key, Hold::Held(line.quantity));
                ReserveOutcome::Held
            }
        };
        inventory::ReservedLine {
            sku: line.sku.clone(),
            outcome: outcome.into(),
            available: self.stock[&line.sku].into(),
            expires_at: Some(proto::timestamp(
                Timestamp::now() + SignedDuration::from_secs(900),
            )),
            parts: vec![proto::common::v1::StockPart {
                warehouse_id: "east".to_owned(),
                quantity: line.quantity,
            }],
        }
    }

    fn claim(&mut self, order: &str, sku: &str) -> inventory::ClaimOutcome {
        use inventory::ClaimOutcome;
        let key = (order.to_owned(), sku.to_owned());
        match self.holds.get(&key).copied() {
            Some(Hold::Held(quantity)) if self.expiring.remove(sku) => {
                self.holds.remove(&key);
                *self.stock.entry(sku.to_owned()).or_default() += quantity;
                ClaimOutcome::Expired
            }
            Some(Hold::Held(quantity)) => {
                self.holds.insert(key, Hold::Claimed(quantity));
                ClaimOutcome::Claimed
            }
            Some(Hold::Claimed(_)) => ClaimOutcome::Claimed,
            Some(Hold::Released) => ClaimOutcome::Released,
            None => ClaimOutcome::Unknown,
        }
    }
}

/// As `async_trait` writes a method, which does not look into a macro.
macro_rules! unused {
    ($package:ident: $($method:ident $request:ident $response:ident),+) => {$(
        fn $method<'own, 'call>(
            &'own self,
            _: Request<$package::$request>,
        ) -> BoxFuture<'call, Result<Response<$package::$response>, Status>>
        where
            'own: 'call,
            Self: 'call,
        {
            Box::pin(async { Err(Status::unimplemented("not called by orders")) })
        }
    )+};
}

#[tonic::async_trait]
impl InventoryService for Peers {
    async fn reserve(
        &self,
        request: Request<inventory::ReserveRequest>,
    ) -> Result<Response<inventory::ReserveResponse>, Status> {
        let request = request.into_inner();
        self.fail(&request.lines[0].sku)?;
        let mut state = self.state();
        let lines = request.lines.iter();
        let lines = lines.map(|line| state.reserve(&request.order_id, line));
        Ok(Response::new(inventory::ReserveResponse {
            lines: lines.collect(),
        }))
    }

    async fn claim(
        &self,
        request: Request<inventory::ClaimRequest>,
    ) -> Result<Response<inventory::ClaimResponse>, Status> {
        let request = request.into_inner();
        let mut state = self.state();
        let lines = request.skus.into_iter().map(|sku| {
            let outcome = state.claim(&request.order_id, &sku);
            inventory::ClaimedLine {
                sku,
                outcome: outcome.into(),
            }
        });
        let lines = lines.collect();
        Ok(Response::new(inventory::ClaimResponse { lines }))
    }

    async fn release(
        &self,
        request: Request<inventory::ReleaseRequest>,
    ) -> Result<Response<inventory::ReleaseResponse>, Status> {
        let request = request.into_inner();
        self.fail(&request.skus[0])?;
        let mut state = self.state();
        for sku in request.skus {
            let key = (request.order_id.clone(), sku.clone());
            let before = state.holds.insert(key, Hold::Released);
            if let Some(Hold::Held(quantity) | Hold::Claimed(quantity)) = before {
                *state.stock.entry(sku).or_default() += quantity;
            }
        }
        Ok(Response::new(inventory::ReleaseResponse {}))
    }

    unused! { inventory:
        get_availability GetAvailabilityRequest GetAvailabilityResponse,
        put_stock PutStockRequest PutStockResponse,
        adjust_stock AdjustStockRequest AdjustStockResponse,
        list_low_stock ListLowStockRequest ListLowStockResponse
    }
}

#[tonic::async_trait]
impl PaymentService for Peers {
    async fn authorize(
        &self,
        request: Request<payment::AuthorizeRequest>,
    ) -> Result<Response<payment::AuthorizeResponse>, Status> {
        let request = request.into_inner();
        if request.payment_token == "tok_slow_3s" {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        let mut state = self.state();
        let asked = state.asked.entry(request.payment_id.clone()).or_default();
        *asked += 1;
        let asked = *asked;
        if request.payment_token == "tok_stuck" && asked == 1 {
            state.stuck.insert(request.payment_id.clone());
        }
        let unknown = request.payment_token == "tok_unknown_twice" && asked <= 2;
        let fresh = match request.payment_token.as_str() {
            "tok_declined" => Paid::Declined,
            _ => Paid::Authorized,
        };
        let paid = *state.payments.entry(request.payment_id).or_insert(fresh);
        let (outcome, reason) = match paid {
            _ if unknown => (payment::Outcome::Unknown, None),
            Paid::Authorized | Paid::Captured => (payment::Outcome::Succeeded, None),
            Paid::Voided | Paid::Refunded => (payment::Outcome::Declined, Some("already-voided")),
            Paid::Declined => (payment::Outcome::Declined, Some("card-declined")),
        };
        Ok(Response::new(payment::AuthorizeResponse {
            outcome: outcome.into(),
            reason: reason.map(str::to_owned),
        }))
    }

    async fn capture(
        &self,
        request: Request<payment::CaptureRequest>,
    ) -> Result<Response<payment::CaptureResponse>, Status> {
        let mut state = self.state();
        let is_stuck = state.stuck.contains(&request.get_ref().payment_id);
        let paid = state.payments.get_mut(&request.get_ref().payment_id);
        let outcome = match paid {
            Some(paid @ (Paid::Authorized | Paid::Captured)) if !is_stuck => {
                *paid = Paid::Captured;
                payment::Outcome::Succeeded
            }
            _ => payment::Outcome::Declined,
        };
        Ok(Response::new(payment::CaptureResponse {
            outcome: outcome.into(),
            reason: None,
        }))
    }

    async fn void(
        &self,
        request: Request<payment::VoidRequest>,
    ) -> Result<Response<payment::VoidResponse>, Status> {
        let mut state = self.state();
        let payment_id = request.into_inner().payment_id;
        let paid = state.payments.entry(payment_id).or_insert(Paid::Voided);
        let outcome = match paid {
            Paid::Captured => payment::Outcome::Declined,
            Paid::Authorized => {
                *paid = Paid::Voided;
                payment::Outcome::Succeeded
            }
            Paid::Voided | Paid::Declined | Paid::Refunded => payment::Outcome::Succeeded,
        };
        Ok(Response::new(payment::VoidResponse {
            outcome: outcome.into(),
            reason: Some("already-captured".to_owned()),
        }))
    }

    async fn refund(
        &self,
        request: Request<payment::RefundRequest>,
    ) -> Result<Response<payment::RefundResponse>, Status> {
        let mut state = self.state();
        let paid = state.payments.get_mut(&request.get_ref().payment_id);
        let outcome = match paid {
            Some(paid @ (Paid::Captured | Paid::Refunded)) => {
                *paid = Paid::Refunded;
                payment::Outcome::Succeeded
            }
            _ => payment::Outcome::Declined,
        };
        Ok(Response::new(payment::RefundResponse {
            outcome: outcome.into(),
            operation: None,
            replayed: false,
        }))
    }

    unused! { payment: get_payment GetPaymentRequest GetPaymentResponse }
}

#[tonic::async_trait]
impl ProductService for Peers {
    async fn batch_get_variants(
        &self,
        request: Request<product::BatchGetVariantsRequest>,
    ) -> Result<Response<product::BatchGetVariantsResponse>, Status> {
        let request = request.into_inner();
        let state = self.state();
        let variants = state.variants.values().filter(|variant| {
            request.skus.contains(&variant.sku) || request.product_ids.contains(&variant.product_id)
        });
        Ok(Response::new(product::BatchGetVariantsResponse {
            variants: variants.cloned().collect(),
        }))
    }

    unused! { product:
        list_categories ListCategoriesRequest ListCategoriesResponse,
        create_category CreateCategoryRequest CreateCategoryResponse,
        list_products ListProductsRequest ListProductsResponse,
        search_products SearchProductsRequest SearchProductsResponse,
        get_product GetProductRequest GetProductResponse,
        create_product CreateProductRequest CreateProductResponse,
        update_product UpdateProductRequest UpdateProductResponse,
        delete_product DeleteProductRequest DeleteProductResponse
    }
}

#[tonic::async_trait]
impl UserService for Peers {
    async fn get_address(
        &self,
        request: Request<user::GetAddressRequest>,
    ) -> Result<Response<user::GetAddressResponse>, Status> {
        let address_id = request.into_inner().address_id;
        let address = self.state().addresses.get(&address_id).cloned();
        let address = address.ok_or_else(|| Status::not_found("no such address"))?;
        Ok(Response::new(user::GetAddressResponse {
            address: Some(user::UserAddress {
                address_id,
                address: Some(address),
                version: 1,
            }),
        }))
    }

    unused! { user:
        register_user RegisterUserRequest RegisterUserResponse,
        login LoginRequest LoginResponse,
        refresh_session RefreshSessionRequest RefreshSessionResponse,
        logout LogoutRequest LogoutResponse,
        list_keys ListKeysRequest ListKeysResponse,
        get_user GetUserRequest GetUserResponse,
        update_user UpdateUserRequest UpdateUserResponse,
        erase_user EraseUserRequest EraseUserResponse,
        list_addresses ListAddressesRequest ListAddressesResponse,
        create_address CreateAddressRequest CreateAddressResponse,
        update_address UpdateAddressRequest UpdateAddressResponse,
        delete_address DeleteAddressRequest DeleteAddressResponse
    }
}
