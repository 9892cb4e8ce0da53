//! All the SQL of the checks: every shard of every service, read as its owner role.

use futures::future::try_join_all;
use sqlx::postgres::PgRow;
use sqlx::{Connection, FromRow, PgConnection};
use types::OrderId;

use crate::platform::Platform;
use crate::service::{Service, Shard};
use crate::verify::books::{Account, Leftover, Order, OrderLine, Payment, Reservation, Stock};

/// Rows that a moved slot left behind belong to nobody.
const ORDERS: &str = "
select
    orders.order_id,
    orders.status,
    orders.minor_units,
    orders.version,
    exists (
        select from saga_timers
        where saga_timers.slot = orders.slot and saga_timers.order_id = orders.order_id
    ) as has_timer,
    extract(epoch from now() - coalesce(
        (
            select max(order_history.at) from order_history
            where order_history.slot = orders.slot
                and order_history.order_id = orders.order_id
        ),
        orders.created_at
    ))::bigint as idle_seconds
from orders
join slot_owner on slot_owner.slot = orders.slot and slot_owner.state = 'active'";

const ORDER_LINES: &str = "
select
    order_lines.order_id,
    order_lines.sku,
    order_lines.quantity::bigint as quantity
from order_lines
join slot_owner on slot_owner.slot = order_lines.slot and slot_owner.state = 'active'";

/// One statement, so that a count and the holds behind it are of one moment.
const STOCK: &str = "
select
    stock.sku,
    stock.warehouse_id,
    stock.on_hand::bigint as on_hand,
    stock.reserved::bigint as reserved,
    stock.backorder_limit::bigint as backorder_limit,
    coalesce(
        (
            select sum(reservation_parts.quantity)
            from reservation_parts
            join reservations on reservations.slot = reservation_parts.slot
                and reservations.sku = reservation_parts.sku
                and reservations.order_id = reservation_parts.order_id
            where reservation_parts.slot = stock.slot
                and reservation_parts.sku = stock.sku
                and reservation_parts.warehouse_id = stock.warehouse_id
                and reservations.state = 'held'
                and reservation_parts.counted
        ),
        0
    )::bigint as held
from stock
join slot_owner on slot_owner.slot = stock.slot and slot_owner.state = 'active'";

const RESERVATIONS: &str = "
select
    reservations.order_id,
    reservations.sku,
    reservations.state,
    coalesce(
        (
            select sum(reservation_parts.quantity)
            from reservation_parts
            where reservation_parts.slot = reservations.slot
                and reservation_parts.sku = reservations.sku
                and reservation_parts.order_id = reservations.order_id
        ),
        0
    )::bigint as quantity
from reservations
join slot_owner on slot_owner.slot = reservations.slot and slot_owner.state = 'active'";

const PAYMENTS: &str = "
select
    payments.payment_id,
    payments.order_id,
    payments.status,
    payments.authorized,
    payments.captured,
    payments.refunded,
    payments.version,
    (
        select count(*) from operations
        where operations.slot = payments.slot
            and operations.payment_id = payments.payment_id
            and operations.kind = 'capture'
            and operations.state = 'succeeded'
    ) as captures,
    not exists (
        select from operations
        where operations.slot = payments.slot
            and operations.payment_id = payments.payment_id
            and operations.state in ('pending', 'unknown')
    ) as is_steady
from payments
join slot_owner on slot_owner.slot = payments.slot and slot_owner.state = 'active'";

/// One statement, so that a balance and the transfers behind it are of one moment.
const ACCOUNTS: &str = "
select
    accounts.slot,
    accounts.kind,
    accounts.currency,
    accounts.balance,
    coalesce(
        (
            select sum(
                case
                    when transfers.credit = accounts.kind then transfers.minor_units
                    else -transfers.minor_units
                end
            )
            from transfers
            where transfers.slot = accounts.slot
                and transfers.currency = accounts.currency
                and accounts.kind in (transfers.debit, transfers.credit)
        ),
        0
    )::bigint as folded
from accounts
join slot_owner on slot_owner.slot = accounts.slot and slot_owner.state = 'active'";

const LATE_EVENTS: &str =
    "select count(*) from outbox where created_at < now() - interval '60 seconds'";

const PARKED_EVENTS: &str = "select count(*) from parked_events";

const TRACEPARENT: &str = "select traceparent from orders where slot = $1 and order_id = $2";

const PICK_LISTS: &str = "select count(*) from pick_lists where slot = $1 and order_id = $2";

const STANDBYS: &str = "
select
    application_name,
    coalesce(state, '') as state,
    coalesce(sync_state, '') as sync_state,
    coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::bigint as bytes_behind
from pg_stat_replication";

/// What is counted on every shard: the service, what its rows are, how to count them.
const COUNTS: [(Service, &str, &str); 7] = [
    (Service::User, "users", "select count(*) from users"),
    (
        Service::Product,
        "products",
        "select count(*) from products",
    ),
    (Service::Order, "orders", "select count(*) from orders"),
    (Service::Inventory, "stock", "select count(*) from stock"),
    (
        Service::Inventory,
        "reservations",
        "select count(*) from reservations",
    ),
    (
        Service::Payment,
        "payments",
        "select count(*) from payments",
    ),
    (
        Service::Payment,
        "transfers",
        "select count(*) from transfers",
    ),
];

