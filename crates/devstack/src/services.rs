//! The six services and the payment provider's simulator: settings and start.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::home::Home;
use crate::platform::Platform;
use crate::program::{Program, own_settings, with_log};
use crate::service::Service;
use crate::wait;

/// A built binary of the workspace: it lies beside this one.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let folder = this.parent().context("this program has no folder")?;
    // Cargo puts a test's program one folder deeper.
    let folder = match folder.parent() {
        Some(parent) if folder.ends_with("deps") => parent,
        _ => folder,
    };
    Ok(folder.join(name))
}

pub fn simulator(platform: &Platform) -> anyhow::Result<Program> {
    let listen = format!("127.0.0.1:{}", platform.ports.simulator());
    let argv = vec![
        binary("simulator")?.into(),
        "--listen".into(),
        listen.into(),
        "--state".into(),
        platform.home.simulator().into(),
    ];
    Ok(Program::new("simulator", argv))
}

/// Returns when the simulator answers.
pub async fn simulator_ready(platform: &Platform) -> anyhow::Result<()> {
    let url = format!("{}/health", platform.simulator_url());
    ready(platform, "simulator", &url).await
}

/// The service with its settings; `serve` when it is given no `command`.
pub fn program(platform: &Platform, service: Service, command: &[&str]) -> anyhow::Result<Program> {
    let mut argv = vec![binary(service.name())?.into()];
    argv.extend(command.iter().map(Into::into));
    let name = match command.first() {
        Some(command) => format!("{service}-{command}"),
        None => service.to_string(),
    };
    let mut program = Program::new(name, argv);
    program.env = settings(platform, service)?;
    Ok(program)
}

/// The service's settings, with what was set for it alone.
pub fn settings_of(platform: &Platform, service: Service) -> anyhow::Result<Vec<(String, String)>> {
    let mut all = settings(platform, service)?;
    all.extend(own_settings(&platform.home, service.name()));
    Ok(all)
}

/// Makes what the services share before they start: the secret and the signing keys.
pub async fn create_secrets(platform: &Platform) -> anyhow::Result<()> {
    let home = &platform.home;
    if !home.caller_secret().exists() {
        write_secret(home)?;
    }
    if !home.keys().exists() {
        // Made under another name, so that an interrupted start leaves no half of a key.
        let new = home.keys().with_extension("new");
        let _ = fs::remove_file(&new);
        let argv = vec![
            binary(Service::User.name())?.into(),
            "create-keys".into(),
            "--out".into(),
            new.clone().into(),
        ];
        Program::new("user-create-keys", argv)
            .run(home, None)
            .await?;
        fs::rename(new, home.keys())?;
    }
    Ok(())
}

/// Brings every backend's databases to the newest schema.
pub async fn migrate(platform: &Platform) -> anyhow::Result<()> {
    let migrations = Service::BACKENDS.into_iter().map(|service| async move {
        program(platform, service, &["migrate"])?
            .run(&platform.home, None)
            .await
    });
    futures::future::try_join_all(migrations).await?;
    Ok(())
}

/// Returns when the service says that it may have traffic.
pub async fn service_ready(platform: &Platform, service: Service) -> anyhow::Result<()> {
    let url = format!("{}/health/ready", platform.admin_url(service));
    ready(platform, service.name(), &url).await
}

async fn ready(platform: &Platform, name: &str, url: &str) -> anyhow::Result<()> {
    let answered = wait::until(name, wait::START_LIMIT, async || {
        let answer = reqwest::get(url).await?;
        if !answer.status().is_success() {
            bail!("{url} answers {}", answer.status());
        }
        Ok(())
    });
    with_log(platform, name, answered.await)
}

fn write_secret(home: &Home) -> anyhow::Result<()> {
    let secret = format!(
        "{:032x}{:032x}",
        rand::random::<u128>(),
        rand::random::<u128>()
    );
    let mut file = fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(home.caller_secret())?;
    Ok(std::io::Write::write_all(&mut file, secret.as_bytes())?)
}

fn settings(platform: &Platform, service: Service) -> anyhow::Result<Vec<(String, String)>> {
    let ports = &platform.ports;
    let prefix = service.name().to_uppercase();
    let mut settings = Vec::new();
    let mut set = |name: &str, value: String| settings.push((format!("{prefix}_{name}"), value));
    let secret = fs::read_to_string(platform.home.caller_secret())?;
    set("LISTEN", format!("127.0.0.1:{}", ports.main(service)));
    set(
        "ADMIN_LISTEN",
        format!("127.0.0.1:{}", ports.admin(service)),
    );
    set("LOG_FORMAT", "human".to_owned());
    set(
        "OTLP_ENDPOINT",
        format!("http://127.0.0.1:{}", ports.otlp()),
    );
    set("CALLER_SECRET", secret);
    set("REDIS_URL", platform.redis_url(service));
    set("KAFKA_BROKERS", platform.kafka_brokers());
    set("TOPIC_PREFIX", platform.names.prefix.clone());
    for peer in service.peers() {
        let name = format!("{}_ENDPOINTS", peer.name().to_uppercase());
        set(&name, format!("127.0.0.1:{}", ports.main(*peer)));
    }
    if service != Service::Gateway {
        let databases = platform.databases(service);
        set("SHARDS", databases.shards);
        set("REPLICAS", databases.replicas);
        set("DIRECT", databases.direct);
        set("GROUP_PREFIX", platform.names.prefix.clone());
        // The only member of its group: after a restart it goes on without a rebalance.
        set("GROUP_MEMBER", service.to_string());
    }
    if service == Service::User {
        set("SIGNING_KEYS", platform.home.keys().display().to_string());
        set("MAIL_DIR", platform.home.mail().display().to_string());
    }
    if service == Service::Payment {
        set("PROVIDER_URL", platform.simulator_url());
    }
    Ok(settings)
}
