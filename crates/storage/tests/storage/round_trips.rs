use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Instrument as _, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use types::{OrderId, Slot};

use crate::support::{self, read, write};

/// Collects what new spans say in one field.
#[derive(Clone)]
struct Values {
    field: &'static str,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Values {
    fn of(field: &'static str) -> Self {
        Self {
            field,
            seen: Arc::default(),
        }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl<S: Subscriber> Layer<S> for Values {
    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        _id: &tracing::span::Id,
        _context: Context<'_, S>,
    ) {
        attributes.record(&mut self.clone());
    }
}

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == self.field {
            self.seen.lock().unwrap().push(value.to_owned());
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}

#[tokio::test]
async fn each_round_trip_is_one_span() {
    let names = Values::of("otel.name");
    let subscriber = tracing_subscriber::registry().with(names.clone());
    let _subscribed = tracing::subscriber::set_default(subscriber);
    let cluster = support::cluster().await;
    let note = OrderId::new(Slot::draw());
    let untraced = names.take();

    let request = tracing::info_span!("request");
    write(&cluster, note, "x").instrument(request.clone()).await;
    let written = names.take();
    async {
        let mut once = cluster.shard(&note).primary_once().await.unwrap();
        read(&mut once, note).await;
    }
    .instrument(request.clone())
    .await;
    let read_once = names.take();
    async {
        let mut snapshot = cluster.shard(&note).primary().await.unwrap();
        read(&mut snapshot, note).await;
    }
    .instrument(request)
    .await;
    let read_in_snapshot = names.take();

    assert!(untraced.is_empty(), "polls leave no spans: {untraced:?}");
    assert_eq!(written, ["db.begin", "db.query", "db.commit"]);
    assert_eq!(read_once, ["db.query"]);
    assert_eq!(read_in_snapshot, ["db.begin", "db.query"]);
}

#[tokio::test]
async fn statements_for_an_order_carry_its_id() {
    let ids = Values::of("order.id");
    let subscriber = tracing_subscriber::registry()
        .with(chassis::telemetry::orders())
        .with(ids.clone());
    let _subscribed = tracing::subscriber::set_default(subscriber);
    let cluster = support::cluster().await;
    let request = tracing::info_span!("request", order.id = tracing::field::Empty);
    let note = OrderId::new(Slot::draw());

    request.record("order.id", "7");
    write(&cluster, note, "x").instrument(request).await;

    assert_eq!(ids.take(), ["7"; 3], "begin, query, commit");
}
