use std::time::Duration;

use sqlx::FromRow;
use storage::{Shard, WriteTx};
use types::{EventId, Slot, UserId};

use super::Store;
use crate::error::Error;
use crate::mail::Mail;
use crate::user::Email;

/// A mail that waits, found without a lock.
#[derive(FromRow)]
pub(crate) struct DueMail {
    slot: i16,
    event_id: EventId,
}

/// A mail and whom it is for, locked in a transaction.
#[derive(FromRow)]
pub(crate) struct Outgoing {
    pub(crate) event_id: EventId,
    pub(crate) kind: String,
    pub(crate) subject: String,
    pub(crate) body: String,
    pub(crate) attempts: i32,
    pub(crate) email: Email,
    pub(crate) name: String,
}

/// Writes the mail in the transaction that notes the event.
pub(crate) async fn insert_mail(
    tx: &mut WriteTx,
    event_id: EventId,
    user_id: UserId,
    mail: &Mail,
) -> Result<(), storage::Error> {
    // Nobody is written to whose account is erased, or unknown here. An event that is delivered
    // twice is told once even when the inbox is switched off.
    sqlx::query(
        "insert into mails (slot, event_id, user_id, kind, subject, body)
         select slot, $3, user_id, $4, $5, $6
         from users
         where slot = $1 and user_id = $2 and erased_at is null
         on conflict (slot, event_id) do nothing",
    )
    .bind(tx.slot().to_db())
    .bind(user_id)
    .bind(event_id)
    .bind(mail.kind)
    .bind(&mail.subject)
    .bind(&mail.body)
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    pub(crate) async fn list_due_mails(&self, shard: &Shard) -> Result<Vec<DueMail>, Error> {
        let mails = sqlx::query_as(
            "select slot, event_id
             from mails
             where state = 'pending' and due_at <= now() and slot = any($1)
             order by due_at
             limit 100",
        )
        .bind(shard.owned_slots())
        .fetch_all(&mut shard.primary_once().await?)
        .await?;
        Ok(mails)
    }

    /// Locks the mail for sending. `None`: somebody else has it, it is sent, or its account is erased.
    pub(crate) async fn take_mail(
        &self,
        due: &DueMail,
    ) -> Result<Option<(WriteTx, Outgoing)>, Error> {
        let Some(slot) = Slot::from_db(due.slot) else {
            return Ok(None);
        };
        let mut tx = self.cluster.begin_in(slot).await?;
        let mail = sqlx::query_as(
            "select
                 mails.event_id,
                 mails.kind,
                 mails.subject,
                 mails.body,
                 mails.attempts,
                 users.email,
                 users.name
             from mails
             join users using (slot, user_id)
             where slot = $1
                 and mails.event_id = $2
                 and mails.state = 'pending'
                 and users.erased_at is null
             for update of mails skip locked",
        )
        .bind(due.slot)
        .bind(due.event_id)
        .fetch_optional(&mut tx)
        .await?;
        match mail {
            Some(mail) => Ok(Some((tx, mail))),
            None => {
                tx.rollback().await;
                Ok(None)
            }
        }
    }
}

pub(crate) async fn mark_sent(mut tx: WriteTx, event_id: EventId) -> Result<(), Error> {
    sqlx::query(
        "update mails
         set state = 'sent', attempts = attempts + 1, sent_at = now()
         where slot = $1 and event_id = $2",
    )
    .bind(tx.slot().to_db())
    .bind(event_id)
    .execute(&mut tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// `retry_after`: `None` gives the mail up.
pub(crate) async fn mark_unsent(
    mut tx: WriteTx,
    event_id: EventId,
    retry_after: Option<Duration>,
) -> Result<(), Error> {
    sqlx::query(
        "update mails
         set attempts = attempts + 1,
             state = case when $3::float8 is null then 'failed' else state end,
             due_at = now() + make_interval(secs => coalesce($3, 0))
         where slot = $1 and event_id = $2",
    )
    .bind(tx.slot().to_db())
    .bind(event_id)
    .bind(retry_after.map(|wait| wait.as_secs_f64()))
    .execute(&mut tx)
    .await?;
    tx.commit().await?;
    Ok(())
}
