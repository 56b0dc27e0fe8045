//! Hot paths, each by itself, for `benches/guard/run`, which counts their instructions: `zvfs-guard PATH COUNT` does the path's
//! operation once, COUNT times, and twice as often, each between calls of [`begin`] and [`end`], and ends. The difference of the last two
//! is what so many operations cost: what is set up is not in it, and what is done once for many cancels out. Without arguments it names
//! the paths.
//!
//! `zvfs-guard keep PROGRAM CACHE KEY` compiles a program into a cache, for the processor that it finds: valgrind's lacks what a newer one
//! has, so that what the command's own process compiled would be no use there.

use std::error::Error;
use std::hint::black_box;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use vfs_core::{Configuration, Control, Descriptor, Flush, OpenFile, OpenFlags, OpenOptions, Registry};
use zvfs_benches::{keep, provider_folder};
use zvm::{Cache, Channels, Compiler, Manifest, RunOptions, Session, Template};

type Failure = Box<dyn Error>;

/// Makes what the operation needs, and does it so many times.
type Run = fn(&Place<'_>, u64) -> Result<(), Failure>;

const PATHS: [(&str, Run); 13] = [
    ("descriptor", descriptor),
    ("manifest", manifest),
    ("call", call),
    ("call-with-quotas", call_with_quotas),
    ("file-sequential-4k", file_sequential),
    ("file-random-4k", file_random),
    ("file-open-close", file_open_close),
    ("netpipe-64", netpipe_64),
    ("netpipe-64k", netpipe_64k),
    ("guest-read-1", guest_read_1),
    ("guest-read-64k", guest_read_64k),
    ("session-prepared", session_prepared),
    ("session-cached", session_cached),
];

/// Sparse, and more than is read of it one after the other.
const FILE: u64 = 1 << 30;
const BLOCK: usize = 4 << 10;

/// Reads its standard input TIMES times, SIZE bytes at a time.
const READER: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 3)
    (global $left (mut i32) (i32.const TIMES))
    (func (export "_start")
        (i32.store (i32.const 0) (i32.const 65536))
        (i32.store (i32.const 4) (i32.const SIZE))
        (loop $more
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (global.set $left (i32.sub (global.get $left) (i32.const 1)))
            (br_if $more (global.get $left)))))"#;

/// Where an operation happens.
struct Place<'a> {
    folder: &'a Path,
    registry: Registry,
}

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (path, count) = match words.as_slice() {
        [path, count] => (path, count),
        [word, program, cache, key] if word == "keep" => return keep_compiled(program, cache, key),
        _ => {
            PATHS.iter().for_each(|(path, _)| println!("{path}"));
            return Ok(());
        }
    };
    let (_, run) = PATHS.iter().find(|(name, _)| name == path).ok_or_else(|| format!("no path {path}"))?;
    let folder = tempfile::tempdir()?;
    let registry = Registry::new(Configuration::with_provider_path([provider_folder()]));
    run(&Place { folder: folder.path(), registry }, count.parse()?)
}

fn keep_compiled(program: &str, cache: &str, key: &str) -> Result<(), Failure> {
    let compiler = Compiler::new().cache(Cache::open(Path::new(cache), Path::new(key))?);
    let manifest = Manifest::parse(text("/given", "null:zero").as_bytes())?;
    let template = Template::new(manifest).compiler(compiler).program(std::fs::read(program)?);
    Ok(template.prepare(&Control::new())?)
}

/// Does the operation as often as it takes, for an operation that needs nothing prepared.
fn measured(count: u64, mut operation: impl FnMut(u64) -> Result<(), Failure>) -> Result<(), Failure> {
    measured_prepared(count, |_| Ok(()), |(), times| (0..times).try_for_each(&mut operation))
}

/// The same for operations that one call does so many times, with what was prepared for that.
fn measured_prepared<T>(
    count: u64,
    prepare: impl Fn(u64) -> Result<T, Failure>,
    mut operations: impl FnMut(T, u64) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for times in [1, count, 2 * count] {
        let prepared = prepare(times)?;
        begin();
        operations(prepared, times)?;
        end();
    }
    Ok(())
}

/// Where `run` has callgrind forget what it counted before.
#[inline(never)]
fn begin() {
    keep("begin");
}

/// Where `run` has it write down what it counted since.
#[inline(never)]
fn end() {
    keep("end");
}

fn descriptor(_: &Place<'_>, count: u64) -> Result<(), Failure> {
    // From the allocator, which aligns it. Where a literal lies depends on those before it, such as the path that this is built in; a search
    // begins byte by byte up to a word's boundary, and that made 4 % of it.
    let text = String::from("https://example.org:8443/folder/data.csv?version=3");
    measured(count, |_| {
        keep(Descriptor::parse(black_box(&text))?.scheme());
        Ok(())
    })
}

fn manifest(_: &Place<'_>, count: u64) -> Result<(), Failure> {
    let text = text("file:/srv/jobs/sort.wasm", "netpipe:sorted:r");
    measured(count, |_| {
        keep(Manifest::parse(black_box(text.as_bytes()))?);
        Ok(())
    })
}

fn call(place: &Place<'_>, count: u64) -> Result<(), Failure> {
    let mut file = place.registry.open("null:zero", &OpenOptions::new(OpenFlags::READ))?;
    measured(count, |_| {
        keep(file.read(black_box(&mut [0]))?);
        Ok(())
    })
}

