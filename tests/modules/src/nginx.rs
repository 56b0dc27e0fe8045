//! nginx with the module in it.

use crate::process::children;
use crate::{WASM_TOOLS, guest, module};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;
use zvfs_http_servers::{Authority, Process};
use zvfs_test_support::{LIMIT, eventually, free_port, have, run};

/// Ports taken by somebody else in between, one after the other.
const ATTEMPTS: usize = 5;

/// A server of its own: nothing of the system's configuration, files or ports. Ends when dropped, and its files are removed.
pub struct Nginx {
    folder: TempDir,
    authority: Authority,
    http: u16,
    https: u16,
    // Ends before its folder goes.
    process: Option<Process>,
}

/// What a server answered, over a connection that it then closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// 0: nothing came, not even a header.
    pub status: u16,
    /// The header lines.
    pub header: String,
    /// What followed.
    pub body: Vec<u8>,
}

impl Nginx {
    /// Whether the machine has nginx and what builds the module and guests; if not, it was said.
    pub fn is_here() -> bool {
        have(&["nginx", "/usr/share/nginx/src/conf_flags", "make", "cc", "curl"]) && have(&WASM_TOOLS)
    }

    /// A server whose `http` block has these lines, and whose site has these: `@CGI@` is the guest of `guests/cgi.c`, `@FOLDER@` the
    /// server's folder.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(http: &str, site: &str) -> Nginx {
        Nginx::start_under(&[], "", http, site)
    }

    /// The same, run by another program, with lines outside of all blocks.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_under(runner: &[&str], main: &str, http: &str, site: &str) -> Nginx {
        compile();
        Nginx::launch(runner, main, http, site)
    }

    fn launch(runner: &[&str], main: &str, http: &str, site: &str) -> Nginx {
        let mut server = Nginx::prepare();
        for _ in 0..ATTEMPTS {
            (server.http, server.https) = (free_port(), free_port());
            server.configure(main, http, site);
            if server.starts(runner) {
                return server;
            }
            server.process = None;
        }
        panic!("nginx does not start: {}", server.log());
    }

    /// What `nginx -t` says of a configuration.
    pub fn check(http: &str, site: &str) -> Output {
        let mut server = Nginx::prepare();
        (server.http, server.https) = (free_port(), free_port());
        server.configure("", http, site);
        let mut command = Command::new(zvfs_test_support::find("nginx").unwrap());
        command.env_remove("LD_LIBRARY_PATH");
        command.args(["-t", "-p"]).arg(server.path()).args(["-c", &server.at("nginx.conf"), "-e", "stderr"]);
        run(command).unwrap()
    }

    fn prepare() -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        Nginx { folder, authority: Authority::new(), http: 0, https: 0, process: None }
    }

    /// Writes the configuration, in the place of the one before.
    pub fn configure(&self, main: &str, http: &str, site: &str) {
        let identity = self.authority.good();
        let text = include_str!("nginx/nginx.conf")
            .replace("@MAIN@", main)
            .replace("@OPTIONS@", http)
            .replace("@SITE@", site)
            .replace("@USER@", if rustix::process::geteuid().is_root() { "user root;" } else { "" })
            .replace("@MODULE@", library().to_str().unwrap())
            .replace("@CGI@", cgi().to_str().unwrap())
            .replace("@CACHE@", cache().to_str().unwrap())
            .replace("@HTTP@", &self.http.to_string())
            .replace("@HTTPS@", &self.https.to_string())
            .replace("@CERTIFICATE@", identity.certificate_file().to_str().unwrap())
            .replace("@KEY@", identity.key_file().to_str().unwrap())
            .replace("@FOLDER@", self.path().to_str().unwrap());
        fs::write(self.at("nginx.conf"), text).unwrap();
    }

    fn starts(&mut self, runner: &[&str]) -> bool {
        let (prefix, config, log) = (self.at(""), self.at("nginx.conf"), self.at("error.log"));
        let nginx = zvfs_test_support::find("nginx").unwrap();
        let mut words = runner.to_vec();
        words.extend([nginx.to_str().unwrap(), "-p", &prefix, "-c", &config, "-e", &log]);
        let output = fs::File::create(self.at("output")).unwrap();
        let process = Process::start(words[0], &words[1..], |command| {
            command.env_remove("LD_LIBRARY_PATH").stdin(Stdio::null());
            command.stdout(output.try_clone().unwrap()).stderr(output);
        });
        let mut process = process.unwrap();
        let is_ready =
            process.comes_to(|| self.get("/ready").body == self.path().to_str().unwrap().as_bytes());
        self.process = Some(process);
        is_ready
    }

    /// The server's folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the server's folder.
    pub fn at(&self, name: &str) -> String {
        self.path().join(name).to_str().unwrap().to_owned()
    }

    /// The error log.
    pub fn log(&self) -> String {
        let log = fs::read(self.path().join("error.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Waits until the error log has a text.
    #[track_caller]
    pub fn logs(&self, text: &str) {
        eventually(format!("the log has {text}"), || self.log().contains(text));
    }

    /// The master process, or the one that does all.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    /// Its workers.
    pub fn workers(&mut self) -> Vec<u32> {
        children(self.process().child().id())
    }

    /// A connection, without TLS.
    ///
    /// # Panics
    /// Nobody listens.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.http)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// A request of HTTP/1.0, whose answer ends with the connection.
    pub fn get(&self, path: &str) -> Answer {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, self.http)) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                ask(&mut stream, path);
                Answer::read(stream)
            }
            Err(_) => Answer::default(),
        }
    }

    /// The URL of a path.
    pub fn url(&self, scheme: &str, path: &str) -> String {
        let port = if scheme == "https" { self.https } else { self.http };
        format!("{scheme}://127.0.0.1:{port}{path}")
    }

    /// The command curl, with the scheme and the server before the path.
    pub fn curl(&self, scheme: &str, path: &str, options: &[&str]) -> Output {
        run(self.curl_command(scheme, path, options)).unwrap()
    }

    /// The same, not yet run.
    pub fn curl_command(&self, scheme: &str, path: &str, options: &[&str]) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "120", "--cacert"])
            .arg(self.authority.ca_file());
        curl.args(options).arg(self.url(scheme, path));
        curl
    }
}

impl Answer {
    /// All that comes until the connection is closed.
    pub fn read(mut stream: TcpStream) -> Answer {
        let mut bytes = Vec::new();
        // A server that is told to end may reset a connection.
        let _ = stream.read_to_end(&mut bytes);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Answer::default();
        };
        let header = String::from_utf8_lossy(&bytes[..end + 2]).into_owned();
        let status = header.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        Answer { status, header, body: bytes.split_off(end + 4) }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request of HTTP/1.0 over a connection.
pub fn ask(stream: &mut TcpStream, path: &str) {
    // The server may have closed it already, which the answer then shows.
    let _ = write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
}

fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| module("nginx", "objs/ngx_http_zvm_module.so", &[]))
}

fn cgi() -> &'static Path {
    static CGI: OnceLock<PathBuf> = OnceLock::new();
    CGI.get_or_init(|| guest("tests/modules/guests/cgi.c"))
}

/// Compiles the guest before the first server: on a busy machine a request that came meanwhile would wait for that.
fn compile() {
    static COMPILED: OnceLock<()> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let server = Nginx::launch(&[], "", "", "location /cgi { zvm_program @CGI@; }");
        assert_eq!(server.get("/cgi").status, 200, "{}", server.log());
    });
}

/// Where the servers of a test program keep what they compiled: one compiles for all.
fn cache() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| cgi().with_file_name("compiled"))
}
