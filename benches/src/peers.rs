//! Programs that move bytes over loopback, as processes of their own.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use zvfs_test_support::free_port;

/// What socat's reader reads at a time.
const READ: usize = 256 << 10;

/// Why a peer has no time.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Through a FIFO, from one thread to another.
///
/// # Errors
/// The system's; other bytes came than were sent.
pub fn through_fifo(path: &Path, size: usize, total: usize) -> Result<Duration, Failure> {
    let from = path.to_owned();
    let taking = thread::spawn(move || -> Result<usize, Failure> {
        let (mut reader, mut buf, mut came) = (File::open(from)?, vec![0; READ], 0);
        loop {
            match reader.read(&mut buf)? {
                0 => return Ok(came),
                count => came += count,
            }
        }
    });
    let mut writer = File::options().write(true).open(path)?;
    let start = Instant::now();
    let block = vec![7; size];
    for _ in 0..total / size {
        writer.write_all(&block)?;
    }
    drop(writer);
    let came = taking.join().map_err(|_| Failure::from("the reader panicked"))??;
    if came == total { Ok(start.elapsed()) } else { Err(format!("{came} of {total} bytes came").into()) }
}

/// From /dev/zero to /dev/null.
///
/// # Errors
/// As [`socat_of`].
pub fn through_socat(size: usize, total: usize) -> Result<Duration, Failure> {
    socat_of(Path::new("/dev/zero"), size, total)
}

/// From a file to /dev/null. The start of the writing process is measured with it: it finds the other one waiting.
///
/// # Errors
/// It does not start, or fails.
pub fn socat_of(file: &Path, size: usize, total: usize) -> Result<Duration, Failure> {
    let port = free_port();
    let socat = |from: &str, to: &str, block: usize| {
        Command::new("socat").args(["-u", "-b", &block.to_string(), from, to]).spawn()
    };
    let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr");
    let mut reader = socat(&listen, "OPEN:/dev/null,wronly", READ)?;
    // As soon as it listens, and without a connection, which would be the one that it takes.
    let listening = format!(":{port:04X} 00000000:0000 0A");
    while !std::fs::read_to_string("/proc/net/tcp")?.contains(&listening) {
        running(&mut reader)?;
        thread::yield_now();
    }
    let start = Instant::now();
    let source = format!("OPEN:{},rdonly,readbytes={total}", file.display());
    let writer = socat(&source, &format!("TCP:127.0.0.1:{port},nodelay"), size)?;
    succeeded(writer)?;
    succeeded(reader)?;
    Ok(start.elapsed())
}

/// From its memory.
///
/// # Errors
/// As [`iperf3_of`].
pub fn through_iperf3(size: usize, total: usize) -> Result<Duration, Failure> {
    iperf3_of(None, size, total)
}

/// From a file, or from its memory, by its own clock, so that its start does not count.
///
/// # Errors
/// It does not start, fails, or reports something else.
pub fn iperf3_of(file: Option<&Path>, size: usize, total: usize) -> Result<Duration, Failure> {
    let port = free_port().to_string();
    let mut server = Command::new("iperf3")
        .args(["-s", "-1", "-B", "127.0.0.1", "--forceflush", "-p", &port])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(server.stdout.take().ok_or("no output")?);
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        if said.read_line(&mut line)? == 0 {
            return Err("iperf3 does not listen".into());
        }
    }
    let client = Command::new("iperf3")
        .args(["-c", "127.0.0.1", "-N", "-J", "-p", &port])
        .args(["-l", &size.to_string(), "-n", &total.to_string()])
        .args(file.map(|file| ["-F".as_ref(), file.as_os_str()]).into_iter().flatten())
        .output()?;
    said.read_to_end(&mut Vec::new())?;
    succeeded(server)?;
    let report = String::from_utf8(client.stdout)?;
    let received = report.split_once("\"sum_received\"").ok_or_else(|| report.clone())?.1;
    let number = |name: &str| -> Result<f64, Failure> {
        let (_, rest) = received.split_once(name).ok_or("iperf3 reports something else")?;
        let end = rest.find([',', '}']).unwrap_or(rest.len());
        Ok(rest[..end].trim_start_matches([':', ' ', '\t']).trim().parse()?)
    };
    let (seconds, bytes) = (number("\"seconds\"")?, number("\"bytes\"")?);
    Ok(Duration::from_secs_f64(seconds * total as f64 / bytes))
}

fn running(child: &mut Child) -> Result<(), Failure> {
    match child.try_wait()? {
        None => Ok(()),
        Some(status) => Err(format!("a peer ended early: {status}").into()),
    }
}

fn succeeded(mut child: Child) -> Result<(), Failure> {
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("a peer failed: {status}").into()) }
}
