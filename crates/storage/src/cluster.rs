use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use chassis::{Chassis, Context};
use futures::future::join_all;
use rand::RngExt as _;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use types::{Routes, Slot};

use crate::config::Databases;
use crate::map::SlotMap;
use crate::metrics::{Metrics, ShardLabels, SlotLabels};
use crate::pool::{Pool, Role};
use crate::{Config, Error, Shard, WriteTx, idempotency};

/// The pause between two tries to read the first slot map.
const FIRST_MAP_PAUSE: Duration = Duration::from_secs(1);

/// How often the slot map is read.
const MAP_PERIOD: Duration = Duration::from_secs(5);

/// How often replicas are asked how far they are.
const REPLICA_PERIOD: Duration = Duration::from_millis(200);

/// How often idempotency keys are looked through for those past their lifetime.
const SWEEP_PERIOD: Duration = Duration::from_secs(60);

/// How long a write waits for a fence to be lifted.
const FENCE_PATIENCE: Duration = Duration::from_millis(300);

/// The pause between two tries, in milliseconds.
const FENCE_PAUSE_MS: std::ops::Range<u64> = 40..120;

/// A service's shards and the map from slots to them; rows are keyed by `K`. Clones are the same
/// cluster.
pub struct Cluster<K> {
    inner: Arc<Inner>,
    key: PhantomData<fn(K)>,
}

struct Inner {
    shards: Vec<Shard>,
    map: Arc<ArcSwap<SlotMap>>,
    /// When the map's last reading began; held while it is read.
    map_read_at: Mutex<Instant>,
    metrics: Metrics,
}

impl<K> Clone for Cluster<K> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            key: PhantomData,
        }
    }
}

impl<K> Cluster<K> {
    /// Loads the slot map and follows it, and the replicas' lag, until shutdown. A call whose caller
    /// has met a newer map waits until that is read.
    ///
    /// Until shutdown it waits for the database that has the map: a service that ended instead would
    /// be started again after longer and longer pauses.
    pub async fn connect(chassis: &Chassis, config: &Config) -> Result<Self, Error> {
        Self::connect_within(chassis, config, Some(chassis.shutdown())).await
    }

    /// The same for a command, which fails where that database is out of reach.
    pub async fn connect_at_once(chassis: &Chassis, config: &Config) -> Result<Self, Error> {
        Self::connect_within(chassis, config, None).await
    }

    async fn connect_within(
        chassis: &Chassis,
        config: &Config,
        wait_until: Option<CancellationToken>,
    ) -> Result<Self, Error> {
        let inner = Arc::new(Inner::connect(chassis, config, wait_until).await?);
        inner.follow(chassis);
        // Weak: the pools hold the chassis.
        let weak = Arc::downgrade(&inner);
        chassis.before_calls(move || {
            let inner = weak.upgrade();
            Box::pin(async move {
                if let Some(inner) = inner {
                    inner.catch_up().await;
                }
            })
        });
        Ok(Self {
            inner,
            key: PhantomData,
        })
    }

    /// A write transaction on the shard that owns the key, behind the slot's guard.
    ///
    /// While the slot is fenced the map is read again and the guard tried again, for 300 ms.
    pub async fn begin(&self, key: &impl Routes<K>) -> Result<WriteTx, Error> {
        self.begin_in(key.slot()).await
    }

