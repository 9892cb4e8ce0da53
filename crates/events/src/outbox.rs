//! Events leave through a table, written in the transaction of the change that they tell.

use storage::WriteTx;
use types::EventId;
use uuid::Uuid;

use crate::Event;

/// An event on its way into the outbox.
pub struct Entry {
    topic: &'static str,
    kind: &'static str,
    key: String,
    version: Option<i64>,
    payload: Vec<u8>,
}

impl Entry {
    pub fn new<E: Event>(event: &E) -> Self {
        Self {
            topic: E::TOPIC,
            kind: E::TYPE,
            key: event.key().to_owned(),
            version: event.version(),
            payload: event.encode_to_vec(),
        }
    }
}

/// Publishes the event if and when `tx` commits. One statement.
///
/// Call it after the aggregate's row is locked: that keeps the events of one key in order.
pub async fn append<E: Event>(tx: &mut WriteTx, event: &E) -> Result<EventId, storage::Error> {
    let event_id = EventId::new(tx.slot());
    insert(tx, &[event_id], &[Entry::new(event)]).await?;
    Ok(event_id)
}

/// Publishes several events, in their order, with one statement.
pub async fn append_all(tx: &mut WriteTx, entries: &[Entry]) -> Result<(), storage::Error> {
    let event_ids: Vec<_> = entries.iter().map(|_| EventId::new(tx.slot())).collect();
    insert(tx, &event_ids, entries).await
}

async fn insert(
    tx: &mut WriteTx,
    event_ids: &[EventId],
    entries: &[Entry],
) -> Result<(), storage::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let event_ids: Vec<Uuid> = event_ids.iter().map(EventId::uuid).collect();
    let topics: Vec<_> = entries.iter().map(|entry| entry.topic).collect();
    let keys: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
    let kinds: Vec<_> = entries.iter().map(|entry| entry.kind).collect();
    let versions: Vec<_> = entries.iter().map(|entry| entry.version).collect();
    let payloads: Vec<_> = entries.iter().map(|entry| &entry.payload[..]).collect();
    sqlx::query(
        "insert into outbox (slot, event_id, topic, key, type, version, traceparent, payload)
         select $1, event_id, topic, key, type, version, $2, payload
         from unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bytea[])
             with ordinality as entry (event_id, topic, key, type, version, payload, position)
         order by position",
    )
    .bind(tx.slot().to_db())
    .bind(chassis::trace::traceparent())
    .bind(event_ids)
    .bind(topics)
    .bind(keys)
    .bind(kinds)
    .bind(versions)
    .bind(payloads)
    .execute(&mut *tx)
    .await?;
    tx.signal_on_commit();
    Ok(())
}
