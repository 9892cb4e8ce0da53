use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    service: &'static str,
    version: &'static str,
    commit: &'static str,
}

/// What runs. The commit is that of a build with `CLOUDRETAIL_COMMIT` in its environment.
pub(crate) fn register(registry: &mut Registry, service: &'static str) {
    let info = Family::<Build, Gauge>::default();
    let build = Build {
        service,
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("CLOUDRETAIL_COMMIT").unwrap_or("unknown"),
    };
    info.get_or_create(&build).set(1);
    registry.register("build_info", "What runs; always 1", info);
}
