//! Keys that are unique across shards: an e-mail, a SKU, a slug.
//!
//! Reserve the key, write the entity, activate the key. Whoever finds an owner here looks at the
//! entity again, since either may have been written without the other.

use std::time::Duration;

use sqlx::{Executor, Postgres};
use types::{NaturalKey, Slot, normalise};
use uuid::Uuid;

use crate::{Cluster, Error, WriteTx};

/// What became of a wish for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// The key is the owner's until the reservation expires or is activated.
    Held,
    /// The key is somebody else's.
    Taken(Uuid),
}

#[derive(Clone, Copy, Debug, sqlx::FromRow)]
struct Entry {
    owner_id: Uuid,
    /// Reserved, and not expired: its owner may be on the way.
    is_pending: bool,
}

/// Reserves the key for `owner`; again by the same owner is fine.
///
/// A key that is active, or whose reservation has expired, is taken over when `still_has_key` denies
/// that its owner has it. `lifetime` must exceed the longest time from here to [`activate`].
pub async fn reserve<K, E: From<Error>>(
    cluster: &Cluster<K>,
    kind: &'static str,
    key: &str,
    owner: Uuid,
    lifetime: Duration,
    still_has_key: impl AsyncFnOnce(Uuid) -> Result<bool, E>,
) -> Result<Reservation, E> {
    let wish = Wish {
        kind,
        key: normalise(key),
        owner,
        lifetime,
    };
    let found = wish.reserve(cluster, None).await?;
    let Some(entry) = found else {
        return Ok(Reservation::Held);
    };
    if entry.is_pending || still_has_key(entry.owner_id).await? {
        return Ok(Reservation::Taken(entry.owner_id));
    }
    match wish.reserve(cluster, Some(entry.owner_id)).await? {
        None => Ok(Reservation::Held),
        Some(entry) => Ok(Reservation::Taken(entry.owner_id)),
    }
}

struct Wish {
    kind: &'static str,
    key: String,
    owner: Uuid,
    lifetime: Duration,
}

impl Wish {
    /// Takes the key if it is free, the owner's already, or that of `dead`. `Some`: who has it.
    async fn reserve<K>(
        &self,
        cluster: &Cluster<K>,
        dead: Option<Uuid>,
    ) -> Result<Option<Entry>, Error> {
        let mut tx = cluster.begin(&NaturalKey(&self.key)).await?;
        let reserved = sqlx::query(
            "insert into directory as known (slot, kind, key, owner_id, state, expires_at)
            values ($1, $2, $3, $4, 'reserved', now() + make_interval(secs => $5))
            on conflict (slot, kind, key) do update set
                owner_id = excluded.owner_id,
                state = case when known.owner_id = $4 then known.state else 'reserved' end,
                expires_at = excluded.expires_at
            where known.owner_id = $4
                or known.owner_id = $6 and (known.state = 'active' or known.expires_at < now())",
        )
        .bind(tx.slot().to_db())
        .bind(self.kind)
        .bind(&self.key)
        .bind(self.owner)
        .bind(self.lifetime.as_secs_f64())
        .bind(dead)
        .execute(&mut tx)
        .await?;
        if reserved.rows_affected() == 1 {
            tx.commit().await?;
            return Ok(None);
        }
        let slot = tx.slot();
        let entry = entry(&mut tx, slot, self.kind, &self.key).await?;
        tx.rollback().await;
        match entry {
            Some(entry) => Ok(Some(entry)),
            // It was freed between the two statements.
            None => Err(Error::Busy {
                shard: cluster.shard(&slot).shared_name(),
            }),
        }
    }
}

/// Makes the reservation last. `false`: it expired and was taken over, so the entity must go.
pub async fn activate<K>(
    cluster: &Cluster<K>,
    kind: &'static str,
    key: &str,
    owner: Uuid,
) -> Result<bool, Error> {
    let mut tx = cluster.begin(&NaturalKey(key)).await?;
    let activated = sqlx::query(
        "update directory set state = 'active'
        where slot = $1
            and kind = $2
            and key = $3
            and owner_id = $4",
    );
    let activated = execute(activated, &mut tx, kind, key, owner).await?;
    tx.commit().await?;
    Ok(activated)
}

/// Frees the key if it is the owner's.
pub async fn remove<K>(
    cluster: &Cluster<K>,
    kind: &'static str,
    key: &str,
    owner: Uuid,
) -> Result<(), Error> {
    let mut tx = cluster.begin(&NaturalKey(key)).await?;
    let removed = sqlx::query(
        "delete from directory
        where slot = $1
            and kind = $2
            and key = $3
            and owner_id = $4",
    );
    execute(removed, &mut tx, kind, key, owner).await?;
    tx.commit().await?;
    Ok(())
}

async fn execute(
    query: sqlx::query::Query<'_, Postgres, sqlx::postgres::PgArguments>,
    tx: &mut WriteTx,
    kind: &str,
    key: &str,
    owner: Uuid,
) -> Result<bool, Error> {
    let done = query
        .bind(tx.slot().to_db())
        .bind(kind)
        .bind(normalise(key))
        .bind(owner)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The key's owner, as a replica knows it that is fit for the caller.
pub async fn find<K>(
    cluster: &Cluster<K>,
    kind: &'static str,
    key: &str,
) -> Result<Option<Uuid>, Error> {
    let slot = Slot::of_natural_key(key);
    let mut snapshot = cluster.shard(&slot).replica().await?;
    let entry = entry(&mut snapshot, slot, kind, &normalise(key)).await?;
    Ok(entry.map(|entry| entry.owner_id))
}

/// The key's owner, as the primary knows it.
pub async fn find_newest<K>(
    cluster: &Cluster<K>,
    kind: &'static str,
    key: &str,
) -> Result<Option<Uuid>, Error> {
    let slot = Slot::of_natural_key(key);
    let mut primary = cluster.shard(&slot).primary_once().await?;
    let entry = entry(&mut primary, slot, kind, &normalise(key)).await?;
    Ok(entry.map(|entry| entry.owner_id))
}

async fn entry(
    executor: impl Executor<'_, Database = Postgres>,
    slot: Slot,
    kind: &'static str,
    key: &str,
) -> Result<Option<Entry>, Error> {
    let entry = sqlx::query_as::<_, Entry>(
        "select
            owner_id,
            state = 'reserved' and expires_at >= now() as is_pending
        from directory
        where slot = $1
            and kind = $2
            and key = $3",
    )
    .bind(slot.to_db())
    .bind(kind)
    .bind(key)
    .fetch_optional(executor)
    .await?;
    Ok(entry)
}
