//! Sessions: how long one takes to start, what its reads cost, and how many there can be; against native processes and read(2),
//! and, where Python finds it, against the package `wasmtime` of PyPI in the same run.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use vfs_core::{Configuration, Registry};
use zvfs_benches::{heading, keep, pair, pair_timed, provider_folder, python};
use zvm::{Compiler, Manifest, Report, Session};

type Failure = Box<dyn std::error::Error>;

const GIB: u64 = 1 << 30;
const SESSIONS: usize = 1000;
const PAGE: usize = 4 << 10;

/// Reads its standard input to the end, SIZE bytes at a time.
const READER: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 3)
    (func (export "_start")
        (i32.store (i32.const 0) (i32.const 65536))
        (i32.store (i32.const 4) (i32.const SIZE))
        (loop $more
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (br_if $more (i32.load (i32.const 8))))))"#;

/// The same for the package of PyPI: prints how long the guest ran, in nanoseconds.
const PYTHON: &str = "import sys, time, wasmtime
config = wasmtime.Config()
config.consume_fuel = True
config.epoch_interruption = True
engine = wasmtime.Engine(config)
module = wasmtime.Module(engine, open(sys.argv[1]).read())
linker = wasmtime.Linker(engine)
linker.define_wasi()
store = wasmtime.Store(engine)
store.set_fuel(2**63)
store.set_epoch_deadline(1)
wasi = wasmtime.WasiConfig()
wasi.stdin_file = sys.argv[2]
store.set_wasi(wasi)
start = linker.instantiate(store, module).exports(store)['_start']
before = time.perf_counter_ns()
start(store)
print(time.perf_counter_ns() - before)
";

fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let (folder, registry) =
        (folder.path(), Registry::new(Configuration::with_provider_path([provider_folder()])));
    // All parts, or those that are named: `cargo bench -p zvfs-cli --bench session -- many`.
    let named: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let wanted = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    if wanted("start") {
        start(folder)?;
    }
    if wanted("reads") {
        reads(folder, &registry)?;
    }
    if wanted("many") {
        many()?;
    }
    Ok(())
}

/// A whole command with a cached program, against the smallest native process.
fn start(folder: &Path) -> Result<(), Failure> {
    fs::write(folder.join("small.wat"), READER.replace("SIZE", "1"))?;
    let manifest = folder.join("small.manifest");
    fs::write(&manifest, text(&folder.join("small.wat").display().to_string(), "/dev/null"))?;
    let zvfs = |cached: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zvfs"));
        command.arg("--provider-path").arg(provider_folder()).arg("run").stdin(Stdio::null());
        match cached {
            true => command
                .arg("--cache-dir")
                .arg(folder.join("cache"))
                .arg("--cache-key")
                .arg(folder.join("key")),
            false => command.arg("--no-cache"),
        };
        command.arg(&manifest);
        move || assert!(command.status().is_ok_and(|status| status.success()))
    };
    let mut native = Command::new("true");
    let mut native = move || keep(native.status().ok());
    heading("start", "zvfs run", "true(1)");
    pair("a session, its program cached", 1, zvfs(true), &mut native);
    pair("a session, its program compiled", 1, zvfs(false), &mut native);
    Ok(())
}

fn reads(folder: &Path, registry: &Registry) -> Result<(), Failure> {
    let data = folder.join("data");
    File::create(&data)?.set_len(GIB)?;
    let small = folder.join("small");
    File::create(&small)?.set_len(1 << 20)?;
    heading("a guest reads", "a session, fuel and epochs on", "read(2)");
    for (name, path, size) in [
        ("1 MiB in single bytes", &small, 1_usize),
        ("1 GiB in 4 KiB", &data, 4 << 10),
        ("1 GiB in 64 KiB", &data, 64 << 10),
    ] {
        let calls = fs::metadata(path)?.len() / size as u64;
        let program = READER.replace("SIZE", &size.to_string());
        let guest = || {
            let start = Instant::now();
            let report = session(&program, path, registry);
            assert_eq!(report.state, "ok");
            start.elapsed()
        };
        let mut file = File::open(path)?;
        // At the start of a page, as the guest's: 64 KiB to 16 bytes behind that take two thirds more on some processors.
        let mut room = vec![0; size + PAGE];
        let at = room.as_ptr().align_offset(PAGE);
        let buf = &mut room[at..at + size];
        let native = || {
            let start = Instant::now();
            keep(file.rewind().ok());
            while file.read(buf).is_ok_and(|count| count > 0) {}
            start.elapsed()
        };
        pair_timed(name, calls, guest, native);
        let guest = || {
            let start = Instant::now();
            session(&program, path, registry);
            start.elapsed()
        };
        match in_python(folder, &program, path) {
            Ok(_) => {
                let python = || in_python(folder, &program, path).unwrap_or_default();
                pair_timed(&format!("{name}, against PyPI's wasmtime"), calls, guest, python);
            }
            Err(reason) => println!("{name}, against PyPI's wasmtime: skipped: {reason}"),
        }
    }
    Ok(())
}

