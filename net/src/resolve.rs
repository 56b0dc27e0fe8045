//! Names to addresses. The system's resolver cannot be interrupted, so it runs aside on a thread of its own, which is left
//! behind when the caller stops waiting.

use crate::failure::{Attempt, Failure, no_thread};
use crate::waiting::Waiting;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::fs::File;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use vfs_core::{Code, Events};

/// Look-ups at once, those that nobody waits for any more among them.
const LOOKUPS_MAX: usize = 32;

/// The resolver of an instance.
#[derive(Debug, Default)]
pub struct Resolver {
    running: Arc<AtomicUsize>,
}

struct Lookup {
    found: OnceLock<Attempt<Vec<SocketAddr>>>,
    done: OwnedFd,
}

impl Resolver {
    /// Looks a host up and waits for that; an address is its own answer.
    ///
    /// # Errors
    /// ENOENT: there is no such name. EHOSTUNREACH: it could not be looked up, now. EPERM: this process may not look names up.
    /// EBUSY: too many look-ups hang already.
    pub fn addresses(&self, host: &str, port: u16, waiting: Waiting<'_>) -> Attempt<Vec<SocketAddr>> {
        match host.parse() {
            Ok(address) => Ok(vec![SocketAddr::new(address, port)]),
            Err(_) => self.wait_for(host, waiting, by_system(host.to_owned(), port)),
        }
    }

    /// Looks a host up; what comes of it is passed on from the resolver's thread, with the errors of
    /// [`addresses`](Resolver::addresses).
    ///
    /// # Errors
    /// EBUSY: too many look-ups hang already, or there is no thread.
    pub fn look_up(
        &self,
        host: &str,
        port: u16,
        pass_on: impl FnOnce(Attempt<Vec<SocketAddr>>) + Send + 'static,
    ) -> Attempt<()> {
        self.start(host, by_system(host.to_owned(), port), pass_on)
    }

    fn wait_for(
        &self,
        host: &str,
        waiting: Waiting<'_>,
        resolve: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> Attempt<Vec<SocketAddr>> {
        let done = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| Failure::system(errno).context("look up a name"))?;
        let lookup = Arc::new(Lookup { found: OnceLock::new(), done });
        let theirs = lookup.clone();
        self.start(host, resolve, move |found| {
            let _ = theirs.found.set(found);
            // Nobody may be waiting any more.
            let _ = rustix::io::write(&theirs.done, &1_u64.to_ne_bytes());
        })?;
        waiting.for_what("answer of the resolver").ready(&lookup.done, Events::READ)?;
        lookup.found.get().cloned().unwrap_or_else(|| Err(no_address(host)))
    }

    fn start(
        &self,
        host: &str,
        resolve: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
        pass_on: impl FnOnce(Attempt<Vec<SocketAddr>>) + Send + 'static,
    ) -> Attempt<()> {
        if self.running.fetch_add(1, Ordering::Relaxed) >= LOOKUPS_MAX {
            self.running.fetch_sub(1, Ordering::Relaxed);
            let text =
                format!("look up {host}: {LOOKUPS_MAX} look-ups are waiting for the system's resolver");
            return Err(Failure::later(Code::EBUSY, text));
        }
        let (running, name) = (Leave(self.running.clone()), host.to_owned());
        let started = thread::Builder::new().name("zvfs-resolve".to_owned()).spawn(move || {
            let _running = running;
            pass_on(match resolve() {
                Ok(addresses) if !addresses.is_empty() => Ok(addresses),
                Ok(_) => Err(no_address(&name)),
                Err(error) => Err(meaning(&name, &error)),
            });
        });
        started.map(drop).map_err(|error| no_thread(&format!("look up {host}"), &error))
    }
}

fn by_system(host: String, port: u16) -> impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send {
    move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect)
}

fn no_address(host: &str) -> Failure {
    Failure::new(Code::ENOENT, format!("{host} has no address"))
}

/// Counts a look-up off, also if it panics.
struct Leave(Arc<AtomicUsize>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The resolver's word. std gives no number, only the C library's text.
fn meaning(host: &str, error: &io::Error) -> Failure {
    let text = error.to_string();
    if error.raw_os_error().is_none() && !text.contains("Temporary failure") {
        return Failure::new(Code::ENOENT, format!("no such host as {host}"));
    }
    match refused() {
        Some(what) => Failure::new(Code::EPERM, format!("{host} could not be looked up: {what}")),
        None => Failure::later(Code::EHOSTUNREACH, format!("{host} could not be looked up")),
    }
}

/// What this process may not do that a look-up needs. The C library's own word is that it failed for now.
fn refused() -> Option<&'static str> {
    let udp = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    if matches!(udp, Err(Errno::PERM | Errno::ACCESS)) {
        return Some("UDP may not be used");
    }
    let servers = File::open("/etc/resolv.conf");
    let closed = servers.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    closed.then_some("/etc/resolv.conf may not be read")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;
    use std::time::Duration;
    use vfs_core::Control;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn an_address_needs_no_resolver() {
        let (resolver, context) = (Resolver::default(), Control::new().context());
        let waiting = Waiting::until(&context, LONG, "answer");
        assert_eq!(resolver.addresses("::1", 7, waiting).unwrap(), ["[::1]:7".parse().unwrap()]);
        assert_eq!(resolver.addresses("127.0.0.1", 7, waiting).unwrap(), ["127.0.0.1:7".parse().unwrap()]);
    }

    #[test]
    fn a_resolver_that_hangs_is_left_behind_and_counted() {
        let (resolver, control) = (Resolver::default(), Control::new());
        let context = control.context();
        let (release, hang) = channel::<()>();
        let hang = Arc::new(Mutex::new(hang));
        control.set_deadline(Some(std::time::Instant::now() + Duration::from_millis(20)));
        for _ in 0..LOOKUPS_MAX {
            let hang = hang.clone();
            let stuck = move || {
                let _ = hang.lock().unwrap().recv();
                Ok(Vec::new())
            };
            let failure =
                resolver.wait_for("h", Waiting::until(&context, LONG, "answer"), stuck).unwrap_err();
            assert_eq!(failure.code, Code::ETIMEDOUT, "{failure:?}");
        }
        let failure = resolver.wait_for("h", Waiting::until(&context, LONG, "answer"), || Ok(Vec::new()));
        assert_eq!(failure.unwrap_err().code, Code::EBUSY);
        drop(release);
        while resolver.running.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn a_name_that_cannot_be_is_enoent() {
        let (resolver, context) = (Resolver::default(), Control::new().context());
        let waiting = Waiting::until(&context, LONG, "answer");
        let failure = resolver.wait_for("h", waiting, || Err(io::Error::other("Name or service not known")));
        assert_eq!(failure.unwrap_err().code, Code::ENOENT);
        let failure =
            resolver.wait_for("h", waiting, || Err(io::Error::other("Temporary failure in name resolution")));
        assert_eq!(failure.unwrap_err().code, Code::EHOSTUNREACH);
    }
}
