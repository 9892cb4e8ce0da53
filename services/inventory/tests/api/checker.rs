//! The checker of invariant C6: what is counted is what is held, and nothing is sold twice.

use sqlx::{Connection as _, PgConnection, Postgres, query, query_as};
use testkit::Databases;
use types::{Sku, Slot};

/// A connection to the shard that owns the slot, out of `a=postgres://…,b=postgres://…`.
pub async fn connect(databases: &Databases, slot: Slot) -> PgConnection {
    for dsn in databases.shards.split(',') {
        let (_, url) = dsn.split_once('=').unwrap();
        let mut connection = PgConnection::connect(url).await.unwrap();
        let owner = query("select from slot_owner where slot = $1 and state = 'active'")
            .bind(slot.to_db())
            .fetch_optional(&mut connection)
            .await
            .unwrap();
        if owner.is_some() {
            return connection;
        }
    }
    panic!("no shard owns slot {slot}");
}

/// What is wrong with the SKU's stock, one line each. `received` is all that was ever put into its
/// warehouses.
pub async fn findings(databases: &Databases, sku: &Sku, received: i64) -> Vec<String> {
    let mut connection = connect(databases, sku.slot()).await;
    let mut findings = Vec::new();
    for (what, sql) in CHECKS {
        let found = query_as::<Postgres, (String,)>(sql)
            .bind(sku.slot().to_db())
            .bind(sku)
            .bind(received)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        findings.extend(found.into_iter().map(|(row,)| format!("{what}: {row}")));
    }
    findings
}

const CHECKS: [(&str, &str); 4] = [
    (
        "reserved is out of its bounds",
        "select warehouse_id
         from stock
         where slot = $1
             and sku = $2
             and $3::bigint is not null
             and not reserved between 0 and on_hand + backorder_limit",
    ),
    (
        "reserved is not what the orders hold",
        "select stock.warehouse_id || ' ' || reserved || ' ' || coalesce(sum(quantity), 0)
         from stock
         left join reservation_parts as part
             on part.slot = stock.slot
             and part.sku = stock.sku
             and part.warehouse_id = stock.warehouse_id
             and exists (
                 select
                 from reservations as held
                 where held.slot = part.slot
                     and held.sku = part.sku
                     and held.order_id = part.order_id
                     and held.state = 'held'
             )
         where stock.slot = $1 and stock.sku = $2 and $3::bigint is not null
         group by stock.slot, stock.sku, stock.warehouse_id
         having reserved <> coalesce(sum(quantity), 0)",
    ),
    (
        "what came in is neither on hand nor claimed",
        "select on_hand || ' ' || claimed
         from (
             select coalesce(sum(on_hand), 0) as on_hand
             from stock
             where slot = $1 and sku = $2
         ) as stock
         cross join (
             select coalesce(sum(quantity), 0) as claimed
             from reservation_parts as part
             join reservations using (slot, sku, order_id)
             where slot = $1 and sku = $2 and state = 'claimed'
         ) as claims
         where on_hand + claimed <> $3",
    ),
    (
        "more is sold than came in",
        "select sold::text
         from (
             select coalesce(sum(quantity), 0) as sold
             from reservation_parts
             where slot = $1 and sku = $2
         ) as parts
         cross join (
             select coalesce(sum(backorder_limit), 0) as backorders
             from stock
             where slot = $1 and sku = $2
         ) as stock
         where sold > $3 + backorders",
    ),
];
