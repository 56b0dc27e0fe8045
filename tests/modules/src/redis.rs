//! Redis with the module in it, and a client of its protocol.

use crate::{build, guest, process, sanitizers};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use tempfile::TempDir;
use zvfs_http_servers::Process;
use zvfs_test_support::{LIMIT, built, ends, have};

/// A server with the module. Ends when dropped, and its files are removed.
pub struct Redis {
    folder: TempDir,
    // Ends before its folder goes.
    process: Process,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+`
    Simple(String),
    /// `-`
    Error(String),
    /// `:`
    Integer(i64),
    /// `$`; `None`: null
    Bulk(Option<Vec<u8>>),
    /// `*`
    Array(Vec<Reply>),
}

/// A connection.
pub struct Client {
    reader: BufReader<UnixStream>,
}

impl Redis {
    /// Whether the machine has Redis and what builds the module and guests; if not, it was said.
    pub fn is_here() -> bool {
        have(&["redis-server", "make", "cc"]) && have(&crate::WASM_TOOLS)
    }

    /// A server, with these arguments of its own and of the module's. The operator's file, unless they name one, allows `file:` below the
    /// server's folder.
    /// Its guests are no nicer than others, so that they get on where those keep the cores busy.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(server: &[&str], module: &[&str]) -> Redis {
        Redis::try_start(server, &[&["nice", "0"], module].concat()).unwrap()
    }

    /// A server with these arguments alone, which may be refused.
    ///
    /// # Errors
    /// It did not start: what it logged.
    pub fn try_start(server: &[&str], module: &[&str]) -> Result<Redis, String> {
        Redis::launch(server, &library(), module, &[], true)
    }

    /// A server without an operator's file, with these arguments of the module's.
    ///
    /// # Errors
    /// It did not start: what it logged.
    pub fn without_operators_file(module: &[&str]) -> Result<Redis, String> {
        Redis::launch(&[], &library(), module, &[], false)
    }

    /// A server whose module is built with AddressSanitizer and UndefinedBehaviorSanitizer: see [`findings`](Redis::findings).
    ///
    /// # Panics
    /// It does not start.
    pub fn sanitized() -> Redis {
        let library = build::module("redis", "zvm-sanitized.so", &sanitizers::VARIABLES);
        let module = ["threads", "3", "nice", "0"];
        Redis::launch(&[], &library, &module, &sanitizers::environment(), true).unwrap()
    }

    /// Ends a sanitized server; what the sanitizers found, leaks too.
    pub fn findings(mut self) -> String {
        self.shut_down();
        sanitizers::findings(self.folder.path())
    }

    /// Has the server end, and waits for that.
    ///
    /// # Panics
    /// It does not.
    pub fn shut_down(&mut self) {
        self.client().send(&["SHUTDOWN", "NOSAVE"]);
        assert!(ends(self.process.child(), LIMIT), "redis-server does not end");
    }

    fn launch(
        server: &[&str],
        library: &Path,
        module: &[&str],
        environment: &[(&str, String)],
        has_operators_file: bool,
    ) -> Result<Redis, String> {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let operator = format!(
            "provider-path = [{:?}]\n[provider.file]\nsettings = {{ root = [{:?}] }}\n",
            built(),
            folder.path()
        );
        fs::write(folder.path().join("zvfs.toml"), operator).unwrap();
        let (socket, log, dir, config) = (at("socket"), at("log"), at(""), at("zvfs.toml"));
        let ports = if server.contains(&"--port") { &[][..] } else { &["--port", "0"] };
        let mut arguments = vec!["--unixsocket", &socket, "--logfile", &log, "--dir", &dir, "--save", ""];
        arguments.extend(["--enable-module-command", "local"]);
        arguments.extend(ports);
        arguments.extend(server);
        arguments.extend(["--loadmodule", library.to_str().unwrap()]);
        if has_operators_file && !module.contains(&"config") {
            arguments.extend(["config", &config]);
        }
        arguments.extend(module);
        let mut process = Process::start("redis-server", &arguments, |command| {
            command
                .env_remove("LD_LIBRARY_PATH")
                .envs(environment.iter().map(|(name, value)| (name, value.replace("$FOLDER", &dir))))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
        })
        .unwrap();
        // It listens before it loads the module, and ends if that fails.
        match process.comes_to(|| answers(&socket)) {
            true => Ok(Redis { folder, process }),
            false => Err(fs::read_to_string(&log).unwrap_or_default()),
        }
    }

    /// A connection.
    pub fn client(&self) -> Client {
        let stream = UnixStream::connect(self.folder.path().join("socket")).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    /// A path in the server's folder, which guests can reach through `file:`.
    pub fn at(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// The server's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The threads that the server has.
    pub fn threads(&mut self) -> Vec<process::Thread> {
        process::threads(self.process.child().id())
    }

    /// How many descriptors the server has open.
    pub fn descriptors(&mut self) -> usize {
        process::descriptors(self.process.child().id())
    }

    /// A number of the server's counters of calls.
    pub fn counter(&self, name: &str) -> u64 {
        let Reply::Bulk(Some(text)) = self.client().call(&["INFO", "zvm_calls"]) else { panic!("no INFO") };
        let text = String::from_utf8(text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("zvm_{name}:"))).unwrap();
        line.parse().unwrap()
    }

    /// The processes that it has started.
    pub fn compilers(&mut self) -> usize {
        process::children(self.process.child().id()).len()
    }

    /// Loads the guest of `guests/tool.c` under a name. The manifest's standard streams are given here, `more` are further lines, in
    /// which `$FOLDER` is the server's folder.
    pub fn load(&self, name: &str, more: &str) {
        static TOOL: OnceLock<Vec<u8>> = OnceLock::new();
        let program = TOOL.get_or_init(|| fs::read(guest("tests/modules/guests/tool.c")).unwrap());
        let manifest = manifest(more).replace("$FOLDER", self.folder.path().to_str().unwrap());
        let reply = self.client().call_bytes(&[
            b"ZVM.LOAD",
            name.as_bytes(),
            manifest.as_bytes(),
            b"PROGRAM",
            program,
        ]);
        assert_eq!(reply, Reply::Simple("OK".into()), "{manifest}");
    }
}

/// A manifest with these lines; those that it must have, and they lack, are added.
pub fn manifest(more: &str) -> String {
    let mut text = format!("Version = 20140509\nProgram = /given\n{more}\n");
    for (has, line) in [
        ("Memory", "Memory = 4m, 0"),
        ("Timeout", "Timeout = 60"),
        ("/dev/stdin", "Channel = redis:empty, /dev/stdin, 0, 9, 9, 0, 0"),
        ("/dev/stdout", "Channel = redis:reply, /dev/stdout, 0, 0, 0, 1000000, 1m"),
        ("/dev/stderr", "Channel = redis:log, /dev/stderr, 0, 0, 0, 1000, 64k"),
    ] {
        if !more.contains(has) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// Whether a server answers at a socket.
fn answers(socket: &str) -> bool {
    let mut answer = [0; 7];
    UnixStream::connect(socket).is_ok_and(|mut stream| {
        stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut answer)).is_ok()
    }) && answer == *b"+PONG\r\n"
}

fn library() -> PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| build::module("redis", "zvm.so", &[])).clone()
}

impl Client {
    /// Sends a command and waits for its reply.
    pub fn call(&mut self, words: &[&str]) -> Reply {
        self.send(words);
        self.receive()
    }

    /// The same, of any bytes.
    pub fn call_bytes(&mut self, words: &[&[u8]]) -> Reply {
        self.send_bytes(words);
        self.receive()
    }

    /// Sends a command.
    pub fn send(&mut self, words: &[&str]) {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.send_bytes(&words);
    }

    fn send_bytes(&mut self, words: &[&[u8]]) {
        let mut text = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            text.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            text.extend_from_slice(word);
            text.extend_from_slice(b"\r\n");
        }
        self.reader.get_mut().write_all(&text).unwrap();
    }

    /// Waits for a reply.
    pub fn receive(&mut self) -> Reply {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end_matches("\r\n").split_at(1);
        let number = || rest.parse::<i64>().unwrap();
        match kind {
            "+" => Reply::Simple(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(number()),
            "$" if number() < 0 => Reply::Bulk(None),
            "$" => {
                let mut bytes = vec![0; number() as usize + 2];
                self.reader.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                Reply::Bulk(Some(bytes))
            }
            "*" => Reply::Array((0..number()).map(|_| self.receive()).collect()),
            _ => panic!("not a reply: {line:?}"),
        }
    }
}

impl Reply {
    /// A bulk string of this text.
    pub fn bulk(text: &str) -> Reply {
        Reply::Bulk(Some(text.as_bytes().to_vec()))
    }

    /// Checks that it is an error that begins so and has these words.
    #[track_caller]
    pub fn is_error(&self, code: &str, words: &[&str]) {
        let Reply::Error(text) = self else { panic!("not an error: {self:?}") };
        assert!(text.starts_with(&format!("{code} ")), "{text}");
        for word in words {
            assert!(text.contains(word), "no `{word}`: {text}");
        }
    }
}
