//! The commands that show what the platform did.

use anyhow::bail;
use devstack::home::Home;
use devstack::jaeger::{self, JaegerPorts};
use devstack::postgres;
use devstack::service::Shard;
use devstack::state;
use devstack::trace::{Tree, draw};
use devstack::verify::{self, Census, GRACE_SECONDS};
use devstack::walk::{self, Options};
use types::OrderId;

pub(super) async fn order(home: &Home, count: usize, token: String) -> anyhow::Result<()> {
    let platform = state::running(home)?;
    let receipt = walk::run(&platform, &Options { count, token }).await?;
    print!("{receipt}");
    Ok(())
}

pub(super) async fn verify(home: &Home) -> anyhow::Result<()> {
    let platform = state::running(home)?;
    println!("{}", Census::take(&platform).await?);
    let findings = verify::check(&platform, GRACE_SECONDS).await?;
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} checks failed", findings.len());
    }
    println!("all checks are silent");
    Ok(())
}

pub(super) async fn promote(home: &Home, shard: Shard) -> anyhow::Result<()> {
    let platform = state::running(home)?;
    let promotion = postgres::promote(&platform, shard).await?;
    println!(
        "postgres-{shard}: its replica took over after {:.1?}, a new replica streams after {:.1?}",
        promotion.writes_after, promotion.replica_after,
    );
    Ok(())
}

pub(super) async fn trace(home: &Home, order_id: OrderId) -> anyhow::Result<()> {
    let platform = state::running(home)?;
    let (trace_id, spans) = devstack::trace::find(&platform, order_id).await?;
    let tree = Tree::of(&spans);
    print!("{}", draw(&trace_id, &tree));
    match tree.flaw() {
        None => Ok(()),
        Some(flaw) => bail!("trace {trace_id} is not one tree: {flaw}"),
    }
}

pub(super) async fn jaeger(home: &Home, ports: JaegerPorts) -> anyhow::Result<()> {
    let platform = state::running(home)?;
    println!("building Jaeger takes some minutes, the first time");
    let query = jaeger::start(&platform, ports).await?;
    println!("every trace goes to Jaeger from now on; its query API is {query}");
    Ok(())
}
