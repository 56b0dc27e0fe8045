//! Peers say on the local network where they are. That proves nothing: who answers there must have the key.

use iroh::PublicKey;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;
use vfs_core::{Code, Host, Level};
use zvfs_discovery::{Announcement, Found, PATIENCE, Service, find, in_turn};
use zvfs_net::failure::{Attempt, Failure};

/// The length of a key in an announcement's name, in z-base-32: digits of base 16 are more than a name may have.
const DIGITS: usize = 52;

/// What the local network is asked, and what it has answered.
pub struct Discovery {
    sought: watch::Sender<BTreeSet<PublicKey>>,
    heard: watch::Sender<Heard>,
}

/// What was answered.
#[derive(Default)]
pub struct Heard {
    /// The last that was heard of each.
    addresses: HashMap<PublicKey, Vec<SocketAddr>>,
    /// Why nobody could be asked, the last time.
    trouble: Option<String>,
}

impl Discovery {
    /// Nobody is looked for yet.
    pub fn new() -> Discovery {
        Discovery { sought: watch::Sender::default(), heard: watch::Sender::default() }
    }

    /// Has a peer looked for until the result is dropped.
    pub fn seek(&self, key: PublicKey) -> Sought<'_> {
        self.sought.send_modify(|sought| {
            sought.insert(key);
        });
        Sought { discovery: self, key }
    }

    /// Where a peer said that it is.
    pub fn addresses(&self, key: PublicKey) -> Vec<SocketAddr> {
        self.heard.borrow().addresses.get(&key).cloned().unwrap_or_default()
    }

    /// Why it is not known where a peer is.
    pub fn trouble(&self) -> String {
        let trouble = self.heard.borrow().trouble.clone();
        trouble.unwrap_or_else(|| "it has not announced itself on the local network yet".to_owned())
    }

    /// Changes with each answer.
    pub fn watch(&self) -> watch::Receiver<Heard> {
        self.heard.subscribe()
    }

    /// Asks the local network again and again, as long as somebody is looked for.
    pub async fn ask(&self) {
        let mut sought = self.sought.subscribe();
        // The sender is here.
        while sought.wait_for(|sought| !sought.is_empty()).await.is_ok() {
            let round = sleep(PATIENCE);
            let wanted = self.sought.borrow().clone();
            let found = apart(move || {
                find(Service::Peer, |name| key_of(name).is_some_and(|key| wanted.contains(&key)))
            })
            .await;
            self.heard.send_modify(|heard| heard.take(found));
            round.await;
        }
    }
}

impl Heard {
    fn take(&mut self, found: io::Result<Vec<Found>>) {
        self.trouble = found.as_ref().err().map(ToString::to_string);
        let mut by_key: HashMap<PublicKey, Vec<Found>> = HashMap::new();
        for found in found.into_iter().flatten() {
            if let Some(key) = key_of(&found.name) {
                by_key.entry(key).or_default().push(found);
            }
        }
        self.addresses.extend(by_key.into_iter().map(|(key, found)| (key, in_turn(&found))));
    }
}

/// A peer is looked for, until this is dropped.
pub struct Sought<'a> {
    discovery: &'a Discovery,
    key: PublicKey,
}

impl Drop for Sought<'_> {
    fn drop(&mut self) {
        self.discovery.sought.send_modify(|sought| {
            sought.remove(&self.key);
        });
    }
}

/// This side's announcements, until this is dropped.
pub struct Announced {
    announcements: Vec<Announcement>,
    /// Their threads may outlive them for a moment, and the host must not hear of them then.
    host: Arc<Mutex<Option<Host>>>,
}

