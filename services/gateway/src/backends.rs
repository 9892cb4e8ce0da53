//! The services behind the gateway.

use chassis::client::{Channel, Retry};
use chassis::{Caller, Chassis, Context};
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::order::v1::MergeCartRequest;
use proto::order::v1::order_service_client::OrderServiceClient;
use proto::payment::v1::payment_service_client::PaymentServiceClient;
use proto::product::v1::product_service_client::ProductServiceClient;
use proto::user::v1::user_service_client::UserServiceClient;
use tonic::Code;
use types::UserId;

use crate::config::Config;
use crate::error::Problem;

/// A client of each. Calls go out in the name of the current request's caller, within its deadline.
pub struct Backends {
    user: UserServiceClient<Channel>,
    product: ProductServiceClient<Channel>,
    order: OrderServiceClient<Channel>,
    inventory: InventoryServiceClient<Channel>,
    payment: PaymentServiceClient<Channel>,
}

impl Backends {
    pub fn new(chassis: &Chassis, config: &Config) -> Self {
        let channel = |peer, endpoints| Channel::forwarding(chassis, peer, endpoints, Retry::Keyed);
        Self {
            user: UserServiceClient::new(channel("user", &config.user_endpoints)),
            product: ProductServiceClient::new(channel("product", &config.product_endpoints)),
            order: OrderServiceClient::new(channel("order", &config.order_endpoints)),
            inventory: InventoryServiceClient::new(channel(
                "inventory",
                &config.inventory_endpoints,
            )),
            payment: PaymentServiceClient::new(channel("payment", &config.payment_endpoints)),
        }
    }

    pub fn user(&self) -> UserServiceClient<Channel> {
        self.user.clone()
    }

    pub fn product(&self) -> ProductServiceClient<Channel> {
        self.product.clone()
    }

    pub fn order(&self) -> OrderServiceClient<Channel> {
        self.order.clone()
    }

    pub fn inventory(&self) -> InventoryServiceClient<Channel> {
        self.inventory.clone()
    }

    pub fn payment(&self) -> PaymentServiceClient<Channel> {
        self.payment.clone()
    }

    /// Adds a guest's cart to a customer's. A cart that is gone or not theirs changes nothing.
    pub async fn merge_cart(&self, cart_token: &str, user_id: UserId) -> Result<(), Problem> {
        let request = MergeCartRequest {
            cart_token: cart_token.to_owned(),
            user_id: user_id.to_string(),
        };
        // At a login the caller is not the customer yet: the gateway vouches for both tokens.
        let mut context = Context::current();
        context.caller = Caller::service("gateway", Some(user_id));
        match context.scope(self.order().merge_cart(request)).await {
            Ok(_) => Ok(()),
            Err(status) => match status.code() {
                Code::NotFound | Code::InvalidArgument | Code::Unauthenticated => Ok(()),
                _ => Err(status.into()),
            },
        }
    }
}
