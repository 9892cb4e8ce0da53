//! What a pod carries, and how many pods that makes.

use crate::Service;
use crate::capacity::{Capacity, Knee, Measured, Policy};
use crate::quantity::ceil;

/// Pods for so many public requests a second.
pub fn pods(public: f64, knee: &Knee, policy: &Policy) -> u64 {
    let rate = public * knee.requests_per_public_request;
    ceil(rate / carries(knee, policy)).max(1)
}

/// Requests a second that a pod is given: whole ones, as the autoscaler counts.
pub fn carries(knee: &Knee, policy: &Policy) -> f64 {
    let given = knee.requests_per_second * policy.load_share;
    if given < 1.0 {
        given
    } else {
        (given * (1.0 + 1e-12)).floor()
    }
}

/// Pods of an ordinary day at each hour, as the autoscaler would run them.
pub fn pods_by_hour(capacity: &Capacity, knee: &Knee, min: u64, months: f64) -> [u64; 24] {
    let busiest = capacity.load.ordinary(months);
    capacity
        .load
        .hours
        .map(|share| pods(busiest * share, knee, &capacity.policy).max(min))
}

/// A service's own requests a second at a public rate.
pub fn own_rate(measured: &Measured, service: Service, public: f64) -> f64 {
    let knee = measured.services.get(&service);
    knee.map_or(0.0, |knee| public * knee.requests_per_public_request)
}
