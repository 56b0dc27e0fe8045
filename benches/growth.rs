//! What grows with what: one curve for each size that users choose, and its slope.
//!
//! A slope of 1 is a cost that doubles with the size, of 0 one that does not know the size; above 1 it is what makes large jobs
//! impossible. `cargo bench -p zvfs-benches --bench growth -- pipes meshes --svg growth.svg` runs two of the curves, and draws them.

use netpipe::broker::{self, Broker};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::path::Path;
use std::thread::{self, JoinHandle};
use vfs_core::{Configuration, Finish, OpenFlags, OpenOptions, Registry};
use zvfs_benches::curve::{Curve, picture};
use zvfs_benches::host::host;
use zvfs_benches::peers::Failure;
use zvfs_benches::provider_folder;
use zvm::{Compiler, Manifest, Session};

fn main() -> Result<(), Failure> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, most)?;
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let drawn = arguments.iter().position(|word| word == "--svg").and_then(|at| arguments.get(at + 1));
    let named: Vec<&String> =
        arguments.iter().filter(|word| !word.starts_with('-') && Some(*word) != drawn).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|word| *word == name);
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let files = Registry::new(Configuration::with_provider_path([provider_folder()]));
    let compiler = Compiler::new();

    let curves = [
        channels(&wanted, folder, &files, &compiler)?,
        sessions(&wanted, &files, &compiler)?,
        pipes(&wanted)?,
        meshes(&wanted, &compiler)?,
        names(&wanted, folder, &files)?,
        objects(&wanted, folder, &files)?,
    ];
    if let Some(path) = drawn {
        let curves: Vec<Curve> = curves.into_iter().flatten().collect();
        fs::write(path, picture(&curves))?;
    }
    Ok(())
}

/// A guest that does nothing, with so many files.
fn channels(
    wanted: &dyn Fn(&str) -> bool,
    folder: &Path,
    files: &Registry,
    compiler: &Compiler,
) -> Result<Option<Curve>, Failure> {
    let about = (
        "channels",
        "a session whose guest has so many files and reads none, from its manifest to its report",
        1.0,
    );
    let data = folder.join("data");
    fs::write(&data, "x")?;
    Curve::measure(wanted, about, &[1, 10, 100, 1000], |count| {
        let mut text = standard();
        for at in 0..count {
            writeln!(text, "Channel = {}, /in/{at}, 3, 9, 9, 0, 0", data.display())?;
        }
        Ok(move || run(&text, NOTHING, files, compiler))
    })
}

/// Guests that do nothing, all started before the first is waited for.
fn sessions(
    wanted: &dyn Fn(&str) -> bool,
    files: &Registry,
    compiler: &Compiler,
) -> Result<Option<Curve>, Failure> {
    let about = ("sessions", "so many sessions in one process, started together", 1.0);
    let manifest = Manifest::parse(standard().as_bytes())?;
    Curve::measure(wanted, about, &[1, 10, 100, 1000, 5000], |count| {
        let manifest = manifest.clone();
        Ok(move || {
            let start = || {
                let session = Session::new(manifest.clone()).program(NOTHING).compiler(compiler.clone());
                session.registry(files.clone()).start()
            };
            let running: Vec<_> = (0..count).map(|_| start()).collect();
            for one in running {
                succeeded(&one.wait())?;
            }
            Ok(())
        })
    })
}

/// Both ends of so many pipes, in two instances over one broker.
fn pipes(wanted: &dyn Fn(&str) -> bool) -> Result<Option<Curve>, Failure> {
    let about = ("pipes", "so many pipes opened at both ends, 4 KiB through each, and ended", 1.0);
    let broker = Serving::start()?;
    let (left, right) = (broker.registry()?, broker.registry()?);
    let curve = Curve::measure(wanted, about, &[1, 10, 100, 1000], |count| {
        let (left, right) = (&left, &right);
        Ok(move || {
            let open = |registry: &Registry, flags| {
                let one = |at| registry.open(&format!("netpipe:pipe-{at}"), &OpenOptions::new(flags));
                (0..count).map(one).collect::<Result<Vec<_>, _>>()
            };
            let (readers, writers) = (open(right, OpenFlags::READ)?, open(left, OpenFlags::WRITE)?);
            for mut writer in writers {
                writer.write_all(&[7; 4096])?;
                writer.finish(Finish::End)?;
            }
            for mut reader in readers {
                let (mut buf, mut came) = ([0; 4096], 0);
                loop {
                    match reader.read(&mut buf)? {
                        0 => break,
                        count => came += count,
                    }
                }
                assert_eq!(came, 4096);
            }
            Ok(())
        })
    });
    drop((left, right));
    broker.stop()?;
    curve
}

