//! All the SQL of accounts; see the folder beside it for sessions, addresses and mails.

mod addresses;
mod mails;
mod sessions;

use std::time::Duration;

use ::events::outbox;
use auth::Role;
use sqlx::FromRow;
use storage::directory::{self, Reservation};
use storage::{Cluster, Shard, WriteTx};
use types::{SessionId, Slot, UserId};

use crate::error::Error;
use crate::events;
use crate::user::{Email, User};

pub(crate) use mails::{DueMail, Outgoing, insert_mail, mark_sent, mark_unsent};

/// The kind of the directory's keys.
const EMAIL: &str = "email";

/// Longer than a registration can take from its reservation to its end.
const RESERVED_FOR: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) struct Store {
    cluster: Cluster<UserId>,
}

/// What a login is checked against.
#[derive(FromRow)]
pub(crate) struct Credentials {
    pub(crate) user_id: UserId,
    #[sqlx(try_from = "String")]
    pub(crate) role: Role,
    pub(crate) password_hash: String,
}

#[derive(FromRow)]
struct UserRow {
    user_id: UserId,
    email: Email,
    name: String,
    #[sqlx(try_from = "String")]
    role: Role,
    version: i64,
    created_at: jiff_sqlx::Timestamp,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            user_id: row.user_id,
            email: row.email,
            name: row.name,
            role: row.role,
            version: row.version,
            created_at: row.created_at.to_jiff(),
        }
    }
}

/// What to change of an account; `None` leaves it.
pub(crate) struct Changes {
    pub(crate) name: Option<String>,
    pub(crate) password: Option<NewPassword>,
    /// The session that goes on after the password has changed.
    pub(crate) session_id: Option<SessionId>,
}

pub(crate) struct NewPassword {
    pub(crate) hash: String,
    /// What the current password was checked against.
    pub(crate) current_hash: String,
}

