//! `copy` over every route: in the kernel, by one side's splice, and by read and write where neither will.
#![cfg(feature = "host")]
#![allow(clippy::unwrap_used, reason = "clippy takes only the #[test] functions of this file for tests")]

use std::fs::File as StdFile;
use std::hint;
use std::io::SeekFrom;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use vfs_core::{
    Capabilities, Code, Configuration, Direction, Error, File, Host, Info, Instance, Lease, OpenFile,
    OpenFlags, OpenOptions, Provider, Registry, Request, Result, Settings, copy,
};

/// `kernel:path` lends the file of that path; `framed:` has none, and splices unless it is `framed:shy`.
#[derive(Clone, Default)]
struct Both(Arc<Mutex<Framed>>);

/// What passed a framed file, and how.
#[derive(Default)]
struct Framed {
    data: Vec<u8>,
    spliced: usize,
}

impl Provider for Both {
    fn info(&self) -> Info {
        Info::new("kernel", "1", "test")
            .schemes(["kernel", "framed"])
            .supported_flags(OpenFlags::READ | OpenFlags::WRITE)
    }

    fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(self.clone()))
    }
}

impl Instance for Both {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        if request.scheme() == "kernel" {
            let write = request.flags().contains(OpenFlags::WRITE);
            let file = StdFile::options().read(true).write(write).open(request.rest())?;
            return Ok(Box::new(Kernel { file, position: 0 }));
        }
        Ok(Box::new(Frames { shared: self.0.clone(), at: 0, shy: request.rest() == "shy" }))
    }
}

struct Kernel {
    file: StdFile,
    position: u64,
}

impl File for Kernel {
    fn capabilities(&self) -> Capabilities {
        Capabilities::READABLE
            | Capabilities::WRITABLE
            | Capabilities::SEEKABLE
            | Capabilities::TRUNCATABLE
            | Capabilities::FD
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let count = self.file.read_at(buf, self.position)?;
        self.position += count as u64;
        Ok(count)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        let count = self.file.write_at(buf, self.position)?;
        self.position += count as u64;
        Ok(count)
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        match to {
            SeekFrom::Start(position) => self.position = position,
            _ => return Err(Error::from(Code::EINVAL)),
        }
        Ok(self.position)
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        Ok(self.file.set_len(size)?)
    }

    fn lease(&mut self, _: Direction) -> Result<Lease<'_>> {
        Ok(Lease { fd: self.file.as_fd(), offset: Some(self.position), limit: u64::MAX })
    }

    fn advance(&mut self, _: Direction, count: u64) -> Result<()> {
        self.position += count;
        Ok(())
    }
}

struct Frames {
    shared: Arc<Mutex<Framed>>,
    at: usize,
    shy: bool,
}

impl Frames {
    /// A copy of a borrowed descriptor, to use it with std.
    fn file(fd: BorrowedFd<'_>) -> Result<StdFile> {
        Ok(StdFile::from(fd.try_clone_to_owned()?))
    }

    fn check(&self) -> Result<()> {
        if self.shy { Err(Error::new(Code::ENOTSUP, "not now")) } else { Ok(()) }
    }
}

impl File for Frames {
    fn capabilities(&self) -> Capabilities {
        Capabilities::READABLE | Capabilities::WRITABLE | Capabilities::SPLICE
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let shared = self.shared.lock().unwrap();
        let rest = &shared.data[self.at..];
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.shared.lock().unwrap().data.extend(buf);
        Ok(buf.len())
    }

    fn send_from(&mut self, from: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        self.check()?;
        let mut buf = vec![0; count.min(1000)];
        let count = Self::file(from)?.read_at(&mut buf, offset)?;
        let mut shared = self.shared.lock().unwrap();
        shared.data.extend(&buf[..count]);
        shared.spliced += count;
        Ok(count)
    }

    fn receive_into(&mut self, to: BorrowedFd<'_>, offset: u64, count: usize) -> Result<usize> {
        self.check()?;
        let mut shared = self.shared.lock().unwrap();
        let count = (shared.data.len() - self.at).min(count).min(1000);
        Self::file(to)?.write_all_at(&shared.data[self.at..self.at + count], offset)?;
        self.at += count;
        shared.spliced += count;
        Ok(count)
    }
}

struct Bench {
    registry: Registry,
    framed: Both,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let framed = Both::default();
        let registry = Registry::new(Configuration::parse("[alias]\nframed = \"kernel\"").unwrap());
        registry.register(Box::new(framed.clone())).unwrap();
        Bench { registry, framed, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, content: &[u8]) -> OpenFile {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        self.open(&format!("kernel:{}", path.display()))
    }

    fn content(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join(name)).unwrap()
    }

    fn open(&self, descriptor: &str) -> OpenFile {
        self.registry.open(descriptor, &OpenOptions::new(OpenFlags::READ | OpenFlags::WRITE)).unwrap()
    }
}

fn data() -> Vec<u8> {
    (0..100_000_u32).map(|at| at.wrapping_mul(2_654_435_761) as u8).collect()
}

