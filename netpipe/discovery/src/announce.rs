//! A broker or a peer says where it is.

use crate::{Daemon, Service, failed};
use mdns_sd::{DaemonEvent, IfKind, ServiceInfo, TxtProperty};
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

/// The most bytes of a name (RFC 6763, section 4.1.1).
const NAME_MAX: usize = 63;
/// How long the last word, that it goes, may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// An announcement, which ends when this is dropped.
pub struct Announcement {
    daemon: Daemon,
    full_name: String,
}

impl Announcement {
    /// Announces somebody under a name, at the address where it listens: on each network that reaches that address, once nobody
    /// there claims the name. If somebody does, ` (2)` is added. `log` gets lines of what became of it.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`]: a name that cannot be, or an address that only this machine reaches. The system gives no
    /// thread or socket.
    pub fn new(
        service: Service,
        name: &str,
        at: SocketAddr,
        mut log: impl FnMut(&str) + Send + 'static,
    ) -> io::Result<Announcement> {
        check(service, name, at)?;
        // A host name of its own: the machine's belongs to the machine's own responder, if it has one.
        let host = format!("netpipe-{:016x}.local.", fastrand::u64(..));
        let (ip, everywhere) = (at.ip(), at.ip().is_unspecified());
        let addresses = if everywhere { Vec::new() } else { vec![ip] };
        let info = ServiceInfo::new(
            service.domain(),
            name,
            &host,
            &addresses[..],
            at.port(),
            Vec::<TxtProperty>::new(),
        );
        let mut info = info.map_err(|error| failed("describe what is announced", &error))?;
        if everywhere {
            info = info.enable_addr_auto();
        }
        let full_name = info.get_fullname().to_owned();
        let daemon = Daemon::new()?;
        if everywhere && ip.is_ipv4() {
            daemon.0.disable_interface(IfKind::IPv6).map_err(|error| failed("leave out IPv6", &error))?;
        }
        let events = daemon.0.monitor().map_err(|error| failed("listen", &error))?;
        thread::Builder::new().name("announce".to_owned()).spawn(move || {
            events.iter().filter_map(|event| said(service, event)).for_each(|line| log(&line))
        })?;
        daemon.0.register(info).map_err(|error| failed("announce", &error))?;
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

fn check(service: Service, name: &str, at: SocketAddr) -> io::Result<()> {
    let wrong = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        return wrong(format!(
            "announce a {service}: its name has {} bytes: write 1 to {NAME_MAX}, none of them a control character",
            name.len()
        ));
    }
    if at.ip().to_canonical().is_loopback() {
        return wrong(format!(
            "announce a {service} at {at}: only this machine reaches that: listen at an address of the network, or at 0.0.0.0"
        ));
    }
    Ok(())
}

/// What an operator hears of.
fn said(service: Service, event: DaemonEvent) -> Option<String> {
    match event {
        DaemonEvent::Announce(full_name, _) => {
            Some(format!("announced as `{}`", service.instance(&full_name)))
        }
        DaemonEvent::NameChange(change) if change.original.ends_with(service.domain()) => Some(format!(
            "there is another {service} `{}`: this one is `{}`",
            service.instance(&change.original),
            service.instance(&change.new_name)
        )),
        DaemonEvent::Error(error) => Some(format!("multicast DNS: {error}")),
        _ => None,
    }
}
