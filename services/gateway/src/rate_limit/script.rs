//! The limit over all gateways: one call to Redis, atomic, on Redis's own clock.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use fred::types::scripts::Script;

use crate::redis::{Away, Redis};

/// So many requests in a period, all of them at once if need be.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub requests: u32,
    pub period: Duration,
}

impl Rate {
    /// Microseconds between two requests at an even pace.
    fn interval(self) -> String {
        (self.period.as_micros() as f64 / f64::from(self.requests)).to_string()
    }
}

/// What a limit says to one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// How many more would be allowed now.
    pub left: u32,
    /// Zero: go on.
    pub wait: Duration,
}

/// For each key the theoretical arrival time of the next request is kept. A request is counted on
/// all its keys or, when one of them refuses it, on none.
static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::from_lua(
        r"
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
        local left, wait, arrivals = burst, 0, {}
        for i, key in ipairs(KEYS) do
            local arrival = math.max(tonumber(redis.call('GET', key) or '0'), now) + interval
            local room = now + burst * interval - arrival
            left = math.min(left, math.floor(room / interval))
            wait = math.max(wait, -room)
            arrivals[i] = arrival
        end
        if wait == 0 then
            for i, key in ipairs(KEYS) do
                local life = math.ceil((arrivals[i] - now) / 1000)
                redis.call('SET', key, string.format('%.0f', arrivals[i]), 'PX', life)
            end
        end
        return {math.max(left, 0), math.ceil(wait)}
        ",
    )
});

/// Counts what was already allowed, at most one burst beyond the limit, and answers how long each key has to wait.
static SETTLE: LazyLock<Script> = LazyLock::new(|| {
    Script::from_lua(
        r"
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
        local waits = {}
        for i, key in ipairs(KEYS) do
            local arrival = math.max(tonumber(redis.call('GET', key) or '0'), now) + interval * ARGV[2 + i]
            arrival = math.min(arrival, now + 2 * burst * interval)
            local life = math.ceil((arrival - now) / 1000)
            redis.call('SET', key, string.format('%.0f', arrival), 'PX', life)
            waits[i] = math.ceil(math.max(0, arrival + interval - now - burst * interval))
        end
        return waits
        ",
    )
});

/// Counts one request on every key.
pub async fn count(redis: &Redis, rate: Rate, keys: &[String]) -> Result<Allowance, Away> {
    let arguments = vec![rate.interval(), rate.requests.to_string()];
    let (left, wait): (u32, u64) = redis
        .run(async |client| {
            COUNT
                .evalsha_with_reload(client, keys.to_vec(), arguments)
                .await
        })
        .await?;
    Ok(Allowance {
        left,
        wait: Duration::from_micros(wait),
    })
}

/// Counts requests that went on already; answers who has to wait, and how long.
pub async fn settle(
    redis: &Redis,
    rate: Rate,
    counted: &HashMap<String, u32>,
) -> Result<Vec<(String, Duration)>, Away> {
    let keys: Vec<String> = counted.keys().cloned().collect();
    let mut arguments = vec![rate.interval(), rate.requests.to_string()];
    arguments.extend(counted.values().map(u32::to_string));
    let waits: Vec<u64> = redis
        .run(async |client| {
            SETTLE
                .evalsha_with_reload(client, keys.clone(), arguments)
                .await
        })
        .await?;
    let waits = keys
        .into_iter()
        .zip(waits.into_iter().map(Duration::from_micros));
    Ok(waits.filter(|(_, wait)| !wait.is_zero()).collect())
}
