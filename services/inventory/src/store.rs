//! All the SQL of this service, and what is cached.

mod availability;
#[cfg(feature = "faults")]
mod mutant;
mod pick_lists;
mod reservations;
mod setting;

pub(crate) use pick_lists::{PickLine, PickList, Picked, close_pick_lists, insert_pick_lists};
pub(crate) use setting::{Adjusted, Adjustment, IdempotencyKey, Setting};

use events::outbox;
use storage::cache::Cache;
use storage::{Cluster, WriteTx};
use types::Sku;

use crate::error::Error;
use crate::stock::{Change, Level, News};
use availability::CachedLevel;

/// Stock and reservations, in the slots of their SKUs.
#[derive(Clone)]
pub(crate) struct Store {
    cluster: Cluster<Sku>,
    cache: Cache,
    #[cfg(feature = "faults")]
    read_then_write: bool,
}

impl Store {
    pub(crate) fn new(cluster: Cluster<Sku>, cache: Cache) -> Self {
        Self {
            cluster,
            cache,
            #[cfg(feature = "faults")]
            read_then_write: false,
        }
    }

    /// The mutant that oversells.
    #[cfg(feature = "faults")]
    pub(crate) fn reading_then_writing(self, read_then_write: bool) -> Self {
        Self {
            read_then_write,
            ..self
        }
    }

    /// Levels from before the change are not served from the cache any longer.
    async fn forget_level_before(&self, change: &Change) {
        if let Some(level) = Level::of(&change.after) {
            let version = level.version.unsigned_abs();
            self.cache
                .invalidate::<CachedLevel>(change.sku.as_str(), version)
                .await;
        }
    }
}

/// Publishes the news if and when `tx` commits; no statement when there is none.
async fn publish(tx: &mut WriteTx, news: &[News]) -> Result<(), Error> {
    let entries: Vec<_> = news.iter().map(crate::events::entry).collect();
    outbox::append_all(tx, &entries).await?;
    Ok(())
}
