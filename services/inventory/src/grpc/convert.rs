//! Answers.

use proto::common::v1::StockPart;
use proto::inventory::v1;
use types::Sku;

use crate::reservation::{Claim, Reserved};
use crate::stock::{Level, Policy, Status, Stock};

/// One item for each SKU, known or not.
pub(super) fn availability(skus: &[Sku], levels: &[(Sku, Level)]) -> Vec<v1::Availability> {
    let item = |sku: &Sku| {
        let level = levels
            .iter()
            .find(|(known, _)| known == sku)
            .map(|(_, level)| level);
        v1::Availability {
            sku: sku.to_string(),
            available: level.map_or(0, |level| level.available),
            status: level
                .map_or(v1::StockStatus::Out, |level| status(level.status))
                .into(),
            version: level.map_or(0, |level| level.version),
            known: level.is_some(),
        }
    };
    skus.iter().map(item).collect()
}

pub(crate) fn status(status: Status) -> v1::StockStatus {
    match status {
        Status::InStock => v1::StockStatus::InStock,
        Status::Low => v1::StockStatus::Low,
        Status::Out => v1::StockStatus::Out,
        Status::Backorder => v1::StockStatus::Backorder,
    }
}

impl From<Stock> for v1::Stock {
    fn from(stock: Stock) -> Self {
        let policy = match stock.policy {
            Policy::None => v1::StockPolicy::None,
            Policy::ReserveOnOrder => v1::StockPolicy::ReserveOnOrder,
            Policy::Track => v1::StockPolicy::Track,
        };
        Self {
            sku: stock.sku.to_string(),
            warehouse_id: stock.warehouse_id.to_string(),
            on_hand: stock.on_hand,
            reserved: stock.reserved,
            available: stock.available(),
            low_stock_threshold: stock.low_stock_threshold,
            policy: policy.into(),
            backorder_limit: stock.backorder_limit,
            version: stock.version,
        }
    }
}

pub(super) fn reserved((sku, reserved): (Sku, Reserved)) -> v1::ReservedLine {
    let line = v1::ReservedLine {
        sku: sku.to_string(),
        ..Default::default()
    };
    let outcome = match &reserved {
        Reserved::Held { .. } => v1::ReserveOutcome::Held,
        Reserved::OutOfStock { .. } => v1::ReserveOutcome::OutOfStock,
        Reserved::UnknownSku => v1::ReserveOutcome::UnknownSku,
        Reserved::Released => v1::ReserveOutcome::Released,
    };
    let outcome = outcome.into();
    match reserved {
        Reserved::Held { expires_at, parts } => v1::ReservedLine {
            outcome,
            expires_at: Some(proto::timestamp(expires_at)),
            parts: parts
                .into_iter()
                .map(|part| StockPart {
                    warehouse_id: part.warehouse_id.to_string(),
                    quantity: part.quantity,
                })
                .collect(),
            ..line
        },
        Reserved::OutOfStock { available } => v1::ReservedLine {
            outcome,
            available,
            ..line
        },
        Reserved::UnknownSku | Reserved::Released => v1::ReservedLine { outcome, ..line },
    }
}

pub(super) fn claimed((sku, claimed): (Sku, Claim)) -> v1::ClaimedLine {
    let outcome = match claimed {
        Claim::Claimed => v1::ClaimOutcome::Claimed,
        Claim::Expired => v1::ClaimOutcome::Expired,
        Claim::Released => v1::ClaimOutcome::Released,
        Claim::Unknown => v1::ClaimOutcome::Unknown,
    };
    v1::ClaimedLine {
        sku: sku.to_string(),
        outcome: outcome.into(),
    }
}
