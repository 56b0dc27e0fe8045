//! Real servers: nginx, apache2 and Python's `http.server`, each with http and https over the same folder; busybox httpd, webfs
//! and whitenoise with http alone.

use crate::certificates::{Authority, text};
use crate::program::Process;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use zvfs_test_support::{free_port, have};

/// Longer than any of them takes to start on a busy machine.
const BOUND: Duration = Duration::from_secs(60);
/// Ports taken by somebody else in between, one after the other.
const ATTEMPTS: usize = 5;
/// Where Debian's python3, which its gunicorn runs under, finds whitenoise.
const WHITENOISE: &str = "/usr/lib/python3/dist-packages/whitenoise/base.py";
/// A file that says that this server answers, and not somebody else at its port.
const TOKEN: &str = ".zvfs-ready";

/// A real server. Ends when dropped, and its files are removed.
pub struct Server {
    /// Which it is, as its tests are named.
    pub name: &'static str,
    http: u16,
    https: u16,
    https_for_clients: Option<u16>,
    authority: Authority,
    folder: TempDir,
    // Ends before its folder goes.
    process: Option<Process>,
}

impl Server {
    /// nginx: ranges, strong ETags, PUT and DELETE. `/private/` wants the user `reader` with the password `swordfish`;
    /// `/limited/` has the same files at 16 MiB/s for each answer, `/bursts/` at 4 MiB/s, `/slow/` at 1 MiB/s.
    ///
    /// `None`: the machine has none, which was said.
    pub fn nginx() -> Option<Server> {
        have(&["nginx"]).then(|| Server::at_free_ports("nginx", nginx))
    }

    /// apache2: ranges, PUT and DELETE by mod_dav; its ETag is weak for a file that is younger than a second.
    ///
    /// `None`: the machine has none, which was said.
    pub fn apache2() -> Option<Server> {
        have(&["apache2"]).then(|| Server::at_free_ports("apache2", apache2))
    }

    /// Python's `http.server`: HTTP/1.0, no ranges, no ETag, nothing but GET and HEAD.
    ///
    /// `None`: the machine has none, which was said.
    pub fn python() -> Option<Server> {
        have(&["python3"]).then(|| {
            let mut server = Server::prepare("http.server");
            python(&mut server);
            server.answers().then_some(server).expect("http.server does not answer")
        })
    }

    /// busybox httpd: HTTP/1.1 without keep-alive; takes the range `0-0` for `0-`.
    ///
    /// `None`: the machine has none, which was said.
    pub fn busybox() -> Option<Server> {
        have(&["busybox"]).then(|| Server::at_free_ports("busybox", busybox))
    }

    /// webfs: ranges, no ETag; a range beyond the end is 400, that of an empty file `0--1/0`.
    ///
    /// `None`: the machine has none, which was said.
    pub fn webfs() -> Option<Server> {
        have(&["webfsd"]).then(|| Server::at_free_ports("webfs", webfs))
    }

    /// whitenoise under gunicorn: one request at a time; the range `0-0` is 416.
    ///
    /// `None`: the machine has none, which was said.
    pub fn whitenoise() -> Option<Server> {
        have(&["gunicorn", WHITENOISE]).then(|| Server::at_free_ports("whitenoise", whitenoise))
    }

    /// The URL of a name in its folder, without TLS.
    pub fn http(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.http)
    }

    /// The URL of a name in its folder, with TLS.
    pub fn https(&self, name: &str) -> String {
        format!("https://127.0.0.1:{}/{name}", self.https)
    }

    /// The URL of a name in its folder, with TLS and only for clients with a certificate of its authority (nginx).
    pub fn https_for_clients(&self, name: &str) -> Option<String> {
        self.https_for_clients.map(|port| format!("https://127.0.0.1:{port}/{name}"))
    }

    /// The port without TLS.
    pub fn port(&self) -> u16 {
        self.http
    }

    /// The port with TLS.
    pub fn tls_port(&self) -> u16 {
        self.https
    }

    /// The folder that it serves.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Puts a file into the folder that it serves.
    pub fn put(&self, name: &str, content: &[u8]) {
        let path = self.root().join(name);
        fs::write(&path, content).unwrap();
        // A date of this second would prove nothing to a client.
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(5)).unwrap();
    }

    /// Who signed its certificate.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The file that makes its certificate trusted.
    pub fn ca_file(&self) -> PathBuf {
        self.authority.ca_file()
    }

    /// What it logged, for a test that failed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }

    /// The paths of the requests that it has served or broken off, in order (nginx).
    pub fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    fn prepare(name: &'static str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let (authority, root) = (Authority::new(), folder.path().join("root"));
        fs::create_dir(&root).unwrap();
        fs::write(root.join(TOKEN), text(folder.path())).unwrap();
        // Under root apache2's workers are somebody else, who must get in and may write.
        for (path, mode) in [(folder.path(), 0o755), (root.as_path(), 0o777)] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        Server { name, http: 0, https: 0, https_for_clients: None, authority, folder, process: None }
    }

    /// Starts a server that must be told its ports, until they were free.
    fn at_free_ports(name: &'static str, start: fn(&mut Server)) -> Server {
        let mut server = Server::prepare(name);
        for _ in 0..ATTEMPTS {
            (server.http, server.https) = (free_port(), free_port());
            start(&mut server);
            if server.answers() {
                return server;
            }
            server.process = None;
        }
        panic!("{name} does not start: {}", server.log());
    }

    /// Waits until it answers; `false`: it has ended, as it does if somebody else is at its port.
    fn answers(&mut self) -> bool {
        let (port, folder) = (self.http, text(self.folder.path()));
        let answers = || ask(port).is_some_and(|said| said.ends_with(folder));
        self.process.as_mut().is_some_and(|process| process.comes_to(answers))
    }

    fn start(&mut self, program: &str, arguments: &[&str]) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("output.log"));
        let log = log.unwrap();
        let process = Process::start(program, arguments, |command| {
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        });
        self.process = Some(process.unwrap());
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

