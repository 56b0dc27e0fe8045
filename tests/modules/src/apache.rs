//! Apache with the module in it, and a client that says each byte itself.

use crate::gate::large_program;
use crate::process::{children, descriptors, falls_quiet, peak, threads};
use crate::{WASM_TOOLS, build, guest, sanitizers};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;
use zvfs_http_servers::{Authority, Process};
use zvfs_test_support::{LIMIT, built, ends, free_port, have, succeeded};

/// Where Debian has Apache's modules.
const MODULES: &str = "/usr/lib/apache2/modules";

/// A server with the module: `/NAME` is answered by a guest under the manifest NAME. Ends when dropped, and its files are removed.
pub struct Apache {
    port: u16,
    tls_port: u16,
    folder: TempDir,
    _authority: Authority, // its files
    // Ends before its folder goes.
    process: Process,
}

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    /// 200 and the like; 0: there was none.
    pub status: u16,
    /// The header lines.
    pub head: String,
    /// What followed, chunks still framed.
    pub body: Vec<u8>,
}

impl Apache {
    /// Whether the machine has Apache with its headers, and what builds the module and guests; if not, it was said.
    pub fn is_here() -> bool {
        let event = format!("{MODULES}/mod_mpm_event.so");
        have(&["apache2", "apxs", &event, "make", "cc", "curl"]) && have(&WASM_TOOLS)
    }

