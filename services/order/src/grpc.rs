//! Proto in, proto out: parse, call, convert.

mod carts;
mod catalog;
mod convert;
mod orders;
pub(crate) mod peers;

use chassis::Caller;
use chassis::server::{Permissions, Who};
use proto::order::v1 as wire;
use proto::order::v1::order_service_server::OrderService;
use tonic::{Request, Response, Status};
use types::UserId;

use crate::checkout::Driver;

/// Who may call what.
pub(crate) fn permissions() -> Permissions {
    Permissions::new([
        ("GetCart", Who::Anyone),
        ("ClearCart", Who::Anyone),
        ("AddCartItem", Who::Anyone),
        ("UpdateCartItem", Who::Anyone),
        ("RemoveCartItem", Who::Anyone),
        ("MergeCart", Who::Service("gateway")),
        ("PlaceOrder", Who::SignedIn),
        ("GetOrder", Who::SignedIn),
        ("ListOrders", Who::SignedIn),
        ("CancelOrder", Who::SignedIn),
        ("GetOrderTimeline", Who::SignedIn),
        ("CreateFulfillment", Who::Staff),
    ])
}

pub(crate) struct Api {
    pub(crate) driver: Driver,
}

/// The customer who calls.
fn signed_in(caller: &Caller) -> Result<UserId, Status> {
    caller
        .signed_in()
        .ok_or_else(|| Status::unauthenticated("sign in first"))
}

#[tonic::async_trait]
impl OrderService for Api {
    async fn get_cart(
        &self,
        request: Request<wire::GetCartRequest>,
    ) -> Result<Response<wire::GetCartResponse>, Status> {
        let answer = carts::get_cart(&self.driver, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn clear_cart(
        &self,
        request: Request<wire::ClearCartRequest>,
    ) -> Result<Response<wire::ClearCartResponse>, Status> {
        let answer = carts::clear_cart(&self.driver, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn add_cart_item(
        &self,
        request: Request<wire::AddCartItemRequest>,
    ) -> Result<Response<wire::AddCartItemResponse>, Status> {
        let answer = carts::add_cart_item(&self.driver, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn update_cart_item(
        &self,
        request: Request<wire::UpdateCartItemRequest>,
    ) -> Result<Response<wire::UpdateCartItemResponse>, Status> {
        let answer = carts::update_cart_item(&self.driver, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn remove_cart_item(
        &self,
        request: Request<wire::RemoveCartItemRequest>,
    ) -> Result<Response<wire::RemoveCartItemResponse>, Status> {
        let answer = carts::remove_cart_item(&self.driver, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn merge_cart(
        &self,
        request: Request<wire::MergeCartRequest>,
    ) -> Result<Response<wire::MergeCartResponse>, Status> {
        let answer = carts::merge_cart(&self.driver, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn place_order(
        &self,
        request: Request<wire::PlaceOrderRequest>,
    ) -> Result<Response<wire::PlaceOrderResponse>, Status> {
        let answer = orders::place_order(&self.driver, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn get_order(
        &self,
        request: Request<wire::GetOrderRequest>,
    ) -> Result<Response<wire::GetOrderResponse>, Status> {
        let answer = orders::get_order(&self.driver, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn list_orders(
        &self,
        request: Request<wire::ListOrdersRequest>,
    ) -> Result<Response<wire::ListOrdersResponse>, Status> {
        let answer = orders::list_orders(&self.driver, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn cancel_order(
        &self,
        request: Request<wire::CancelOrderRequest>,
    ) -> Result<Response<wire::CancelOrderResponse>, Status> {
        let answer = orders::cancel_order(&self.driver, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn get_order_timeline(
        &self,
        request: Request<wire::GetOrderTimelineRequest>,
    ) -> Result<Response<wire::GetOrderTimelineResponse>, Status> {
        let answer = orders::get_order_timeline(&self.driver, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn create_fulfillment(
        &self,
        request: Request<wire::CreateFulfillmentRequest>,
    ) -> Result<Response<wire::CreateFulfillmentResponse>, Status> {
        let answer = orders::create_fulfillment(&self.driver, request.into_inner()).await?;
        Ok(Response::new(answer))
    }
}
