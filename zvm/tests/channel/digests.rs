//! Digests of channels.

use crate::shelf::{Book, Shelf, x};
use vfs_core::{Code, Control, Finish};
use zvm::{CallError, ExitCode, Manifest, Session};

/// Of `abcdef`.
const READ: &str = "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";
/// Of `abcXYdef`.
const READ_WRITTEN_READ: &str = "e90c0d2aef022bbaa80aefd32a10b38cfa775b8fb4e1a0f37ffad2f631af7172";

#[test]
fn all_bytes_read_are_digested_however_they_come() {
    let shelf = Shelf::new();
    shelf.put("f", Book { chunk: 1, ..Book::pipe("abcdef") });
    for (asked, digest) in [("", None), ("Digest = SHA-256", Some(READ))] {
        let mut channels = shelf.try_open("test:f, /x, 0, 9, 99, 0, 0", asked, &Control::new()).unwrap();
        for count in [4, 9] {
            x(&mut channels).read_at(&mut vec![0; count], 0).unwrap();
        }
        assert_eq!(x(&mut channels).digest().as_deref(), digest);
    }
}

#[test]
fn reads_and_writes_of_one_channel_are_digested_in_their_order() {
    let shelf = Shelf::new();
    shelf.put("f", Book::new("abcdef"));
    let mut channels =
        shelf.try_open("test:f, /x, 3, 9, 99, 9, 99", "Digest = sha256", &Control::new()).unwrap();
    let x = x(&mut channels);
    let mut buf = [0; 3];
    x.read_at(&mut buf, 0).unwrap();
    x.write_at(b"XY", 0).unwrap();
    // What fails moves nothing, into the digest neither.
    assert_eq!(x.write_at(b"Z", 99), Err(CallError::Refused(Code::EINVAL)));
    x.read_at(&mut buf, 3).unwrap();
    assert_eq!(x.digest().as_deref(), Some(READ_WRITTEN_READ));
}

#[test]
fn a_digest_that_does_not_fit_is_exit_code_32() {
    let shelf = Shelf::new();
    shelf.put("f", Book { read_error: Some((3, Code::EBADMSG)), ..Book::pipe("abc") });
    for (asked, exit) in [("", ExitCode::Io), ("Digest = blake3", ExitCode::Digest)] {
        let mut channels = shelf.try_open("test:f, /x, 0, 9, 99, 0, 0", asked, &Control::new()).unwrap();
        match x(&mut channels).read_at(&mut [0; 9], 0) {
            Err(CallError::Failed(failure)) => assert_eq!(failure.exit(), exit),
            other => panic!("{other:?}"),
        }
    }
}

/// The writer hears of it at the latest by COMMIT.
#[test]
fn a_reader_that_read_something_else_is_exit_code_32_too() {
    let shelf = Shelf::new();
    shelf.put("f", Book { finish_error: Some((Finish::Commit, Code::EBADMSG)), ..Book::pipe("") });
    let mut channels =
        shelf.try_open("test:f, /x, 0, 0, 0, 9, 99", "Digest = blake3", &Control::new()).unwrap();
    channels.end_all().unwrap();
    assert_eq!(channels.commit_all(None).unwrap_err().exit(), ExitCode::Digest);
}

#[test]
fn the_provider_is_offered_the_algorithm_and_the_report_tells_all_digests() {
    let shelf = Shelf::new();
    for name in ["in", "out", "err"] {
        shelf.put(name, Book::pipe(""));
    }
    shelf.put("program", Book::new(r#"(module (memory (export "memory") 1) (func (export "_start")))"#));
    for (memory, digest) in [("65536, 0\nDigest = BLAKE3", "blake3"), ("65536, 1", "sha256")] {
        let text = format!(
            "Version = 20140509\nProgram = test:program\nMemory = {memory}\nTimeout = 20
            Channel = test:in, /dev/stdin, 0, 9, 99, 0, 0
            Channel = test:out, /dev/stdout, 0, 0, 0, 9, 99
            Channel = test:err, /dev/stderr, 0, 0, 0, 9, 99"
        );
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        let report = Session::new(manifest).registry(shelf.registry()).run();
        assert_eq!(report.state, "ok");
        assert_eq!(report.digest.map(|algorithm| algorithm.name()), Some(digest));
        let line: Vec<String> =
            report.to_string().lines().nth(3).unwrap().split(' ').map(str::to_owned).collect();
        assert_eq!([&line[0], &line[2], &line[4]], ["/dev/stdin", "/dev/stdout", "/dev/stderr"]);
        assert!(line[1].len() == 64 && line[1] == line[3], "of nothing: {line:?}");
    }
}
