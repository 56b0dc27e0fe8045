//! What a provider costs in a process of its own, beside the same library in the host.

use std::hint::black_box;
use std::io::SeekFrom;
use std::path::Path;
use vfs_core::{Configuration, Flush, OpenFile, OpenFlags, OpenOptions, Registry, Result, Walls, copy};
use zvfs_benches::{heading, keep, pair, provider_folder};

const OPENS: u64 = 200;
const COPY: usize = 64 << 20;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("x");
    std::fs::write(&path, vec![7; COPY])?;
    let path = path.to_str().ok_or("a path that is not UTF-8")?;
    let (apart, within) = (in_processes(folder.path())?, in_host());
    heading("a read", "in a process", "in the host");
    for (size, name) in [(1, "1 byte"), (4 << 10, "4 KiB"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB")] {
        reads(&format!("null, {name}"), [&apart, &within], "null:zero", size, read)?;
        reads(&format!("file, {name}, sequential"), [&apart, &within], path, size, read)?;
        reads(&format!("file, {name}, at offsets"), [&apart, &within], path, size, read_at)?;
    }
    heading("open and close", "in a process", "in the host");
    for (name, descriptor) in [("null", "null:zero"), ("file", path)] {
        let opens = |registry: &Registry| {
            for _ in 0..OPENS {
                keep(open(registry, descriptor).ok());
            }
        };
        pair(name, OPENS, || opens(&apart), || opens(&within));
    }
    heading("a copy of 64 MiB, by lease", "in a process", "in the host");
    let target = folder.path().join("y");
    let target = target.to_str().ok_or("a path that is not UTF-8")?;
    let copies = |registry: &Registry| {
        keep(copied(registry, path, target).ok());
    };
    pair("file to file", 1, || copies(&apart), || copies(&within));
    Ok(())
}

fn in_host() -> Registry {
    Registry::new(Configuration::with_provider_path([provider_folder()]))
}

/// `zvfs-provider` lies one folder above the libraries.
fn in_processes(folder: &Path) -> Result<Registry> {
    let mut configuration = Configuration::closed();
    configuration.add_provider_path(provider_folder())?;
    configuration.add_provider_path(provider_folder().join(".."))?;
    let walls = Walls { write: vec![folder.to_owned()], ..Walls::default() };
    configuration.place_in_process("null", walls.clone())?;
    configuration.place_in_process("file", walls)?;
    Ok(Registry::new(configuration))
}

fn open(registry: &Registry, descriptor: &str) -> Result<OpenFile> {
    registry.open(descriptor, &OpenOptions::new(OpenFlags::READ))
}

/// One read, at this offset if it is one at offsets.
type Read = fn(&mut OpenFile, &mut [u8], u64) -> Result<usize>;

fn read(file: &mut OpenFile, buf: &mut [u8], _: u64) -> Result<usize> {
    file.read(buf)
}

fn read_at(file: &mut OpenFile, buf: &mut [u8], offset: u64) -> Result<usize> {
    file.read_at(buf, offset)
}

fn reads(name: &str, registries: [&Registry; 2], descriptor: &str, size: usize, read: Read) -> Result<()> {
    let calls = (COPY as u64 / size as u64).clamp(64, 2000);
    let [mut apart, mut within] = [open(registries[0], descriptor)?, open(registries[1], descriptor)?];
    let [mut ours, mut theirs] = [vec![0; size], vec![0; size]];
    let reads = |file: &mut OpenFile, buf: &mut [u8]| {
        // `null` has no positions, and no end.
        let _ = file.seek(SeekFrom::Start(0));
        for at in 0..calls {
            keep(read(file, black_box(&mut *buf), at * size as u64).ok());
        }
    };
    pair(name, calls, || reads(&mut apart, &mut ours), || reads(&mut within, &mut theirs));
    Ok(())
}

fn copied(registry: &Registry, from: &str, to: &str) -> Result<()> {
    let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
    let mut to = registry.open(to, &OpenOptions::new(flags))?;
    copy(&mut open(registry, from)?, &mut to, None, &mut |_| ())?;
    to.flush(Flush::Push)
}
