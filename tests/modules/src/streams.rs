//! A client that reads an answer while it sends its body, or takes its time. curl reads nothing while its upload waits.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use zvfs_test_support::LIMIT;

/// In bytes: how much is sent and read at a time.
const PART: usize = 64 << 10;

/// In bytes: after these the pattern of a large body begins anew. A prime, so that no lost or doubled buffer goes unseen.
const PERIOD: usize = 1_048_583;

/// In bytes: more than sockets and servers hold, and than a test lets a server grow by.
const MANY: usize = 100_000_000;

/// Bytes that no two places have alike.
pub fn pattern(size: usize) -> Vec<u8> {
    (0..size as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// Reads up to these bytes, one by one.
#[track_caller]
pub fn read_until(stream: &mut TcpStream, end: &[u8]) {
    let mut came = Vec::new();
    while !came.ends_with(end) {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&came));
        came.push(byte[0]);
    }
}

/// Sends a body of so many bytes to a guest that sends it back, and reads that meanwhile. Neither end ever holds all of it.
///
/// # Panics
/// What comes back is not what was sent.
#[track_caller]
pub fn comes_back(mut stream: TcpStream, path: &str, size: usize) {
    let mut bytes = pattern(PERIOD);
    bytes.extend_from_within(..PART);
    let part = |at: usize, most: usize| &bytes[at % PERIOD..][..most.min(PART).min(size - at)];
    // Of HTTP/1.0: the answer has no chunks.
    write!(stream, "POST {path} HTTP/1.0\r\nHost: x\r\nContent-Length: {size}\r\n\r\n").unwrap();
    let mut writer = stream.try_clone().unwrap();
    writer.set_write_timeout(Some(LIMIT)).unwrap();
    let came = thread::scope(|scope| {
        let sending = scope.spawn(move || {
            let mut sent = 0;
            while sent < size {
                let part = part(sent, PART);
                if writer.write_all(part).is_err() {
                    break;
                }
                sent += part.len();
            }
            sent
        });
        read_until(&mut stream, b"\r\n\r\n");
        let (mut came, mut buf) = (0, vec![0; PART]);
        loop {
            let count = stream.read(&mut buf).unwrap();
            if count == 0 {
                return (sending.join().unwrap(), came);
            }
            assert!(came + count <= size, "more than {size} bytes came back");
            assert!(buf[..count] == *part(came, count), "other bytes than were sent, from {came} on");
            came += count;
        }
    });
    assert_eq!(came, (size, size), "sent, and come back");
}

/// Has a guest answer with more bytes than anything on their way holds, and reads none but the first until `meanwhile` has returned.
///
/// # Panics
/// The answer is not whole.
#[track_caller]
pub fn reads_slowly(mut stream: TcpStream, path: &str, meanwhile: impl FnOnce()) {
    write!(stream, "GET {path}?many={MANY} HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
    read_until(&mut stream, b"\r\n\r\n");
    meanwhile();
    let (mut came, mut buf, expected) = (0, vec![0; PART], [b'x'; PART]);
    loop {
        let count = stream.read(&mut buf).unwrap();
        if count == 0 {
            break;
        }
        assert!(buf[..count] == expected[..count], "other bytes than x, from {came} on");
        came += count;
    }
    assert_eq!(came, MANY);
}
