//! What a call costs: through the trait, through the library, through the host's chokepoint, through a channel with quotas;
//! and what an open, and a load, cost.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read};
use std::time::{Duration, Instant};
use vfs_core::{Configuration, Control, Library, OpenFlags, OpenOptions, Registry};
use zvfs_benches::{heading, keep, pair, provider_folder};
use zvm::{Channels, Manifest, RunOptions};

const CALLS: u64 = 1_000_000;
const OPENS: u64 = 10_000;
const LOADS: u64 = 20;

/// The peer: the same work behind an ordinary Rust trait object.
struct Zeros;

impl Read for Zeros {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        buf.fill(0);
        Ok(buf.len())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new(Configuration::with_provider_path([provider_folder()]));
    calls(&registry)?;
    opens(&registry)?;
    loads()?;
    Ok(())
}

fn calls(registry: &Registry) -> Result<(), Box<dyn std::error::Error>> {
    heading("a read of 1 byte", "libzvfs_null.so", "a Rust `dyn` call");
    let mut byte = [0; 1];
    let mut file = registry.open("null:zero", &OpenOptions::new(OpenFlags::READ))?;
    let mut zeros: Box<dyn Read> = black_box(Box::new(Zeros));
    let mut dyn_call = || {
        for _ in 0..CALLS {
            keep(zeros.read(black_box(&mut byte)).ok());
        }
    };
    let mut byte = [0; 1];
    let through_library = || {
        for _ in 0..CALLS {
            keep(file.read(black_box(&mut byte)).ok());
        }
    };
    pair("open file", CALLS, through_library, &mut dyn_call);

    let control = Control::new();
    control.set_deadline(Instant::now().checked_add(Duration::from_secs(3600)));
    let mut file = registry.open("null:zero", &OpenOptions::new(OpenFlags::READ).control(&control))?;
    let mut byte = [0; 1];
    let with_a_deadline = || {
        for _ in 0..CALLS {
            keep(file.read(black_box(&mut byte)).ok());
        }
    };
    pair("open file, with a deadline", CALLS, with_a_deadline, &mut dyn_call);

    let mut channels = channels(registry)?;
    let channel = channels.by_handle(0).ok_or("no standard input")?;
    let mut byte = [0; 1];
    let with_quotas = || {
        for _ in 0..CALLS {
            keep(channel.read_at(black_box(&mut byte), 0).ok());
        }
    };
    pair("channel, with quotas", CALLS, with_quotas, &mut dyn_call);
    Ok(())
}

fn opens(registry: &Registry) -> Result<(), Box<dyn std::error::Error>> {
    heading("open and close", "the file provider", "open(2) and close(2)");
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("x");
    std::fs::write(&path, "x")?;
    let descriptor = path.to_str().ok_or("a path that is not UTF-8")?.to_owned();
    let how = OpenOptions::new(OpenFlags::READ);
    let ours = || {
        for _ in 0..OPENS {
            keep(registry.open(&descriptor, &how).ok());
        }
    };
    let peer = || {
        for _ in 0..OPENS {
            keep(File::open(&path).ok());
        }
    };
    pair("an existing file", OPENS, ours, peer);
    Ok(())
}

/// Both find the library loaded already, so that what differs is what we add: the checks, and reading the table.
#[expect(unsafe_code, reason = "the peer is a bare dlopen")]
fn loads() -> Result<(), Box<dyn std::error::Error>> {
    heading("load a provider", "with checks", "dlopen");
    let path = provider_folder().join("libzvfs_null.so");
    Library::load(&path, "null", None)?;
    let ours = || {
        for _ in 0..LOADS {
            keep(Library::load(&path, "null", None).ok());
        }
    };
    let peer = || {
        for _ in 0..LOADS {
            // SAFETY: its constructors ran at the first load above; they are the standard library's.
            keep(unsafe { libloading::Library::new(&path) }.ok());
        }
    };
    pair("libzvfs_null.so", LOADS, ours, peer);
    Ok(())
}

/// A session's standard input over `null:zero`, with quotas that the bench does not reach.
fn channels(registry: &Registry) -> Result<Channels, Box<dyn std::error::Error>> {
    let manifest = "Version = 20140509\nProgram = null:\nMemory = 65536, 0\nTimeout = 60\n\
        Channel = null:zero, /dev/stdin, 0, 0x7fffffffffff, 0x7fffffffffff, 0, 0\n\
        Channel = null:, /dev/stdout, 0, 0, 0, 10, 10\n\
        Channel = null:, /dev/stderr, 0, 0, 0, 10, 10\n";
    let manifest = Manifest::parse(manifest.as_bytes())?;
    Ok(Channels::open(&manifest, registry, &RunOptions::new(), &Control::new())?)
}
