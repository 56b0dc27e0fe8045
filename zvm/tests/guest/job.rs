//! Builds a session over scripted providers, runs it, and shows what came of it.

use crate::odd::Odd;
use crate::script;
use crate::shelf::{Book, Shelf};
use vfs_core::{Control, Provider, Registry};
use zvm::{Manifest, Report, Session};

/// A session to be: its files and its manifest.
pub struct Job {
    pub shelf: Shelf,
    pub registry: Registry,
    pub odd: Odd,
    /// Of all its sessions.
    pub control: Control,
    channels: Vec<String>,
    keys: Vec<String>,
    memory: u64,
    timeout: u64,
}

impl Job {
    /// The standard channels over empty pipes, 16 MiB, 20 s.
    pub fn new() -> Job {
        let (shelf, odd) = (Shelf::new(), Odd::default());
        let registry = shelf.registry();
        registry.register(Box::new(odd.clone())).unwrap();
        shelf.put("out", Book::pipe(""));
        shelf.put("err", Book::pipe(""));
        let (control, channels, keys) = (Control::new(), Vec::new(), Vec::new());
        Job { shelf, registry, odd, control, channels, keys, memory: 16 << 20, timeout: 120 }
    }

    /// Adds a file `f` and a channel `/x` over it, of `type, gets, get_size, puts, put_size`.
    pub fn over(book: Book, quotas: &str) -> Job {
        Job::new().file("f", book).channel(&format!("test:f, /x, {quotas}"))
    }

    pub fn file(self, name: &str, book: Book) -> Job {
        self.shelf.put(name, book);
        self
    }

    pub fn channel(mut self, channel: &str) -> Job {
        self.channels.push(channel.to_owned());
        self
    }

    pub fn key(mut self, line: &str) -> Job {
        self.keys.push(line.to_owned());
        self
    }

    pub fn memory(mut self, bytes: u64) -> Job {
        self.memory = bytes;
        self
    }

    pub fn timeout(mut self, seconds: u64) -> Job {
        self.timeout = seconds;
        self
    }

    /// The session of a program.
    pub fn session(&self, program: &str) -> Session {
        self.shelf.put("program", Book::new(program));
        let mut text = format!(
            "Version = 20140509\nProgram = test:program\nMemory = {}, 0\nTimeout = {}\n",
            self.memory, self.timeout
        );
        for line in &self.keys {
            text += &format!("{line}\n");
        }
        for channel in &self.channels {
            text += &format!("Channel = {channel}\n");
        }
        for (alias, name, quotas) in [
            ("/dev/stdin", "in", "999, 99999, 0, 0"),
            ("/dev/stdout", "out", "0, 0, 999, 99999"),
            ("/dev/stderr", "err", "0, 0, 999, 99999"),
        ] {
            if !self.channels.iter().any(|channel| channel.contains(alias)) {
                text += &format!("Channel = test:{name}, {alias}, 0, {quotas}\n");
            }
        }
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        Session::new(manifest).registry(self.registry.clone()).control(&self.control)
    }

    /// Lets it use a provider.
    pub fn over_provider(self, provider: impl Provider + 'static) -> Job {
        self.registry.register(Box::new(provider)).unwrap();
        self
    }

    /// Runs a program.
    pub fn run(&self, program: &str) -> Report {
        self.session(program).run()
    }

    /// Runs a script that must end well, and gives what its lines told.
    pub fn told(&self, script: &str) -> Vec<i64> {
        let report = self.run(&script::program(script));
        assert_eq!(end(&report), (0, "ok"), "{report:?}");
        self.log()
    }

    /// What a script's lines told.
    pub fn log(&self) -> Vec<i64> {
        let bytes = self.shelf.data("err");
        bytes.chunks_exact(8).map(|chunk| i64::from_le_bytes(chunk.try_into().unwrap())).collect()
    }
}

/// How a session ended.
pub fn end(report: &Report) -> (u8, &str) {
    (report.exit_code.number(), report.state.as_str())
}

/// Errnos as a script tells them.
pub const ACCES: i64 = -2;
pub const AGAIN: i64 = -6;
pub const BADF: i64 = -8;
pub const DQUOT: i64 = -19;
pub const EXIST: i64 = -20;
pub const FAULT: i64 = -21;
pub const FBIG: i64 = -22;
pub const ILSEQ: i64 = -25;
pub const INVAL: i64 = -28;
pub const ISDIR: i64 = -31;
pub const LOOP: i64 = -32;
pub const MFILE: i64 = -33;
pub const NAMETOOLONG: i64 = -37;
pub const NOENT: i64 = -44;
pub const NOSPC: i64 = -51;
pub const NOTDIR: i64 = -54;
pub const NOTEMPTY: i64 = -55;
pub const NOTSOCK: i64 = -57;
pub const NOTSUP: i64 = -58;
pub const PERM: i64 = -63;
pub const PIPE: i64 = -64;
pub const ROFS: i64 = -69;
pub const SPIPE: i64 = -70;
pub const XDEV: i64 = -75;
pub const NOTCAPABLE: i64 = -76;

/// So many letters, in order.
pub fn letters(count: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(count).collect()
}
