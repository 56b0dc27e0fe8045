//! The same manifest and the same inputs give the same bytes and cost the same fuel, whatever the accidents of a run: how a
//! provider cuts its reads, where the machine code comes from.

use crate::script;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use vfs_core::{
    Capabilities, Configuration, File, Finish, Host, Info, Instance, OpenFlags, Provider, Registry, Request,
    Result, Settings,
};
use zvm::{Cache, Compiler, Manifest, Report, Session};

/// Reads and writes as many bytes at a time as a die says; `FOLDER/out` and `FOLDER/told` are kept.
#[derive(Clone, Default)]
struct Dice(Arc<Rolls>);

#[derive(Default)]
struct Rolls {
    state: AtomicU64,
    written: Mutex<std::collections::BTreeMap<String, Vec<u8>>>,
}

impl Dice {
    fn roll(&self, most: usize) -> usize {
        let seed = self.0.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        1 + ((mixed ^ (mixed >> 27)) % most as u64) as usize
    }

    fn written(&self) -> std::collections::BTreeMap<String, Vec<u8>> {
        std::mem::take(&mut self.0.written.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Provider for Dice {
    fn info(&self) -> Info {
        Info::new("dice", "1", "short by chance").supported_flags(OpenFlags::READ | OpenFlags::WRITE)
    }

    fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(self.clone()))
    }
}

impl Instance for Dice {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        Ok(Box::new(Short { dice: self.clone(), name: request.rest().to_owned(), at: 0 }))
    }
}

struct Short {
    dice: Dice,
    name: String,
    at: usize,
}

const CONTENT: usize = 5000;

impl File for Short {
    fn capabilities(&self) -> Capabilities {
        Capabilities::READABLE | Capabilities::WRITABLE | Capabilities::CANCEL
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let count = self.dice.roll(buf.len()).min(CONTENT - self.at);
        for byte in &mut buf[..count] {
            *byte = (self.at * 7 % 251) as u8;
            self.at += 1;
        }
        Ok(count)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        let count = self.dice.roll(buf.len());
        let mut written = self.dice.0.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.entry(self.name.clone()).or_default().extend(&buf[..count]);
        Ok(count)
    }

    fn finish(&mut self, _: Finish) -> Result<()> {
        Ok(())
    }
}

/// Reads in several ways, looks at the clocks, sleeps, draws random numbers, and writes it all.
const SCRIPT: &str = "read 0 100\n write 1 100\n read 0 3000\n write 1 3000\n clock_time_get 0 0 4096\n write 1 8
    random_get 4096 1000\n write 1 1000\n clock_time_get 1 0 4096\n write 1 8\n read 0 3000\n write 1 1900\n read 0 1
    open \"dev/stdin\" 0 2 0\n size 4\n fd_readdir 3 4096 500 0 8\n write 1 500\n read 7 1\n proc_exit 3";

const MANIFEST: &str =
    "Version = 20140509\nProgram = dice:none\nMemory = 1048576, 0\nTimeout = 100\nDigest = blake3
    Channel = dice:in, /dev/stdin, 0, 999, 99999, 0, 0
    Channel = dice:out, /dev/stdout, 0, 0, 0, 999, 99999
    Channel = dice:told, /dev/stderr, 0, 0, 0, 999, 99999";

#[test]
fn a_hundred_runs_give_the_same_bytes_and_cost_the_same() {
    let (dice, registry) = (Dice::default(), Registry::new(Configuration::default()));
    registry.register(Box::new(dice.clone())).unwrap();
    let program = script::program(SCRIPT);
    let folder = tempfile::tempdir().unwrap();
    let cache = || Cache::open(&folder.path().join("cache"), &folder.path().join("key")).unwrap();
    let shared = Compiler::new();
    let run = |compiler: Compiler| {
        let session = Session::new(Manifest::parse(MANIFEST.as_bytes()).unwrap())
            .registry(registry.clone())
            .program(program.as_bytes())
            .compiler(compiler);
        let report = session.run();
        assert_eq!((report.state.as_str(), report.guest_code), ("ok", Some(3)), "{report:?}");
        let told = (report.fuel, report.local, report.network, report.channels.clone());
        (told, dice.written())
    };
    let first = run(shared.clone());
    assert!(first.0.0.is_some_and(|fuel| fuel > 2000), "{:?}", first.0);
    assert_eq!(first.1["out"].len(), 100 + 3000 + 8 + 1000 + 8 + 1900 + 500);
    for number in 0..100 {
        let compiler = match number % 10 {
            0 => Compiler::new(),
            1..4 => Compiler::new().cache(cache()),
            _ => shared.clone(),
        };
        assert!(run(compiler) == first, "run {number}");
    }
}

#[test]
fn a_report_says_when_another_run_may_differ() {
    let (dice, registry) = (Dice::default(), Registry::new(Configuration::default()));
    registry.register(Box::new(dice)).unwrap();
    let report = |more: &str| -> Report {
        let manifest = Manifest::parse(format!("{MANIFEST}\n{more}").as_bytes()).unwrap();
        let session = Session::new(manifest).registry(registry.clone());
        session.program(script::program("write 1 1").as_bytes()).run()
    };
    assert!(!report("").nondeterministic && report("Deterministic = 0").nondeterministic);
}