/// So many guests, each with a pipe to each, itself too: all write a byte to all, then read what came.
fn meshes(wanted: &dyn Fn(&str) -> bool, compiler: &Compiler) -> Result<Option<Curve>, Failure> {
    let about = ("meshes", "guests in a mesh with so many pipes: each writes to all and reads from all", 1.0);
    let broker = Serving::start()?;
    let registry = broker.registry()?;
    let curve = Curve::measure(wanted, about, &[1, 16, 64, 256, 1024], |pipes| {
        let nodes = pipes.isqrt();
        let (program, registry) = (everybody_to_everybody(nodes), &registry);
        let mut manifests = Vec::new();
        for me in 0..nodes {
            let mut text = standard();
            for other in 0..nodes {
                writeln!(text, "Channel = netpipe:{me}-{other}, /to/{other}, 0, 0, 0, 9, 9")?;
                writeln!(text, "Channel = netpipe:{other}-{me}, /from/{other}, 0, 9, 9, 0, 0")?;
            }
            manifests.push(Manifest::parse(text.as_bytes())?);
        }
        Ok(move || {
            let start = |manifest: &Manifest| {
                let session = Session::new(manifest.clone()).program(program.as_str());
                session.compiler(compiler.clone()).registry(registry.clone()).start()
            };
            let running: Vec<_> = manifests.iter().map(start).collect();
            for one in running {
                succeeded(&one.wait())?;
            }
            Ok(())
        })
    });
    drop(registry);
    broker.stop()?;
    curve
}

/// A folder of so many files.
fn names(wanted: &dyn Fn(&str) -> bool, folder: &Path, files: &Registry) -> Result<Option<Curve>, Failure> {
    let about = ("names", "a folder with so many files, listed", 1.0);
    let folder = folder.join("names");
    let mut made = 0;
    if wanted(about.0) {
        fs::create_dir(&folder)?;
    }
    Curve::measure(wanted, about, &[1, 10, 100, 1000, 10_000, 100_000, 1_000_000], |count| {
        for at in made..count {
            File::create(folder.join(format!("file-{at}")))?;
        }
        made = count;
        let descriptor = folder.display().to_string();
        Ok(move || {
            let mut seen = 0;
            files.list(&descriptor, &OpenOptions::new(OpenFlags::empty()), &mut |_| {
                seen += 1;
                ControlFlow::Continue(())
            })?;
            if seen != count { Err(format!("{seen} of {count} names"))? } else { Ok(()) }
        })
    })
}

/// Sparse files of so many bytes.
fn objects(wanted: &dyn Fn(&str) -> bool, folder: &Path, files: &Registry) -> Result<Option<Curve>, Failure> {
    let about =
        ("objects", "a file of so many bytes opened, and read near its start, its middle and its end", 0.0);
    let path = folder.join("object");
    Curve::measure(wanted, about, &[1 << 20, 10 << 20, 100 << 20, 1 << 30, 10 << 30, 100 << 30], |size| {
        File::create(&path)?.set_len(size)?;
        let descriptor = path.display().to_string();
        Ok(move || {
            let file = files.open(&descriptor, &OpenOptions::new(OpenFlags::READ))?;
            let mut buf = [0; 4096];
            for at in [0, size / 2, size - 4096] {
                assert_eq!(file.read_at(&mut buf, at)?, buf.len());
            }
            Ok(())
        })
    })
}

