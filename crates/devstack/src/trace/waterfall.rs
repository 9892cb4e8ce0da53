use std::fmt::Write;

use crate::sink::Span;
use crate::trace::Tree;

const NAME_WIDTH: usize = 46;
const BAR_WIDTH: u64 = 40;

/// The tree as lines for a terminal: service, name, bar, offset from the start, duration.
pub fn draw(trace_id: &str, tree: &Tree) -> String {
    let ordered = tree.in_order();
    let spans = ordered.iter().map(|(_, span)| *span);
    let start = spans
        .clone()
        .map(|span| span.start_nanos)
        .min()
        .unwrap_or(0);
    let end = spans.map(|span| span.end_nanos).max().unwrap_or(start);
    let scale = Scale {
        start,
        length: end.saturating_sub(start).max(1),
    };
    let mut out = String::new();
    let length = millis(scale.length);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "trace {trace_id}: {} spans in {length} ms",
        ordered.len()
    );
    for (depth, span) in ordered {
        let _ = writeln!(out, "{}", line(depth, span, &scale));
        for event in &span.events {
            let _ = writeln!(
                out,
                "{:<10}{}",
                "",
                fit(&format!("{}  * {}", "  ".repeat(depth), event.name))
            );
        }
        for link in &span.links {
            let _ = writeln!(
                out,
                "{:<10}{}",
                "",
                fit(&format!("{}  -> span {}", "  ".repeat(depth), link.span_id))
            );
        }
    }
    out
}

struct Scale {
    start: u64,
    length: u64,
}

impl Scale {
    /// A time as a column of the bar.
    fn column(&self, nanos: u64) -> usize {
        let offset = u128::from(nanos.saturating_sub(self.start)) * u128::from(BAR_WIDTH);
        let column = offset / u128::from(self.length);
        usize::try_from(column.min(u128::from(BAR_WIDTH))).unwrap_or(0)
    }
}

fn line(depth: usize, span: &Span, scale: &Scale) -> String {
    let name = fit(&format!("{}{}", "  ".repeat(depth), label(span)));
    let offset = millis(span.start_nanos.saturating_sub(scale.start));
    let duration = millis(span.end_nanos.saturating_sub(span.start_nanos));
    let mark = if span.failed { " failed" } else { "" };
    format!(
        "{:<10}{name} {} {offset:>9} {duration:>9} ms{mark}",
        span.service,
        bar(span, scale)
    )
}

/// A statement also says which copy of which shard it met.
fn label(span: &Span) -> String {
    let attribute = |name| span.attributes.get(name);
    match (attribute("shard"), attribute("role")) {
        (Some(shard), Some(role)) => format!("{} ({shard}, {role})", span.name),
        _ => span.name.clone(),
    }
}

/// At least one block wide, so that a short span is seen.
fn bar(span: &Span, scale: &Scale) -> String {
    let width = scale.column(u64::MAX);
    let from = scale.column(span.start_nanos).min(width - 1);
    let to = scale.column(span.end_nanos).max(from + 1);
    let block = match span.kind.as_str() {
        "producer" | "consumer" => "▒",
        _ => "█",
    };
    [
        "·".repeat(from),
        block.repeat(to - from),
        "·".repeat(width - to),
    ]
    .concat()
}

/// Cut or filled to the width of the name's column.
fn fit(text: &str) -> String {
    if text.chars().count() <= NAME_WIDTH {
        return format!("{text:<NAME_WIDTH$}");
    }
    let kept: String = text.chars().take(NAME_WIDTH - 1).collect();
    format!("{kept}…")
}

fn millis(nanos: u64) -> String {
    let micros = nanos / 1_000;
    format!("{}.{:02}", micros / 1_000, micros % 1_000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_indented_and_drawn_where_it_ran() {
        let root = Span {
            span_id: "1".to_owned(),
            service: "gateway".to_owned(),
            name: "POST /api/orders".to_owned(),
            end_nanos: 40_000_000,
            ..Span::default()
        };
        let child = Span {
            span_id: "2".to_owned(),
            parent_id: Some("1".to_owned()),
            service: "order".to_owned(),
            name: "PlaceOrder".to_owned(),
            start_nanos: 20_000_000,
            end_nanos: 30_000_000,
            ..Span::default()
        };
        let spans = [root, child];

        let drawn = draw("abc", &Tree::of(&spans));

        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines[0], "trace abc: 2 spans in 40.00 ms");
        assert!(lines[2].starts_with("order       PlaceOrder"));
        let drawn_bar = ["·".repeat(20), "█".repeat(10), "·".repeat(10)].concat();
        assert!(lines[2].contains(&drawn_bar));
        assert!(lines[2].ends_with("20.00     10.00 ms"));
    }
}