impl Store {
    pub(crate) fn new(cluster: Cluster<UserId>) -> Self {
        Self { cluster }
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = Shard> + use<> {
        self.cluster.shards()
    }

    /// Makes the account; afterwards nobody else can have its e-mail.
    pub(crate) async fn create_user(
        &self,
        email: &Email,
        name: &str,
        role: Role,
        password_hash: &str,
    ) -> Result<User, Error> {
        let user_id = UserId::new(Slot::draw());
        let owner = user_id.uuid();
        let has_email = async |owner| self.has_email(owner, email).await;
        let (cluster, key) = (&self.cluster, email.as_str());
        let reservation =
            directory::reserve(cluster, EMAIL, key, owner, RESERVED_FOR, has_email).await?;
        if reservation != Reservation::Held {
            return Err(Error::EmailTaken);
        }
        let user = self
            .insert_user(user_id, email, name, role, password_hash)
            .await?;
        match directory::activate(cluster, EMAIL, key, owner).await {
            Ok(true) => {}
            Ok(false) => {
                self.erase_user(user_id).await?;
                return Err(Error::EmailTaken);
            }
            // The account is there, and whoever finds the reservation expired looks for it.
            Err(error) => tracing::warn!(%user_id, %error, "the e-mail stays reserved"),
        }
        Ok(user)
    }

    async fn has_email(&self, owner: uuid::Uuid, email: &Email) -> Result<bool, Error> {
        let Ok(user_id) = UserId::try_from(owner) else {
            return Ok(false);
        };
        Ok(self.find_credentials_of(user_id, email).await?.is_some())
    }

    async fn insert_user(
        &self,
        user_id: UserId,
        email: &Email,
        name: &str,
        role: Role,
        password_hash: &str,
    ) -> Result<User, Error> {
        let mut tx = self.cluster.begin(&user_id).await?;
        let user: UserRow = sqlx::query_as(
            "insert into users (slot, user_id, email, password_hash, name, role)
             values ($1, $2, $3, $4, $5, $6)
             returning user_id, email, name, role, version, created_at",
        )
        .bind(user_id.slot().to_db())
        .bind(user_id)
        .bind(email)
        .bind(password_hash)
        .bind(name)
        .bind(role.as_str())
        .fetch_one(&mut tx)
        .await?;
        outbox::append(&mut tx, &events::registered(user_id, user.version)).await?;
        tx.commit().await?;
        Ok(user.into())
    }

    /// From a replica that has what the caller wrote.
    pub(crate) async fn find_user(&self, user_id: UserId) -> Result<Option<User>, Error> {
        let mut snapshot = self.cluster.shard(&user_id).replica().await?;
        let user: Option<UserRow> = sqlx::query_as(
            "select user_id, email, name, role, version, created_at
             from users
             where slot = $1 and user_id = $2 and erased_at is null",
        )
        .bind(user_id.slot().to_db())
        .bind(user_id)
        .fetch_optional(&mut snapshot)
        .await?;
        Ok(user.map(User::from))
    }

    /// As the primaries know them, since a login follows a registration at once. An unknown e-mail
    /// costs as many queries as a known one.
    pub(crate) async fn find_credentials(
        &self,
        email: &Email,
    ) -> Result<Option<Credentials>, Error> {
        let owner = directory::find_newest(&self.cluster, EMAIL, email.as_str()).await?;
        let user_id = owner
            .and_then(|owner| UserId::try_from(owner).ok())
            .unwrap_or_else(|| UserId::new(Slot::draw()));
        self.find_credentials_of(user_id, email).await
    }

    async fn find_credentials_of(
        &self,
        user_id: UserId,
        email: &Email,
    ) -> Result<Option<Credentials>, Error> {
        let mut primary = self.cluster.shard(&user_id).primary_once().await?;
        // The e-mail is checked again: the directory may know an owner that never came to be.
        let credentials = sqlx::query_as(
            "select user_id, role, password_hash
             from users
             where slot = $1 and user_id = $2 and email = $3 and erased_at is null",
        )
        .bind(user_id.slot().to_db())
        .bind(user_id)
        .bind(email)
        .fetch_optional(&mut primary)
        .await?;
        Ok(credentials)
    }

    pub(crate) async fn find_password_hash(
        &self,
        user_id: UserId,
    ) -> Result<Option<String>, Error> {
        let mut primary = self.cluster.shard(&user_id).primary_once().await?;
        let hash = sqlx::query_scalar(
            "select password_hash
             from users
             where slot = $1 and user_id = $2 and erased_at is null",
        )
        .bind(user_id.slot().to_db())
        .bind(user_id)
        .fetch_optional(&mut primary)
        .await?;
        Ok(hash)
    }

    /// A new password ends every other session. `None`: the account is erased, or its password
    /// was changed meanwhile.
    pub(crate) async fn update_user(
        &self,
        user_id: UserId,
        changes: Changes,
    ) -> Result<Option<User>, Error> {
        let (hash, current_hash) = match changes.password {
            Some(password) => (Some(password.hash), Some(password.current_hash)),
            None => (None, None),
        };
        let mut tx = self.cluster.begin(&user_id).await?;
        let user: Option<UserRow> = sqlx::query_as(
            "update users
             set name = coalesce($3, name),
                 password_hash = coalesce($4, password_hash),
                 version = version + 1
             where slot = $1
                 and user_id = $2
                 and erased_at is null
                 and password_hash = coalesce($5, password_hash)
             returning user_id, email, name, role, version, created_at",
        )
        .bind(user_id.slot().to_db())
        .bind(user_id)
        .bind(changes.name)
        .bind(&hash)
        .bind(current_hash)
        .fetch_optional(&mut tx)
        .await?;
        let Some(user) = user else {
            tx.rollback().await;
            return Ok(None);
        };
        if hash.is_some() {
            sessions::revoke_all(&mut tx, user_id, changes.session_id).await?;
        }
        tx.commit().await?;
        Ok(Some(user.into()))
    }

    /// Erases personal data, ends every session and frees the e-mail. Again: nothing.
    pub(crate) async fn erase_user(&self, user_id: UserId) -> Result<(), Error> {
        let mut tx = self.cluster.begin(&user_id).await?;
        let erased: Option<(Email, i64)> = sqlx::query_as(
            "update users
             set email = null,
                 password_hash = null,
                 name = null,
                 erased_at = now(),
                 version = users.version + 1
             from (
                 select email
                 from users
                 where slot = $1 and user_id = $2 and erased_at is null
                 for update
             ) as before
             where users.slot = $1 and users.user_id = $2
             returning before.email, users.version",
        )
        .bind(user_id.slot().to_db())
        .bind(user_id)
        .fetch_optional(&mut tx)
        .await?;
        let Some((email, version)) = erased else {
            tx.rollback().await;
            return Ok(());
        };
        delete_personal_rows(&mut tx, user_id).await?;
        sessions::revoke_all(&mut tx, user_id, None).await?;
        outbox::append(&mut tx, &events::erased(user_id, version)).await?;
        tx.commit().await?;
        // Should this fail, the next who wants the e-mail finds that its owner has it no more.
        directory::remove(&self.cluster, EMAIL, email.as_str(), user_id.uuid()).await?;
        Ok(())
    }
}

async fn delete_personal_rows(tx: &mut WriteTx, user_id: UserId) -> Result<(), Error> {
    sqlx::query(
        "with unsent as (
             update mails
             set state = 'dropped'
             where slot = $1 and user_id = $2 and state = 'pending'
         )
         delete from addresses
         where slot = $1 and user_id = $2",
    )
    .bind(user_id.slot().to_db())
    .bind(user_id)
    .execute(tx)
    .await?;
    Ok(())
}
