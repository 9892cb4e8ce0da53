use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use argon2::password_hash::Error as HashError;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::oneshot;

use crate::config::Config;
use crate::error::Error;
use crate::user::Password;

const OUTPUT_BYTES: usize = 32;

type Job = Box<dyn FnOnce(&mut Hasher) + Send>;

/// Hashes passwords with argon2id (RFC 9106), on a thread of its own for each core.
pub(crate) struct Passwords {
    params: Params,
    jobs: mpsc::Sender<Job>,
    /// The hash of a password that nobody knows.
    nobody: String,
}

/// Keeps its memory: a new block for each hash would not fit where the last one was, because of
/// its alignment, and the process would grow.
#[derive(Default)]
struct Hasher {
    memory: Vec<Block>,
}

impl Hasher {
    fn hash(
        &mut self,
        params: &Params,
        password: &[u8],
        salt: Salt,
    ) -> Result<PasswordHash, HashError> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
        self.memory.resize(params.block_count(), Block::default());
        let mut output = [0; OUTPUT_BYTES];
        argon2.hash_password_into_with_memory(password, &salt, &mut output, &mut self.memory)?;
        Ok(PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(params)?,
            salt: Some(salt),
            hash: Some(Output::new(&output)?),
        })
    }

    fn verify(&mut self, password: &[u8], hash: &str) -> Result<bool, HashError> {
        let stored = PasswordHash::new(hash)?;
        let salt = stored.salt.ok_or(HashError::SaltInvalid)?;
        let shown = self.hash(&Params::try_from(&stored)?, password, salt)?;
        // In constant time, as `Output` compares.
        Ok(shown.hash == stored.hash)
    }
}

impl Passwords {
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let invalid = |error| anyhow::anyhow!("--password-memory-kib: {error}");
        let params = Params::new(config.password_memory_kib, config.password_passes, 1, None)
            .map_err(|error| invalid(error.into()))?;
        let unknown = rand::random::<[u8; 32]>();
        let nobody = Hasher::default().hash(&params, &unknown, new_salt()?);
        Ok(Self {
            params,
            jobs: start_threads()?,
            nobody: nobody.map_err(invalid)?.to_string(),
        })
    }

    /// A PHC string.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, Error> {
        let (params, salt) = (self.params.clone(), new_salt()?);
        let hashing = move |hasher: &mut Hasher| hasher.hash(&params, password.expose(), salt);
        Ok(self.on_a_core(hashing).await?.to_string())
    }

    /// Whether the password has this hash; without a hash `false`, after the same work.
    pub(crate) async fn verify(
        &self,
        password: Option<Password>,
        hash: Option<&str>,
    ) -> Result<bool, Error> {
        let is_known = hash.is_some() && password.is_some();
        let hash = hash.unwrap_or(&self.nobody).to_owned();
        let verifying = move |hasher: &mut Hasher| {
            let shown = password.as_ref().map_or(&b""[..], Password::expose);
            hasher.verify(shown, &hash)
        };
        Ok(self.on_a_core(verifying).await? && is_known)
    }

    async fn on_a_core<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Hasher) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, Error> {
        let (tell, told) = oneshot::channel();
        let job: Job = Box::new(move |hasher| {
            if !tell.is_closed() {
                // Whoever asked may go at any time.
                let _ = tell.send(work(hasher));
            }
        });
        self.jobs.send(job).map_err(|_| Error::Interrupted)?;
        Ok(told.await.map_err(|_| Error::Interrupted)??)
    }
}

fn new_salt() -> Result<Salt, HashError> {
    Ok(Salt::new(&rand::random::<[u8; 16]>())?)
}

/// They end when the sender is dropped.
fn start_threads() -> std::io::Result<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
        let jobs = Arc::clone(&jobs);
        thread::Builder::new()
            .name("password".to_owned())
            .spawn(move || {
                let mut hasher = Hasher::default();
                loop {
                    let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = next else { break };
                    job(&mut hasher);
                }
            })?;
    }
    Ok(sender)
}
