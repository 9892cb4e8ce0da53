use chassis::Caller;
use devstack::service::Service;
use prost::Message;
use proto::inventory::v1;
use types::{OrderId, Slot};

use super::{Write, unique};
use crate::backends::{Backends, staff};

const WAREHOUSE: &str = "main";

pub(super) async fn writes(backends: &Backends) -> anyhow::Result<Vec<Write>> {
    let (staff, order) = (staff(), Caller::service("order", None));
    let sku = unique("SKU").to_uppercase();
    stock(backends, &staff, &sku).await?;
    let [claimed, released] = [reservation(&sku), reservation(&sku)];
    for hold in [&claimed, &released] {
        let _: v1::ReserveResponse = backends
            .ask(Service::Inventory, "Reserve", &order, hold.clone())
            .await?;
    }
    let adjust = v1::AdjustStockRequest {
        idempotency_key: unique("key"),
        sku: sku.clone(),
        warehouse_id: WAREHOUSE.to_owned(),
        delta: 1,
        reason: "found".to_owned(),
    };
    let claim = v1::ClaimRequest {
        order_id: claimed.order_id,
        skus: vec![sku.clone()],
    };
    let release = v1::ReleaseRequest {
        order_id: released.order_id,
        skus: vec![sku.clone()],
        reason: "cancelled".to_owned(),
    };
    Ok(vec![
        write(
            backends,
            "PutStock",
            &staff,
            plenty(&unique("SKU").to_uppercase()),
        ),
        write(backends, "AdjustStock", &staff, adjust),
        write(backends, "Reserve", &order, reservation(&sku)),
        write(backends, "Claim", &order, claim),
        write(backends, "Release", &order, release),
    ])
}

/// Puts plenty of it into a warehouse.
pub(super) async fn stock(backends: &Backends, staff: &Caller, sku: &str) -> anyhow::Result<()> {
    let _: v1::PutStockResponse = backends
        .ask(Service::Inventory, "PutStock", staff, plenty(sku))
        .await?;
    Ok(())
}

fn write(
    backends: &Backends,
    name: &'static str,
    caller: &Caller,
    request: impl Message + Clone + 'static,
) -> Write {
    Write::new(backends, Service::Inventory, name, caller, request)
}

fn plenty(sku: &str) -> v1::PutStockRequest {
    v1::PutStockRequest {
        sku: sku.to_owned(),
        warehouse_id: WAREHOUSE.to_owned(),
        on_hand: 1_000,
        policy: v1::StockPolicy::ReserveOnOrder.into(),
        ..v1::PutStockRequest::default()
    }
}

fn reservation(sku: &str) -> v1::ReserveRequest {
    v1::ReserveRequest {
        order_id: OrderId::new(Slot::draw()).to_string(),
        lines: vec![v1::ReserveLine {
            sku: sku.to_owned(),
            quantity: 1,
        }],
        hold: Some(prost_types::Duration {
            seconds: 600,
            nanos: 0,
        }),
    }
}
