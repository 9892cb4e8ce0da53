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

macro_rules! forward {
    ($($method:ident: $request:ident => $response:ident in $module:ident),+ $(,)?) => {
        #[tonic::async_trait]
        impl OrderService for Api {$(
            async fn $method(
                &self,
                request: Request<wire::$request>,
            ) -> Result<Response<wire::$response>, Status> {
                let answer = $module::$method(&self.driver, request.into_inner()).await?;
                Ok(Response::new(answer))
            }
        )+}
    };
}

forward! {
    get_cart: GetCartRequest => GetCartResponse in carts,
    clear_cart: ClearCartRequest => ClearCartResponse in carts,
    add_cart_item: AddCartItemRequest => AddCartItemResponse in carts,
    update_cart_item: UpdateCartItemRequest => UpdateCartItemResponse in carts,
    remove_cart_item: RemoveCartItemRequest => RemoveCartItemResponse in carts,
    merge_cart: MergeCartRequest => MergeCartResponse in carts,
    place_order: PlaceOrderRequest => PlaceOrderResponse in orders,
    get_order: GetOrderRequest => GetOrderResponse in orders,
    list_orders: ListOrdersRequest => ListOrdersResponse in orders,
    cancel_order: CancelOrderRequest => CancelOrderResponse in orders,
    get_order_timeline: GetOrderTimelineRequest => GetOrderTimelineResponse in orders,
    create_fulfillment: CreateFulfillmentRequest => CreateFulfillmentResponse in orders,
}
