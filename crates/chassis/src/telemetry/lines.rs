use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::{Context, trace};

/// JSON lines that begin with the ids of the request that they are about, traced or not.
pub(super) struct WithIds<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for WithIds<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        let Some(rest) = line.strip_prefix('{') else {
            return writer.write_str(&line);
        };
        writer.write_char('{')?;
        let ids = [
            ("trace_id", trace::request_trace_id()),
            (
                "request_id",
                Context::current().request_id.map(|id| id.to_string()),
            ),
        ];
        for (name, id) in ids {
            if let Some(id) = id {
                write!(writer, "\"{name}\":{},", serde_json::Value::from(id))?;
            }
        }
        writer.write_str(rest)
    }
}
