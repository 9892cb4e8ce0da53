//! Proto in, proto out: parse, call, convert.

mod convert;
mod parse;

pub(crate) use convert::status;

use std::time::Duration;

use chassis::server::{Permissions, Who};
use chassis::{Chassis, fault};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use proto::inventory::v1::inventory_service_server::{InventoryService, InventoryServiceServer};
use proto::inventory::v1::{
    AdjustStockRequest, AdjustStockResponse, ClaimRequest, ClaimResponse, GetAvailabilityRequest,
    GetAvailabilityResponse, ListLowStockRequest, ListLowStockResponse, PutStockRequest,
    PutStockResponse, ReleaseRequest, ReleaseResponse, ReserveRequest, ReserveResponse,
};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tracing::Span;
use types::OrderId;

use crate::error::Error;
use crate::reservation::Reserved;
use crate::store::{Adjusted, Store};

/// Who may call what.
pub(crate) fn permissions() -> Permissions {
    Permissions::new([
        ("GetAvailability", Who::Anyone),
        ("PutStock", Who::Staff),
        ("AdjustStock", Who::Staff),
        ("ListLowStock", Who::Staff),
        ("Reserve", Who::Service("order")),
        ("Claim", Who::Service("order")),
        ("Release", Who::Service("order")),
    ])
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReservationLabels {
    result: &'static str,
}

struct Calls {
    store: Store,
    hold: Duration,
    reservations: Family<ReservationLabels, Counter>,
}

/// The service's calls; a reservation lasts for `hold` where the request does not say.
pub(crate) fn routes(chassis: &Chassis, store: Store, hold: Duration) -> Routes {
    let reservations = Family::<ReservationLabels, Counter>::default();
    chassis.register(|registry| {
        registry.register(
            "stock_reservations",
            "Lines that orders asked to reserve",
            reservations.clone(),
        );
    });
    Routes::new(InventoryServiceServer::new(Calls {
        store,
        hold,
        reservations,
    }))
}

#[tonic::async_trait]
impl InventoryService for Calls {
    async fn get_availability(
        &self,
        request: Request<GetAvailabilityRequest>,
    ) -> Result<Response<GetAvailabilityResponse>, Status> {
        let skus = parse::skus(&request.get_ref().skus)?;
        let levels = self.store.levels(&skus).await?;
        Ok(Response::new(GetAvailabilityResponse {
            items: convert::availability(&skus, &levels),
        }))
    }

    async fn put_stock(
        &self,
        request: Request<PutStockRequest>,
    ) -> Result<Response<PutStockResponse>, Status> {
        let setting = parse::setting(request.into_inner())?;
        let stock = self.store.put_stock(&setting).await?;
        Ok(Response::new(PutStockResponse {
            stock: Some(stock.into()),
        }))
    }

    async fn adjust_stock(
        &self,
        request: Request<AdjustStockRequest>,
    ) -> Result<Response<AdjustStockResponse>, Status> {
        let (adjustment, key) = parse::adjustment(request.into_inner())?;
        match self.store.adjust_stock(&adjustment, &key).await? {
            (
                Adjusted::Done {
                    adjustment_id,
                    stock,
                },
                replayed,
            ) => Ok(Response::new(AdjustStockResponse {
                adjustment_id: adjustment_id.to_string(),
                stock: Some(stock.into()),
                replayed,
            })),
            (Adjusted::BelowReserved { reserved }, replayed) => {
                let refused = Error::BelowReserved { reserved }.into();
                Err(fault::with_replayed(refused, replayed))
            }
        }
    }

    async fn list_low_stock(
        &self,
        request: Request<ListLowStockRequest>,
    ) -> Result<Response<ListLowStockResponse>, Status> {
        let page = parse::page(request.into_inner().page)?;
        let (items, next_cursor) = self.store.list_low_stock(&page).await?;
        Ok(Response::new(ListLowStockResponse {
            items: items.into_iter().map(Into::into).collect(),
            next_cursor: next_cursor.unwrap_or_default(),
        }))
    }

    async fn reserve(
        &self,
        request: Request<ReserveRequest>,
    ) -> Result<Response<ReserveResponse>, Status> {
        let request = request.into_inner();
        let hold = parse::hold(request.hold)?.unwrap_or(self.hold);
        let order_id = parse::order_id(&request.order_id)?;
        trace_order(order_id);
        let lines = parse::lines(order_id, request.lines)?;
        let reserved = self.store.reserve(lines, hold).await?;
        for (_, line) in &reserved {
            let result = match line {
                Reserved::Held { .. } => "held",
                Reserved::OutOfStock { .. } => "out_of_stock",
                Reserved::UnknownSku => "unknown_sku",
                Reserved::Released => "released",
            };
            self.reservations
                .get_or_create(&ReservationLabels { result })
                .inc();
        }
        Ok(Response::new(ReserveResponse {
            lines: reserved.into_iter().map(convert::reserved).collect(),
        }))
    }

    async fn claim(
        &self,
        request: Request<ClaimRequest>,
    ) -> Result<Response<ClaimResponse>, Status> {
        let request = request.into_inner();
        let order_id = parse::order_id(&request.order_id)?;
        trace_order(order_id);
        let claimed = self
            .store
            .claim(order_id, parse::skus(&request.skus)?)
            .await?;
        Ok(Response::new(ClaimResponse {
            lines: claimed.into_iter().map(convert::claimed).collect(),
        }))
    }

    async fn release(
        &self,
        request: Request<ReleaseRequest>,
    ) -> Result<Response<ReleaseResponse>, Status> {
        let request = request.into_inner();
        let order_id = parse::order_id(&request.order_id)?;
        trace_order(order_id);
        let skus = parse::skus(&request.skus)?;
        self.store.release(order_id, skus).await?;
        tracing::debug!(%order_id, reason = request.reason, "stock released");
        Ok(Response::new(ReleaseResponse {}))
    }
}

fn trace_order(order_id: OrderId) {
    Span::current().record("order.id", tracing::field::display(order_id));
}
