//! What many pipes and much data cost a process: threads, memory, descriptors.

use netpipe::broker::{Broker, Config};
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use std::fs;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Instant;
use vfs_core::{Configuration, Finish, OpenFile, OpenFlags, OpenOptions, Registry, Wanted};
use zvfs_benches::host::host;
use zvfs_benches::peers::Failure;
use zvfs_benches::{heading, pair, provider_folder};

const PIPES: usize = 1000;
const WAITING: usize = 10_000;
const HALF: usize = WAITING / 2;
const BLOCK: usize = 64 << 10;
const GIB: u64 = 1 << 30;
const GIBS: u64 = 10;

fn main() -> Result<(), Failure> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, most)?;
    thousand_pipes()?;
    ten_thousand_waiting()?;
    ten_gibibytes()
}

/// Both ends of all pipes in this process, over one broker, in two instances: each has one thread.
fn thousand_pipes() -> Result<(), Failure> {
    let broker = Broker::bind((Ipv4Addr::LOCALHOST, 0), Config::default())?;
    let (address, stop) = (broker.local_addr(), broker.handle());
    let serving = thread::spawn(move || broker.run());
    let settings = format!("broker = \"{address}\"");
    let (left, right) = (registry(&settings)?, registry(&settings)?);
    let before = Status::read()?;
    let start = Instant::now();
    let open = |registry: &Registry, flags| -> Result<Vec<OpenFile>, Failure> {
        let opened =
            (0..PIPES).map(|at| registry.open(&format!("netpipe:pipe-{at}"), &OpenOptions::new(flags)));
        Ok(opened.collect::<Result<_, _>>()?)
    };
    let (mut readers, mut writers) = (open(&right, OpenFlags::READ)?, open(&left, OpenFlags::WRITE)?);
    let (block, mut buf) = (vec![7; BLOCK], vec![0; BLOCK]);
    for (reader, writer) in readers.iter_mut().zip(&mut writers) {
        writer.write_all(&block)?;
        let mut came = 0;
        while came < BLOCK {
            came += reader.read(&mut buf)?;
        }
    }
    let after = Status::read()?;
    println!(
        "{PIPES} pipes, both ends here, {} KiB through each: {} ms; {} more threads, {:.1} KiB more memory a pipe, {:.1} more descriptors a pipe",
        BLOCK >> 10,
        start.elapsed().as_millis(),
        after.threads - before.threads,
        (after.resident - before.resident) as f64 / PIPES as f64,
        (after.descriptors - before.descriptors) as f64 / PIPES as f64,
    );
    for writer in &mut writers {
        writer.finish(Finish::End)?;
    }
    drop((readers, writers, left, right));
    stop.stop();
    serving.join().map_err(|_| "the broker panicked")??;
    Ok(())
}

