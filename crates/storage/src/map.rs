use std::sync::Arc;

use types::{SLOT_COUNT, Slot};

use crate::pool::Pool;
use crate::{Autocommit, Error};

/// Which shard owns each slot, as the control table said when it was last read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SlotMap {
    pub(crate) version: u64,
    owners: Vec<Owner>,
}

/// A slot's shard, by its place in the settings, and the epoch that its guard asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) shard: usize,
    pub(crate) epoch: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    version: i64,
    slot: i16,
    shard: String,
    epoch: i64,
}

impl SlotMap {
    pub(crate) fn owner(&self, slot: Slot) -> Owner {
        self.owners[usize::from(slot.get())]
    }

    pub(crate) fn slots_of(&self, shard: usize) -> impl Iterator<Item = Slot> {
        Slot::all().filter(move |slot| self.owner(*slot).shard == shard)
    }

    /// The newest map, if it is newer than `known`.
    pub(crate) async fn load(
        control: &Arc<Pool>,
        shards: &[Arc<str>],
        known: u64,
    ) -> Result<Option<Self>, Error> {
        let mut control = Autocommit::on(control).await?;
        let rows = sqlx::query_as::<_, Row>(
            "select
                version,
                slot,
                shard,
                epoch
            from slot_map
            where version = (select max(version) from slot_map)
                and version > $1
            order by slot",
        )
        .bind(known.cast_signed())
        .fetch_all(&mut control)
        .await?;
        if rows.is_empty() {
            return Ok(None);
        }
        Self::from_rows(&rows, shards).map(Some)
    }

    fn from_rows(rows: &[Row], shards: &[Arc<str>]) -> Result<Self, Error> {
        let complete = rows.len() == usize::from(SLOT_COUNT)
            && rows
                .iter()
                .zip(Slot::all())
                .all(|(row, slot)| row.slot == slot.to_db());
        let (Some(first), true) = (rows.first(), complete) else {
            return Err(Error::Setting("the slot map lacks a slot".to_owned()));
        };
        let owners = rows.iter().map(|row| {
            let shard = shards.iter().position(|name| **name == *row.shard);
            let shard = shard.ok_or_else(|| {
                Error::Setting(format!(
                    "the slot map names shard {:?}, which the setting SHARDS lacks",
                    row.shard
                ))
            })?;
            Ok(Owner {
                shard,
                epoch: row.epoch,
            })
        });
        Ok(Self {
            version: first.version.cast_unsigned(),
            owners: owners.collect::<Result<_, Error>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row = |slot: Slot| Row {
            version: 7,
            slot: slot.to_db(),
            shard: if slot.get() < 512 { "a" } else { "b" }.to_owned(),
            epoch: 3,
        };
        Slot::all().map(row).collect()
    }

    #[test]
    fn every_slot_finds_the_shard_that_the_map_names() {
        let map = SlotMap::from_rows(&rows(), &["a".into(), "b".into()]).unwrap();

        assert_eq!(map.version, 7);
        assert_eq!(
            map.owner(Slot::new(511).unwrap()),
            Owner { shard: 0, epoch: 3 }
        );
        assert_eq!(
            map.owner(Slot::new(512).unwrap()),
            Owner { shard: 1, epoch: 3 }
        );
        assert_eq!(map.slots_of(1).count(), 512);
    }

    #[test]
    fn a_map_with_a_slot_missing_is_refused() {
        let mut rows = rows();
        rows.remove(100);

        let refused = SlotMap::from_rows(&rows, &["a".into(), "b".into()]);

        assert!(matches!(refused, Err(Error::Setting(_))));
    }

    #[test]
    fn a_map_with_an_unknown_shard_is_refused() {
        let refused = SlotMap::from_rows(&rows(), &["a".into()]);

        assert!(matches!(refused, Err(Error::Setting(_))));
    }
}