    /// A server with these manifests, in which `$FOLDER` is a folder that guests can reach, and further lines of configuration for each.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(manifests: &[(&str, &str, &str)]) -> Apache {
        Apache::try_start(manifests).unwrap()
    }

    /// The same, for a configuration that may be refused.
    ///
    /// # Errors
    /// It did not start: what it said.
    pub fn try_start(manifests: &[(&str, &str, &str)]) -> Result<Apache, String> {
        Apache::launch(manifests, "", &library(), &[])
    }

    /// A server that has no manifests, with these lines of configuration.
    ///
    /// # Errors
    /// It did not start: what it said.
    pub fn without_manifests(lines: &str) -> Result<Apache, String> {
        Apache::launch(&[], lines, &library(), &[])
    }

    /// A server whose module is built with AddressSanitizer and UndefinedBehaviorSanitizer: see [`findings`](Apache::findings).
    ///
    /// # Panics
    /// It does not start.
    pub fn sanitized(manifests: &[(&str, &str, &str)]) -> Apache {
        let library = build::module("apache", "mod_zvm-sanitized.so", &sanitizers::VARIABLES);
        Apache::launch(manifests, "", &library, &sanitizers::environment()).unwrap()
    }

    /// Ends a sanitized server; what the sanitizers found, but leaks that are not the module's.
    pub fn findings(mut self) -> String {
        self.stop();
        let found = sanitizers::findings(&self.folder.path().join("sanitizer"));
        let is_foreign = |part: &str| !part.contains("/modules/apache/") && part.contains("leak");
        found.split("\n\n").filter(|part| !is_foreign(part) && part.contains(' ')).collect()
    }

    fn launch(
        manifests: &[(&str, &str, &str)],
        lines: &str,
        library: &Path,
        environment: &[(&str, String)],
    ) -> Result<Apache, String> {
        let folder = tempfile::tempdir().unwrap();
        // The children run as another user.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let authority = Authority::new();
        let good = authority.good();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("guests")).unwrap();
        fs::create_dir(at("sanitizer")).unwrap();
        fs::set_permissions(at("sanitizer"), Permissions::from_mode(0o777)).unwrap();
        fs::copy(guest("tests/modules/guests/cgi.c"), at("guests/cgi.wasm")).unwrap();
        fs::write(at("guests/elsewhere"), "static").unwrap();
        fs::write(at("guests/large.wat"), large_program()).unwrap();
        let operator = format!(
            "provider-path = [{:?}]\n[provider.file]\nsettings = {{ root = [{:?}] }}\n",
            built(),
            at("guests")
        );
        fs::write(at("zvfs.toml"), operator).unwrap();
        let (port, tls_port) = (free_port(), free_port());
        let mut places = lines.to_owned();
        for (name, more, lines) in manifests {
            fs::write(at(name), manifest(more, &at("guests"))).unwrap();
            let file = at(name).display().to_string();
            places.push_str(&format!(
                "<Location \"/{name}\">\nSetHandler zvm-handler\nZvmManifest {file}\n{lines}\n</Location>\n"
            ));
        }
        // By number, since names differ: the one that owns nothing.
        let user = if rustix::process::getuid().is_root() { "User #65534\nGroup #65534" } else { "" };
        let configuration = include_str!("apache/apache2.conf")
            .replace("@USER@", user)
            .replace("@MODULES@", MODULES)
            .replace("@MODULE@", library.to_str().unwrap())
            .replace("@HTTP@", &port.to_string())
            .replace("@HTTPS@", &tls_port.to_string())
            .replace("@CERTIFICATE@", good.certificate_file().to_str().unwrap())
            .replace("@KEY@", good.key_file().to_str().unwrap())
            .replace(
                "@CONFIGURATION@",
                match places.contains("ZvmConfiguration") {
                    true => "",
                    false => "ZvmConfiguration @FOLDER@/zvfs.toml",
                },
            )
            .replace("@FOLDER@", folder.path().to_str().unwrap())
            .replace("@PLACES@", &places);
        let sanitizer = at("sanitizer").display().to_string();
        let file = at("apache2.conf");
        fs::write(&file, configuration).unwrap();
        let mut process =
            Process::start("apache2", &["-D", "FOREGROUND", "-f", file.to_str().unwrap()], |command| {
                command
                    // Which guests do not get, and nothing is found by.
                    .env("LD_LIBRARY_PATH", "/nowhere")
                    .envs(
                        environment.iter().map(|(name, value)| (name, value.replace("$FOLDER", &sanitizer))),
                    )
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(File::create(at("stderr")).unwrap());
            })
            .unwrap();
        if !process.comes_to(|| TcpStream::connect(("127.0.0.1", port)).is_ok()) {
            let said = |name: &str| fs::read_to_string(at(name)).unwrap_or_default();
            return Err(said("stderr") + &said("error.log"));
        }
        Ok(Apache { port, tls_port, folder, _authority: authority, process })
    }

    /// The port without TLS; and that with it.
    pub fn ports(&self) -> (u16, u16) {
        (self.port, self.tls_port)
    }

    /// The name of its MPM, which has its processes and threads; and how many threads its child processes have.
    pub fn mpm(&mut self) -> (String, usize) {
        let mut apache = Command::new("apache2");
        apache.args(["-V", "-f"]).arg(self.folder.path().join("apache2.conf"));
        let said = String::from_utf8(succeeded(apache).stdout).unwrap();
        let name = said.lines().find_map(|line| line.strip_prefix("Server MPM:")).unwrap_or_default();
        let of_children = children(self.process.child().id()).into_iter().map(|child| threads(child).len());
        (name.trim().to_owned(), of_children.sum())
    }

    /// The folder that guests can reach.
    pub fn guests(&self) -> PathBuf {
        self.folder.path().join("guests")
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("error.log")).unwrap()
    }

    /// What it said before it had a log.
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// What it logged of requests.
    pub fn access_log(&self) -> String {
        fs::read_to_string(self.folder.path().join("access.log")).unwrap()
    }

    /// How many descriptors the child processes have open.
    pub fn descriptors(&mut self) -> usize {
        children(self.process.child().id()).into_iter().map(descriptors).sum()
    }

    /// The most memory that the child processes ever had, in bytes.
    pub fn peak(&mut self) -> usize {
        children(self.process.child().id()).into_iter().map(peak).sum()
    }

    /// Whether the child processes compute nothing for a while.
    pub fn falls_quiet(&mut self) -> bool {
        children(self.process.child().id()).into_iter().all(falls_quiet)
    }

    /// How many processes its children have started.
    pub fn compilers(&mut self) -> usize {
        children(self.process.child().id()).into_iter().map(|child| children(child).len()).sum()
    }

    /// Has it end as `apachectl stop` does, and waits for that.
    ///
    /// # Panics
    /// It does not.
    pub fn stop(&mut self) {
        kill_process(Pid::from_child(self.process.child()), Signal::TERM).unwrap();
        assert!(ends(self.process.child(), LIMIT), "apache2 does not end");
    }

    /// Has it take its configuration again, as `apachectl graceful` does.
    pub fn reload(&self) {
        let mut apache = Command::new("/usr/sbin/apache2");
        apache.args(["-k", "graceful", "-f"]).arg(self.folder.path().join("apache2.conf"));
        succeeded(apache);
    }

    /// Has it take its configuration again without a look at it before, as a signal does.
    pub fn restart(&mut self) {
        kill_process(Pid::from_child(self.process.child()), Signal::USR1).unwrap();
    }

    /// A connection.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// Sends a request for a path with a body, and reads the answer to its end.
    pub fn request(&self, path: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let method = if body.is_empty() { "GET" } else { "POST" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // A server that has answered already does not read the rest.
        let _ = stream.write_all(body);
        Answer::read(&mut stream)
    }

    /// curl's output for a URL of this server, over TLS or not.
    pub fn curl(&self, arguments: &[&str], tls: bool, path: &str) -> String {
        String::from_utf8(succeeded(self.curl_command(arguments, tls, path)).stdout).unwrap()
    }

    /// The command curl, not yet run.
    pub fn curl_command(&self, arguments: &[&str], tls: bool, path: &str) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--insecure"]).args(arguments);
        curl.arg(match tls {
            true => format!("https://127.0.0.1:{}{path}", self.tls_port),
            false => format!("http://127.0.0.1:{}{path}", self.port),
        });
        curl
    }
}