    /// [`begin`](Self::begin) for a slot that is known already.
    pub async fn begin_in(&self, slot: Slot) -> Result<WriteTx, Error> {
        let give_up_at = Instant::now() + FENCE_PATIENCE;
        loop {
            let asked_at = Instant::now();
            let map = self.inner.map.load_full();
            let owner = map.owner(slot);
            let shard = self.inner.shards[owner.shard].clone();
            let fenced = match WriteTx::begin(shard, slot, owner.epoch).await {
                Err(error @ Error::SlotFenced(_)) => error,
                answer => return answer,
            };
            self.inner.count_conflict(owner.shard);
            if Instant::now() >= give_up_at {
                return Err(fenced);
            }
            let known = self.inner.refresh(asked_at).await?;
            if known == map.version {
                let pause = rand::rng().random_range(FENCE_PAUSE_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
    }

    /// The shard that owns the key, to read from.
    pub fn shard(&self, key: &impl Routes<K>) -> Shard {
        let owner = self.inner.map.load().owner(key.slot());
        self.inner.shards[owner.shard].clone()
    }

    /// Every shard, for reads that ask all of them and for workers.
    pub fn shards(&self) -> impl Iterator<Item = Shard> + use<K> {
        self.inner.shards.clone().into_iter()
    }
}

/// The map, once its database can be reached or waiting has ended.
async fn first_map(
    control: &Arc<Pool>,
    names: &[Arc<str>],
    wait_until: Option<CancellationToken>,
) -> Result<Option<SlotMap>, Error> {
    loop {
        let error = match SlotMap::load(control, names, 0).await {
            Err(error) if error.is_out_of_reach() => error,
            answer => return answer,
        };
        let Some(until) = &wait_until else {
            return Err(error);
        };
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "waiting for the slot map"
        );
        tokio::select! {
            () = until.cancelled() => return Err(error),
            () = tokio::time::sleep(FIRST_MAP_PAUSE) => {}
        }
    }
}

impl Inner {
    async fn connect(
        chassis: &Chassis,
        config: &Config,
        wait_until: Option<CancellationToken>,
    ) -> Result<Self, Error> {
        let databases = Databases::parse(config)?;
        let metrics = chassis.register(Metrics::register);
        let pool = |shard: &Arc<str>, role, database| {
            Pool::new(chassis, config, &metrics, (shard, role), database)
        };
        let mut names = Vec::new();
        let mut pools = Vec::new();
        for database in databases.shards {
            let name: Arc<str> = database.name.into();
            let primary = pool(&name, Role::Primary, database.primary);
            let replicas = database.replicas.into_iter();
            let replicas: Vec<_> = replicas
                .map(|replica| pool(&name, Role::Replica, replica))
                .collect();
            pools.push((primary, replicas));
            names.push(name);
        }
        let (control, _) = &pools[0];
        let Some(map) = first_map(control, &names, wait_until).await? else {
            return Err(Error::Setting(format!(
                "shard {} has no slot map: run `migrate` first",
                control.shard
            )));
        };
        let map = Arc::new(ArcSwap::from_pointee(map));
        let shards = pools.into_iter().enumerate();
        let inner = Self {
            shards: shards
                .map(|(index, (primary, replicas))| {
                    Shard::new(index, &map, primary, replicas, &metrics)
                })
                .collect(),
            map,
            map_read_at: Mutex::new(Instant::now()),
            metrics,
        };
        inner.count_slots();
        inner.poll_replicas().await;
        Ok(inner)
    }

    fn follow(self: &Arc<Self>, chassis: &Chassis) {
        let (inner, shutdown) = (Arc::clone(self), chassis.shutdown());
        chassis.tasks().spawn_worker(async move {
            let mut replica_ticks = tokio::time::interval(REPLICA_PERIOD);
            let mut map_ticks = tokio::time::interval(MAP_PERIOD);
            let mut sweep_ticks = tokio::time::interval(SWEEP_PERIOD);
            replica_ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    _ = replica_ticks.tick() => {
                        inner.shards.iter().for_each(Shard::measure_idle);
                        inner.poll_replicas().await;
                    }
                    asked_at = map_ticks.tick() => {
                        if let Err(error) = inner.refresh(asked_at.into_std()).await {
                            tracing::warn!(%error, "the slot map could not be read");
                        }
                        join_all(inner.shards.iter().map(Shard::count_inactive_slots)).await;
                    }
                    _ = sweep_ticks.tick() => inner.sweep_keys().await,
                }
            }
        });
    }

    async fn sweep_keys(&self) {
        for shard in &self.shards {
            if let Err(error) = idempotency::sweep(shard).await {
                tracing::warn!(shard = shard.name(), %error, "old keys stay until the next sweep");
            }
        }
    }

    async fn poll_replicas(&self) {
        join_all(self.shards.iter().map(Shard::poll)).await;
    }

    /// Reads the map if the caller has met a newer one.
    async fn catch_up(&self) {
        let asked_at = Instant::now();
        let seen = Context::current().consistency;
        let met = seen.map_version(self.shards[0].service());
        if met.is_none_or(|met| met <= self.map.load().version) {
            return;
        }
        if let Err(error) = self.refresh(asked_at).await {
            // A write that goes astray is stopped by the slot's guard.
            tracing::warn!(%error, "the slot map could not be read");
        }
    }

    /// Reads the map, unless somebody has begun to since `asked_at`; returns its version.
    async fn refresh(&self, asked_at: Instant) -> Result<u64, Error> {
        let mut read_at = self.map_read_at.lock().await;
        let known = self.map.load().version;
        if *read_at > asked_at {
            return Ok(known);
        }
        let names: Vec<Arc<str>> = self.shards.iter().map(Shard::shared_name).collect();
        let control = self.shards[0].primary_pool();
        let begun_at = Instant::now();
        let newer = SlotMap::load(control, &names, known).await?;
        *read_at = begun_at;
        let Some(map) = newer else {
            return Ok(known);
        };
        let version = map.version;
        self.map.store(Arc::new(map));
        self.count_slots();
        tracing::info!(version, "slot map read");
        Ok(version)
    }

    fn count_slots(&self) {
        let map = self.map.load();
        for (index, shard) in self.shards.iter().enumerate() {
            let labels = SlotLabels {
                shard: shard.name().to_owned(),
                state: "active",
            };
            let slots = map.slots_of(index).count();
            self.metrics.slots.get_or_create(&labels).set(slots as i64);
        }
    }

    fn count_conflict(&self, shard: usize) {
        let labels = ShardLabels {
            shard: self.shards[shard].name().to_owned(),
        };
        self.metrics.fence_conflicts.get_or_create(&labels).inc();
    }
}