fn call_with_quotas(place: &Place<'_>, count: u64) -> Result<(), Failure> {
    let manifest = Manifest::parse(text("null:", "null:zero").as_bytes())?;
    let mut channels = Channels::open(&manifest, &place.registry, &RunOptions::new(), &Control::new())?;
    let channel = channels.by_handle(0).ok_or("no standard input")?;
    measured(count, |_| {
        keep(channel.read_at(black_box(&mut [0]), 0).map_err(|error| format!("{error:?}"))?);
        Ok(())
    })
}

fn file_sequential(place: &Place<'_>, count: u64) -> Result<(), Failure> {
    let (mut file, mut block) = (file(place)?, vec![0; BLOCK]);
    measured(count, |_| {
        keep(file.read(&mut block)?);
        Ok(())
    })
}

fn file_random(place: &Place<'_>, count: u64) -> Result<(), Failure> {
    let (file, mut block) = (file(place)?, vec![0; BLOCK]);
    measured(count, |at| {
        keep(file.read_at(&mut block, at.wrapping_mul(0x9e37_79b9) % FILE)?);
        Ok(())
    })
}

fn file_open_close(place: &Place<'_>, count: u64) -> Result<(), Failure> {
    keep(file(place)?);
    let path = place.folder.join("data");
    let descriptor = path.to_str().ok_or("a path that is not UTF-8")?;
    measured(count, |_| {
        keep(place.registry.open(descriptor, &OpenOptions::new(OpenFlags::READ))?);
        Ok(())
    })
}

/// A file to be read.
fn file(place: &Place<'_>) -> Result<OpenFile, Failure> {
    let path = place.folder.join("data");
    std::fs::File::create(&path)?.set_len(FILE)?;
    let descriptor = path.to_str().ok_or("a path that is not UTF-8")?;
    Ok(place.registry.open(descriptor, &OpenOptions::new(OpenFlags::READ))?)
}

fn netpipe_64(place: &Place<'_>, count: u64) -> Result<(), Failure> {
    netpipe(place, 64, count)
}

fn netpipe_64k(place: &Place<'_>, count: u64) -> Result<(), Failure> {
    netpipe(place, 64 << 10, count)
}

/// One thread writes a block and reads it at the other end.
fn netpipe(place: &Place<'_>, size: usize, count: u64) -> Result<(), Failure> {
    // Over TCP from the first block to the last: else it would go on through memory in the midst of what is counted.
    let text = format!(
        "provider-path = [{:?}]\n[provider.tcp]\nsettings = {{ same-host = \"off\" }}\n",
        provider_folder()
    );
    let other = Registry::new(Configuration::parse(&text)?);
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let descriptor = format!("tcp://127.0.0.1:{port}");
    let mut reader = other.open(&descriptor, &OpenOptions::new(OpenFlags::READ))?;
    let mut writer = place.registry.open(&descriptor, &OpenOptions::new(OpenFlags::WRITE))?;
    let mut block = vec![7; size];
    measured(count, |_| {
        writer.write_all(&block)?;
        writer.flush(Flush::Push)?;
        Read::read_exact(&mut reader, &mut block)?;
        Ok(())
    })
}

fn guest_read_1(place: &Place<'_>, count: u64) -> Result<(), Failure> {
    guest_read(place, 1, count)
}

fn guest_read_64k(place: &Place<'_>, count: u64) -> Result<(), Failure> {
    guest_read(place, 64 << 10, count)
}

/// A session whose guest reads so often, its program compiled before.
fn guest_read(place: &Place<'_>, size: usize, count: u64) -> Result<(), Failure> {
    let prepared = |times: u64| {
        let program = READER.replace("SIZE", &size.to_string()).replace("TIMES", &times.to_string());
        prepared(place, program)
    };
    measured_prepared(count, prepared, |template, _| run(template.session()))
}

fn session_prepared(place: &Place<'_>, count: u64) -> Result<(), Failure> {
    let template = prepared(place, small())?;
    measured(count, |_| run(template.session()))
}

/// Sessions of a program that lies ready in memory.
fn prepared(place: &Place<'_>, program: String) -> Result<Template, Failure> {
    let manifest = Manifest::parse(text("/given", "null:zero").as_bytes())?;
    let template = Template::new(manifest).registry(place.registry.clone()).program(program);
    template.prepare(&Control::new())?;
    Ok(template)
}

/// Each session has a compiler of its own, as each process would.
fn session_cached(place: &Place<'_>, count: u64) -> Result<(), Failure> {
    let cache = Cache::open(&place.folder.join("cache"), &place.folder.join("key"))?;
    let manifest = Manifest::parse(text("/given", "null:zero").as_bytes())?;
    measured(count, |_| {
        let compiler = Compiler::new().cache(cache.clone());
        let session = Session::new(manifest.clone()).registry(place.registry.clone()).compiler(compiler);
        run(session.program(small()))
    })
}

/// A program that reads one byte.
fn small() -> String {
    READER.replace("SIZE", "1").replace("TIMES", "1")
}

fn run(session: Session) -> Result<(), Failure> {
    let report = session.run();
    if report.state == "ok" { Ok(()) } else { Err(report.state.into()) }
}

/// A manifest with quotas that nothing here reaches.
fn text(program: &str, input: &str) -> String {
    format!(
        "Version = 20140509\nProgram = {program}\nMemory = 1048576, 0\nTimeout = 1000
        Channel = {input}, /dev/stdin, 0, 0x7fffffffffff, 0x7fffffffffff, 0, 0
        Channel = null:, /dev/stdout, 0, 0, 0, 99, 9999
        Channel = null:, /dev/stderr, 0, 0, 0, 99, 9999\n"
    )
}
