//! A broker says where it is.

use crate::{Daemon, SERVICE, failed, instance};
use mdns_sd::{DaemonEvent, IfKind, ServiceInfo, TxtProperty};
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

/// The most bytes of a name (RFC 6763, section 4.1.1).
const NAME_MAX: usize = 63;
/// How long the last word, that the broker goes, may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A broker's announcement, which ends when this is dropped.
pub struct Announcement {
    daemon: Daemon,
    full_name: String,
}

impl Announcement {
    /// Announces a broker under a name, at the address where it listens: on each network that reaches that address, once nobody
    /// there claims the name. If somebody does, ` (2)` is added. `log` gets lines of what became of it.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`]: a name that no broker can have, or an address that only this machine reaches. The system
    /// gives no thread or socket.
    pub fn new(
        name: &str,
        at: SocketAddr,
        mut log: impl FnMut(&str) + Send + 'static,
    ) -> io::Result<Announcement> {
        check(name, at)?;
        // A host name of its own: the machine's belongs to the machine's own responder, if it has one.
        let host = format!("netpipe-{:016x}.local.", fastrand::u64(..));
        let (ip, everywhere) = (at.ip(), at.ip().is_unspecified());
        let addresses = if everywhere { Vec::new() } else { vec![ip] };
        let info =
            ServiceInfo::new(SERVICE, name, &host, &addresses[..], at.port(), Vec::<TxtProperty>::new());
        let mut info = info.map_err(|error| failed("describe the broker", &error))?;
        if everywhere {
            info = info.enable_addr_auto();
        }
        let full_name = info.get_fullname().to_owned();
        let daemon = Daemon::new()?;
        if everywhere && ip.is_ipv4() {
            daemon.0.disable_interface(IfKind::IPv6).map_err(|error| failed("leave out IPv6", &error))?;
        }
        let events = daemon.0.monitor().map_err(|error| failed("listen", &error))?;
        thread::Builder::new()
            .name("announce".to_owned())
            .spawn(move || events.iter().filter_map(said).for_each(|line| log(&line)))?;
        daemon.0.register(info).map_err(|error| failed("announce the broker", &error))?;
        Ok(Announcement { daemon, full_name })
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        if let Ok(told) = self.daemon.0.unregister(&self.full_name) {
            // Whoever does not hear it finds nobody at the address.
            let _ = told.recv_timeout(GOODBYE);
        }
    }
}

fn check(name: &str, at: SocketAddr) -> io::Result<()> {
    let wrong = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        return wrong(format!(
            "announce a broker: its name has {} bytes: write 1 to {NAME_MAX}, none of them a control character",
            name.len()
        ));
    }
    if at.ip().to_canonical().is_loopback() {
        return wrong(format!(
            "announce a broker at {at}: only this machine reaches that: listen at an address of the network, or at 0.0.0.0"
        ));
    }
    Ok(())
}

/// What an operator hears of.
fn said(event: DaemonEvent) -> Option<String> {
    match event {
        DaemonEvent::Announce(full_name, _) => Some(format!("announced as `{}`", instance(&full_name))),
        DaemonEvent::NameChange(change) if change.original.ends_with(SERVICE) => Some(format!(
            "there is another broker `{}`: this one is `{}`",
            instance(&change.original),
            instance(&change.new_name)
        )),
        DaemonEvent::Error(error) => Some(format!("multicast DNS: {error}")),
        _ => None,
    }
}
