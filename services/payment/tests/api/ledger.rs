//! The ledger's checker: balances sum to zero and are the fold of the transfers.

use sqlx::{Connection as _, PgConnection, Postgres, query, query_as};
use testkit::Databases;
use types::Slot;

/// A connection to the shard that owns the slot, out of `a=postgres://…,b=postgres://…`.
pub async fn connect(dsns: &str, slot: Slot) -> PgConnection {
    for dsn in dsns.split(',') {
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

/// What is wrong with the slot's ledger, one line each.
pub async fn findings(databases: &Databases, slot: Slot) -> Vec<String> {
    let mut connection = connect(&databases.shards, slot).await;
    let mut findings = Vec::new();
    for (what, sql) in CHECKS {
        let found = query_as::<Postgres, (String,)>(sql)
            .bind(slot.to_db())
            .fetch_all(&mut connection)
            .await
            .unwrap();
        findings.extend(found.into_iter().map(|(row,)| format!("{what}: {row}")));
    }
    findings
}

const CHECKS: [(&str, &str); 4] = [
    (
        "balances do not sum to zero",
        "select currency || ' ' || sum(balance)
         from accounts
         where slot = $1
         group by currency
         having sum(balance) <> 0",
    ),
    (
        "a balance is not the fold of its transfers",
        "with fold as (
             select kind, currency, sum(change) as balance
             from (
                 select debit as kind, currency, -minor_units as change
                 from transfers
                 where slot = $1
                 union all
                 select credit, currency, minor_units
                 from transfers
                 where slot = $1
             ) as changes
             group by kind, currency
         )
         select kind || ' ' || currency
         from (select * from accounts where slot = $1) as accounts
         full join fold using (kind, currency)
         where accounts.balance is distinct from fold.balance::bigint",
    ),
    (
        "more is undone than was held",
        "select hold.transfer_id::text
         from transfers as hold
         join transfers as undone
             on undone.slot = hold.slot and undone.pending_id = hold.transfer_id
         where hold.slot = $1
         group by hold.transfer_id, hold.minor_units
         having sum(undone.minor_units) > hold.minor_units",
    ),
    (
        "a payment's counters are not its transfers",
        "select payments.payment_id::text
         from payments
         left join transfers using (slot, payment_id)
         where slot = $1
         group by slot, payment_id
         having authorized <> coalesce(sum(minor_units) filter (where transfers.kind = 'hold'), 0)
             or captured <> coalesce(sum(minor_units) filter (where transfers.kind = 'charge'), 0)
             or refunded <> coalesce(sum(minor_units) filter (where transfers.kind = 'refund'), 0)",
    ),
];
