//! The staff account of a local platform.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use serde_json::json;

use crate::platform::Platform;
use crate::service::Service;
use crate::services;

/// Makes the account and writes it to its file, unless that is there.
pub async fn create(platform: &Platform) -> anyhow::Result<()> {
    let home = &platform.home;
    if home.staff().exists() {
        return Ok(());
    }
    // A new address each time: an interrupted attempt may have used up the last one.
    let email = format!("staff-{:08x}@example.com", rand::random::<u32>());
    let password = format!("{:032x}", rand::random::<u128>());
    services::program(
        platform,
        Service::User,
        &["create-staff", "--email", &email],
    )?
    .run(home, Some(&password))
    .await?;
    let new = home.staff().with_extension("new");
    let mut file = fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(
        json!({"email": email, "password": password})
            .to_string()
            .as_bytes(),
    )?;
    Ok(fs::rename(new, home.staff())?)
}
