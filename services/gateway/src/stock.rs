//! Availability and stock.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use proto::inventory::v1::{self, StockPolicy};
use serde::{Deserialize, Serialize};
use types::{Sku, WarehouseId};
use utoipa::ToSchema;

use crate::Gateway;
use crate::cache::{Freshness, Key, Public, Read};
use crate::error::{Problem, present};
use crate::extract::{Id, IdempotencyKey, Ids, Json, Staff, if_match};
use crate::orders::with_replayed;
use crate::problems;
use crate::query::Parameters;
use crate::shapes;

#[derive(Serialize, ToSchema)]
pub struct Availability {
    sku: String,
    available: i64,
    /// `in-stock`, `low`, `out` or `backorder`.
    status: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stock {
    sku: String,
    warehouse_id: String,
    on_hand: i64,
    reserved: i64,
    available: i64,
    low_stock_threshold: i64,
    policy: String,
    backorder_limit: i64,
    version: i64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LowStock {
    items: Vec<Stock>,
    next_cursor: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewStock {
    on_hand: i64,
    #[serde(default)]
    low_stock_threshold: i64,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    backorder_limit: i64,
}

#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Never refused, never counted.
    None,
    /// Counted, and refused at checkout.
    #[default]
    ReserveOnOrder,
    /// Counted, and backordered up to the limit.
    Track,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewAdjustment {
    #[schema(value_type = String)]
    warehouse_id: WarehouseId,
    delta: i64,
    reason: String,
}

#[derive(Serialize, ToSchema)]
pub struct Adjustment {
    id: String,
    stock: Stock,
}

impl From<Policy> for StockPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::None => Self::None,
            Policy::ReserveOnOrder => Self::ReserveOnOrder,
            Policy::Track => Self::Track,
        }
    }
}

impl From<v1::Stock> for Stock {
    fn from(stock: v1::Stock) -> Self {
        Self {
            policy: shapes::word("STOCK_POLICY_", stock.policy().as_str_name()),
            sku: stock.sku,
            warehouse_id: stock.warehouse_id,
            on_hand: stock.on_hand,
            reserved: stock.reserved,
            available: stock.available,
            low_stock_threshold: stock.low_stock_threshold,
            backorder_limit: stock.backorder_limit,
            version: stock.version,
        }
    }
}

/// How much of a variant can be bought.
#[utoipa::path(get, path = "/api/inventory/{sku}", operation_id = "getAvailability", tag = "inventory", params(("sku" = String, Path)),
    responses((status = 200, body = Availability, headers(("ETag" = String))), (status = 304)))]
pub async fn availability(
    State(gateway): State<Gateway>,
    public: Public,
    Id(sku): Id<Sku>,
    query: Parameters,
) -> Result<Response, Problem> {
    query.end()?;
    let key = Key::Stock(sku.as_str().into());
    let load = async {
        let request = v1::GetAvailabilityRequest {
            skus: vec![sku.to_string()],
        };
        let answer = gateway
            .backends
            .inventory()
            .get_availability(request)
            .await?
            .into_inner();
        let item = answer.items.into_iter().find(|item| item.known);
        let item = item.ok_or_else(|| Problem::new(&problems::NOT_FOUND))?;
        let availability = Availability {
            status: shapes::word("STOCK_STATUS_", item.status().as_str_name()),
            sku: item.sku,
            available: item.available,
        };
        Ok(Read::versioned(item.version, availability))
    };
    gateway
        .cache
        .answer(public, key, Freshness::STOCK, load)
        .await
}

/// Set what a warehouse has of a variant.
#[utoipa::path(put, path = "/api/inventory/{sku}/warehouses/{warehouseId}", operation_id = "putStock", tag = "inventory",
    security(("bearer" = [])),
    params(("sku" = String, Path), ("warehouseId" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = NewStock, responses((status = 200, body = Stock, headers(("ETag" = String)))))]
pub async fn put(
    State(gateway): State<Gateway>,
    _: Staff,
    Ids(sku, warehouse_id): Ids<Sku, WarehouseId>,
    headers: HeaderMap,
    Json(new): Json<NewStock>,
) -> Result<Response, Problem> {
    let request = v1::PutStockRequest {
        sku: sku.to_string(),
        warehouse_id: warehouse_id.to_string(),
        on_hand: new.on_hand,
        low_stock_threshold: new.low_stock_threshold,
        policy: StockPolicy::from(new.policy).into(),
        backorder_limit: new.backorder_limit,
        expected_version: if_match(&headers)?,
    };
    let answer = gateway
        .backends
        .inventory()
        .put_stock(request)
        .await?
        .into_inner();
    let stock = Stock::from(present(answer.stock)?);
    let etag = [(header::ETAG, shapes::etag(stock.version))];
    Ok((etag, Answer(stock)).into_response())
}

/// Correct what a warehouse has of a variant.
#[utoipa::path(post, path = "/api/inventory/{sku}/adjustments", operation_id = "adjustStock", tag = "inventory", security(("bearer" = [])),
    params(("sku" = String, Path), ("Idempotency-Key" = String, Header)), request_body = NewAdjustment,
    responses((status = 201, body = Adjustment, headers(("Idempotent-Replayed" = bool)))))]
pub async fn adjust(
    State(gateway): State<Gateway>,
    _: Staff,
    Id(sku): Id<Sku>,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Json(new): Json<NewAdjustment>,
) -> Result<Response, Problem> {
    let request = v1::AdjustStockRequest {
        idempotency_key,
        sku: sku.to_string(),
        warehouse_id: new.warehouse_id.to_string(),
        delta: new.delta,
        reason: new.reason,
    };
    let answer = gateway
        .backends
        .inventory()
        .adjust_stock(request)
        .await?
        .into_inner();
    let adjustment = Adjustment {
        id: answer.adjustment_id,
        stock: present(answer.stock)?.into(),
    };
    let response = (StatusCode::CREATED, Answer(adjustment)).into_response();
    Ok(with_replayed(response, answer.replayed))
}

/// What is running out.
#[utoipa::path(get, path = "/api/inventory/low-stock", operation_id = "listLowStock", tag = "inventory", security(("bearer" = [])),
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query, minimum = 1, maximum = 100)),
    responses((status = 200, body = LowStock)))]
pub async fn low(
    State(gateway): State<Gateway>,
    _: Staff,
    mut query: Parameters,
) -> Result<Answer<LowStock>, Problem> {
    let request = v1::ListLowStockRequest {
        page: Some(query.page()?),
    };
    query.end()?;
    let answer = gateway
        .backends
        .inventory()
        .list_low_stock(request)
        .await?
        .into_inner();
    Ok(Answer(LowStock {
        items: answer.items.into_iter().map(Stock::from).collect(),
        next_cursor: shapes::next_cursor(answer.next_cursor),
    }))
}