#[test]
fn a_splicing_target_sends_from_the_sources_file() {
    let bench = Bench::new();
    let (mut source, mut target) = (bench.file("a", &data()), bench.open("framed:"));
    assert_eq!(copy(&mut source, &mut target, None, &mut |_| ()).unwrap(), 100_000);
    let framed = bench.framed.0.lock().unwrap();
    assert!(framed.data == data() && framed.spliced == 100_000);
}

#[test]
fn a_splicing_source_receives_into_the_targets_file() {
    let bench = Bench::new();
    bench.framed.0.lock().unwrap().data = data();
    let (mut source, mut target) = (bench.open("framed:"), bench.file("b", b""));
    assert_eq!(copy(&mut source, &mut target, Some(70_001), &mut |_| ()).unwrap(), 70_001);
    assert!(bench.content("b") == data()[..70_001]);
    assert_eq!(bench.framed.0.lock().unwrap().spliced, 70_001);
}

#[test]
fn where_a_splice_is_refused_read_and_write_do() {
    let bench = Bench::new();
    let (mut source, mut target) = (bench.file("a", &data()), bench.open("framed:shy"));
    assert_eq!(copy(&mut source, &mut target, None, &mut |_| ()).unwrap(), 100_000);
    let (mut source, mut target) = (bench.open("framed:shy"), bench.file("b", b""));
    assert_eq!(copy(&mut source, &mut target, None, &mut |_| ()).unwrap(), 100_000);
    assert!(bench.content("b") == data());
    assert_eq!(bench.framed.0.lock().unwrap().spliced, 0);
}

#[test]
fn two_files_are_copied_in_the_kernel_from_their_positions() {
    let bench = Bench::new();
    let (mut source, mut target) = (bench.file("a", &data()), bench.file("b", b"0123456789"));
    source.seek(SeekFrom::Start(10)).unwrap();
    target.seek(SeekFrom::Start(5)).unwrap();
    let mut last = 0;
    assert_eq!(copy(&mut source, &mut target, None, &mut |total| last = total).unwrap(), 99_990);
    assert_eq!(last, 99_990);
    assert!(bench.content("b") == [b"01234", &data()[10..]].concat());
}

/// Each byte that was written was read again, until the disk was full.
#[test]
fn a_copy_that_would_read_what_it_writes_is_refused() {
    let bench = Bench::new();
    let mut source = bench.file("a", &data());
    let mut target = bench.open(&format!("kernel:{}", bench.folder.path().join("a").display()));
    target.seek(SeekFrom::Start(10)).unwrap();
    let error = copy(&mut source, &mut target, Some(11), &mut |_| ()).unwrap_err();
    assert!(error.code() == Code::EINVAL && error.chain().contains("input is output"), "{}", error.chain());
    assert!(bench.content("a") == data());
    // These end before they come to what they wrote.
    assert_eq!(copy(&mut source, &mut target, Some(10), &mut |_| ()).unwrap(), 10);
    source.seek(SeekFrom::Start(20)).unwrap();
    assert_eq!(copy(&mut source, &mut target, None, &mut |_| ()).unwrap(), 99_980);
    assert!(bench.content("a")[10..20] == data()[..10]);
}

#[test]
fn a_file_that_the_kernel_says_is_empty_is_read() {
    // copy_file_range moves nothing out of files of /proc, whose size is 0.
    let bench = Bench::new();
    let mut source = bench.registry.open("kernel:/proc/version", &OpenOptions::new(OpenFlags::READ)).unwrap();
    let mut target = bench.file("b", b"");
    copy(&mut source, &mut target, None, &mut |_| ()).unwrap();
    assert!(bench.content("b") == std::fs::read("/proc/version").unwrap());
}

/// A hole up to the end was taken to reach as far as the file did a moment later, when somebody had written there.
#[test]
fn what_is_appended_behind_a_hole_is_never_taken_for_one() {
    const HOLE: u64 = 64 << 10;
    const ROUNDS: u32 = 5_000;
    let bench = Bench::new();
    let path = bench.folder.path().join("a");
    let (both, zeros) = (Barrier::new(2), AtomicU32::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..ROUNDS {
                let file = StdFile::create(&path).unwrap();
                file.set_len(HOLE).unwrap();
                both.wait();
                // At another moment of the copy each time.
                (0..round % 400).for_each(|_| hint::spin_loop());
                file.write_all_at(&[7; 512], HOLE).unwrap();
                both.wait();
            }
        });
        for _ in 0..ROUNDS {
            both.wait();
            let mut source = bench.open(&format!("kernel:{}", path.display()));
            let mut target = bench.file("b", b"");
            copy(&mut source, &mut target, None, &mut |_| ()).unwrap();
            let copied = bench.content("b");
            let behind = copied.get(HOLE as usize..).unwrap_or_default();
            zeros.fetch_add(behind.iter().any(|byte| *byte != 7).into(), Ordering::Relaxed);
            both.wait();
        }
    });
    assert_eq!(zeros.into_inner(), 0, "rounds in which zeros were copied for what was never zero");
}
