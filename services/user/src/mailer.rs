use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use storage::Shard;
use tokio::fs;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::Error;
use crate::store::{self, DueMail, Outgoing, Store};

const LOOK_EVERY: Duration = Duration::from_millis(250);
const RETRY_AFTER: Duration = Duration::from_secs(5);
const ATTEMPTS_MAX: i32 = 10;
/// The mail's row is locked while its server thinks.
const SERVER_LIMIT: Duration = Duration::from_secs(5);

/// Sends the mails that wait.
pub(crate) struct Mailer {
    store: Store,
    outlet: Outlet,
    from: Mailbox,
}

/// Where mails go.
enum Outlet {
    Server(AsyncSmtpTransport<Tokio1Executor>),
    /// Each becomes an `.eml` file.
    Folder(PathBuf),
}

#[derive(Debug, thiserror::Error)]
enum Unsent {
    #[error(transparent)]
    Address(#[from] lettre::address::AddressError),
    #[error(transparent)]
    Message(#[from] lettre::error::Error),
    #[error(transparent)]
    Folder(#[from] std::io::Error),
    #[error(transparent)]
    Server(#[from] lettre::transport::smtp::Error),
}

impl Mailer {
    pub(crate) fn new(store: Store, config: &Config) -> anyhow::Result<Self> {
        let outlet = match &config.mail_server {
            Some(server) => {
                let (host, port) = server
                    .rsplit_once(':')
                    .context("--mail-server: host:port is expected")?;
                let port = port.parse().context("--mail-server: no such port")?;
                let server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host);
                let server = server.port(port).timeout(Some(SERVER_LIMIT));
                Outlet::Server(server.build())
            }
            None => Outlet::Folder(config.mail_dir.clone()),
        };
        Ok(Self {
            store,
            outlet,
            from: config.mail_from.clone(),
        })
    }

    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let shards: Vec<Shard> = self.store.shards().collect();
        loop {
            for shard in &shards {
                if let Err(error) = self.send_due(shard).await {
                    tracing::warn!(shard = shard.name(), %error, "mails wait");
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn send_due(&self, shard: &Shard) -> Result<(), Error> {
        for due in self.store.list_due_mails(shard).await? {
            // One slot may be fenced: the other mails need not wait for it.
            if let Err(error) = self.send(&due).await {
                tracing::warn!(%error, "a mail waits");
            }
        }
        Ok(())
    }

    async fn send(&self, due: &DueMail) -> Result<(), Error> {
        let Some((tx, mail)) = self.store.take_mail(due).await? else {
            return Ok(());
        };
        match self.hand_over(&mail).await {
            Ok(()) => store::mark_sent(tx, mail.event_id).await,
            Err(error) => {
                let retry_after = (mail.attempts + 1 < ATTEMPTS_MAX).then_some(RETRY_AFTER);
                tracing::warn!(event_id = %mail.event_id, %error, "a mail could not be sent");
                store::mark_unsent(tx, mail.event_id, retry_after).await
            }
        }
    }

    /// Sent again, it is the same file, and for a server a mail with the same id.
    async fn hand_over(&self, mail: &Outgoing) -> Result<(), Unsent> {
        let address: Address = mail.email.as_str().parse()?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(mail.name.clone()), address))
            .message_id(Some(format!("<{}@cloudretail>", mail.event_id)))
            .subject(&mail.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(mail.body.clone())?;
        match &self.outlet {
            Outlet::Server(server) => {
                server.send(message).await?;
            }
            Outlet::Folder(folder) => {
                fs::create_dir_all(folder).await?;
                let name = format!("{}-{}", mail.kind, mail.event_id);
                // Under another name first, so that nobody reads half a mail.
                let unfinished = folder.join(format!("{name}.new"));
                fs::write(&unfinished, message.formatted()).await?;
                fs::rename(&unfinished, folder.join(format!("{name}.eml"))).await?;
            }
        }
        Ok(())
    }
}
