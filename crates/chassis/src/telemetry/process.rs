use procfs::process::Process as Entry;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// What the process takes of its machine, read when it is asked for.
#[derive(Debug)]
pub(crate) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // Without a /proc there is nothing to tell.
        let Ok(entry) = Entry::myself().and_then(|process| process.stat()) else {
            return Ok(());
        };
        let ticks = (entry.utime + entry.stime) as f64;
        let cpu = ConstCounter::new(ticks / procfs::ticks_per_second() as f64);
        let resident = ConstGauge::new((entry.rss * procfs::page_size()) as i64);
        let descriptor = encoder.encode_descriptor(
            "process_cpu",
            "Processor time used, user and system",
            Some(&Unit::Seconds),
            cpu.metric_type(),
        )?;
        cpu.encode(descriptor)?;
        let descriptor = encoder.encode_descriptor(
            "process_resident_memory",
            "Memory in use, as the kernel counts it",
            Some(&Unit::Bytes),
            resident.metric_type(),
        )?;
        resident.encode(descriptor)
    }
}
