//! Requests and their answers: connections found or made, redirects followed.

pub mod answer;
pub mod caller;
pub mod error_text;
pub mod idle;
pub mod least_rate;
pub mod pool;
pub mod redirect;
pub mod status;
pub mod stream;
pub mod workers;

use crate::client::answer::Answer;
use crate::client::caller::Caller;
use crate::client::error_text::Secrets;
use crate::client::idle::IdleAnswers;
use crate::client::pool::Pool;
use crate::client::workers::Workers;
use crate::settings::proxy::Proxy;
use crate::settings::{Config, Tuning};
use crate::target::Target;
use crate::wire;
use crate::wire::connection::Connection;
use crate::wire::head::Head;
use crate::wire::request::{HttpRequest, Place, RequestOptions};
use crate::wire::session::Session;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use vfs_core::Code;
use zvfs_net::dial::dial;
use zvfs_net::failure::{Attempt, Failure, Retry};
use zvfs_net::origin::Origin;
use zvfs_net::resolve::Resolver;
use zvfs_net::socket;
use zvfs_net::waiting::Waiting;

/// An instance's way to servers.
pub struct Client {
    config: Config,
    pool: Arc<Pool>,
    idles: IdleAnswers,
    resolver: Resolver,
    workers: Workers,
}

impl Client {
    /// A client without connections yet.
    pub fn new(config: Config) -> Client {
        let pool = Arc::new(Pool::new(config.connections));
        let (idles, resolver, workers) = (IdleAnswers::default(), Resolver::default(), Workers::default());
        Client { config, pool, idles, resolver, workers }
    }

    /// What opens begin with.
    pub fn tuning(&self) -> &Tuning {
        &self.config.tuning
    }

    /// Makes a request and follows redirects; returns the answer of whoever gives one, and where that was.
    ///
    /// # Errors
    /// ELOOP: too many redirects. EACCES: where it may not go. The connection's, the caller's, the limits'. A status is none.
    pub fn send(
        &self,
        place: &Place,
        request: &HttpRequest<'_>,
        caller: &Caller,
    ) -> Attempt<(Answer, Place)> {
        self.send_checked(place, request, caller, |_| Ok(()))
    }

    /// The same, with a check of each place that a redirect leads to, before it is asked.
    ///
    /// # Errors
    /// As [`send`](Client::send); the check's.
    pub fn send_checked(
        &self,
        place: &Place,
        request: &HttpRequest<'_>,
        caller: &Caller,
        check: impl Fn(&Place) -> Attempt<()>,
    ) -> Attempt<(Answer, Place)> {
        let (mut place, mut hops) = (place.clone(), 0);
        loop {
            let explain = |failure: Failure| match hops {
                0 => failure,
                _ => failure.followed_by(format_args!(" (redirected to {})", place.target)),
            };
            let answer = self.send_once(&place, request, caller).map_err(explain)?;
            let Some(next) = redirect::next(&answer.head, &place, request.method).map_err(explain)? else {
                return Ok((answer, place));
            };
            if hops >= caller.tuning.redirects {
                let text = format!("more than {hops} redirects, the last to {}", next.target);
                return Err(Failure::new(Code::ELOOP, text));
            }
            answer.dismiss(caller);
            check(&next)?;
            (place, hops) = (next, hops + 1);
        }
    }

    fn send_once(&self, place: &Place, request: &HttpRequest<'_>, caller: &Caller) -> Attempt<Answer> {
        let exchange = |connection: &mut Connection| self.exchange(connection, place, request, caller);
        let (head, connection) = self.with_connection(&place.target, caller, false, exchange)?;
        Answer::new(head, connection, Some(self.pool.clone()))
    }

    /// Exchanges something on a connection to a target's server, a kept one unless it must be fresh. A kept one that its
    /// server has closed is replaced, once.
    ///
    /// # Errors
    /// EACCES: the policy. ENOENT, ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT, EPROTO: no connection can be made. The exchange's.
    pub fn with_connection<T>(
        &self,
        target: &Target,
        caller: &Caller,
        mut fresh: bool,
        mut exchange: impl FnMut(&mut Connection) -> Attempt<T>,
    ) -> Attempt<(T, Connection)> {
        loop {
            let mut connection = self.connection(target, caller, fresh)?;
            match exchange(&mut connection) {
                Ok(result) => return Ok((result, connection)),
                Err(failure) if connection.was_stale(&failure) => fresh = true,
                Err(failure) => return Err(failure),
            }
        }
    }

    fn exchange(
        &self,
        connection: &mut Connection,
        place: &Place,
        request: &HttpRequest<'_>,
        caller: &Caller,
    ) -> Attempt<Head> {
        let limit = caller.tuning.first_byte_timeout;
        let origin = connection.origin().clone();
        let ease = || self.ease(&origin);
        let waiting = Waiting::until(&caller.context, limit, "answer").on(&origin).eased_by(&ease);
        connection.send_all(&self.head(connection, place, request, caller), waiting)?;
        // It cannot be there yet: a look before the wait would waste a call.
        connection.await_answer(waiting)?;
        self.idles.answered(&origin);
        Head::receive(connection, waiting)
    }

    /// The failure that an answer is, with its server's own words.
    pub fn refusal(&self, answer: Answer, target: &Target, caller: &Caller) -> Failure {
        answer.refusal(&self.secrets(target, caller), caller)
    }

