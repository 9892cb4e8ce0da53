//! Between the wire and the rules.

use std::collections::BTreeMap;

use proto::common::v1 as common;
use proto::order::v1 as wire;
use proto::product::v1::SoldVariant;

use crate::cart::{Cart, Item, Variant};
use crate::error::Error;
use crate::order::{Address, Fulfillment, Line, Order, OrderStatus, Part};
use crate::store::TimelineEntry;

impl From<Cart> for wire::Cart {
    fn from(cart: Cart) -> Self {
        Self {
            cart_id: cart.cart_id.map(|id| id.to_string()).unwrap_or_default(),
            subtotal: cart.subtotal().map(Into::into),
            items: cart.items.into_iter().map(Into::into).collect(),
            version: cart.version,
            expires_at: cart.expires_at.map(proto::timestamp),
        }
    }
}

impl From<Item> for wire::CartItem {
    fn from(item: Item) -> Self {
        Self {
            sku: item.sku.to_string(),
            product_id: item.product_id.to_string(),
            line_total: item.total().map(Into::into),
            name: item.name,
            options: item.options.into_iter().collect(),
            quantity: item.quantity,
            unit_price: Some(item.unit_price.into()),
        }
    }
}

impl From<Order> for wire::Order {
    fn from(order: Order) -> Self {
        let status = wire::OrderStatus::from(order.status);
        let trace_id = order
            .traceparent
            .as_deref()
            .and_then(chassis::trace::trace_id_of);
        Self {
            order_id: order.order_id.to_string(),
            user_id: order.user_id.to_string(),
            status: status.into(),
            needs_operator: order.needs_operator,
            subtotal: Some(order.total.into()),
            total: Some(order.total.into()),
            shipping_address: order.shipping_address.map(Into::into),
            payment_id: order.payment_id.to_string(),
            trace_id: trace_id.unwrap_or_default().to_owned(),
            version: order.version,
            created_at: Some(proto::timestamp(order.created_at)),
            updated_at: Some(proto::timestamp(order.updated_at)),
            lines: order.lines.into_iter().map(Into::into).collect(),
            number: order.number,
        }
    }
}

impl From<Line> for wire::OrderLine {
    fn from(line: Line) -> Self {
        Self {
            sku: line.sku.to_string(),
            product_id: line.product_id.to_string(),
            line_total: Some(line.total().into()),
            name: line.name,
            options: line.options.into_iter().collect(),
            quantity: line.quantity,
            unit_price: Some(line.unit_price.into()),
            fulfilled: line.fulfilled,
        }
    }
}

impl From<Fulfillment> for wire::Fulfillment {
    fn from(shipment: Fulfillment) -> Self {
        let items = shipment
            .items
            .into_iter()
            .map(|item| wire::FulfillmentItem {
                sku: item.sku.to_string(),
                quantity: item.quantity.into(),
            });
        Self {
            fulfillment_id: shipment.fulfillment_id.to_string(),
            order_id: shipment.order_id.to_string(),
            items: items.collect(),
            tracking_number: shipment.tracking_number,
            created_at: Some(proto::timestamp(shipment.created_at)),
        }
    }
}

impl From<TimelineEntry> for wire::TimelineEntry {
    fn from(entry: TimelineEntry) -> Self {
        let from = entry.from.map(wire::OrderStatus::from);
        Self {
            at: Some(proto::timestamp(entry.at)),
            from: from.unwrap_or_default().into(),
            to: wire::OrderStatus::from(entry.to).into(),
            by: entry.by,
            reason: entry.reason,
            attempt: entry.attempt,
        }
    }
}

impl From<OrderStatus> for wire::OrderStatus {
    fn from(status: OrderStatus) -> Self {
        match status {
            OrderStatus::Pending => Self::Pending,
            OrderStatus::Reserved => Self::Reserved,
            OrderStatus::Authorized => Self::Authorized,
            OrderStatus::Confirmed => Self::Confirmed,
            OrderStatus::Fulfilled => Self::Fulfilled,
            OrderStatus::Cancelling => Self::Cancelling,
            OrderStatus::Cancelled => Self::Cancelled,
            OrderStatus::Rejected => Self::Rejected,
        }
    }
}

/// `None` where the status is left open.
pub(super) fn status(status: wire::OrderStatus) -> Option<OrderStatus> {
    Some(match status {
        wire::OrderStatus::Unspecified => return None,
        wire::OrderStatus::Pending => OrderStatus::Pending,
        wire::OrderStatus::Reserved => OrderStatus::Reserved,
        wire::OrderStatus::Authorized => OrderStatus::Authorized,
        wire::OrderStatus::Confirmed => OrderStatus::Confirmed,
        wire::OrderStatus::Fulfilled => OrderStatus::Fulfilled,
        wire::OrderStatus::Cancelling => OrderStatus::Cancelling,
        wire::OrderStatus::Cancelled => OrderStatus::Cancelled,
        wire::OrderStatus::Rejected => OrderStatus::Rejected,
    })
}

impl From<common::Address> for Address {
    fn from(address: common::Address) -> Self {
        Self {
            name: address.name,
            line1: address.line1,
            line2: address.line2,
            city: address.city,
            region: address.region,
            postal_code: address.postal_code,
            country: address.country,
        }
    }
}

impl From<Address> for common::Address {
    fn from(address: Address) -> Self {
        Self {
            name: address.name,
            line1: address.line1,
            line2: address.line2,
            city: address.city,
            region: address.region,
            postal_code: address.postal_code,
            country: address.country,
        }
    }
}

impl TryFrom<SoldVariant> for Variant {
    type Error = Error;

    fn try_from(sold: SoldVariant) -> Result<Self, Error> {
        let price = sold.price.ok_or(Error::Answer("a variant has no price"))?;
        Ok(Self {
            sku: sold
                .sku
                .parse()
                .map_err(|_| Error::Answer("a variant's SKU is none"))?,
            product_id: sold
                .product_id
                .parse()
                .map_err(|_| Error::Answer("a variant's product has no id"))?,
            name: sold.name,
            options: sold.options.into_iter().collect::<BTreeMap<_, _>>(),
            price: price
                .try_into()
                .map_err(|_| Error::Answer("a price has no currency"))?,
            active: sold.active,
        })
    }
}

impl TryFrom<common::StockPart> for Part {
    type Error = Error;

    fn try_from(part: common::StockPart) -> Result<Self, Error> {
        let warehouse_id = part.warehouse_id.parse();
        Ok(Self {
            warehouse_id: warehouse_id.map_err(|_| Error::Answer("a warehouse has no id"))?,
            quantity: part.quantity,
        })
    }
}

impl From<&Part> for common::StockPart {
    fn from(part: &Part) -> Self {
        Self {
            warehouse_id: part.warehouse_id.to_string(),
            quantity: part.quantity,
        }
    }
}
