//! The connections of an instance: one for each server and user, made when it is first needed, replaced when it is lost, closed
//! when nobody has used it for a while.

use crate::connection::{Connection, FirstSeen, Link};
use crate::settings::Config;
use crate::target::Login;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use zvfs_net::failure::Attempt;
use zvfs_net::policy::Policy;
use zvfs_runtime::{Dialler, Runtime, Task};

/// What stopping may take, less what ends the runtime: see `Instance` in the provider ABI.
const STOP: Duration = Duration::from_secs(4);

/// The connections, and the work that goes on when nobody waits for it.
pub struct Pool {
    config: Arc<Config>,
    runtime: Runtime,
    dialler: Dialler,
    first_seen: FirstSeen,
    slots: Mutex<HashMap<Login, Arc<Slot>>>,
    /// Held by whatever works in the background; gone when all of it is done.
    work: Mutex<Option<mpsc::Sender<()>>>,
    done: Mutex<Option<mpsc::Receiver<()>>>,
    sweeper: Mutex<Option<Task<()>>>,
}

/// Where the connection for one login is. Whoever connects holds the lock, and the others wait for it.
#[derive(Default)]
struct Slot(tokio::sync::Mutex<Held>);

#[derive(Default)]
struct Held {
    connection: Option<Arc<Connection>>,
    /// Nobody had it when it was last looked at.
    idle: bool,
}

impl Pool {
    /// A pool without connections yet.
    pub fn new(config: Config, policy: Policy, runtime: Runtime) -> Arc<Pool> {
        let (work, done) = mpsc::channel(1);
        let pool = Arc::new(Pool {
            config: Arc::new(config),
            dialler: Dialler::new(policy),
            first_seen: FirstSeen::default(),
            slots: Mutex::default(),
            work: Mutex::new(Some(work)),
            done: Mutex::new(Some(done)),
            sweeper: Mutex::new(None),
            runtime,
        });
        let sweeper = pool.runtime.spawn(sweep(Arc::downgrade(&pool), pool.config.idle_timeout));
        *pool.sweeper.lock() = Some(sweeper);
        pool
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the work is done.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// A session with a server, for one more file.
    ///
    /// # Errors
    /// As [`Connection::open`] and [`Connection::link`].
    pub async fn link(&self, login: &Login) -> Attempt<Link> {
        let slot = self.slots.lock().entry(login.clone()).or_default().clone();
        let mut held = slot.0.lock().await;
        held.idle = false;
        let known = held.connection.as_ref().filter(|connection| !connection.is_lost());
        let connection = match known {
            Some(connection) => connection.clone(),
            None => {
                held.connection = None;
                let opened = Connection::open(&self.config, &self.dialler, &self.first_seen, login).await?;
                held.connection.insert(Arc::new(opened)).clone()
            }
        };
        drop(held);
        connection.link().await
    }

    /// Does something that nobody waits for, but the instance's end.
    pub fn background(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Some(held) = self.work.lock().clone() else { return };
        self.runtime.handle().spawn(async move {
            work.await;
            drop(held);
        });
    }

    /// Waits for what is under way in the background, ends all connections and the runtime.
    pub fn stop(&self) {
        drop(self.work.lock().take());
        if let Some(mut done) = self.done.lock().take() {
            // What is not done by then is given up.
            let _ = self.runtime.handle().block_on(async { tokio::time::timeout(STOP, done.recv()).await });
        }
        self.slots.lock().clear();
        self.runtime.stop();
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.lock().values().cloned().collect()
    }
}

/// Closes connections that nobody has used since the last look.
async fn sweep(pool: Weak<Pool>, idle: Duration) {
    loop {
        tokio::time::sleep(idle).await;
        let Some(pool) = pool.upgrade() else { return };
        for slot in pool.slots() {
            // Somebody is connecting.
            let Ok(mut held) = slot.0.try_lock() else { continue };
            let unused = held.connection.as_ref().is_none_or(|connection| Arc::strong_count(connection) == 1);
            if unused && held.idle {
                held.connection = None;
            }
            held.idle = unused;
        }
        // A login that nobody waits for and that has no connection.
        pool.slots.lock().retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.0.try_lock().map_or(true, |held| held.connection.is_some())
        });
    }
}
