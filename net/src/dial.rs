//! Connecting to the first of several addresses that answers, as RFC 8305 has it ("Happy Eyeballs"): one after the other, the
//! families in turn, each with a head start, all of them waited for at once.

use crate::failure::{Attempt, Failure, words};
use crate::socket;
use crate::waiting::Waiting;
use rustix::event::epoll;
use rustix::io::Errno;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use vfs_core::{Code, Events};

/// The head start of one address before the next: RFC 8305, section 5.
pub const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the first of these addresses that answers. Each has passed the policy.
///
/// # Errors
/// ECONNREFUSED, EHOSTUNREACH, ...: the last one's failure, if none does. ETIMEDOUT: none within the limit.
pub fn dial(addresses: &[SocketAddr], waiting: Waiting<'_>) -> Attempt<OwnedFd> {
    match addresses {
        [] => Err(Failure::new(Code::ENOENT, "no address to connect to")),
        [only] => dial_one(*only, waiting),
        several => Race::new()?.run(&in_turn(several), waiting),
    }
}

fn dial_one(address: SocketAddr, waiting: Waiting<'_>) -> Attempt<OwnedFd> {
    let socket = socket::connect(address, None).map_err(|errno| refused(address, errno))?;
    waiting.ready(&socket, Events::WRITE)?;
    socket::outcome(&socket).map_err(|errno| refused(address, errno))?;
    Ok(socket)
}

/// The families in turn, beginning with the resolver's first; within one its order stays.
pub fn in_turn(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut ours, mut others) = (
        addresses.iter().filter(|address| address.is_ipv6() == first),
        addresses.iter().filter(|address| address.is_ipv6() != first),
    );
    let mut sorted = Vec::with_capacity(addresses.len());
    while sorted.len() < addresses.len() {
        sorted.extend(ours.next());
        sorted.extend(others.next());
    }
    sorted
}

struct Race {
    epoll: OwnedFd,
    running: Vec<(SocketAddr, OwnedFd)>,
    failure: Option<Failure>,
}

impl Race {
    fn new() -> Attempt<Race> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(cannot)?;
        Ok(Race { epoll, running: Vec::new(), failure: None })
    }

    fn run(mut self, addresses: &[SocketAddr], waiting: Waiting<'_>) -> Attempt<OwnedFd> {
        let mut waiting_for_turn = addresses.iter();
        loop {
            let next = waiting_for_turn.next();
            match next {
                Some(address) => self.start(*address)?,
                None if self.running.is_empty() => {
                    let none = || Failure::new(Code::ENOENT, "no address to connect to");
                    return Err(self.failure.unwrap_or_else(none));
                }
                None => {}
            }
            let turn_ends = next.map(|_| Instant::now() + HEAD_START);
            // Until one is there, or all that run have failed, or the next may start.
            while !self.running.is_empty() {
                let events = match turn_ends {
                    Some(at) => {
                        let left = at.saturating_duration_since(Instant::now());
                        waiting.ready_within(&self.epoll, Events::READ, left)?
                    }
                    None => waiting.ready(&self.epoll, Events::READ)?,
                };
                if events.is_empty() {
                    break;
                }
                let failed = self.running.len();
                if let Some(socket) = self.look()? {
                    return Ok(socket);
                }
                // A failure is the next one's start.
                if self.running.len() < failed && waiting_for_turn.len() > 0 {
                    break;
                }
            }
        }
    }

    fn start(&mut self, address: SocketAddr) -> Attempt<()> {
        match socket::connect(address, None) {
            Ok(socket) => {
                let (data, events) = (epoll::EventData::new_u64(0), epoll::EventFlags::OUT);
                epoll::add(&self.epoll, &socket, data, events).map_err(cannot)?;
                self.running.push((address, socket));
            }
            Err(errno) => self.failure = Some(refused(address, errno)),
        }
        Ok(())
    }

    /// Takes out what is over: one that is connected, or failures.
    fn look(&mut self) -> Attempt<Option<OwnedFd>> {
        let mut at = 0;
        while at < self.running.len() {
            let (address, socket) = &self.running[at];
            let over = match is_over(socket) {
                Ok(over) => over.then(|| socket::outcome(socket)),
                Err(errno) => return Err(cannot(errno)),
            };
            match over {
                None => at += 1,
                Some(Ok(())) => {
                    let (_, socket) = self.running.swap_remove(at);
                    return Ok(Some(socket));
                }
                Some(Err(errno)) => {
                    self.failure = Some(refused(*address, errno));
                    self.running.swap_remove(at);
                }
            }
        }
        Ok(None)
    }
}

fn is_over(socket: impl AsFd) -> Result<bool, Errno> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut polled = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::io::retry_on_intr(|| poll(&mut polled, Some(&now))).map(|count| count > 0)
}

/// What connecting takes of this system is not to be had.
fn cannot(errno: Errno) -> Failure {
    Failure::system(errno).context("connect")
}

/// Why an address could not be connected to.
pub fn refused(address: SocketAddr, errno: Errno) -> Failure {
    use crate::failure::{Retry, code};
    let retry = match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ACCESS | Errno::PERM => Retry::No,
        _ => Retry::Resuming,
    };
    Failure { code: code(errno), text: format!("connect to {address}: {}", words(errno)), retry }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use vfs_core::Control;

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn families_take_turns() {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let six = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        assert_eq!(in_turn(&six), parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]));
        let four = parse(&["1.1.1.1:1", "[::1]:1"]);
        assert_eq!(in_turn(&four), four);
    }

    #[test]
    fn a_refused_address_gives_way_to_the_next_at_once() {
        let (refusing, refused) = listener();
        drop(refusing);
        let (_listener, there) = listener();
        let context = Control::new().context();
        let waiting = Waiting::until(&context, Duration::from_secs(60), "connection");
        let socket = dial(&[refused, refused, there], waiting).unwrap();
        let peer = rustix::net::getpeername(&socket).unwrap().unwrap();
        assert_eq!(SocketAddr::try_from(peer).unwrap(), there);
        let failure = dial(&[refused, refused], waiting).unwrap_err();
        assert_eq!(failure.code, Code::ECONNREFUSED);
    }

    #[test]
    fn an_address_that_is_silent_gives_way_after_its_head_start() {
        // A queue of one that is full: the kernel drops what comes after.
        let silent =
            rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None)
                .unwrap();
        rustix::net::bind(&silent, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        rustix::net::listen(&silent, 0).unwrap();
        let address = SocketAddr::try_from(rustix::net::getsockname(&silent).unwrap()).unwrap();
        let _queued: Vec<_> = (0..3).map(|_| socket::connect(address, None).unwrap()).collect();
        let (_listener, there) = listener();
        let context = Control::new().context();
        let waiting = Waiting::until(&context, Duration::from_secs(60), "connection");
        let socket = dial(&[address, there], waiting).unwrap();
        let peer = rustix::net::getpeername(&socket).unwrap().unwrap();
        assert_eq!(SocketAddr::try_from(peer).unwrap(), there);
    }
}
