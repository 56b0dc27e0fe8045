//! `zvfs broker`: introduces the two ends of netpipes to each other.

mod status;

use crate::exit::{Failure, warn};
use crate::log::tell;
use crate::options::Options;
use crate::signals;
use crate::stdout;
use clap::{Args, Subcommand};
use netpipe::BROKER_PORT;
use netpipe::broker::{Broker, Config, Handle, Limits};
use netpipe::{Secret, auth};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use vfs_core::{Code, Error, Level, read_secret_file};
use zeroize::Zeroizing;
use zvfs_discovery::{Announcement, Service};

/// Introduce the two ends of netpipes to each other, and relay where they cannot reach each other
///
/// Prints one line on standard output once it listens: `listening at ADDRESS:PORT`. SIGTERM and SIGINT stop it, and it
/// exits with 0; relayed pipes get two seconds to end. On SIGHUP it reads its secret again, for later connections; if the
/// secret cannot be read it logs that and keeps the old one. It keeps nothing on disk and may be restarted at any time, for
/// example with other limits: pipes between instances go on, and waiting ones register again.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub struct Serve {
    #[command(subcommand)]
    question: Option<Question>,
    /// Where to listen: HOST, HOST:PORT, an IPv6 address in brackets; port 0 is any free one, the default is 9713
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    listen: String,
    /// The secret that peers must prove: at least 16 random bytes as text of one line (`openssl rand -base64 24`), in a file that others cannot read
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Serve other machines without a secret: anybody who reaches the port can take part in any pipe
    #[arg(long, conflicts_with = "secret_file")]
    insecure: bool,
    /// Announce the broker on the local network, under this name or the machine's: instances whose operator set `discover` find it
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "", requires = "secret_file", conflicts_with = "insecure")]
    announce: Option<String>,
    #[command(flatten)]
    limits: LimitOptions,
}

#[derive(Subcommand, Debug)]
enum Question {
    Status(status::Status),
}

/// How much is served at once. What is over is refused, and says which limit it was.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
struct LimitOptions {
    /// Connections in total
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().connections, value_parser = count)]
    max_connections: usize,
    /// Connections of one IP address
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().connections_per_address, value_parser = count)]
    max_connections_per_address: usize,
    /// Connections in the handshake
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().handshakes, value_parser = count)]
    max_handshakes: usize,
    /// Registered pipe ends in total
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().registrations, value_parser = count)]
    max_registrations: usize,
    /// Registered pipe ends of one instance
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().registrations_per_connection, value_parser = count)]
    max_registrations_per_connection: usize,
    /// Relayed pipes
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().relays, value_parser = count)]
    max_relays: usize,
}

impl Serve {
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        if let Some(Question::Status(status)) = &self.question {
            return status.execute();
        }
        if options.config.is_some() {
            warn("broker: it takes nothing from --config: its secret is given by --secret-file");
        }
        let secret = self.secret_file.as_deref().map(read_secret).transpose()?;
        let addresses = self.addresses()?;
        let (insecure, limits) = (self.insecure, self.limits.limits());
        let mut config = Config { secret, insecure, limits, ..Config::default() };
        let verbose = options.verbose > 0;
        if verbose {
            config.log = Some(Box::new(log));
        }
        raise_descriptors();
        let broker = Broker::bind(&addresses[..], config)?;
        let (stop, renew) = (broker.handle(), broker.handle());
        let secret_file = self.secret_file.clone();
        signals::serve(move |_| stop.stop(), move || read_again(&renew, secret_file.as_deref()))?;
        // Held until the broker has stopped, and then taken back.
        let name = self.announce.as_deref();
        let _announcement = name.map(|name| announce(name, broker.local_addr(), verbose)).transpose()?;
        let mut output = stdout::writer()?;
        writeln!(output, "listening at {}", broker.local_addr())
            .and_then(|()| output.flush())
            .map_err(Failure::output)?;
        broker.run().map_err(|error| Error::from(error).context("broker").into())
    }

    /// Where to listen. Other machines are not served by oversight.
    fn addresses(&self) -> Result<Vec<SocketAddr>, Failure> {
        let listen = &self.listen;
        let addresses: Vec<SocketAddr> = with_port(listen)
            .to_socket_addrs()
            .map_err(|error| Error::from(error).context(format!("listen at {listen}")))?
            .collect();
        let outside = addresses.iter().find(|address| !address.ip().to_canonical().is_loopback());
        if let (Some(outside), None, false) = (outside, &self.secret_file, self.insecure) {
            let text = format!(
                "listen at {outside}: other machines can reach it: give --secret-file, or --insecure to serve anybody"
            );
            return Err(Failure::new(Code::EACCES, text));
        }
        Ok(addresses)
    }
}

