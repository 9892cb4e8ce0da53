use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::error::Error;
use crate::user::Password;

/// Hashes passwords with argon2id (RFC 9106), at most as many at once as there are cores.
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    cores: Arc<Semaphore>,
    /// The hash of a password that nobody knows.
    nobody: String,
}

impl Passwords {
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let params = Params::new(config.password_memory_kib, config.password_passes, 1, None)
            .map_err(|error| anyhow::anyhow!("--password-memory-kib: {error}"))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = argon2
            .hash_password(&rand::random::<[u8; 32]>())
            .map_err(|error| anyhow::anyhow!("--password-memory-kib: {error}"))?
            .to_string();
        let cores = available_parallelism().map_or(1, Into::into);
        Ok(Self {
            argon2,
            cores: Arc::new(Semaphore::new(cores)),
            nobody,
        })
    }

    /// A PHC string.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, Error> {
        let hashing =
            move |argon2: Argon2<'_>| Ok(argon2.hash_password(password.expose())?.to_string());
        self.on_a_core(hashing).await
    }

    /// Whether the password has this hash; without a hash `false`, after the same work.
    pub(crate) async fn verify(
        &self,
        password: Option<Password>,
        hash: Option<&str>,
    ) -> Result<bool, Error> {
        let is_known = hash.is_some() && password.is_some();
        let hash = hash.unwrap_or(&self.nobody).to_owned();
        let verifying = move |argon2: Argon2<'_>| {
            let shown = password.as_ref().map_or(&b""[..], Password::expose);
            Ok(argon2.verify_password(shown, hash.as_str()).is_ok())
        };
        Ok(self.on_a_core(verifying).await? && is_known)
    }

    async fn on_a_core<T: Send + 'static>(
        &self,
        work: impl FnOnce(Argon2<'static>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let argon2 = self.argon2.clone();
        // The permit goes along: a request that ends early leaves its work running. The semaphore
        // is never closed.
        let permit = Arc::clone(&self.cores).acquire_owned().await;
        let working = move || {
            let _permit = permit;
            work(argon2)
        };
        tokio::task::spawn_blocking(working).await?
    }
}
