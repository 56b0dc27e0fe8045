//! The broker that a run brings along, where its netpipes name none.
//!
//! It listens on loopback, at any port, under a random secret that only this process knows: other users of the machine reach
//! the port, and must not take part. Broker and secret go to the provider as the host's defaults; a broker offered with each
//! open would leave it without the secret.

use crate::exit::{Failure, warn};
use crate::log::tell;
use crate::pipes::{BROKERED, Pipes};
use netpipe::broker::{Broker, Config, Handle};
use netpipe::{Name, Reason, Role, Secret, code};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use vfs_core::{Code, Configuration, Error, Level};
use zeroize::Zeroizing;
use zvm::Report;

/// The bytes of its secret, before they are written in hexadecimal digits.
const SECRET: usize = 32;

/// Starts a broker for these pipes if they need one, and tells the configuration of it. It serves until the process ends:
/// one that stopped before the provider's last connection would look like one that broke. `None`: they need none.
///
/// # Errors
/// The system gives no port, thread or random bytes. EINVAL: the run's pipes need one, and cannot have it.
pub fn start_if_needed(
    pipes: &Pipes,
    configuration: &mut Configuration,
    verbose: bool,
) -> Result<Option<Handle>, Failure> {
    if pipes.brokerless == 0 {
        return Ok(None);
    }
    let refuse = |text: &str| {
        let mend = "name one in the manifest's Broker, or in the setting `broker`";
        Err(Failure::new(Code::EINVAL, format!("netpipes without a broker: {text}: {mend}")))
    };
    if pipes.leading_out > 0 {
        return refuse("other netpipes of this run lead outside it, so it cannot start its own broker");
    }
    if pipes.secret {
        return refuse(
            "this run cannot start its own broker, which would have to know the operator's secret",
        );
    }
    let (broker, address, secret) =
        start(verbose).map_err(|error| Failure::from(error.context("start this run's own broker")))?;
    configuration.add_default(BROKERED, "broker", address.to_string());
    configuration.add_default(BROKERED, "secret", secret.as_str());
    Ok(Some(broker))
}

/// What a session's end means to the others of its run, which nobody but their broker can tell them: whoever waits for an end that it
/// never came to open, or for a reader that it was, waits in vain. What it wrote it has committed, or discarded itself.
pub fn tell_peers(
    broker: &Handle,
    manifest: &Path,
    ends: Vec<(Name, Role)>,
) -> impl FnOnce(Arc<Report>) + Send + 'static {
    let (broker, manifest) = (broker.clone(), manifest.display().to_string());
    move |report| {
        let opened = !report.channels.is_empty();
        for (name, role) in ends {
            let reason = match (opened, role) {
                (true, Role::Writer) => continue,
                (true, Role::Reader) => Reason::new(code::EPIPE, &format!("{manifest} has ended")),
                (false, _) => {
                    let text = format!("{manifest} ended before it opened its end: {}", report.state);
                    Reason::new(code::ECONNRESET, &text)
                }
            };
            broker.abandon(name, role, reason);
        }
    }
}

/// Starts a broker; gives its handle, its address and its secret.
fn start(verbose: bool) -> Result<(Handle, SocketAddr, Zeroizing<String>), Error> {
    let secret = secret()?;
    let shared = Secret::new(secret.as_bytes());
    let shared = shared.map_err(|error| Error::new(Code::EINVAL, error.to_string()))?;
    let mut config = Config { secret: Some(shared), ..Config::default() };
    if verbose {
        config.log = Some(Box::new(|line| tell(Level::Info, &format!("broker: {line}"))));
    }
    let broker = Broker::bind((Ipv4Addr::LOCALHOST, 0), config)?;
    let (handle, address) = (broker.handle(), broker.local_addr());
    let serve = move || {
        if let Err(error) = broker.run() {
            warn(&format!("this run's own broker: {}", Error::from(error)));
        }
    };
    let thread = thread::Builder::new().name("broker".to_owned()).spawn(serve);
    thread.map_err(|error| Error::no_thread(&error))?;
    Ok((handle, address, secret))
}

/// Random bytes as text, since a setting is text.
fn secret() -> Result<Zeroizing<String>, Error> {
    let mut bytes = Zeroizing::new([0; SECRET]);
    getrandom::fill(&mut *bytes).map_err(|error| Error::new(Code::EIO, error.to_string()))?;
    let mut text = Zeroizing::new(String::with_capacity(2 * SECRET));
    for byte in *bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netpipe::{Handshake, Hello, Progress};
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::time::Duration;

    /// What somebody with this secret gets from a broker.
    fn met(address: SocketAddr, secret: Option<Secret>) -> netpipe::Result<Progress> {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut dialler = Handshake::dialler(Hello::broker(), secret, None).unwrap();
        loop {
            stream.write_all(&dialler.output()).unwrap();
            let mut bytes = vec![0; dialler.want()];
            stream.read_exact(&mut bytes).unwrap();
            match dialler.input(&mut &bytes[..])? {
                Progress::More => {}
                progress => return Ok(progress),
            }
        }
    }

    #[test]
    fn nobody_else_takes_part_in_a_runs_own_broker() {
        let (_, address, secret) = start(false).unwrap();
        assert!(address.ip().is_loopback());
        let (_, _, other) = start(false).unwrap();
        assert_ne!(secret, other);
        met(address, Some(Secret::new(secret.as_bytes()).unwrap())).unwrap();
        for stranger in [None, Some(Secret::new(other.as_bytes()).unwrap())] {
            assert_eq!(met(address, stranger).unwrap_err().code(), code::EACCES);
        }
    }
}