/// Does nothing.
const NOTHING: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

/// A manifest without channels of its own.
fn standard() -> String {
    "Version = 20140509\nProgram = /given\nMemory = 4194304, 0\nTimeout = 1000
     Channel = /dev/null, /dev/stdin, 0, 9, 9, 0, 0
     Channel = /dev/null, /dev/stdout, 0, 0, 0, 9, 9
     Channel = /dev/null, /dev/stderr, 0, 0, 0, 9, 9\n"
        .to_owned()
}

/// The program of a mesh: a byte to each `/to/N`, then each `/from/N` to its end.
fn everybody_to_everybody(nodes: u64) -> String {
    let mut body = String::new();
    for (at, (folder, call)) in
        (0..nodes).flat_map(|at| [("to", "write"), ("from", "read")].map(|way| (at, way)))
    {
        let name = format!("{folder}/{at}");
        let bytes: String = name.bytes().enumerate().fold(String::new(), |mut text, (index, byte)| {
            let _ = write!(text, "(i32.store8 (i32.const {}) (i32.const {byte}))", 64 + index);
            text
        });
        let _ = writeln!(body, ";; {call}\n{bytes}(call ${call} (i32.const {}))", name.len());
    }
    // Writes first: a window is larger than a byte.
    let (writes, reads): (Vec<&str>, Vec<&str>) =
        body.split(";; ").filter(|part| !part.is_empty()).partition(|part| part.starts_with("write"));
    let code = |parts: &[&str]| -> String {
        parts.iter().map(|part| part.split_once('\n').map_or("", |(_, code)| code)).collect()
    };
    format!(
        r#"(module
    (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
    (memory (export "memory") 1)
    (func $good (param i32) (if (local.get 0) (then unreachable)))
    (func $open (param i32) (param i64) (result i32)
        (call $good (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (local.get 0) (i32.const 0) (local.get 1) (i64.const 0) (i32.const 0) (i32.const 32)))
        (i32.load (i32.const 32)))
    (func $write (param i32) (local $fd i32)
        (local.set $fd (call $open (local.get 0) (i64.const 64)))
        (i32.store (i32.const 0) (i32.const 128))
        (i32.store (i32.const 4) (i32.const 1))
        (call $good (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
        (call $good (call $fd_close (local.get $fd))))
    (func $read (param i32) (local $fd i32)
        (local.set $fd (call $open (local.get 0) (i64.const 2)))
        (i32.store (i32.const 0) (i32.const 128))
        (i32.store (i32.const 4) (i32.const 16))
        (loop $more
            (call $good (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
            (br_if $more (i32.load (i32.const 8))))
        (call $good (call $fd_close (local.get $fd))))
    (func (export "_start") {} {}))"#,
        code(&writes),
        code(&reads)
    )
}

fn run(text: &str, program: &str, registry: &Registry, compiler: &Compiler) -> Result<(), Failure> {
    let manifest = Manifest::parse(text.as_bytes())?;
    let session = Session::new(manifest).program(program).compiler(compiler.clone());
    succeeded(&session.registry(registry.clone()).run())
}

fn succeeded(report: &zvm::Report) -> Result<(), Failure> {
    if report.state == "ok" { Ok(()) } else { Err(format!("a session failed: {report:?}").into()) }
}

/// A broker in a thread.
struct Serving {
    address: std::net::SocketAddr,
    handle: broker::Handle,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Serving {
    fn start() -> Result<Serving, Failure> {
        let broker = Broker::bind((Ipv4Addr::LOCALHOST, 0), broker::Config::default())?;
        let (address, handle) = (broker.local_addr(), broker.handle());
        Ok(Serving { address, handle, thread: thread::spawn(move || broker.run()) })
    }

    fn registry(&self) -> Result<Registry, Failure> {
        host(&format!("[provider.file]\n[provider.tcp]\nsettings = {{ broker = \"{}\" }}\n", self.address))
    }

    fn stop(self) -> Result<(), Failure> {
        self.handle.stop();
        Ok(self.thread.join().map_err(|_| "the broker panicked")??)
    }
}
