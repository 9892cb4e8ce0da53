use std::time::Duration;

use auth::{Claims, Role, Signer};
use jiff::{SignedDuration, Timestamp};
use types::{SessionId, UserId};

use crate::config::Config;
use crate::error::Error;
use crate::passwords::Passwords;
use crate::session::RefreshToken;
use crate::store::{Changes, NewPassword, Store};
use crate::user::{Email, NewUser, Password, User};

/// From a password to an account, a session and its tokens.
pub(crate) struct Accounts {
    store: Store,
    passwords: Passwords,
    signer: Signer,
    access_token_seconds: u32,
    session_lifetime: Duration,
}

/// What a session is used with.
pub(crate) struct Tokens {
    pub(crate) access_token: String,
    pub(crate) refresh_token: RefreshToken,
    pub(crate) expires_in_seconds: u32,
    pub(crate) user_id: UserId,
}

/// A wish to change one's account, as far as it can be checked without the account.
pub(crate) struct Wish {
    pub(crate) name: Option<String>,
    pub(crate) password: Option<Password>,
    pub(crate) current_password: Option<Password>,
}

impl Accounts {
    pub(crate) fn new(config: &Config, store: Store) -> anyhow::Result<Self> {
        let signer = Signer::from_jwk_file(&config.signing_keys)
            .map_err(|error| anyhow::anyhow!("--signing-keys: {error}"))?;
        Ok(Self {
            store,
            passwords: Passwords::new(config)?,
            signer,
            access_token_seconds: config.access_token_seconds,
            session_lifetime: config.session_lifetime(),
        })
    }

    pub(crate) fn jwks(&self) -> Result<String, Error> {
        Ok(self.signer.jwks()?)
    }

    pub(crate) async fn register(&self, new: NewUser, role: Role) -> Result<User, Error> {
        let hash = self.passwords.hash(new.password).await?;
        self.store
            .create_user(&new.email, &new.name, role, &hash)
            .await
    }

    /// Takes as long for an unknown e-mail as for a wrong password.
    pub(crate) async fn login(&self, email: &str, password: &str) -> Result<Tokens, Error> {
        let credentials = match Email::parse(email) {
            Ok(email) => self.store.find_credentials(&email).await?,
            Err(_) => None,
        };
        let hash = credentials
            .as_ref()
            .map(|known| known.password_hash.as_str());
        let fits = self
            .passwords
            .verify(Password::attempt(password), hash)
            .await?;
        let credentials = credentials
            .filter(|_| fits)
            .ok_or(Error::WrongCredentials)?;
        let token = self
            .store
            .create_session(&credentials, self.session_lifetime)
            .await?
            .ok_or(Error::WrongCredentials)?;
        self.tokens(credentials.user_id, credentials.role, token)
    }

    pub(crate) async fn refresh(&self, token: &str) -> Result<Tokens, Error> {
        let token = RefreshToken::parse(token).ok_or(Error::RefreshRefused)?;
        let rotation = self
            .store
            .rotate(&token, self.session_lifetime)
            .await?
            .ok_or(Error::RefreshRefused)?;
        self.tokens(rotation.user_id, rotation.role, rotation.token)
    }

    /// `session_id` is the one that goes on after a change of the password.
    pub(crate) async fn update(
        &self,
        user_id: UserId,
        session_id: Option<SessionId>,
        wish: Wish,
    ) -> Result<User, Error> {
        let password = match wish.password {
            Some(password) => {
                let current = wish.current_password;
                Some(self.new_password(user_id, password, current).await?)
            }
            None => None,
        };
        let changes = Changes {
            name: wish.name,
            password,
            session_id,
        };
        self.store
            .update_user(user_id, changes)
            .await?
            .ok_or(Error::NotFound("user"))
    }

    async fn new_password(
        &self,
        user_id: UserId,
        password: Password,
        current: Option<Password>,
    ) -> Result<NewPassword, Error> {
        let refuse = |code, detail| Err(Error::invalid("currentPassword", code, detail));
        let Some(current) = current else {
            return refuse("required", "the current password is needed to change it");
        };
        let current_hash = self
            .store
            .find_password_hash(user_id)
            .await?
            .ok_or(Error::NotFound("user"))?;
        if !self
            .passwords
            .verify(Some(current), Some(&current_hash))
            .await?
        {
            return refuse("wrong", "it is not the current password");
        }
        let hash = self.passwords.hash(password).await?;
        Ok(NewPassword { hash, current_hash })
    }

    fn tokens(&self, user_id: UserId, role: Role, token: RefreshToken) -> Result<Tokens, Error> {
        let issued_at = Timestamp::now();
        let lifetime = SignedDuration::from_secs(self.access_token_seconds.into());
        let claims = Claims {
            user_id,
            session_id: token.session_id,
            role,
            issued_at,
            expires_at: issued_at + lifetime,
        };
        Ok(Tokens {
            access_token: self.signer.sign(&claims)?,
            refresh_token: token,
            expires_in_seconds: self.access_token_seconds,
            user_id,
        })
    }
}
