use std::fmt;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Span, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::{Layer, registry};

const FIELD: &str = "order.id";

/// Notes which spans name an order, for [`order_id`].
pub fn orders<S>() -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    Orders.with_filter(filter_fn(|metadata| {
        metadata.is_span() && metadata.fields().field(FIELD).is_some()
    }))
}

/// The order that the current span, or the nearest one around it, names: calls and statements made
/// for an order carry its id too.
pub fn order_id() -> Option<String> {
    let of_span = |(id, dispatch): (&Id, &tracing::Dispatch)| {
        let spans = dispatch.downcast_ref::<Registry>()?;
        let mut scope = spans.span(id)?.scope();
        scope.find_map(|span| Some(span.extensions().get::<Order>()?.0.clone()))
    };
    Span::current().with_subscriber(of_span).flatten()
}

struct Orders;

/// What a span's field says.
struct Order(String);

impl<S> Layer<S> for Orders
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut found = Found(None);
        attributes.record(&mut found);
        found.note(context.span(id));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut found = Found(None);
        values.record(&mut found);
        found.note(context.span(id));
    }
}

struct Found(Option<String>);

impl Found {
    fn note<'span, S: LookupSpan<'span>>(self, span: Option<registry::SpanRef<'span, S>>) {
        if let (Some(order_id), Some(span)) = (self.0, span) {
            span.extensions_mut().replace(Order(order_id));
        }
    }
}

impl Visit for Found {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == FIELD {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == FIELD {
            self.0 = Some(format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::field::Empty;
    use tracing::info_span;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn spans_inside_an_orders_span_know_the_order() {
        let _subscribed =
            tracing::subscriber::set_default(tracing_subscriber::registry().with(orders()));
        let of_request = info_span!("request", order.id = Empty).entered();
        assert_eq!(order_id(), None);

        of_request.record(FIELD, "7");
        let of_step = info_span!("step", order.id = %8).entered();

        assert_eq!(order_id().as_deref(), Some("8"));
        drop(of_step);
        assert_eq!(order_id().as_deref(), Some("7"));
    }
}