/// A replica as its primary sees it.
#[derive(Clone, Debug, FromRow)]
pub struct Standby {
    pub application_name: String,
    pub state: String,
    pub sync_state: String,
    pub bytes_behind: i64,
}

/// How many rows of a kind each shard has, in the order of [`Shard::ALL`].
#[derive(Clone, Debug)]
pub struct RowCount {
    pub service: Service,
    pub rows: &'static str,
    pub by_shard: Vec<i64>,
}

pub(crate) async fn orders(platform: &Platform) -> anyhow::Result<Vec<Order>> {
    on_all_shards(platform, Service::Order, ORDERS).await
}

pub(crate) async fn order_lines(platform: &Platform) -> anyhow::Result<Vec<OrderLine>> {
    on_all_shards(platform, Service::Order, ORDER_LINES).await
}

pub(crate) async fn stock(platform: &Platform) -> anyhow::Result<Vec<Stock>> {
    on_all_shards(platform, Service::Inventory, STOCK).await
}

pub(crate) async fn reservations(platform: &Platform) -> anyhow::Result<Vec<Reservation>> {
    on_all_shards(platform, Service::Inventory, RESERVATIONS).await
}

pub(crate) async fn payments(platform: &Platform) -> anyhow::Result<Vec<Payment>> {
    on_all_shards(platform, Service::Payment, PAYMENTS).await
}

pub(crate) async fn accounts(platform: &Platform) -> anyhow::Result<Vec<Account>> {
    on_all_shards(platform, Service::Payment, ACCOUNTS).await
}

pub(crate) async fn leftovers(platform: &Platform) -> anyhow::Result<Vec<Leftover>> {
    let mut leftovers = Vec::new();
    for service in Service::BACKENDS {
        for (sql, name) in [
            (LATE_EVENTS, "events unpublished for 60 s"),
            (PARKED_EVENTS, "parked events"),
        ] {
            let counts = counts(platform, service, sql).await?;
            leftovers.push(Leftover {
                what: format!("{name} of {service}"),
                count: counts.iter().sum(),
            });
        }
    }
    Ok(leftovers)
}

pub(crate) async fn find_traceparent(
    platform: &Platform,
    order_id: OrderId,
) -> anyhow::Result<Option<String>> {
    for shard in Shard::ALL {
        let mut connection = connect(&platform.primary(Service::Order, shard)).await?;
        let found: Option<(Option<String>,)> = sqlx::query_as(TRACEPARENT)
            .bind(order_id.slot().to_db())
            .bind(order_id)
            .fetch_optional(&mut connection)
            .await?;
        if let Some((traceparent,)) = found {
            return Ok(traceparent);
        }
    }
    Ok(None)
}

pub(crate) async fn count_pick_lists(
    platform: &Platform,
    order_id: OrderId,
) -> anyhow::Result<i64> {
    let mut count = 0;
    for shard in Shard::ALL {
        let mut connection = connect(&platform.primary(Service::Inventory, shard)).await?;
        count += sqlx::query_scalar::<_, i64>(PICK_LISTS)
            .bind(order_id.slot().to_db())
            .bind(order_id)
            .fetch_one(&mut connection)
            .await?;
    }
    Ok(count)
}

pub(crate) async fn row_counts(platform: &Platform) -> anyhow::Result<Vec<RowCount>> {
    try_join_all(COUNTS.map(async |(service, rows, sql)| {
        anyhow::Ok(RowCount {
            service,
            rows,
            by_shard: counts(platform, service, sql).await?,
        })
    }))
    .await
}

pub(crate) async fn standbys(platform: &Platform, shard: Shard) -> anyhow::Result<Vec<Standby>> {
    let port = platform.ports.primary(shard);
    // Only the superuser sees everything about standbys.
    let mut connection = connect(&format!("postgres://postgres@127.0.0.1:{port}/postgres")).await?;
    Ok(sqlx::query_as(STANDBYS).fetch_all(&mut connection).await?)
}

async fn counts(
    platform: &Platform,
    service: Service,
    sql: &'static str,
) -> anyhow::Result<Vec<i64>> {
    try_join_all(Shard::ALL.map(async |shard| {
        let mut connection = connect(&platform.primary(service, shard)).await?;
        anyhow::Ok(sqlx::query_scalar(sql).fetch_one(&mut connection).await?)
    }))
    .await
}

async fn on_all_shards<T>(
    platform: &Platform,
    service: Service,
    sql: &'static str,
) -> anyhow::Result<Vec<T>>
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let shards = try_join_all(Shard::ALL.map(async |shard| {
        let mut connection = connect(&platform.primary(service, shard)).await?;
        let rows: Vec<T> = sqlx::query_as(sql).fetch_all(&mut connection).await?;
        anyhow::Ok(rows)
    }))
    .await?;
    Ok(shards.into_iter().flatten().collect())
}

async fn connect(dsn: &str) -> anyhow::Result<PgConnection> {
    Ok(PgConnection::connect(dsn).await?)
}
