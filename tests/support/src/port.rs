//! Ports of this machine that nobody listens at.

use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 12_000;
const COUNT: u32 = 18_000;

/// A port below those that the system gives to whoever dials, and not one that another caller has: in this process, or in another one
/// that still runs.
///
/// For what cannot be told to listen at port 0. Who asks for no port here may take it in between: a program is tried again with another.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(997);
    let ports = (0..COUNT).map(|_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        (FIRST + begin.wrapping_add(step) % COUNT) as u16
    });
    first_free(ports).expect("no free port")
}

/// Processes whose numbers are 18 apart begin 54 ports apart, and some test programs ask for more. Without a reservation the test of a server
/// that was slow to start took another program's for its own, until that ended.
fn first_free(mut ports: impl Iterator<Item = u16>) -> Option<u16> {
    ports.find(|port| {
        // Before the port itself is tried: whoever has it may be waiting for its server to listen, and must not meet this one.
        let Some(reservation) = reserve(*port) else { return false };
        let is_free = TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
        if is_free {
            // It ends with the process: nobody says when a port is done with.
            std::mem::forget(reservation);
        }
        is_free
    })
}

/// A name that the kernel gives to one socket of a network namespace, as it does a port, and takes back when that is closed.
fn reserve(port: u16) -> Option<UnixDatagram> {
    let name = SocketAddr::from_abstract_name(format!("zvfs-test-port-{port}")).ok()?;
    UnixDatagram::bind_addr(&name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test of ftp was refused by a server that belonged to another test program, and had ended.
    #[test]
    fn a_port_that_somebody_was_given_is_given_to_nobody_else() {
        let port = free_port();
        // Nobody listens there yet.
        drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
        assert_eq!(first_free([port].into_iter()), None);
    }

    #[test]
    fn a_port_that_somebody_listens_at_is_not_kept() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(first_free([port].into_iter()), None);
        assert!(reserve(port).is_some());
    }
}
