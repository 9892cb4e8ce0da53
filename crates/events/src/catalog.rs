//! Every event that a service publishes, with its topic and key.

use proto::{inventory, order, payment, product, user};

use crate::Event;

/// `Type: key field`, or `Type: key field, versioned` where the message carries its aggregate's version.
macro_rules! events {
    ($package:ident $topic:literal { $($name:ident: $key:ident $(, $version:ident)?;)+ }) => {$(
        impl Event for $package::v1::$name {
            const TYPE: &'static str = concat!(stringify!($package), ".v1.", stringify!($name));
            const TOPIC: &'static str = $topic;

            fn key(&self) -> &str {
                &self.$key
            }

            fn version(&self) -> Option<i64> {
                None$(.or(Some(self.$version)))?
            }
        }
    )+};
}

events!(user "user.events" {
    UserRegistered: user_id, version;
    UserErased: user_id, version;
    SessionRevoked: user_id;
});

events!(product "product.events" {
    ProductCreated: product_id, version;
    ProductUpdated: product_id, version;
    ProductDeleted: product_id, version;
    CategoryCreated: category_id, version;
});

events!(order "order.events" {
    OrderPlaced: order_id;
    OrderConfirmed: order_id;
    OrderRejected: order_id;
    OrderCancelled: order_id;
    OrderFulfilled: order_id;
});

events!(inventory "inventory.events" {
    StockLevelChanged: sku, version;
    LowStockReached: sku;
});

events!(payment "payment.events" {
    PaymentAuthorized: payment_id, version;
    PaymentDeclined: payment_id, version;
    PaymentCaptured: payment_id, version;
    PaymentVoided: payment_id, version;
    PaymentRefunded: payment_id, version;
});