impl LimitOptions {
    fn limits(&self) -> Limits {
        Limits {
            connections: self.max_connections,
            connections_per_address: self.max_connections_per_address,
            handshakes: self.max_handshakes,
            registrations: self.max_registrations,
            registrations_per_connection: self.max_registrations_per_connection,
            relays: self.max_relays,
            ..Limits::default()
        }
    }
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "write a number, 1 or more".to_owned())
}

/// Announces the broker on the local network, under the machine's name unless it has one of its own.
fn announce(name: &str, at: SocketAddr, verbose: bool) -> Result<Announcement, Failure> {
    let name = match name {
        "" => fs::read_to_string("/proc/sys/kernel/hostname").map_err(|error| {
            Error::from(error).context("announce the broker: this machine's name: write --announce=NAME")
        })?,
        name => name.to_owned(),
    };
    let log = move |line: &str| {
        if verbose {
            log(line)
        }
    };
    Announcement::new(Service::Broker, name.trim_end(), at, log).map_err(|error| Error::from(error).into())
}

fn log(line: &str) {
    tell(Level::Info, &format!("broker: {line}"));
}

/// Adds the port where none is written.
fn with_port(listen: &str) -> String {
    let bare = listen.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match bare.unwrap_or(listen).parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, BROKER_PORT).to_string(),
        Err(_) if listen.contains(':') => listen.to_owned(),
        Err(_) => format!("{listen}:{BROKER_PORT}"),
    }
}

/// Reads a secret from a file that nobody else can read.
fn read_secret(path: &Path) -> Result<Secret, Failure> {
    let failed = |error: Error| Failure::from(error.context(format!("--secret-file {}", path.display())));
    // Line ends do not count as the secret's.
    let bytes = Zeroizing::new(read_secret_file(path, auth::SECRET_MAX + 2).map_err(failed)?);
    // As a setting of the peers it is text.
    if std::str::from_utf8(&bytes).is_err() {
        let text = "not UTF-8 text, as peers need it: make one by `openssl rand -base64 24`";
        return Err(failed(Error::new(Code::EINVAL, text)));
    }
    Secret::new(&bytes).map_err(|error| failed(Error::new(Code::EINVAL, error.to_string())))
}

/// Reads the secret anew. A broker never goes on without the one that it had.
fn read_again(broker: &Handle, secret_file: Option<&Path>) {
    let Some(file) = secret_file else {
        return warn("broker: SIGHUP: no --secret-file to read again");
    };
    match read_secret(file) {
        Ok(secret) => {
            broker.renew_secret(secret);
            tell(Level::Info, &format!("broker: SIGHUP: --secret-file {} was read again", file.display()));
        }
        Err(failure) => {
            let why = failure.message().unwrap_or_default();
            warn(&format!("broker: SIGHUP: {why}: the old secret stays in use"));
        }
    }
}

/// Lets the process have as many descriptors as it may: the usual soft limit is below the broker's own.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    // What stays is the limit that the operator set; the broker waits where it is reached.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_goes_without_saying() {
        for (text, whole) in [
            ("10.0.0.1", "10.0.0.1:9713"),
            ("10.0.0.1:0", "10.0.0.1:0"),
            ("::1", "[::1]:9713"),
            ("[::1]", "[::1]:9713"),
            ("[::1]:80", "[::1]:80"),
            ("host.example", "host.example:9713"),
            ("host.example:80", "host.example:80"),
        ] {
            assert_eq!(with_port(text), whole);
        }
    }
}
