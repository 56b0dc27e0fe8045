//! Connections that the operator's policy allows, for libraries that take a connected stream.

use rustix::io::Errno;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use vfs_core::Code;
use zvfs_net::dial::{HEAD_START, in_turn, refused};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_net::origin::Origin;
use zvfs_net::policy::Policy;
use zvfs_net::resolve::Resolver;
use zvfs_net::socket;

/// Makes connections. Clones share the resolver.
#[derive(Clone, Debug)]
pub struct Dialler(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    policy: Policy,
    resolver: Resolver,
}

impl Dialler {
    /// A dialler that keeps to a policy.
    pub fn new(policy: Policy) -> Dialler {
        Dialler(Arc::new(Inner { policy, resolver: Resolver::default() }))
    }

    /// Looks a server up and connects to the first of its allowed addresses that answers (RFC 8305), all of it within `limit`.
    ///
    /// # Errors
    /// EACCES: the policy allows no such host or address. ENOENT: there is no such name. ECONNREFUSED, EHOSTUNREACH, ...: the last
    /// address's failure, if none answers. ETIMEDOUT: none within the limit.
    pub async fn connect(&self, origin: &Origin, limit: Duration) -> Attempt<TcpStream> {
        self.0.policy.host(origin)?;
        match timeout(limit, self.reach(origin)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let text = format!("no connection ({origin}) within {limit:?}");
                Err(Failure::later(Code::ETIMEDOUT, text))
            }
        }
    }

    async fn reach(&self, origin: &Origin) -> Attempt<TcpStream> {
        let found = match origin.address() {
            Some(address) => vec![SocketAddr::new(address, origin.port)],
            None => self.look_up(origin).await?,
        };
        let stream = race(&in_turn(&self.0.policy.allowed(found)?)).await?;
        socket::tune(&stream, None).map_err(|errno| Failure::system(errno).context("set up a connection"))?;
        Ok(stream)
    }

    async fn look_up(&self, origin: &Origin) -> Attempt<Vec<SocketAddr>> {
        let (found, finds) = oneshot::channel();
        // Nobody may be waiting any more.
        self.0.resolver.look_up(&origin.host, origin.port, |outcome| drop(found.send(outcome)))?;
        finds.await.unwrap_or_else(|_| Err(Failure::new(Code::EIO, "the look-up of a name broke")))
    }
}

/// Each address has a head start before the next; a failure is the next one's start.
async fn race(addresses: &[SocketAddr]) -> Attempt<TcpStream> {
    let mut running = JoinSet::new();
    let mut failure = Failure::new(Code::ENOENT, "no address to connect to");
    let mut next = addresses.iter().copied();
    loop {
        let started = next.next().map(|address| running.spawn(connect(address)));
        if started.is_none() && running.is_empty() {
            return Err(failure);
        }
        let ended = match next.len() {
            0 => running.join_next().await,
            _ => timeout(HEAD_START, running.join_next()).await.unwrap_or_default(),
        };
        match ended {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(last))) => failure = last,
            Some(Err(_)) => failure = Failure::new(Code::EIO, "the attempt to connect broke"),
            None => {} // the next one's turn
        }
    }
}

async fn connect(address: SocketAddr) -> Attempt<TcpStream> {
    TcpStream::connect(address)
        .await
        .map_err(|error: io::Error| refused(address, Errno::from_io_error(&error).unwrap_or(Errno::IO)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Runtime;
    use std::net::TcpListener;
    use vfs_core::{Control, Scope, Settings};
    use zvfs_net::policy;
    use zvfs_net::waiting::Waiting;

    fn dial(settings: &[(&str, &str)], host: &str, port: u16) -> Attempt<SocketAddr> {
        let written: Vec<_> = settings.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let settings = Settings::check(&policy::settings(), Scope::OPERATOR, &written).unwrap();
        let dialler = Dialler::new(Policy::new(&settings).unwrap());
        let runtime = Runtime::start(&settings, "test").unwrap();
        let context = Control::new().context();
        let origin = Origin { secure: false, host: host.to_owned(), port };
        runtime.wait(Waiting::as_caller(&context, "a connection"), async move {
            let stream = dialler.connect(&origin, Duration::from_secs(60)).await?;
            Ok(stream.peer_addr().unwrap())
        })
    }

    #[test]
    fn names_and_addresses_lead_to_their_server() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for host in ["127.0.0.1", "localhost"] {
            assert_eq!(dial(&[], host, address.port()), Ok(address), "{host}");
        }
    }

    #[test]
    fn a_refusal_says_whose() {
        let address = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let failure = dial(&[], "127.0.0.1", address.port()).unwrap_err();
        assert_eq!(failure.code, Code::ECONNREFUSED);
        assert!(failure.text.contains(&address.to_string()), "{}", failure.text);
    }

    #[test]
    fn the_policy_holds_for_hosts_and_for_addresses() {
        for (settings, host, named) in [
            ([("allowed-hosts", "a.example")], "127.0.0.1", "allowed-hosts"),
            ([("addresses", "public")], "localhost", "addresses"),
            ([("addresses", "no-link-local")], "169.254.169.254", "addresses"),
        ] {
            let failure = dial(&settings, host, 1).unwrap_err();
            assert_eq!(failure.code, Code::EACCES, "{host}");
            assert!(failure.text.contains(named), "{}", failure.text);
        }
    }
}