impl Announced {
    /// Announces a key at those of its sockets that other machines reach.
    ///
    /// # Errors
    /// The system gives no thread or socket.
    pub fn new(key: PublicKey, sockets: &[SocketAddr], host: &Host) -> Attempt<Announced> {
        let host = Arc::new(Mutex::new(Some(host.clone())));
        let others_reach = sockets.iter().filter(|at| !at.ip().is_loopback());
        let announcements = others_reach.map(|at| {
            let lines = host.clone();
            let log = move |line: &str| {
                if let Some(host) = &*lines.lock() {
                    host.log(Level::Info, &format!("p2p: {line}"));
                }
            };
            Announcement::new(Service::Peer, &name_of(key, *at), *at, log)
        });
        let announcements = announcements.collect::<io::Result<_>>().map_err(|error| {
            let code = error.raw_os_error().map_or(Code::EIO, |number| Code::from_raw(number.into()));
            Failure::new(code, error.to_string())
        })?;
        Ok(Announced { announcements, host })
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.announcements.clear();
        self.host.lock().take();
    }
}

/// What a key is announced as. The sockets of a side have a name each, for one name has one port.
fn name_of(key: PublicKey, at: SocketAddr) -> String {
    format!("{}{}", key.to_z32(), if at.is_ipv6() { "-6" } else { "" })
}

/// Whose name it is. What follows the key says nothing: whose name is taken is given another ending.
fn key_of(name: &str) -> Option<PublicKey> {
    PublicKey::from_z32(&name.get(..DIGITS)?.to_ascii_lowercase()).ok()
}

/// Makes a call that takes its time on a thread of its own, which nobody waits for when the instance stops.
async fn apart<T: Send + 'static>(call: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let (done, result) = oneshot::channel();
    // Nobody may be waiting any more.
    thread::Builder::new().name("zvfs-discover".to_owned()).spawn(move || drop(done.send(call())))?;
    result.await.unwrap_or_else(|_| Err(io::Error::other("the search broke off")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use iroh::SecretKey;

    fn found(name: String, addresses: &[&str]) -> Found {
        Found { name, addresses: addresses.iter().map(|at| at.parse().unwrap()).collect() }
    }

    #[test]
    fn an_announcements_name_is_a_key_whatever_follows_it() {
        let key = SecretKey::from_bytes(&[1; 32]).public();
        for at in ["10.0.0.1:7", "[2001:db8::1]:7"] {
            let name = name_of(key, at.parse().unwrap());
            for name in [name.clone(), format!("{name} (2)"), name.to_ascii_uppercase()] {
                assert_eq!(key_of(&name), Some(key), "{name}");
                assert!(name.len() <= 63, "{name}");
            }
        }
        assert_eq!((key_of("broker"), key_of(&"ä".repeat(26)), key_of(&"0".repeat(52))), (None, None, None));
    }

    /// Whoever announces a peer's key besides that peer.
    #[test]
    fn each_address_that_is_claimed_for_a_key_is_one_to_try_and_an_old_one_is_kept_until_there_is_a_new_one()
    {
        let [key, other] = [1, 2].map(|seed| SecretKey::from_bytes(&[seed; 32]).public());
        let discovery = Discovery::new();
        let take = |found| discovery.heard.send_modify(|heard| heard.take(found));
        take(Ok(vec![
            found(key.to_z32(), &["10.0.0.9:1", "10.0.0.9:2"]),
            found(format!("{} (2)", key.to_z32()), &["10.0.0.1:7070"]),
        ]));
        let listed: Vec<String> = discovery.addresses(key).iter().map(ToString::to_string).collect();
        assert_eq!(listed, ["10.0.0.9:1", "10.0.0.1:7070", "10.0.0.9:2"]);
        take(Err(io::Error::other("no network is up")));
        assert_eq!((discovery.addresses(key).len(), discovery.trouble().as_str()), (3, "no network is up"));
        take(Ok(vec![found(key.to_z32(), &["10.0.0.2:7070"])]));
        assert_eq!(discovery.addresses(key), ["10.0.0.2:7070".parse().unwrap()]);
        assert!(
            discovery.addresses(other).is_empty() && discovery.trouble().contains("not announced itself")
        );
    }
}