/// FIFOs that wait for their writers, all in one epoll loop: what that costs, and how long one takes from its byte's write to its
/// read, against bare descriptors.
fn ten_thousand_waiting() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let path = |at: usize| folder.path().join(at.to_string());
    let fifo = |at: usize, flags: OFlags| -> Result<OwnedFd, Failure> {
        Ok(rustix::fs::open(path(at), flags | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?)
    };
    for at in 0..WAITING {
        rustix::fs::mknodat(CWD, path(at), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    }
    let registry = Registry::new(Configuration::with_provider_path([provider_folder()]));
    let how = OpenOptions::new(OpenFlags::READ);
    drop(registry.open(path(0).to_str().ok_or("a path that is not UTF-8")?, &how)?);
    let (before, start) = (Status::read()?, Instant::now());
    let ours = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut files = Vec::new();
    for at in 0..WAITING {
        let mut file = registry.open(path(at).to_str().ok_or("a path that is not UTF-8")?, &how)?;
        if file.try_read(&mut [0])?.is_some() {
            return Err("a byte that nobody wrote".into());
        }
        let interest = file.interest(Wanted::READ)?;
        let fd = interest.fd.ok_or("a FIFO without a descriptor")?;
        epoll::add(&ours, fd, EventData::new_u64(at as u64), EventFlags::IN)?;
        files.push(file);
    }
    let after = Status::read()?;
    println!(
        "{WAITING} FIFOs wait in one loop: opened in {} ms; {} more threads, {:.1} KiB more memory a FIFO, {:.1} more descriptors a FIFO",
        start.elapsed().as_millis(),
        after.threads - before.threads,
        (after.resident - before.resident) as f64 / WAITING as f64,
        (after.descriptors - before.descriptors) as f64 / WAITING as f64,
    );
    // Half of them make room for as many bare descriptors.
    files.truncate(HALF);
    let bare = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut descriptors = Vec::new();
    for at in HALF..WAITING {
        let fd = fifo(at, OFlags::RDONLY)?;
        epoll::add(&bare, &fd, EventData::new_u64(at as u64), EventFlags::IN)?;
        descriptors.push(fd);
    }
    // Every tenth has a writer.
    let writers = |from: usize| (from..from + HALF).step_by(10).map(|at| Ok((at, fifo(at, OFlags::WRONLY)?)));
    let ours_written: Vec<_> = writers(0).collect::<Result<_, Failure>>()?;
    let bare_written: Vec<_> = writers(HALF).collect::<Result<_, Failure>>()?;
    let wake = |epoll: &OwnedFd, (at, writer): &(usize, OwnedFd)| {
        let _ = rustix::io::write(writer, b"x");
        let mut events: [MaybeUninit<Event>; 1] = [MaybeUninit::uninit()];
        let come = epoll::wait(epoll, &mut events, None).map(|(come, _)| come[0].data.u64());
        assert!(come == Ok(*at as u64), "another event came");
        *at
    };
    heading("wake-ups with 5,000 FIFOs in each loop", "try_read", "read(2)");
    pair(
        "one byte, from its write to its read",
        ours_written.len() as u64,
        || {
            for written in &ours_written {
                let file = &mut files[wake(&ours, written)];
                assert!(matches!(file.try_read(&mut [0]), Ok(Some(1))));
            }
        },
        || {
            for written in &bare_written {
                let fd = &descriptors[wake(&bare, written) - HALF];
                assert!(rustix::io::read(fd, &mut [0; 1]) == Ok(1));
            }
        },
    );
    Ok(())
}

fn ten_gibibytes() -> Result<(), Failure> {
    let (left, right) = (registry("")?, registry("")?);
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let descriptor = format!("tcp://127.0.0.1:{port}");
    let mut reader = right.open(&descriptor, &OpenOptions::new(OpenFlags::READ))?;
    let mut writer = left.open(&descriptor, &OpenOptions::new(OpenFlags::WRITE))?;
    let writing = thread::spawn(move || -> Result<(), Failure> {
        let block = vec![7; BLOCK];
        for _ in 0..GIBS * GIB / BLOCK as u64 {
            writer.write_all(&block)?;
        }
        Ok(writer.finish(Finish::Commit)?)
    });
    let (start, mut buf, mut total, mut first) = (Instant::now(), vec![0; 256 << 10], 0, None);
    loop {
        match reader.read(&mut buf)? {
            0 => break,
            count => total += count as u64,
        }
        if first.is_none() && total >= GIB {
            first = Some(Status::read()?);
        }
    }
    writing.join().map_err(|_| "the writer panicked")??;
    let (first, last) = (first.ok_or("less than 1 GiB came")?, Status::read()?);
    println!(
        "{} GiB through one pipe: {} ms; {} KiB resident after the first, {} KiB after the last",
        total / GIB,
        start.elapsed().as_millis(),
        first.resident,
        last.resident,
    );
    Ok(())
}

fn registry(settings: &str) -> Result<Registry, Failure> {
    host(&format!("[provider.tcp]\nsettings = {{ {settings} }}\n"))
}

/// What the kernel says of this process.
struct Status {
    threads: i64,
    /// KiB.
    resident: i64,
    descriptors: i64,
}

impl Status {
    fn read() -> Result<Status, Failure> {
        let text = fs::read_to_string("/proc/self/status")?;
        let number = |name: &str| -> Result<i64, Failure> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
            Ok(line.trim_start_matches(':').split_ascii_whitespace().next().ok_or("no number")?.parse()?)
        };
        let descriptors = fs::read_dir("/proc/self/fd")?.count() as i64;
        Ok(Status { threads: number("Threads")?, resident: number("VmRSS")?, descriptors })
    }
}
