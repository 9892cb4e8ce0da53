use std::time::Duration;

use ::events::outbox::{self, Entry};
use auth::Role;
use sqlx::FromRow;
use storage::WriteTx;
use types::{SessionId, UserId};

use super::{Credentials, Store};
use crate::error::Error;
use crate::events;
use crate::session::{RefreshToken, Shown, UseBefore, Verdict, judge};

/// A session that goes on.
pub(crate) struct Rotation {
    pub(crate) user_id: UserId,
    pub(crate) role: Role,
    pub(crate) token: RefreshToken,
}

#[derive(FromRow)]
struct ShownRow {
    user_id: UserId,
    #[sqlx(try_from = "String")]
    role: Role,
    generation: i32,
    is_over: bool,
    is_used: bool,
    is_used_just_now: bool,
}

impl ShownRow {
    fn shown(&self) -> Shown {
        let use_before = match (self.is_used, self.is_used_just_now) {
            (false, _) => UseBefore::Never,
            (true, true) => UseBefore::JustNow,
            (true, false) => UseBefore::Earlier,
        };
        Shown {
            is_over: self.is_over,
            use_before,
        }
    }
}

impl Store {
    /// Starts a session with its first refresh token. `None`: the account is erased, or its
    /// password was changed since it was checked.
    pub(crate) async fn create_session(
        &self,
        credentials: &Credentials,
        lifetime: Duration,
    ) -> Result<Option<RefreshToken>, Error> {
        let user_id = credentials.user_id;
        let token = RefreshToken::new(SessionId::new(user_id.slot()));
        let mut tx = self.cluster.begin(&user_id).await?;
        // The share lock keeps the account from being erased before the session can be seen.
        let created = sqlx::query(
            "with session as (
                 insert into sessions (slot, session_id, user_id, expires_at)
                 select slot, $3, user_id, now() + make_interval(secs => $4)
                 from users
                 where slot = $1
                     and user_id = $2
                     and erased_at is null
                     and password_hash = $5
                 for share
                 returning slot, session_id
             )
             insert into refresh_tokens (slot, session_id, generation, secret_hash)
             select slot, session_id, 1, $6
             from session",
        )
        .bind(user_id.slot().to_db())
        .bind(user_id)
        .bind(token.session_id)
        .bind(lifetime.as_secs_f64())
        .bind(&credentials.password_hash)
        .bind(token.secret_hash())
        .execute(&mut tx)
        .await?;
        if created.rows_affected() == 0 {
            tx.rollback().await;
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(token))
    }

    /// Puts a new refresh token in the place of the one shown; `None` when it is not good.
    pub(crate) async fn rotate(
        &self,
        token: &RefreshToken,
        lifetime: Duration,
    ) -> Result<Option<Rotation>, Error> {
        let mut tx = self.cluster.begin(&token.session_id).await?;
        let row = find_shown(&mut tx, token).await?;
        let verdict = row
            .as_ref()
            .map_or(Verdict::Refuse, |row| judge(row.shown()));
        match (verdict, row) {
            (Verdict::Rotate, Some(row)) => {
                let next = RefreshToken::new(token.session_id);
                replace(&mut tx, &next, row.generation, lifetime).await?;
                tx.commit().await?;
                Ok(Some(Rotation {
                    user_id: row.user_id,
                    role: row.role,
                    token: next,
                }))
            }
            (Verdict::Revoke, _) => {
                revoke(&mut tx, token.session_id).await?;
                tx.commit().await?;
                tracing::warn!(session_id = %token.session_id, "a refresh token was used twice");
                Ok(None)
            }
            _ => {
                tx.rollback().await;
                Ok(None)
            }
        }
    }

    /// Ends a session. Again: nothing.
    pub(crate) async fn revoke_session(&self, session_id: SessionId) -> Result<(), Error> {
        let mut tx = self.cluster.begin(&session_id).await?;
        revoke(&mut tx, session_id).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Locks the token too: of two who show it at once, the second must see that it is used.
async fn find_shown(tx: &mut WriteTx, token: &RefreshToken) -> Result<Option<ShownRow>, Error> {
    let row = sqlx::query_as(
        "select
             sessions.user_id,
             users.role,
             token.generation,
             sessions.revoked_at is not null
                 or sessions.expires_at <= now()
                 or users.erased_at is not null as is_over,
             token.used_at is not null as is_used,
             coalesce(token.used_at > now() - interval '10 seconds', false) as is_used_just_now
         from sessions
         join users using (slot, user_id)
         join refresh_tokens as token using (slot, session_id)
         where slot = $1 and session_id = $2 and token.secret_hash = $3
         for update of sessions, token",
    )
    .bind(token.session_id.slot().to_db())
    .bind(token.session_id)
    .bind(token.secret_hash())
    .fetch_optional(tx)
    .await?;
    Ok(row)
}

async fn replace(
    tx: &mut WriteTx,
    next: &RefreshToken,
    generation: i32,
    lifetime: Duration,
) -> Result<(), Error> {
    sqlx::query(
        "with used as (
             update refresh_tokens
             set used_at = now()
             where slot = $1 and session_id = $2 and generation = $3
         ), prolonged as (
             update sessions
             set expires_at = now() + make_interval(secs => $4)
             where slot = $1 and session_id = $2
         )
         insert into refresh_tokens (slot, session_id, generation, secret_hash)
         values ($1, $2, $3 + 1, $5)",
    )
    .bind(next.session_id.slot().to_db())
    .bind(next.session_id)
    .bind(generation)
    .bind(lifetime.as_secs_f64())
    .bind(next.secret_hash())
    .execute(tx)
    .await?;
    Ok(())
}

async fn revoke(tx: &mut WriteTx, session_id: SessionId) -> Result<(), Error> {
    let revoked: Option<(UserId, jiff_sqlx::Timestamp)> = sqlx::query_as(
        "update sessions
         set revoked_at = now()
         where slot = $1 and session_id = $2 and revoked_at is null
         returning user_id, revoked_at",
    )
    .bind(session_id.slot().to_db())
    .bind(session_id)
    .fetch_optional(&mut *tx)
    .await?;
    if let Some((user_id, revoked_at)) = revoked {
        let revoked = events::session_revoked(session_id, user_id, revoked_at.to_jiff());
        outbox::append(tx, &revoked).await?;
    }
    Ok(())
}

/// Ends every session of the user but one.
pub(super) async fn revoke_all(
    tx: &mut WriteTx,
    user_id: UserId,
    except: Option<SessionId>,
) -> Result<(), Error> {
    let revoked: Vec<(SessionId, jiff_sqlx::Timestamp)> = sqlx::query_as(
        "update sessions
         set revoked_at = now()
         where slot = $1
             and user_id = $2
             and revoked_at is null
             and session_id is distinct from $3
         returning session_id, revoked_at",
    )
    .bind(user_id.slot().to_db())
    .bind(user_id)
    .bind(except)
    .fetch_all(&mut *tx)
    .await?;
    let entries: Vec<_> = revoked
        .into_iter()
        .map(|(session_id, at)| events::session_revoked(session_id, user_id, at.to_jiff()))
        .map(|revoked| Entry::new(&revoked))
        .collect();
    outbox::append_all(tx, &entries).await?;
    Ok(())
}
