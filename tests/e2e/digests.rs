//! Digests of channels: in the reports of two guests at the ends of a netpipe, and against a writer that lies.

use crate::support::{Folder, Started, run, zvfs};
use netpipe::digest::Algorithm;
use netpipe::{Handshake, Header, Hello, Message, Name, Progress, Role};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use zvfs_test_support::{eventually, free_port};

/// Copies its standard input to its standard output.
const COPY: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (func (export "_start")
        (i32.store (i32.const 0) (i32.const 1024))
        (loop $more
            (i32.store (i32.const 4) (i32.const 50000))
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (i32.store (i32.const 4) (i32.load (i32.const 8)))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
            (br_if $more (i32.load (i32.const 4))))))"#;

fn manifest(folder: &Folder, name: &str, stdin: &str, stdout: &str) -> String {
    folder.write("copy.wat", COPY);
    folder.write(
        name,
        format!(
            "Version = 20140509\nProgram = ${{MANIFEST_DIR}}/copy.wat\nMemory = 1048576, 0\nTimeout = 100\nDigest = sha256\n\
             Channel = {stdin}, /dev/stdin, 0, 9999, 9999999, 0, 0\n\
             Channel = {stdout}, /dev/stdout, 0, 0, 0, 9999, 9999999\n\
             Channel = /dev/null, /dev/stderr, 0, 0, 0, 1, 1\n"
        ),
    )
}

#[test]
fn both_ends_of_a_netpipe_report_the_same_digest() {
    let folder = Folder::new();
    let data: Vec<u8> = (0..300_000_u32).map(|at| (at * 7 % 251) as u8).collect();
    folder.write("data", &data);
    let writer = manifest(&folder, "writer", "${MANIFEST_DIR}/data", "netpipe:x:w");
    let reader = manifest(&folder, "reader", "netpipe:x:r", "${MANIFEST_DIR}/copy");
    let report = folder.at("report");
    run(zvfs(["run", "--report-file", &report, &writer, &reader])).succeeded();
    assert!(fs::read(folder.at("copy")).unwrap() == data);
    let report = fs::read_to_string(report).unwrap();
    let digests: Vec<Vec<&str>> =
        report.lines().skip(3).step_by(7).map(|line| line.split(' ').collect()).collect();
    let [writer, reader] = &digests[..] else { panic!("{report}") };
    assert_eq!([writer[0], writer[2], writer[4]], ["/dev/stdin", "/dev/stdout", "/dev/stderr"]);
    // All four are of the same bytes.
    assert!(
        writer[1].len() == 64 && [writer[3], reader[1], reader[3]].iter().all(|hex| *hex == writer[1]),
        "{report}"
    );
}

#[test]
fn a_writer_whose_digest_does_not_fit_is_exit_code_32() {
    let folder = Folder::new();
    let port = free_port();
    let reader = manifest(&folder, "reader", &format!("tcp://127.0.0.1:{port}"), "${MANIFEST_DIR}/copy");
    let started = Started::new(&mut zvfs(["run", &reader]));
    let mut stream = None;
    eventually("the reader listens", || match TcpStream::connect(("127.0.0.1", port)) {
        Ok(connected) => {
            stream = Some(connected);
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            false
        }
    });
    let mut stream = stream.unwrap();
    let features = Algorithm::Sha256.feature();
    let hello = Hello { features, ..Hello::pipe(Role::Writer, Name::unnamed(), None) };
    let mut dialler = Handshake::dialler(hello, None, None).unwrap();
    loop {
        stream.write_all(&dialler.output()).unwrap();
        let mut bytes = vec![0; dialler.want()];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "closed during the handshake");
        if let Progress::Done(_) = dialler.input(&mut &bytes[..count]).unwrap() {
            break;
        }
    }
    let mut bytes = Header::data(b"bytes", true).encode().to_vec();
    bytes.extend(b"bytes");
    Message::Digest([0; 32]).append_to(&mut bytes);
    Message::End(5).append_to(&mut bytes);
    stream.write_all(&bytes).unwrap();
    started.end().failed(32, &["/dev/stdin", "digest mismatch at end of stream"]);
}
