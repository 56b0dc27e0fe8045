//! What many pipes and much data cost a process: threads, memory, descriptors.

use netpipe::broker::{Broker, Config};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Instant;
use vfs_core::{Configuration, Finish, OpenFile, OpenFlags, OpenOptions, Registry};
use zvfs_benches::provider_folder;

const PIPES: usize = 1000;
const BLOCK: usize = 64 << 10;
const GIB: u64 = 1 << 30;
const GIBS: u64 = 10;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, most)?;
    thousand_pipes()?;
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
    let folder = provider_folder().display().to_string();
    let text = format!("provider-path = [{folder:?}]\n[provider.tcp]\nsettings = {{ {settings} }}\n");
    Ok(Registry::new(Configuration::parse(&text)?))
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