    /// What a server that is asked may know, and nobody else is to read.
    pub fn secrets(&self, target: &Target, caller: &Caller) -> Secrets {
        let mut secrets = Secrets::default();
        target.secret_values().for_each(|value| secrets.add(value));
        let proxy = self.config.proxies.of(&target.origin()).and_then(|proxy| proxy.authorization.as_deref());
        let credentials = [target.credentials(), self.config.credentials.any(), proxy];
        credentials.into_iter().flatten().for_each(|field| secrets.add_authorization(field));
        let headers = caller.tuning.headers.iter().chain(self.config.secret_headers.any().iter());
        headers.for_each(|(_, value)| secrets.add_authorization(value));
        secrets
    }

    /// Closes what keeps an origin from another request, if it serves one connection at a time.
    pub fn ease(&self, origin: &Origin) {
        let closed = self.pool.close(origin);
        self.idles.ease(origin, closed);
    }

    /// The answers that files keep between two calls.
    pub fn idles(&self) -> &IdleAnswers {
        &self.idles
    }

    /// Writes a request's head for a connection.
    pub fn head(
        &self,
        connection: &Connection,
        place: &Place,
        request: &HttpRequest<'_>,
        caller: &Caller,
    ) -> Vec<u8> {
        let proxy = match connection.is_to_proxy() {
            true => self.config.proxies.of(connection.origin()).map(|proxy| proxy.authorization.as_deref()),
            false => None,
        };
        wire::request::write(
            place,
            request,
            RequestOptions {
                proxy,
                credentials: &self.config.credentials,
                secret_headers: &self.config.secret_headers,
                tuning: &caller.tuning,
            },
        )
    }

    /// The threads that work for files.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Where connections go whose answers have been read.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// A connection to a target's server: a kept one, unless it must be fresh, or a new one.
    fn connection(&self, target: &Target, caller: &Caller, fresh: bool) -> Attempt<Connection> {
        let origin = target.origin();
        self.config.policy.host(&origin)?;
        if !fresh && let Some(connection) = self.pool.take(&origin) {
            return Ok(connection);
        }
        if self.idles.is_one_at_a_time(&origin) {
            self.ease(&origin);
        }
        let ease = || self.ease(&origin);
        let waiting = Waiting::until(&caller.context, caller.tuning.connect_timeout, "connection")
            .on(&origin)
            .eased_by(&ease);
        let proxy = self.config.proxies.of(&origin);
        let socket = match proxy {
            Some(proxy) => self.reach_proxy(proxy, &origin, waiting)?,
            None => self.reach(&origin, waiting)?,
        };
        socket::tune(&socket, None).map_err(|errno| Failure::system(errno).context("set up a connection"))?;
        if !origin.secure {
            return Ok(Connection::new(socket, None, origin, proxy.is_some()));
        }
        let socket = match proxy {
            Some(proxy) => self.tunnel(proxy, socket, target, caller, waiting).map_err(out_of_reach)?,
            None => socket,
        };
        let mut session = Session::new(&self.config.tls, &origin.host)?;
        session
            .handshake(socket.as_fd(), waiting.for_what("end of the TLS handshake"))
            .map_err(|failure| out_of_reach(failure).context(&origin.to_string()))?;
        Ok(Connection::new(socket, Some(Box::new(session)), origin, false))
    }

    /// Connects to an origin's own server, at an address that the policy allows.
    fn reach(&self, origin: &Origin, waiting: Waiting<'_>) -> Attempt<OwnedFd> {
        let found = self.resolver.addresses(&origin.host, origin.port, waiting)?;
        connect(&self.config.policy.allowed(found)?, waiting)
    }

    /// Connects to a proxy. What the URL itself says of an address is looked at; what the proxy finds is its own affair.
    fn reach_proxy(&self, proxy: &Proxy, origin: &Origin, waiting: Waiting<'_>) -> Attempt<OwnedFd> {
        if let Some(address) = origin.address() {
            self.config.policy.addresses.check(address)?;
        }
        let addresses = self.resolver.addresses(&proxy.host, proxy.port, waiting);
        addresses
            .and_then(|addresses| connect(&addresses, waiting))
            .map_err(|failure| failure.context("proxy"))
    }

    /// Asks a proxy for a tunnel to an origin.
    fn tunnel(
        &self,
        proxy: &Proxy,
        socket: OwnedFd,
        target: &Target,
        caller: &Caller,
        waiting: Waiting<'_>,
    ) -> Attempt<OwnedFd> {
        let origin = target.origin();
        let waiting = waiting.for_what("answer of the proxy");
        let mut connection = Connection::new(socket, None, origin.clone(), true);
        let authorization = proxy.authorization.as_deref();
        let head =
            wire::request::write_connect(&origin.to_string(), authorization, &caller.tuning.user_agent);
        connection.send_all(&head, waiting)?;
        let head = Head::receive(&mut connection, waiting)?;
        if !(200..300).contains(&head.status) {
            let answer = Answer::new(head, connection, None)?;
            return Err(self.refusal(answer, target, caller).context("proxy"));
        }
        if !connection.buffered().is_empty() {
            return Err(Failure::protocol("proxy: bytes came before the tunnel was used"));
        }
        Ok(connection.into_socket())
    }
}

/// Connects; where nobody answers at first, nobody will.
fn connect(addresses: &[SocketAddr], waiting: Waiting<'_>) -> Attempt<OwnedFd> {
    dial(addresses, waiting).map_err(resuming)
}

/// The same of what comes before a request, if it took too long: one who accepts and says nothing is no server.
fn out_of_reach(failure: Failure) -> Failure {
    if failure.code == Code::ETIMEDOUT { resuming(failure) } else { failure }
}

fn resuming(failure: Failure) -> Failure {
    match failure.retry {
        Retry::Later(_) => Failure { retry: Retry::Resuming, ..failure },
        _ => failure,
    }
}
