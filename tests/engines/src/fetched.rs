//! Servers of what `.ci/run` fetches, and one request to them without the client under test.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zvfs_http_servers::Process;
use zvfs_test_support::free_port;

/// Ports taken by somebody else in between, one after the other.
const ATTEMPTS: usize = 5;

/// Runs a server that must be told its port, until that was free and it takes connections there.
pub fn at_free_port(name: &str, folder: &Path, run: impl Fn(u16) -> Process) -> (u16, Process) {
    for _ in 0..ATTEMPTS {
        let port = free_port();
        let mut process = run(port);
        if process.comes_to(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()) {
            return (port, process);
        }
    }
    panic!("{name} does not start: {}", log(folder));
}

/// Starts a program whose output goes to the file [`log`] of a folder.
pub fn logged(
    folder: &Path,
    program: &str,
    arguments: &[&str],
    prepare: impl FnOnce(&mut Command),
) -> Process {
    let log = File::create(folder.join("log")).unwrap();
    let process = Process::start(program, arguments, |command| {
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        prepare(command);
    });
    process.unwrap()
}

/// What it said, for a test that failed.
pub fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// A file of what `.ci/run` fetches.
pub fn package(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/packages")).join(name)
}

/// One request by HTTP/1.0, with further fields: its status and the body of its answer.
pub fn exchange(port: u16, method: &str, target: &str, fields: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {length}\r\n{fields}\r\n"
    );
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    (status, answer[end + 4..].to_vec())
}
