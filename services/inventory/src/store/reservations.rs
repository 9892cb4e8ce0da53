//! Reserve, claim, release, expire: one transaction a slot, one statement for all its SKUs.

pub(super) mod row;

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::faults;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use storage::{Shard, WriteTx};
use types::{OrderId, Sku, Slot};

use super::{Store, publish};
use crate::error::Error;
use crate::reservation::{Claim, Request, Reserved};
use crate::stock::Change;
use row::{GivenBack, Moved, ReserveRow, Row};

/// How many slots of one call are written at once.
const SLOTS_AT_ONCE: usize = 4;

/// How many holds one look of the sweeper takes.
const SWEEP_BATCH: i64 = 200;

#[derive(sqlx::FromRow)]
struct Due {
    slot: i16,
    sku: Sku,
    order_id: OrderId,
}

impl Store {
    /// An answer for each request, which repeated is the same. Requests of one slot are one
    /// transaction; over several slots some may be held when the call fails.
    pub(crate) async fn reserve(
        &self,
        requests: Vec<Request>,
        hold: Duration,
    ) -> Result<Vec<(Sku, Reserved)>, Error> {
        let batches = by_slot(requests, |request| request.sku.slot());
        let answers: Vec<_> = stream::iter(batches)
            .map(|(slot, batch)| self.reserve_in(slot, batch, hold))
            .buffered(SLOTS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// The requests may be of several orders.
    async fn reserve_in(
        &self,
        slot: Slot,
        mut requests: Vec<Request>,
        hold: Duration,
    ) -> Result<Vec<(Sku, Reserved)>, Error> {
        // SKUs are locked in their order everywhere, so that no two transactions wait for each other.
        requests.sort_by(|a, b| a.sku.cmp(&b.sku));
        let mut tx = self.cluster.begin_in(slot).await?;
        #[cfg(feature = "faults")]
        let rows = if self.read_then_write {
            super::mutant::reserve(&mut tx, &requests, hold).await?
        } else {
            reserve(&mut tx, &requests, hold).await?
        };
        #[cfg(not(feature = "faults"))]
        let rows = reserve(&mut tx, &requests, hold).await?;
        let changes: Vec<_> = rows
            .iter()
            .filter_map(|answer| answer.row.change(Moved::HELD))
            .collect();
        faults::point("reserve.before_commit").await;
        self.commit(tx, &changes).await?;
        faults::point("reserve.after_commit").await;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Takes what the order holds out of the warehouses.
    pub(crate) async fn claim(
        &self,
        order_id: OrderId,
        skus: Vec<Sku>,
    ) -> Result<Vec<(Sku, Claim)>, Error> {
        let answers: Vec<_> = stream::iter(by_slot(skus, Sku::slot))
            .map(|(slot, batch)| self.claim_in(slot, order_id, batch))
            .buffered(SLOTS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(answers.into_iter().flatten().collect())
    }

    async fn claim_in(
        &self,
        slot: Slot,
        order_id: OrderId,
        skus: Vec<Sku>,
    ) -> Result<Vec<(Sku, Claim)>, Error> {
        let mut tx = self.cluster.begin_in(slot).await?;
        let rows: Vec<Row<Claim>> = sqlx::query_as(
            "select line.sku, answer.outcome, answer.changed, answer.warehouses
             from unnest($3::text[]) with ordinality as line (sku, position)
             cross join lateral claim_stock($1, line.sku, $2) as answer
             order by line.position",
        )
        .bind(slot.to_db())
        .bind(order_id)
        .bind(in_lock_order(skus))
        .fetch_all(&mut tx)
        .await?;
        let changes: Vec<_> = rows
            .iter()
            .filter_map(|row| row.change(Moved::CLAIMED))
            .collect();
        faults::point("claim.before_commit").await;
        self.commit(tx, &changes).await?;
        faults::point("claim.after_commit").await;
        Ok(rows.into_iter().map(|row| (row.sku, row.outcome)).collect())
    }

    /// Gives back what the order holds or has claimed, and refuses a reserve that comes later.
    pub(crate) async fn release(&self, order_id: OrderId, skus: Vec<Sku>) -> Result<(), Error> {
        stream::iter(by_slot(skus, Sku::slot))
            .map(|(slot, batch)| self.release_of_slot(slot, order_id, batch))
            .buffered(SLOTS_AT_ONCE)
            .try_collect()
            .await
    }

    /// [`release`](Self::release) in a transaction of somebody else, who commits it soon. What is
    /// cached goes before that: its tombstone refuses the old row until long after the commit.
    pub(crate) async fn release_in(
        &self,
        tx: &mut WriteTx,
        order_id: OrderId,
        skus: Vec<Sku>,
    ) -> Result<(), Error> {
        let changes = release(tx, order_id, skus).await?;
        publish_changes(tx, &changes).await?;
        for change in &changes {
            self.forget_level_before(change).await;
        }
        Ok(())
    }

    async fn release_of_slot(
        &self,
        slot: Slot,
        order_id: OrderId,
        skus: Vec<Sku>,
    ) -> Result<(), Error> {
        let mut tx = self.cluster.begin_in(slot).await?;
        let changes = release(&mut tx, order_id, skus).await?;
        faults::point("release.before_commit").await;
        self.commit(tx, &changes).await?;
        faults::point("release.after_commit").await;
        Ok(())
    }

    /// Gives back the shard's holds that are past their time, a batch at a time.
    pub(crate) async fn expire_due(&self, shard: &Shard) -> Result<(), Error> {
        let due: Vec<Due> = sqlx::query_as(
            "select slot, sku, order_id
             from reservations
             where state = 'held' and expires_at <= now() and slot = any ($1)
             order by expires_at
             limit $2",
        )
        .bind(shard.owned_slots())
        .bind(SWEEP_BATCH)
        .fetch_all(&mut shard.primary_once().await?)
        .await?;
        for (slot, batch) in by_slot(due, |due| due.slot) {
            let Some(slot) = Slot::from_db(slot) else {
                continue;
            };
            // A slot that cannot be written now must not keep the others waiting.
            if let Err(error) = self.expire_in(slot, batch).await {
                tracing::warn!(%slot, %error, "holds could not be expired");
            }
        }
        Ok(())
    }

    async fn expire_in(&self, slot: Slot, mut due: Vec<Due>) -> Result<(), Error> {
        due.sort_by(|a, b| a.sku.cmp(&b.sku));
        let (skus, orders): (Vec<_>, Vec<_>) = due
            .into_iter()
            .map(|due| (due.sku, due.order_id.uuid()))
            .unzip();
        let mut tx = self.cluster.begin_in(slot).await?;
        let rows: Vec<Row<GivenBack>> = sqlx::query_as(
            "select line.sku, answer.outcome, answer.changed, answer.warehouses
             from unnest($2::text[], $3::uuid[]) with ordinality as line (sku, order_id, position)
             cross join lateral expire_stock($1, line.sku, line.order_id) as answer
             order by line.position",
        )
        .bind(slot.to_db())
        .bind(skus)
        .bind(orders)
        .fetch_all(&mut tx)
        .await?;
        let changes: Vec<_> = rows
            .iter()
            .filter_map(|row| row.change(Moved::HOLD_GIVEN_BACK))
            .collect();
        self.commit(tx, &changes).await
    }

    async fn commit(&self, mut tx: WriteTx, changes: &[Change]) -> Result<(), Error> {
        publish_changes(&mut tx, changes).await?;
        tx.commit().await?;
        for change in changes {
            self.forget_level_before(change).await;
        }
        Ok(())
    }
}

async fn publish_changes(tx: &mut WriteTx, changes: &[Change]) -> Result<(), Error> {
    let news: Vec<_> = changes.iter().flat_map(Change::news).collect();
    publish(tx, &news).await
}

async fn reserve(
    tx: &mut WriteTx,
    requests: &[Request],
    hold: Duration,
) -> Result<Vec<ReserveRow>, Error> {
    let requests = requests.iter();
    let skus: Vec<_> = requests
        .clone()
        .map(|request| request.sku.as_str())
        .collect();
    let orders: Vec<_> = requests
        .clone()
        .map(|request| request.order_id.uuid())
        .collect();
    let quantities: Vec<_> = requests.map(|request| request.quantity).collect();
    let rows = sqlx::query_as(
        "select
             line.sku,
             answer.outcome,
             answer.changed,
             answer.held_until,
             answer.warehouses
         from unnest($2::text[], $3::uuid[], $4::bigint[]) with ordinality
             as line (sku, order_id, quantity, position)
         cross join lateral reserve_stock(
             $1, line.sku, line.order_id, line.quantity, make_interval(secs => $5)
         ) as answer
         order by line.position",
    )
    .bind(tx.slot().to_db())
    .bind(skus)
    .bind(orders)
    .bind(quantities)
    .bind(hold.as_secs_f64())
    .fetch_all(tx)
    .await?;
    Ok(rows)
}

async fn release(
    tx: &mut WriteTx,
    order_id: OrderId,
    skus: Vec<Sku>,
) -> Result<Vec<Change>, Error> {
    let rows: Vec<Row<GivenBack>> = sqlx::query_as(
        "select line.sku, answer.outcome, answer.changed, answer.warehouses
         from unnest($3::text[]) with ordinality as line (sku, position)
         cross join lateral release_stock($1, line.sku, $2) as answer
         order by line.position",
    )
    .bind(tx.slot().to_db())
    .bind(order_id)
    .bind(in_lock_order(skus))
    .fetch_all(tx)
    .await?;
    let change = |row: &Row<GivenBack>| {
        row.change(match row.outcome {
            GivenBack::Claimed => Moved::CLAIM_GIVEN_BACK,
            _ => Moved::HOLD_GIVEN_BACK,
        })
    };
    Ok(rows.iter().filter_map(change).collect())
}

fn in_lock_order(mut skus: Vec<Sku>) -> Vec<Sku> {
    skus.sort();
    skus
}

fn by_slot<S: Ord, T>(items: Vec<T>, slot: impl Fn(&T) -> S) -> BTreeMap<S, Vec<T>> {
    let mut slots: BTreeMap<S, Vec<T>> = BTreeMap::new();
    for item in items {
        slots.entry(slot(&item)).or_default().push(item);
    }
    slots
}
