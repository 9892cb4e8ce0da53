//! Requests, checked; a field at fault is named as the public contract names it.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use chassis::{Caller, fault};
use proto::common::v1::PageRequest;
use proto::inventory::v1::{AdjustStockRequest, PutStockRequest, ReserveLine, StockPolicy};
use tonic::Status;
use types::{OrderId, Page, Sku, UserId, WarehouseId};
use uuid::Uuid;

use crate::reservation::Request;
use crate::stock::{Policy, QUANTITY_MAX};
use crate::store::{Adjustment, IdempotencyKey, Setting};

/// SKUs or lines of one call.
const ITEMS_MAX: usize = 100;

/// Far above any shelf, and far below where sums of it would overflow.
const UNITS_MAX: i64 = 1_000_000_000;

const REASON_CHARS_MAX: usize = 200;

const KEY_CHARS_MAX: usize = 255;

const HOLD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn skus(texts: &[String]) -> Result<Vec<Sku>, Status> {
    bounded("skus", texts.len())?;
    let skus = texts
        .iter()
        .enumerate()
        .map(|(index, text)| sku(&format!("skus[{index}]"), text));
    // Asked twice is answered once.
    Ok(skus
        .collect::<Result<BTreeSet<_>, _>>()?
        .into_iter()
        .collect())
}

pub(super) fn order_id(text: &str) -> Result<OrderId, Status> {
    let invalid =
        |error: types::InvalidId| fault::invalid_field("orderId", "invalid-id", error.to_string());
    text.parse().map_err(invalid)
}

pub(super) fn lines(order_id: OrderId, lines: Vec<ReserveLine>) -> Result<Vec<Request>, Status> {
    bounded("lines", lines.len())?;
    let mut seen = BTreeSet::new();
    let mut requests = Vec::with_capacity(lines.len());
    for (index, line) in lines.into_iter().enumerate() {
        let sku = sku(&format!("lines[{index}].sku"), &line.sku)?;
        let quantity = i64::from(line.quantity);
        between(
            &format!("lines[{index}].quantity"),
            quantity,
            1,
            QUANTITY_MAX,
        )?;
        if !seen.insert(sku.clone()) {
            let field = format!("lines[{index}].sku");
            return Err(fault::invalid_field(
                &field,
                "repeated",
                "a SKU may be there once",
            ));
        }
        requests.push(Request {
            order_id,
            sku,
            quantity,
        });
    }
    Ok(requests)
}

/// `None` where the request does not say.
pub(super) fn hold(hold: Option<prost_types::Duration>) -> Result<Option<Duration>, Status> {
    let Some(hold) = hold else { return Ok(None) };
    match Duration::try_from(hold) {
        Ok(hold) if !hold.is_zero() && hold <= HOLD_MAX => Ok(Some(hold)),
        _ => Err(fault::invalid_field(
            "hold",
            "out-of-range",
            "above 0 s, at most 24 h",
        )),
    }
}

pub(super) fn page(page: Option<PageRequest>) -> Result<Page, Status> {
    let page = page.unwrap_or_default();
    Page::new(page.limit, page.cursor)
        .map_err(|error| fault::invalid_field("limit", "out-of-range", error.to_string()))
}

pub(super) fn setting(request: PutStockRequest) -> Result<Setting, Status> {
    let policy = match request.policy() {
        StockPolicy::None => Policy::None,
        StockPolicy::Unspecified | StockPolicy::ReserveOnOrder => Policy::ReserveOnOrder,
        StockPolicy::Track => Policy::Track,
    };
    between("onHand", request.on_hand, 0, UNITS_MAX)?;
    between(
        "lowStockThreshold",
        request.low_stock_threshold,
        0,
        UNITS_MAX,
    )?;
    between("backorderLimit", request.backorder_limit, 0, UNITS_MAX)?;
    if request.backorder_limit > 0 && policy != Policy::Track {
        let detail = "only stock under the policy \"track\" can be backordered";
        return Err(fault::invalid_field(
            "backorderLimit",
            "not-allowed",
            detail,
        ));
    }
    Ok(Setting {
        sku: sku("sku", &request.sku)?,
        warehouse_id: warehouse_id(&request.warehouse_id)?,
        on_hand: request.on_hand,
        low_stock_threshold: request.low_stock_threshold,
        policy,
        backorder_limit: request.backorder_limit,
        expected_version: request.expected_version,
    })
}

pub(super) fn adjustment(
    request: AdjustStockRequest,
) -> Result<(Adjustment, IdempotencyKey), Status> {
    between("delta", request.delta, -UNITS_MAX, UNITS_MAX)?;
    if request.delta == 0 {
        return Err(fault::invalid_field("delta", "zero", "more or less than 0"));
    }
    text("reason", &request.reason, REASON_CHARS_MAX)?;
    text("idempotencyKey", &request.idempotency_key, KEY_CHARS_MAX)?;
    let by = Caller::current().user_id;
    let adjustment = Adjustment {
        sku: sku("sku", &request.sku)?,
        warehouse_id: warehouse_id(&request.warehouse_id)?,
        delta: request.delta,
        reason: request.reason,
        by,
    };
    let key = IdempotencyKey {
        scope: by.as_ref().map_or(Uuid::nil(), UserId::uuid),
        // The SKU is part of the path: the same key on another one is another request.
        key: format!("{}:{}", adjustment.sku, request.idempotency_key),
        request_hash: request_hash(&adjustment)?,
    };
    Ok((adjustment, key))
}

fn request_hash(adjustment: &Adjustment) -> Result<[u8; 32], Status> {
    let request = serde_json::to_vec(adjustment).map_err(crate::error::Error::from)?;
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, &request).as_ref());
    Ok(hash)
}

fn sku(field: &str, text: &str) -> Result<Sku, Status> {
    text.parse().map_err(|error: types::InvalidSku| {
        fault::invalid_field(field, "invalid-sku", error.to_string())
    })
}

fn warehouse_id(text: &str) -> Result<WarehouseId, Status> {
    text.parse().map_err(|error: types::InvalidWarehouseId| {
        fault::invalid_field("warehouseId", "invalid-warehouse-id", error.to_string())
    })
}

fn bounded(field: &str, items: usize) -> Result<(), Status> {
    if (1..=ITEMS_MAX).contains(&items) {
        return Ok(());
    }
    let detail = format!("1 to {ITEMS_MAX} are expected");
    Err(fault::invalid_field(field, "out-of-range", detail))
}

fn between(field: &str, value: i64, min: i64, max: i64) -> Result<(), Status> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(fault::invalid_field(
        field,
        "out-of-range",
        format!("{min} to {max} is expected"),
    ))
}

fn text(field: &str, text: &str, chars_max: usize) -> Result<(), Status> {
    if !text.trim().is_empty() && text.chars().count() <= chars_max {
        return Ok(());
    }
    let detail = format!("1 to {chars_max} characters are expected");
    Err(fault::invalid_field(field, "out-of-range", detail))
}