impl Answer {
    /// Reads one to the connection's end.
    pub fn read(stream: &mut TcpStream) -> Answer {
        let mut bytes = Vec::new();
        // One that was cut off may end by a reset.
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head, body: bytes[end..].to_vec() }
    }

    /// The body as text, and whether all of it came.
    pub fn text(&self) -> (String, bool) {
        let (bytes, is_whole) = self.bytes();
        (String::from_utf8(bytes).unwrap(), is_whole)
    }

    /// The body, and whether all of it came.
    pub fn bytes(&self) -> (Vec<u8>, bool) {
        let field = |name: &str| self.head.lines().find_map(|line| line.strip_prefix(name));
        match field("Content-Length: ") {
            Some(size) => (self.body.clone(), self.body.len() == size.parse::<usize>().unwrap()),
            None if field("Transfer-Encoding: chunked").is_some() => dechunked(&self.body),
            None => (self.body.clone(), false),
        }
    }
}

/// What chunks hold, and whether the last one is there.
fn dechunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return (bytes, true);
        }
        let chunk = &rest[end + 2..];
        bytes.extend_from_slice(&chunk[..size.min(chunk.len())]);
        rest = chunk.get(size + 2..).unwrap_or_default();
    }
    (bytes, false)
}

/// A manifest with these lines; those that it must have, and they lack, are added.
fn manifest(more: &str, guests: &Path) -> String {
    let mut text = format!("Version = 20140509\n{more}\n");
    for (has, line) in [
        ("Memory", "Memory = 4m, 0"),
        ("Program", "Program = $FOLDER/cgi.wasm"),
        ("Timeout", "Timeout = 100"),
        ("/dev/stdin", "Channel = /dev/null, /dev/stdin, 0, 1000000000, 10g, 0, 0"),
        ("/dev/stdout", "Channel = /dev/null, /dev/stdout, 0, 0, 0, 1000000000, 10g"),
        ("/dev/stderr", "Channel = /dev/null, /dev/stderr, 0, 0, 0, 1000, 64k"),
    ] {
        if !more.contains(has) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.replace("$FOLDER", &guests.display().to_string())
}

fn library() -> PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| build::module("apache", "mod_zvm.so", &[])).clone()
}
