//! Shipments of orders.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use proto::order::v1;
use serde::{Deserialize, Serialize};
use types::OrderId;
use utoipa::ToSchema;

use super::{record, status_word};
use crate::Gateway;
use crate::error::{Problem, present};
use crate::extract::{Id, JsonOrNothing, Staff};
use crate::shapes;

/// Without `items`: all that is not shipped yet.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewFulfillment {
    #[serde(default)]
    items: Vec<FulfillmentItem>,
    tracking_number: Option<String>,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FulfillmentItem {
    sku: String,
    quantity: i64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fulfillment {
    id: String,
    order_id: String,
    items: Vec<FulfillmentItem>,
    tracking_number: Option<String>,
    created_at: String,
    /// The order's status now.
    order_status: String,
}

/// Ship an order, or a part of it.
#[utoipa::path(post, path = "/api/orders/{id}/fulfillments", operation_id = "createFulfillment", tag = "orders", security(("bearer" = [])),
    params(("id" = String, Path)), request_body = Option<NewFulfillment>, responses((status = 201, body = Fulfillment)))]
pub async fn create(
    State(gateway): State<Gateway>,
    _: Staff,
    Id(id): Id<OrderId>,
    JsonOrNothing(new): JsonOrNothing<NewFulfillment>,
) -> Result<Response, Problem> {
    let order_id = id.to_string();
    record(&order_id);
    let items = new.items.into_iter().map(|item| v1::FulfillmentItem {
        sku: item.sku,
        quantity: item.quantity,
    });
    let request = v1::CreateFulfillmentRequest {
        order_id,
        items: items.collect(),
        tracking_number: new.tracking_number,
    };
    let answer = gateway
        .backends
        .order()
        .create_fulfillment(request)
        .await?
        .into_inner();
    let fulfillment = present(answer.fulfillment)?;
    let items = fulfillment.items.into_iter().map(|item| FulfillmentItem {
        sku: item.sku,
        quantity: item.quantity,
    });
    let body = Fulfillment {
        id: fulfillment.fulfillment_id,
        order_id: fulfillment.order_id,
        items: items.collect(),
        tracking_number: fulfillment.tracking_number,
        created_at: shapes::instant(fulfillment.created_at)?,
        order_status: status_word(present(answer.order)?.status()),
    };
    Ok((StatusCode::CREATED, Answer(body)).into_response())
}
