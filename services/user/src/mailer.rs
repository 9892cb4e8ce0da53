use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{Address, Message};
use storage::Shard;
use tokio::fs;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::store::{self, DueMail, Outgoing, Store};

const LOOK_EVERY: Duration = Duration::from_millis(250);
const RETRY_AFTER: Duration = Duration::from_secs(5);
const ATTEMPTS_MAX: i32 = 10;

/// Sends the mails that wait: each becomes an `.eml` file in a folder.
pub(crate) struct Mailer {
    store: Store,
    folder: PathBuf,
    from: Mailbox,
}

#[derive(Debug, thiserror::Error)]
enum Unsent {
    #[error(transparent)]
    Address(#[from] lettre::address::AddressError),
    #[error(transparent)]
    Message(#[from] lettre::error::Error),
    #[error(transparent)]
    Folder(#[from] std::io::Error),
}

impl Mailer {
    pub(crate) fn new(store: Store, folder: &Path, from: &Mailbox) -> Self {
        Self {
            store,
            folder: folder.to_owned(),
            from: from.clone(),
        }
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
        match self.write(&mail).await {
            Ok(()) => store::mark_sent(tx, mail.event_id).await,
            Err(error) => {
                let retry_after = (mail.attempts + 1 < ATTEMPTS_MAX).then_some(RETRY_AFTER);
                tracing::warn!(event_id = %mail.event_id, %error, "a mail could not be sent");
                store::mark_unsent(tx, mail.event_id, retry_after).await
            }
        }
    }

    /// The file is named after the event: sent again, it is the same file.
    async fn write(&self, mail: &Outgoing) -> Result<(), Unsent> {
        let address: Address = mail.email.as_str().parse()?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(mail.name.clone()), address))
            .message_id(Some(format!("<{}@cloudretail>", mail.event_id)))
            .subject(&mail.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(mail.body.clone())?;
        fs::create_dir_all(&self.folder).await?;
        let name = format!("{}-{}", mail.kind, mail.event_id);
        // Under another name first, so that nobody reads half a mail.
        let unfinished = self.folder.join(format!("{name}.new"));
        fs::write(&unfinished, message.formatted()).await?;
        fs::rename(&unfinished, self.folder.join(format!("{name}.eml"))).await?;
        Ok(())
    }
}
