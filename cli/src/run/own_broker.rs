//! The broker that a run brings along, where its netpipes name none.
//!
//! It listens on loopback, at any port, under a random secret that only this process knows: other users of the machine reach
//! the port, and must not take part. Broker and secret go to the provider as the host's defaults; a broker offered with each
//! open would leave it without the secret.

use super::pipes::{PROVIDER, Pipes};
use crate::exit::{Failure, warn};
use netpipe::Secret;
use netpipe::broker::{Broker, Config};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use vfs_core::{Code, Configuration, Error};
use zeroize::Zeroizing;

/// The bytes of its secret, before they are written in hexadecimal digits.
const SECRET: usize = 32;

/// Starts a broker for these pipes if they need one, and tells the configuration of it. It serves until the process ends:
/// one that stopped before the provider's last connection would look like one that broke.
///
/// # Errors
/// The system gives no port, thread or random bytes. EINVAL: the run's pipes need one, and cannot have it.
pub fn start_if_needed(
    pipes: &Pipes,
    configuration: &mut Configuration,
    verbose: bool,
) -> Result<(), Failure> {
    if pipes.brokerless == 0 {
        return Ok(());
    }
    let refuse = |text: &str| {
        let mend = "name one in the manifest's Broker, or in the setting `broker`";
        Err(Failure::new(Code::EINVAL, format!("netpipes without a broker: {text}: {mend}")))
    };
    if pipes.leading_out > 0 {
        return refuse("this run's other netpipes lead out of it, so it cannot bring its own");
    }
    if pipes.secret {
        return refuse("this run cannot bring its own, which would have to know the operator's secret");
    }
    let (address, secret) =
        start(verbose).map_err(|error| Failure::from(error.context("start this run's own broker")))?;
    configuration.add_default(PROVIDER, "broker", address.to_string());
    configuration.add_default(PROVIDER, "secret", secret.as_str());
    Ok(())
}

/// Starts a broker; gives its address and its secret.
fn start(verbose: bool) -> Result<(SocketAddr, Zeroizing<String>), Error> {
    let secret = secret()?;
    let shared = Secret::new(secret.as_bytes());
    let shared = shared.map_err(|error| Error::new(Code::EINVAL, error.to_string()))?;
    let mut config = Config { secret: Some(shared), ..Config::default() };
    if verbose {
        config.log = Some(Box::new(|line| warn(&format!("broker: {line}"))));
    }
    let broker = Broker::bind((Ipv4Addr::LOCALHOST, 0), config)?;
    let address = broker.local_addr();
    let serve = move || {
        if let Err(error) = broker.run() {
            warn(&format!("this run's own broker: {}", Error::from(error)));
        }
    };
    let thread = thread::Builder::new().name("broker".to_owned()).spawn(serve);
    thread.map_err(|error| Error::no_thread(&error))?;
    Ok((address, secret))
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
        let (address, secret) = start(false).unwrap();
        assert!(address.ip().is_loopback());
        let (_, other) = start(false).unwrap();
        assert_ne!(secret, other);
        met(address, Some(Secret::new(secret.as_bytes()).unwrap())).unwrap();
        for stranger in [None, Some(Secret::new(other.as_bytes()).unwrap())] {
            assert_eq!(met(address, stranger).unwrap_err().code(), netpipe::code::EACCES);
        }
    }
}
