use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::platform::Platform;
use crate::walk::Timings;
use crate::walk::customer::Placed;

/// What a walk bought, and what was seen of it. The lists are in the same order.
pub struct Receipt {
    pub orders: Vec<(Placed, Timings)>,
    /// From the first registration to the last confirmation.
    pub took: Duration,
    pub checks_took: Duration,
    /// How many records the topic of order events got meanwhile.
    pub records: usize,
    /// How many spans each order's trace has.
    pub spans: Vec<usize>,
    pub mails: Vec<PathBuf>,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [(order, timings)] = self.orders.as_slice() {
            self.write_order(f, order, timings)?;
        } else {
            self.write_summary(f)?;
        }
        let checks = self.checks_took.as_secs_f64();
        writeln!(
            f,
            "  checked   stock, ledger, provider, events and trace agree ({checks:.1} s)"
        )
    }
}

impl Receipt {
    fn write_order(
        &self,
        f: &mut fmt::Formatter<'_>,
        order: &Placed,
        timings: &Timings,
    ) -> fmt::Result {
        writeln!(f, "Order {} is confirmed.", order.number)?;
        writeln!(f, "  order     {}", order.order_id)?;
        writeln!(f, "  payment   {} ({})", order.payment_id, order.total)?;
        writeln!(f, "  customer  {}", order.email)?;
        for (sku, quantity) in &order.lines {
            writeln!(f, "  item      {quantity} x {sku}")?;
        }
        let spans = self.spans.iter().sum::<usize>();
        writeln!(
            f,
            "  trace     {} ({spans} spans, one tree)",
            order.trace_id
        )?;
        for mail in &self.mails {
            writeln!(f, "  mail      {}", mail.display())?;
        }
        for (step, took) in &timings.0 {
            writeln!(f, "  {:>7.1} ms  {step}", took.as_secs_f64() * 1_000.0)?;
        }
        Ok(())
    }

    fn write_summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.orders.len();
        let took = self.took.as_secs_f64();
        writeln!(f, "{count} orders are confirmed, in {took:.1} s.")?;
        writeln!(f, "  events    {} records", self.records)?;
        writeln!(f, "  spans     {}", self.spans.iter().sum::<usize>())?;
        writeln!(f, "  mails     {}", self.mails.len())?;
        let steps = self.orders.first().map(|(_, timings)| timings.0.len());
        for step in 0..steps.unwrap_or(0) {
            let mut times: Vec<_> = self
                .orders
                .iter()
                .filter_map(|(_, timings)| timings.0.get(step))
                .collect();
            times.sort_by_key(|(_, took)| *took);
            if let (Some((name, middle)), Some((_, most))) =
                (times.get(times.len() / 2), times.last())
            {
                let [middle, most] = [middle, most].map(|took| took.as_secs_f64() * 1_000.0);
                writeln!(f, "  {middle:>7.1} ms  {name} (median; {most:.1} at most)")?;
            }
        }
        Ok(())
    }

    /// Where to go on from here.
    pub fn next_steps(&self, platform: &Platform) -> String {
        let gateway = platform.gateway_url();
        let order_id = self
            .orders
            .first()
            .map(|(order, _)| order.order_id.to_string())
            .unwrap_or_default();
        format!(
            "Go on with
  {gateway}/docs           the API, to try
  {gateway}/openapi.json   the same for programs
  devstack trace {order_id}
  devstack verify          do all shards agree?
  devstack order --count 20
"
        )
    }
}