/// What a server says of the token, if one is there.
fn ask(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(BOUND)).ok()?;
    write!(stream, "GET /{TOKEN} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn nginx(server: &mut Server) {
    let (good, clients) = (server.authority.good(), free_port());
    server.https_for_clients = Some(clients);
    server.write("users", "reader:{PLAIN}swordfish\n");
    let configuration = include_str!("server/nginx.conf")
        .replace("@USER@", if is_root() { "user root;" } else { "" })
        .replace("@FOLDER@", text(server.folder.path()))
        .replace("@HTTP@", &server.http.to_string())
        .replace("@HTTPS@", &server.https.to_string())
        .replace("@CLIENTS@", &clients.to_string())
        .replace("@CERTIFICATE@", text(&good.certificate_file()))
        .replace("@KEY@", text(&good.key_file()))
        .replace("@CA@", text(&server.ca_file()));
    let configuration = server.write("nginx.conf", &configuration);
    let folder = server.folder.path().to_owned();
    let log = folder.join("error.log");
    server.start("nginx", &["-p", text(&folder), "-c", text(&configuration), "-e", text(&log)]);
}

fn apache2(server: &mut Server) {
    let good = server.authority.good();
    // By number, since names differ: the one that owns nothing.
    let user = if is_root() { "User #65534\nGroup #65534" } else { "" };
    let locks = server.folder.path().join("locks");
    fs::create_dir_all(&locks).unwrap();
    fs::set_permissions(&locks, Permissions::from_mode(0o777)).unwrap();
    let configuration = include_str!("server/apache2.conf")
        .replace("@USER@", user)
        .replace("@MODULES@", text(&modules()))
        .replace("@FOLDER@", text(server.folder.path()))
        .replace("@HTTP@", &server.http.to_string())
        .replace("@HTTPS@", &server.https.to_string())
        .replace("@CERTIFICATE@", text(&good.certificate_file()))
        .replace("@KEY@", text(&good.key_file()));
    let configuration = server.write("apache2.conf", &configuration);
    server.start("apache2", &["-D", "FOREGROUND", "-f", text(&configuration)]);
}

fn busybox(server: &mut Server) {
    let address = format!("127.0.0.1:{}", server.http);
    server.start("busybox", &["httpd", "-f", "-p", &address, "-h", text(&server.root())]);
}

fn webfs(server: &mut Server) {
    let port = server.http.to_string();
    server.start("webfsd", &["-F", "-i", "127.0.0.1", "-p", &port, "-r", text(&server.root())]);
}

fn whitenoise(server: &mut Server) {
    server.write("files.py", include_str!("server/files.py"));
    let (address, folder) = (format!("127.0.0.1:{}", server.http), server.folder.path().to_owned());
    // It would kill a worker whose client stands still, and so hide that nobody else is served.
    let arguments = ["--chdir", text(&folder), "--bind", &address, "--timeout", "0", "files"];
    server.start("gunicorn", &arguments);
}

/// Where Debian keeps apache2's modules.
fn modules() -> PathBuf {
    let folder = Path::new("/usr/lib/apache2/modules");
    assert!(folder.is_dir(), "apache2's modules are not in {}", folder.display());
    folder.to_owned()
}

fn python(server: &mut Server) {
    let good = server.authority.good();
    let script = server.write("server.py", include_str!("server/http_server.py"));
    let arguments = [script, server.root(), good.certificate_file(), good.key_file()];
    let arguments: Vec<&str> = arguments.iter().map(|path| text(path)).collect();
    let log = File::create(server.folder.path().join("error.log")).unwrap();
    let process = Process::start("python3", &arguments, |command| {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    });
    let mut process = process.unwrap();
    // It chooses its ports itself, and says them.
    let mut ports = String::new();
    BufReader::new(process.child().stdout.take().unwrap()).read_line(&mut ports).unwrap();
    let mut ports = ports.split_whitespace().map(|port| port.parse().unwrap());
    let (Some(http), Some(https)) = (ports.next(), ports.next()) else {
        panic!("http.server does not start: {}", server.log())
    };
    (server.http, server.https, server.process) = (http, https, Some(process));
}
