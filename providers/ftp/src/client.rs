//! An instance's way to servers: sessions, kept or begun anew.

mod asked;
mod pool;

use crate::client::asked::Asked;
use crate::client::pool::Pool;
use crate::session::Session;
use crate::settings::{Config, Security, Tuning};
use crate::target::Account;
use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use tokio::sync::RwLock;
use tokio::time::timeout;
use vfs_core::{Code, Result, Settings, written_duration};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::tls::Tls;
use zvfs_runtime::{Dialler, Runtime};

/// A session that was idle for no longer is taken without a word: it was well a moment ago.
const FRESH: Duration = Duration::from_secs(1);
/// What uploads may take to clear away what they leave, when the instance stops.
const STOP_MAX: Duration = Duration::from_secs(3);

/// An instance's way to servers.
pub struct Client {
    config: Config,
    runtime: Runtime,
    dialler: Dialler,
    tls: Tls,
    pool: Pool,
    /// What uploads know of times.
    asked: Asked,
    /// Read-locked by what has to be done before the instance ends.
    duties: Arc<RwLock<()>>,
}

impl Client {
    /// A client without sessions yet.
    ///
    /// # Errors
    /// EINVAL: a value that cannot be. ENOENT, EACCES: a file that cannot be read. EMFILE, EAGAIN: no threads.
    pub fn start(settings: &Settings) -> Result<Client> {
        let config = Config::new(settings)?;
        Ok(Client {
            runtime: Runtime::start(settings, "zvfs-ftp")?,
            dialler: Dialler::new(config.policy.clone()),
            tls: Tls::new(settings, &[])?,
            pool: Pool::new(config.sessions),
            config,
            asked: Asked::default(),
            duties: Arc::default(),
        })
    }

    /// What the operator set.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What uploads know of times.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Where everything runs.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Reads what sessions of this kind need of this machine's files, on the caller's thread.
    ///
    /// # Errors
    /// ENOENT: no authorities are known. EINVAL: the certificate and its key do not fit.
    pub fn prepare(&self, account: &Account) -> Result<()> {
        match account.security {
            Security::Off => Ok(()),
            Security::Explicit | Security::Implicit => self.tls.config().map(drop),
        }
    }

    /// A session for an account: one that was kept, or a new one.
    ///
    /// # Errors
    /// EACCES: the policy, or the server lets us not in. ENOENT, ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT, EPROTO: none can begin.
    pub async fn session(&self, account: &Account, tuning: &Tuning) -> Attempt<Session> {
        while let Some((mut session, idle)) = self.pool.take(account) {
            session.be_patient(tuning);
            if idle < FRESH || session.is_alive().await {
                return Ok(session);
            }
        }
        let limit = tuning.connect_timeout;
        timeout(limit, self.begin(account, tuning)).await.unwrap_or_else(|_| {
            Err(Failure::later(
                Code::ETIMEDOUT,
                format!("no session ({}) within {}", account.origin, written_duration(limit)),
            ))
        })
    }

    async fn begin(&self, account: &Account, tuning: &Tuning) -> Attempt<Session> {
        let tls = match account.security {
            Security::Off => None,
            Security::Explicit | Security::Implicit => {
                Some(self.tls.config().map_err(|error| Failure::new(error.code(), error.chain()))?)
            }
        };
        let stream = self.dialler.connect(&account.origin, tuning.connect_timeout).await?;
        Session::begin(stream, account, tls, tuning).await
    }

    /// Keeps a session for the next one, if it is well.
    pub async fn keep(&self, mut session: Session) {
        session.rest().await;
        self.pool.put(session);
    }

    /// Runs something that does not end with its caller. The instance gives it a while when it stops.
    pub fn spawn(&self, duty: impl Future<Output = ()> + Send + 'static) {
        // It can only fail while the instance stops: then nobody would wait for it.
        let Ok(held) = self.duties.clone().try_read_owned() else { return };
        self.runtime.handle().spawn(async move {
            duty.await;
            drop(held);
        });
    }

    /// Ends everything; what has to be done gets a while.
    pub fn stop(&self) {
        let (done, is_done) = channel();
        let duties = self.duties.clone();
        self.runtime.handle().spawn(async move {
            let _all = duties.write_owned().await;
            // Nobody may be waiting any more.
            let _ = done.send(());
        });
        let _ = is_done.recv_timeout(STOP_MAX);
        self.runtime.stop();
    }
}
