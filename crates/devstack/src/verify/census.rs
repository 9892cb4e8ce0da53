use std::fmt;

use crate::platform::Platform;
use crate::service::{Service, Shard};
use crate::verify::outside::{self, Reads};
use crate::verify::store::{self, RowCount, Standby};

/// How the platform stands.
pub struct Census {
    rows: Vec<RowCount>,
    standbys: Vec<(Shard, Vec<Standby>)>,
    reads: Vec<(Service, Reads)>,
}

impl Census {
    /// # Errors
    ///
    /// When a database or a service's metrics cannot be read.
    pub async fn take(platform: &Platform) -> anyhow::Result<Self> {
        let mut standbys = Vec::new();
        for shard in Shard::ALL {
            standbys.push((shard, store::standbys(platform, shard).await?));
        }
        let mut reads = Vec::new();
        for service in Service::BACKENDS {
            reads.push((service, outside::reads(platform, service).await?));
        }
        Ok(Self {
            rows: store::row_counts(platform).await?,
            standbys,
            reads,
        })
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<12}{:<14}", "service", "rows")?;
        for shard in Shard::ALL {
            write!(f, "{:>9}", format!("shard {shard}"))?;
        }
        writeln!(f)?;
        for count in &self.rows {
            write!(f, "{:<12}{:<14}", count.service, count.rows)?;
            for number in &count.by_shard {
                write!(f, "{number:>9}")?;
            }
            writeln!(f)?;
        }
        writeln!(f)?;
        for (shard, standbys) in &self.standbys {
            if standbys.is_empty() {
                writeln!(f, "shard {shard} has no replica")?;
            }
            for standby in standbys {
                let Standby {
                    application_name,
                    state,
                    sync_state,
                    bytes_behind,
                } = standby;
                writeln!(
                    f,
                    "shard {shard}: {application_name} is {state}, {sync_state}, {bytes_behind} bytes behind"
                )?;
            }
        }
        writeln!(
            f,
            "\n{:<12}{:>14}{:>14}{:>14}",
            "reads of", "replicas", "primaries", "without need"
        )?;
        for (service, reads) in &self.reads {
            let Reads {
                by_replicas,
                by_primaries,
                without_need,
            } = reads;
            writeln!(
                f,
                "{service:<12}{by_replicas:>14}{by_primaries:>14}{without_need:>14}"
            )?;
        }
        Ok(())
    }
}
