//! Connections kept open for the next request to the same origin.

use crate::wire::connection::Connection;
use parking_lot::Mutex;
use std::time::Duration;
use zvfs_net::origin::Origin;

/// Servers close one that lies idle after 5 s to 75 s; a request on one that is being closed is lost.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// The connections of an instance that nobody uses now, the last used at the end.
pub struct Pool {
    idle: Mutex<Vec<Connection>>,
    most: usize,
}

impl Pool {
    /// A pool of at most so many.
    pub fn new(most: usize) -> Pool {
        Pool { idle: Mutex::default(), most }
    }

    /// Takes one that leads to an origin and is still good.
    pub fn take(&self, origin: &Origin) -> Option<Connection> {
        loop {
            let connection = {
                let mut idle = self.idle.lock();
                let at = idle.iter().rposition(|connection| connection.origin() == origin)?;
                idle.remove(at)
            };
            if connection.last_used().elapsed() < IDLE_MAX && connection.is_silent() {
                return Some(connection);
            }
        }
    }

    /// Keeps one whose answer has been read.
    pub fn put(&self, mut connection: Connection) {
        connection.mark_used();
        let mut dropped = Vec::new(); // closed without the lock
        let mut idle = self.idle.lock();
        idle.push(connection);
        while idle.len() > self.most {
            dropped.push(idle.remove(0));
        }
        drop(idle);
    }

    /// Closes those that lead to an origin; whether there were any.
    pub fn close(&self, origin: &Origin) -> bool {
        // Closed without the lock.
        let closed: Vec<Connection> =
            self.idle.lock().extract_if(.., |connection| connection.origin() == origin).collect();
        !closed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use vfs_core::Code;
    use zvfs_net::failure::Failure;

    fn origin(port: u16) -> Origin {
        Origin { secure: false, host: "h".to_owned(), port }
    }

    fn pair(port: u16) -> (TcpStream, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (client, _) = listener.accept().unwrap();
        client.set_nonblocking(true).unwrap();
        (server, Connection::new(OwnedFd::from(client), None, origin(port), false))
    }

    #[test]
    fn a_connection_is_taken_by_its_origin_only_and_once() {
        let pool = Pool::new(2);
        let (_server, connection) = pair(1);
        pool.put(connection);
        assert!(pool.take(&origin(2)).is_none());
        let lost = Failure::later(Code::ECONNRESET, "lost");
        assert!(pool.take(&origin(1)).is_some_and(|connection| connection.was_stale(&lost)));
        assert!(pool.take(&origin(1)).is_none());
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let pool = Pool::new(2);
        let kept: Vec<_> = (1..=3).map(pair).collect();
        let (_servers, connections): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
        connections.into_iter().for_each(|connection| pool.put(connection));
        assert!(pool.take(&origin(1)).is_none());
        assert!(pool.take(&origin(2)).is_some() && pool.take(&origin(3)).is_some());
    }

    #[test]
    fn one_that_ended_or_spoke_unasked_is_not_taken() {
        let pool = Pool::new(2);
        let (server, connection) = pair(1);
        drop(server);
        pool.put(connection);
        assert!(pool.take(&origin(1)).is_none());
        let (mut server, connection) = pair(1);
        std::io::Write::write_all(&mut server, b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
        pool.put(connection);
        assert!(pool.take(&origin(1)).is_none());
    }
}
