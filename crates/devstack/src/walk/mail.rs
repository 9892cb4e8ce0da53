use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::platform::Platform;
use crate::wait;

const ARRIVAL_LIMIT: Duration = Duration::from_secs(20);

/// Waits for the mail that names the order, and returns its file.
pub(crate) async fn find(platform: &Platform, number: &str) -> anyhow::Result<PathBuf> {
    let folder = platform.home.mail();
    wait::until(
        &format!("a mail about order {number}"),
        ARRIVAL_LIMIT,
        async || {
            for entry in fs::read_dir(&folder).context("the folder of mails")? {
                let path = entry?.path();
                let is_mail = path.extension().is_some_and(|extension| extension == "eml");
                if is_mail && fs::read_to_string(&path).is_ok_and(|mail| mail.contains(number)) {
                    return Ok(path);
                }
            }
            bail!("no file in {} names it", folder.display())
        },
    )
    .await
}
