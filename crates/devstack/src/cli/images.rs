//! `images`: what compose and a cluster run.

use std::path::PathBuf;

use anyhow::Context;
use devstack::images;

pub(super) async fn run(binaries: Option<PathBuf>, stand_ins: bool) -> anyhow::Result<()> {
    if stand_ins {
        return images::stand_ins(&[]).await;
    }
    let this = std::env::current_exe()?;
    let beside = this.parent().context("this program has no folder")?;
    let images = images::pack(binaries.as_deref().unwrap_or(beside)).await?;
    for (image, added) in images {
        let megabytes = added.div_ceil(1 << 20);
        println!("{image:<32} {megabytes:>3} MiB over its base");
    }
    Ok(())
}
