//! Channels over the providers `file` and `mem`, loaded from their libraries.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vfs_core::{Code, Configuration, Control, Registry};
use zvfs_test_support::eventually;
use zvm::{CallError, Channel, Channels, ExitCode, Failure, Manifest, Report, RunOptions};

const LONG: Duration = Duration::from_secs(20);
/// The handle of the channel under test.
const X: usize = 3;

fn registry() -> Registry {
    Registry::new(Configuration::with_provider_path([zvfs_test_support::built()]))
}

fn manifest_text(channels: &str, more: &str) -> String {
    format!(
        "Version = 20130611\nProgram = /none\nMemory = 65536, 0\nTimeout = 5\n{more}\n\
         Channel = /dev/null, /dev/stdin, 0, 0, 9, 99, 0, 0\n\
         Channel = /dev/null, /dev/stdout, 0, 0, 0, 0, 9, 99\n\
         Channel = /dev/null, /dev/stderr, 0, 0, 0, 0, 9, 99\n{channels}\n"
    )
}

fn manifest(channels: &str, more: &str) -> Manifest {
    Manifest::parse(manifest_text(channels, more).as_bytes()).unwrap()
}

fn open_all(channels: &str, more: &str, control: &Control) -> Result<Channels, Failure> {
    Channels::open(&manifest(channels, more), &registry(), &RunOptions::new(), control)
}

/// Opens `source` with `type, etag, gets, get_size, puts, put_size`.
fn try_open(source: &Path, rest: &str) -> Result<Channels, Failure> {
    open_all(&format!("Channel = {}, /x, {rest}", source.display()), "", &Control::new())
}

fn open(source: &Path, rest: &str) -> Channels {
    try_open(source, rest).unwrap()
}

fn x(channels: &mut Channels) -> &mut Channel {
    channels.by_handle(X).unwrap()
}

fn read(channels: &mut Channels, count: usize, offset: i64) -> Result<Vec<u8>, Code> {
    let mut buffer = vec![0; count];
    let count = x(channels).read_at(&mut buffer, offset).map_err(|error| error.code())?;
    buffer.truncate(count);
    Ok(buffer)
}

fn finish(mut channels: Channels) {
    channels.end_all().unwrap();
    channels.close_readers();
    channels.commit_all(Some(Instant::now() + LONG)).unwrap();
}

struct Files(TempDir);

