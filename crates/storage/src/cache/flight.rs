use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Lets one caller at a time load a key; the others wait for it.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<String, Flight>>);

#[derive(Debug, Default)]
struct Flight {
    gate: Arc<tokio::sync::Mutex<()>>,
    passengers: usize,
}

/// The right to load a key, until it is dropped.
#[derive(Debug)]
pub(super) struct Boarded<'a> {
    _turn: OwnedMutexGuard<()>,
    _ticket: Ticket<'a>,
}

/// Keeps the flight known while anybody waits for it or is on it.
#[derive(Debug)]
struct Ticket<'a> {
    flights: &'a Flights,
    key: String,
}

impl Flights {
    pub(super) async fn board(&self, key: &str) -> Boarded<'_> {
        let (gate, ticket) = self.book(key);
        Boarded {
            _turn: gate.lock_owned().await,
            _ticket: ticket,
        }
    }

    /// In one order for everybody: two who want the same keys cannot wait for each other.
    pub(super) async fn board_all(&self, mut keys: Vec<String>) -> Vec<Boarded<'_>> {
        keys.sort_unstable();
        keys.dedup();
        let mut boarded = Vec::with_capacity(keys.len());
        for key in &keys {
            boarded.push(self.board(key).await);
        }
        boarded
    }

    fn book(&self, key: &str) -> (Arc<tokio::sync::Mutex<()>>, Ticket<'_>) {
        let mut flights = self.flights();
        let flight = flights.entry(key.to_owned()).or_default();
        flight.passengers += 1;
        let ticket = Ticket {
            flights: self,
            key: key.to_owned(),
        };
        (Arc::clone(&flight.gate), ticket)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<String, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.flights();
        let Some(flight) = flights.get_mut(&self.key) else {
            return;
        };
        flight.passengers -= 1;
        if flight.passengers == 0 {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_passenger_waits_until_the_first_has_landed() {
        let flights = Flights::default();
        let first = flights.board("key").await;

        let mut second = std::pin::pin!(flights.board("key"));
        let waits = futures::poll!(&mut second).is_pending();
        drop(first);
        second.await;

        assert!(waits);
        assert!(flights.flights().is_empty());
    }

    #[tokio::test]
    async fn a_passenger_who_gives_up_leaves_nothing_behind() {
        let flights = Flights::default();
        let first = flights.board("key").await;

        let mut second = Box::pin(flights.board("key"));
        assert!(futures::poll!(&mut second).is_pending());
        drop(second);
        drop(first);

        assert!(flights.flights().is_empty());
    }
}