/// Runs the guest in the package of PyPI; how long it ran there.
fn in_python(folder: &Path, program: &str, data: &Path) -> Result<Duration, String> {
    let guest = folder.join("python.wat");
    fs::write(&guest, program).map_err(|error| error.to_string())?;
    Ok(python::cost(python::script(PYTHON).arg(&guest).arg(data))?.wall)
}

fn session(program: &str, input: &Path, registry: &Registry) -> Report {
    let manifest = Manifest::parse(text("/given", &input.display().to_string()).as_bytes());
    let manifest = manifest.unwrap_or_else(|failure| panic!("{failure}"));
    Session::new(manifest).registry(registry.clone()).program(program).run()
}

fn text(program: &str, input: &str) -> String {
    format!(
        "Version = 20140509\nProgram = {program}\nMemory = 1048576, 0\nTimeout = 1000
        Channel = {input}, /dev/stdin, 0, 9999999, 9999999999, 0, 0
        Channel = /dev/null, /dev/stdout, 0, 0, 0, 99, 9999
        Channel = /dev/null, /dev/stderr, 0, 0, 0, 99, 9999\n"
    )
}

/// A gate that all sessions wait at: then they are all alive at once.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<(usize, bool)>, Condvar)>);

impl Read for Gate {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        let (lock, changed) = &*self.0;
        let mut state = lock.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        changed.notify_all();
        while !state.1 {
            state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(0)
    }
}

/// Many small sessions in one process.
fn many() -> Result<(), Failure> {
    let manifest = Manifest::parse(text("/given", "/given").as_bytes())?;
    let program = READER.replace("SIZE", "1");
    let compiler = Compiler::new();
    let build = |gate: Gate| {
        Session::new(manifest.clone())
            .program(program.as_str())
            .compiler(compiler.clone())
            .reader("/dev/stdin", gate)
            .writer("/dev/stdout", std::io::sink())
            .writer("/dev/stderr", std::io::sink())
    };
    let open = Gate::default();
    open.0.0.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
    assert_eq!(build(open.clone()).run().state, "ok");

    println!("\n{SESSIONS} small sessions in one process, all at once");
    let before = resident()?;
    let start = Instant::now();
    let gate = Gate::default();
    let running: Vec<_> = (0..SESSIONS).map(|_| build(gate.clone()).start()).collect();
    let (lock, changed) = &*gate.0;
    let mut state = lock.lock().unwrap_or_else(PoisonError::into_inner);
    while state.0 < SESSIONS {
        state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    let all_alive = start.elapsed();
    let threads = fs::read_dir("/proc/self/task")?.count();
    let memory = resident()?.saturating_sub(before);
    state.1 = true;
    changed.notify_all();
    drop(state);
    for one in running {
        assert_eq!(one.wait().state, "ok");
    }
    println!(
        "all alive after {all_alive:?}, all over after {:?}; {threads} threads, {} KiB a session",
        start.elapsed(),
        memory / SESSIONS
    );
    println!("one after the other:");
    let start = Instant::now();
    for _ in 0..SESSIONS {
        assert_eq!(build(open.clone()).run().state, "ok");
    }
    println!("{:?} a session", start.elapsed() / SESSIONS as u32);
    Ok(())
}

/// Resident memory in KiB.
fn resident() -> Result<usize, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
