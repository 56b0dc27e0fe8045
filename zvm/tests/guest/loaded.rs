//! Guests over providers loaded from their libraries: files, FIFOs, and a buffer between two sessions.

use crate::job::end;
use crate::script;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vfs_core::{Configuration, Registry};
use zvfs_test_support::fifo;
use zvm::{Manifest, Session};

/// Cargo puts the libraries of the providers beside this test.
fn registry() -> Registry {
    Registry::new(Configuration::with_provider_path([zvfs_test_support::built()]))
}

/// A session in `folder` of a script, with these channels; what it tells goes to the file `told`.
fn session(folder: &Path, registry: &Registry, timeout: u64, channels: &[&str], script: &str) -> Session {
    let path = folder.display();
    fs::write(folder.join("program.wat"), script::program(script)).unwrap();
    let mut text = format!(
        "Version = 20140509\nProgram = {path}/program.wat\nMemory = 1048576, 0\nTimeout = {timeout}\n"
    );
    for channel in channels {
        text += &format!("Channel = {}\n", channel.replace("FOLDER", &path.to_string()));
    }
    text += &format!("Channel = {path}/told, /dev/stderr, 0, 0, 0, 99, 9999\n");
    let manifest = Manifest::parse(text.as_bytes()).unwrap();
    Session::new(manifest).registry(registry.clone())
}

fn told(folder: &Path) -> Vec<i64> {
    let bytes = fs::read(folder.join("told")).unwrap();
    bytes.chunks_exact(8).map(|chunk| i64::from_le_bytes(chunk.try_into().unwrap())).collect()
}

#[test]
fn files_are_read_and_written() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("in"), "abcdef").unwrap();
    fs::write(folder.path().join("both"), "0123456789").unwrap();
    let channels = [
        "FOLDER/in, /dev/stdin, 0, 9, 99, 0, 0",
        "FOLDER/out, /dev/stdout, 0, 0, 0, 9, 99",
        "FOLDER/both, /both, 3, 9, 99, 9, 99",
    ];
    let script = "read 0 99\n write 1 6\n open \"both\" 0 66 0\n size 4\n pread 4 3 4\n pwrite 4 3 8\n size 4\n fd_filestat_set_size 4 2
        seek 4 0 2\n fd_sync 4\n fd_sync 1";
    let report = session(folder.path(), &registry(), 20, &channels, script).run();
    assert_eq!(end(&report), (0, "ok"), "{report:?}");
    assert_eq!(told(folder.path()), [6, 6, 4, 10, 3, 3, 11, 0, 2, 0, 0]);
    assert_eq!(fs::read(folder.path().join("out")).unwrap(), b"abcdef");
    assert_eq!(fs::read(folder.path().join("both")).unwrap(), b"01");
    assert_eq!((report.local.gets, report.local.get_bytes), (2, 9));
}

#[test]
fn a_fifo_that_nobody_writes_ends_at_the_timeout() {
    let folder = TempDir::new().unwrap();
    fifo(folder.path().join("in"));
    let channels = ["FOLDER/in, /dev/stdin, 0, 9, 99, 0, 0", "FOLDER/out, /dev/stdout, 0, 0, 0, 9, 99"];
    let start = Instant::now();
    let report = session(folder.path(), &registry(), 1, &channels, "write 1 5\n read 0 1").run();
    assert_eq!(report.exit_code.number(), 4, "{report:?}");
    let words = format!("timeout: channel /dev/stdin: read {}/in, in ", folder.path().display());
    assert!(report.state.starts_with(&words), "{report:?}");
    assert!((1..10).contains(&start.elapsed().as_secs()));
    assert!(!report.notes.iter().any(|note| note.contains("left behind")), "{:?}", report.notes);
}

#[test]
fn a_fifo_that_nobody_reads_ends_at_a_cancel() {
    let folder = TempDir::new().unwrap();
    fifo(folder.path().join("out"));
    let channels = ["file:/dev/null, /dev/stdin, 0, 9, 99, 0, 0", "FOLDER/out, /dev/stdout, 0, 0, 0, 9, 99"];
    let running = session(folder.path(), &registry(), 30, &channels, "write 1 5").start();
    let start = Instant::now();
    running.control().cancel();
    assert_eq!(end(&running.wait()), (4, "cancelled"));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn sessions_side_by_side_share_a_fifo() {
    let folder = TempDir::new().unwrap();
    fifo(folder.path().join("pipe"));
    let registry = registry();
    let (writer, reader) = (folder.path().join("writer"), folder.path().join("reader"));
    fs::create_dir(&writer).unwrap();
    fs::create_dir(&reader).unwrap();
    let from =
        ["file:/dev/null, /dev/stdin, 0, 9, 99, 0, 0", "FOLDER/../pipe, /dev/stdout, 0, 0, 0, 9, 9999"];
    let to = ["FOLDER/../pipe, /dev/stdin, 0, 9, 9999, 0, 0", "FOLDER/out, /dev/stdout, 0, 0, 0, 9, 9999"];
    let first = session(&writer, &registry, 20, &from, "write 1 100\n write 1 200\n write 1 300").start();
    let second = session(&reader, &registry, 20, &to, "read 0 9999\n write 1 600\n read 0 1").start();
    let (first, second) = (first.wait(), second.wait());
    assert_eq!((end(&first), end(&second)), ((0, "ok"), (0, "ok")));
    assert_eq!((told(&writer), told(&reader)), (vec![100, 200, 300], vec![600, 600, 0]));
    assert_eq!(fs::metadata(reader.join("out")).unwrap().len(), 600);
}
