//! One event of each type, with every field set.

use prost_types::Timestamp;
use proto::common::v1::{Money, StockPart};
use proto::inventory::v1::{LowStockReached, StockLevelChanged, StockStatus};
use proto::order::v1::{
    OrderCancelled, OrderConfirmed, OrderEventLine, OrderFulfilled, OrderPlaced, OrderRejected,
};
use proto::payment::v1::{
    PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided,
};
use proto::product::v1::{CategoryCreated, ProductCreated, ProductDeleted, ProductUpdated};
use proto::user::v1::{SessionRevoked, UserErased, UserRegistered};

use super::line_of;

macro_rules! lines {
    ($($sample:expr),+ $(,)?) => {
        vec![$(line_of(&$sample)),+]
    };
}

pub(super) fn lines() -> Vec<String> {
    [users(), products(), orders(), stock(), payments()].concat()
}

fn users() -> Vec<String> {
    lines![
        UserRegistered {
            user_id: user(),
            version: 1,
        },
        UserErased {
            user_id: user(),
            version: 2,
        },
        SessionRevoked {
            session_id: "session-1".to_owned(),
            user_id: user(),
            revoked_at: Some(Timestamp {
                seconds: 1_795_248_000,
                nanos: 250_000_000,
            }),
        },
    ]
}

fn products() -> Vec<String> {
    lines![
        ProductCreated {
            product_id: "product-1".to_owned(),
            slug: "mug".to_owned(),
            category: "cups".to_owned(),
            skus: skus(),
            version: 1,
        },
        ProductUpdated {
            product_id: "product-1".to_owned(),
            slug: "big-mug".to_owned(),
            previous_slug: Some("mug".to_owned()),
            category: "cups".to_owned(),
            skus: skus(),
            version: 2,
        },
        ProductDeleted {
            product_id: "product-1".to_owned(),
            slug: "big-mug".to_owned(),
            category: "cups".to_owned(),
            skus: skus(),
            version: 3,
        },
        CategoryCreated {
            category_id: "category-1".to_owned(),
            slug: "cups".to_owned(),
            version: 1,
        },
    ]
}

fn orders() -> Vec<String> {
    lines![
        OrderPlaced {
            order_id: order(),
            user_id: user(),
            number: "7Z3KQ0AB".to_owned(),
            lines: order_lines(),
            total: money(),
            payment_id: "payment-1".to_owned(),
        },
        OrderConfirmed {
            order_id: order(),
            user_id: user(),
            number: "7Z3KQ0AB".to_owned(),
            lines: order_lines(),
            total: money(),
            payment_id: "payment-1".to_owned(),
        },
        OrderRejected {
            order_id: order(),
            user_id: user(),
            number: "7Z3KQ0AB".to_owned(),
            reason: "OUT_OF_STOCK".to_owned(),
            lines: order_lines(),
        },
        OrderCancelled {
            order_id: order(),
            user_id: user(),
            number: "7Z3KQ0AB".to_owned(),
            reason: "changed my mind".to_owned(),
            lines: order_lines(),
        },
        OrderFulfilled {
            order_id: order(),
            user_id: user(),
            number: "7Z3KQ0AB".to_owned(),
            fulfillment_id: "fulfillment-1".to_owned(),
            lines: order_lines(),
            tracking_number: Some("T-1".to_owned()),
            complete: true,
        },
    ]
}

fn stock() -> Vec<String> {
    lines![
        StockLevelChanged {
            sku: "MUG-1".to_owned(),
            status: StockStatus::Low.into(),
            available: 3,
            version: 9,
        },
        LowStockReached {
            sku: "MUG-1".to_owned(),
            warehouse_id: "north".to_owned(),
            available: 3,
            threshold: 5,
        },
    ]
}

fn payments() -> Vec<String> {
    lines![
        PaymentAuthorized {
            payment_id: "payment-1".to_owned(),
            order_id: order(),
            user_id: user(),
            operation_id: "operation-1".to_owned(),
            amount: money(),
            version: 1,
        },
        PaymentDeclined {
            payment_id: "payment-1".to_owned(),
            order_id: order(),
            user_id: user(),
            operation_id: "operation-1".to_owned(),
            amount: money(),
            reason: "insufficient-funds".to_owned(),
            version: 1,
        },
        PaymentCaptured {
            payment_id: "payment-1".to_owned(),
            order_id: order(),
            user_id: user(),
            operation_id: "operation-2".to_owned(),
            amount: money(),
            version: 2,
        },
        PaymentVoided {
            payment_id: "payment-1".to_owned(),
            order_id: order(),
            user_id: user(),
            operation_id: "operation-2".to_owned(),
            amount: money(),
            version: 2,
        },
        PaymentRefunded {
            payment_id: "payment-1".to_owned(),
            order_id: order(),
            user_id: user(),
            operation_id: "operation-3".to_owned(),
            amount: money(),
            reason: "damaged".to_owned(),
            version: 3,
        },
    ]
}

fn order() -> String {
    "order-1".to_owned()
}

fn user() -> String {
    "user-1".to_owned()
}

fn skus() -> Vec<String> {
    ["MUG-1", "MUG-2"].map(str::to_owned).to_vec()
}

fn money() -> Option<Money> {
    Some(Money {
        minor_units: 1_999,
        currency: "USD".to_owned(),
    })
}

fn order_lines() -> Vec<OrderEventLine> {
    vec![OrderEventLine {
        sku: "MUG-1".to_owned(),
        product_id: "product-1".to_owned(),
        name: "Mug".to_owned(),
        quantity: 2,
        unit_price: money(),
        parts: vec![StockPart {
            warehouse_id: "north".to_owned(),
            quantity: 2,
        }],
    }]
}