impl Files {
    fn new() -> Files {
        Files(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn with(&self, name: &str, content: &str) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    fn fifo(&self, name: &str) -> PathBuf {
        zvfs_test_support::fifo(self.path(name))
    }
}

#[test]
fn a_file_is_read_to_its_end() {
    let files = Files::new();
    let path = files.with("f", "hello, world");
    let mut channels = open(&path, "0, 0, 9, 99, 0, 0");
    assert_eq!(read(&mut channels, 5, 0).unwrap(), b"hello");
    assert_eq!(read(&mut channels, 99, 0).unwrap(), b", world");
    assert_eq!(read(&mut channels, 99, 0).unwrap(), b"");
    let mut channels = open(&path, "3, 0, 9, 99, 0, 0");
    assert_eq!(x(&mut channels).size(), Ok(12));
    assert_eq!(read(&mut channels, 99, 7).unwrap(), b"world");
    assert_eq!(read(&mut channels, 1, 12).unwrap(), b"");
    finish(channels);
}

#[test]
fn a_written_file_starts_anew_and_stays() {
    let files = Files::new();
    let path = files.with("f", "something longer");
    let mut channels = open(&path, "0, 0, 0, 0, 9, 99");
    assert_eq!(x(&mut channels).write_at(b"new", 50), Ok(3));
    finish(channels);
    assert_eq!(fs::read(&path).unwrap(), b"new");
    let mut channels = open(&files.path("created"), "2, 0, 0, 0, 9, 99");
    assert_eq!(x(&mut channels).write_at(b"b", 1), Ok(1));
    assert_eq!(x(&mut channels).write_at(b"a", 0), Ok(1));
    assert_eq!(x(&mut channels).size(), Ok(2));
    finish(channels);
    assert_eq!(fs::read(files.path("created")).unwrap(), b"ab");
}

#[test]
fn what_a_failed_run_wrote_is_there_only_if_it_is_in_place() {
    let files = Files::new();
    for (kind, there) in [("0", false), ("1", false), ("2", true)] {
        let mut channels = open(&files.path("f"), &format!("{kind}, 0, 0, 0, 9, 99"));
        x(&mut channels).write_at(b"printed", 0).unwrap();
        channels.discard_all();
        assert_eq!(files.path("f").exists(), there, "type {kind}");
    }
    let messages = format!("Channel = {}, /dev/stderr, 0, 0, 0, 0, 9, 99", files.path("messages").display());
    let text =
        manifest_text("", "").replace("Channel = /dev/null, /dev/stderr, 0, 0, 0, 0, 9, 99", &messages);
    let manifest = Manifest::parse(text.as_bytes()).unwrap();
    let mut channels = Channels::open(&manifest, &registry(), &RunOptions::new(), &Control::new()).unwrap();
    channels.by_handle(2).unwrap().write_at(b"why", 0).unwrap();
    channels.discard_all();
    assert_eq!(fs::read(files.path("messages")).unwrap(), b"why");
}

#[test]
fn a_cdr_file_grows_at_its_end() {
    let files = Files::new();
    let path = files.with("f", "old");
    let mut channels = open(&path, "1, 0, 9, 99, 9, 99");
    assert!(x(&mut channels).appends());
    assert_eq!(x(&mut channels).write_at(b"new", 0), Ok(3));
    assert_eq!(read(&mut channels, 99, 1).unwrap(), b"ldnew");
    assert_eq!(x(&mut channels).write_at(b"er", 0), Ok(2));
    assert_eq!(x(&mut channels).size(), Ok(8));
    finish(channels);
    assert_eq!(fs::read(&path).unwrap(), b"oldnewer");
}

#[test]
fn a_random_file_keeps_what_it_has() {
    let files = Files::new();
    let path = files.with("f", "abcdef");
    let mut channels = open(&path, "3, 0, 9, 99, 9, 99");
    assert_eq!(x(&mut channels).write_at(b"X", 2), Ok(1));
    assert_eq!(read(&mut channels, 3, 1).unwrap(), b"bXd");
    x(&mut channels).set_size(4).unwrap();
    x(&mut channels).sync().unwrap();
    finish(channels);
    assert_eq!(fs::read(&path).unwrap(), b"abXd");
}

#[test]
fn reserved_space_never_shows() {
    let files = Files::new();
    let path = files.path("f");
    let line = format!("Channel = {}, /x, 2, 0, 0, 0, 9, 1048576", path.display());
    let mut channels = open_all(&line, "Preallocate = 1", &Control::new()).unwrap();
    let reserved = fs::metadata(&path).unwrap();
    assert_eq!((reserved.len(), x(&mut channels).size()), (0, Ok(0)));
    if reserved.blocks() * 512 < 1 << 20 {
        println!("this file system reserves nothing: only the size is tested");
    }
    assert_eq!(x(&mut channels).write_at(b"abc", 0), Ok(3));
    finish(channels);
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.len(), 3);
    assert!(metadata.blocks() * 512 < 1 << 20, "{} blocks are kept", metadata.blocks());
}

#[test]
fn rule_25_sources_that_are_no_files_have_their_code() {
    let files = Files::new();
    let absent = try_open(&files.path("absent"), "0, 0, 1, 1, 0, 0").unwrap_err();
    assert_eq!(absent.exit(), ExitCode::Manifest);
    assert!(absent.text().starts_with("MANIFEST 9: channel /x: "), "{absent}");
    let _socket = UnixListener::bind(files.path("socket")).unwrap();
    fs::create_dir(files.path("folder")).unwrap();
    for name in ["socket", "folder"] {
        for rest in ["0, 0, 1, 1, 0, 0", "0, 0, 0, 0, 1, 1", "3, 0, 1, 1, 1, 1"] {
            let failure = try_open(&files.path(name), rest).unwrap_err();
            assert_eq!(failure.exit(), ExitCode::SourceKind, "{name} {rest}: {failure}");
        }
    }
    let failure = try_open(&files.path("folder/none/f"), "0, 0, 0, 0, 1, 1").unwrap_err();
    assert_eq!(failure.exit(), ExitCode::Manifest);
}

#[test]
fn devices_are_sequential_and_one_way() {
    let mut channels = open(Path::new("/dev/zero"), "3, 0, 9, 5, 0, 0");
    assert!(!x(&mut channels).is_random());
    assert_eq!(read(&mut channels, 9, 70).unwrap(), [0; 5]);
    assert_eq!(read(&mut channels, 9, 70), Err(Code::EDQUOT));
    let mut channels = open(Path::new("/dev/null"), "0, 0, 9, 99, 0, 0");
    assert_eq!(read(&mut channels, 9, 0).unwrap(), b"");
    let failure = try_open(Path::new("/dev/zero"), "3, 0, 1, 1, 1, 1").unwrap_err();
    assert_eq!(failure.exit(), ExitCode::Manifest);
}

#[test]
fn a_full_device_breaks_the_channel() {
    let mut channels = open(Path::new("/dev/full"), "0, 0, 0, 0, 9, 99");
    let error = x(&mut channels).write_at(b"x", 0).unwrap_err();
    let CallError::Failed(failure) = error else { panic!("{error:?}") };
    assert_eq!(failure.exit(), ExitCode::Io);
    assert!(failure.text().contains("no space left"), "{failure}");
}

#[test]
fn a_file_in_proc_is_longer_than_it_says() {
    let mut channels = open(Path::new("/proc/self/status"), "0, 0, 9, 5, 0, 0");
    assert_eq!(read(&mut channels, 9, 0).unwrap(), b"Name:");
    assert_eq!(read(&mut channels, 9, 0), Err(Code::EDQUOT));
}

#[test]
fn a_fifo_joins_two_sessions() {
    let files = Files::new();
    let path = files.fifo("p");
    let data: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    let mut reader = open(&path, "0, 0, 9, 999999, 0, 0");
    let mut writer = open(&path, "0, 0, 0, 0, 9, 999999");
    let sent = data.clone();
    let writing = thread::spawn(move || {
        let written = x(&mut writer).write_at(&sent, 0);
        x(&mut writer).writer_closed().unwrap();
        finish(writer);
        written
    });
    assert_eq!(read(&mut reader, data.len() + 1, 0).unwrap(), data);
    assert_eq!(x(&mut reader).counts().gets, 1);
    assert_eq!(writing.join().unwrap(), Ok(data.len()));
}

#[test]
fn a_closed_fifo_reader_is_a_note() {
    let files = Files::new();
    let path = files.fifo("p");
    let mut reader = open(&path, "0, 0, 9, 99, 0, 0");
    let mut writer = open(&path, "0, 0, 0, 0, 9, 9999999");
    assert_eq!(x(&mut writer).write_at(b"abc", 0), Ok(3));
    assert_eq!(read(&mut reader, 1, 0).unwrap(), b"a");
    reader.close_readers();
    assert_eq!(x(&mut writer).write_at(b"def", 0), Err(Code::EPIPE.into()));
    assert_eq!(writer.notes().count(), 1);
    finish(writer);
}

#[test]
fn a_cancel_frees_a_reader_that_nobody_writes_to() {
    let files = Files::new();
    let control = Control::new();
    let line = format!("Channel = {}, /x, 0, 0, 9, 99, 0, 0", files.fifo("p").display());
    let mut channels = open_all(&line, "", &control).unwrap();
    let (sender, answered) = channel();
    let meters = channels.meters();
    let reader = thread::spawn(move || sender.send(read(&mut channels, 1, 0)));
    eventually("the read has begun", || meters[X].counts().gets > 0);
    control.cancel();
    assert_eq!(answered.recv_timeout(LONG).unwrap(), Err(Code::EIO));
    reader.join().unwrap().unwrap();
}

#[test]
fn memory_is_a_channel_too() {
    let mut channels = open_all("Channel = mem:a, /x, 3, 0, 9, 99, 9, 99", "", &Control::new()).unwrap();
    assert_eq!(x(&mut channels).write_at(b"abc", 2), Ok(3));
    assert_eq!(read(&mut channels, 9, 0).unwrap(), b"\0\0abc");
    assert_eq!(x(&mut channels).size(), Ok(5));
    finish(channels);
}

#[test]
fn a_missing_provider_is_named() {
    let failure = open_all("Channel = nosuch:a, /x, 0, 0, 9, 99, 0, 0", "", &Control::new()).unwrap_err();
    assert_eq!(failure.exit(), ExitCode::Manifest);
    assert!(failure.text().contains("libzvfs_nosuch.so"), "{failure}");
}

#[test]
fn the_report_counts_what_stays_on_the_machine() {
    let files = Files::new();
    let path = files.with("f", "abc");
    let mut channels = open(&path, "0, 0, 9, 99, 0, 0");
    read(&mut channels, 9, 0).unwrap();
    channels.by_handle(1).unwrap().write_at(b"ok", 0).unwrap();
    let report = Report::ended(7, &channels.meters());
    assert_eq!(report.to_string(), "0\n0\n7\ndisabled\n0.00 0.00 1 3 1 2 0 0 0 0\nok\n\n");
    assert_eq!(&*report.channels[X].alias, "/x");
}
