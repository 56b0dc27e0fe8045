//! Reads: joined short ones, several sources, and what lies behind a quota.

use crate::shelf::{Book, PIPE, Shelf, x};
use vfs_core::{Capabilities, Code, Kind};
use zvm::{CallError, Channel, ExitCode};

fn read(channel: &mut Channel, count: usize) -> Result<Vec<u8>, Code> {
    let mut buffer = vec![0; count];
    let count = channel.read_at(&mut buffer, 0).map_err(|error| error.code())?;
    buffer.truncate(count);
    Ok(buffer)
}

#[test]
fn short_reads_are_joined_and_cost_one_get() {
    let shelf = Shelf::new();
    for (name, kind, book) in [
        ("pipe", 0, Book::pipe("abcdefgh")),
        ("file", 0, Book::new("abcdefgh")),
        ("random", 3, Book::new("abcdefgh")),
    ] {
        shelf.put(name, Book { chunk: 3, ..book });
        let mut channels = shelf.open(&format!("test:{name}, {kind}, 9, 99, 0, 0"));
        assert_eq!(read(x(&mut channels), 7).unwrap(), b"abcdefg", "{name}");
        assert_eq!(x(&mut channels).counts().gets, 1, "{name}");
        assert_eq!(shelf.count(name, "read"), 3, "{name}");
    }
}

#[test]
fn the_end_is_sticky_and_free() {
    let shelf = Shelf::new();
    shelf.put("p", Book::pipe("abc"));
    let mut channels = shelf.open("test:p, 0, 9, 99, 0, 0");
    assert_eq!(read(x(&mut channels), 9).unwrap(), b"abc");
    let reads = shelf.count("p", "read");
    shelf.edit("p", |book| book.data.extend(b"late"));
    assert_eq!(read(x(&mut channels), 9).unwrap(), b"");
    assert_eq!(x(&mut channels).counts().gets, 1);
    assert_eq!(shelf.count("p", "read"), reads);
}

#[test]
fn several_sources_are_read_one_after_the_other() {
    let shelf = Shelf::new();
    for (name, data) in [("a", "one"), ("b", ""), ("c", "two")] {
        shelf.put(name, Book { chunk: 2, ..Book::pipe(data) });
    }
    let mut channels = shelf.open("test:a;test:b;test:c, 0, 9, 99, 0, 0");
    assert_eq!(read(x(&mut channels), 4).unwrap(), b"onet");
    assert_eq!(read(x(&mut channels), 4).unwrap(), b"wo");
    assert_eq!(read(x(&mut channels), 4).unwrap(), b"");
}

#[test]
fn a_quota_as_large_as_the_source_ends_where_it_ends() {
    let shelf = Shelf::new();
    for (name, book) in [("pipe", Book::pipe("abc")), ("file", Book::new("abc"))] {
        shelf.put(name, book);
        for (kind, quotas) in [(0, "9, 3"), (0, "1, 9"), (1, "9, 3")] {
            if name == "pipe" && kind == 1 {
                continue;
            }
            let mut channels = shelf.open(&format!("test:{name}, {kind}, {quotas}, 0, 0"));
            let channel = x(&mut channels);
            assert_eq!(read(channel, 3).unwrap(), b"abc");
            let mut rest = [0; 1];
            assert_eq!(channel.read_at(&mut rest, 3), Ok(0), "{name} {kind} {quotas}");
            assert_eq!(channel.read_at(&mut rest, 3), Ok(0), "{name} {kind} {quotas}");
            assert_eq!(channel.counts().gets, 1);
        }
    }
}

#[test]
fn behind_a_smaller_quota_the_source_is_looked_at_once() {
    let shelf = Shelf::new();
    shelf.put("p", Book::pipe("abcd"));
    let mut channels = shelf.open("test:p, 0, 1, 99, 0, 0");
    assert_eq!(read(x(&mut channels), 2).unwrap(), b"ab");
    let before = shelf.count("p", "read");
    // The look takes a byte, the last but one: asked again, the source would seem to end.
    for _ in 0..5 {
        assert_eq!(read(x(&mut channels), 2), Err(Code::EDQUOT));
    }
    assert_eq!(shelf.count("p", "read"), before + 1);
    assert_eq!((x(&mut channels).counts().gets, x(&mut channels).counts().get_bytes), (1, 2));
}

#[test]
fn a_known_size_spares_the_look_only_where_there_is_more() {
    let shelf = Shelf::new();
    shelf.put("f", Book::new("abcd"));
    // As in /proc: more than it says.
    shelf.put("proc", Book { told_size: Some(Some(0)), ..Book::new("abcd") });
    for (name, looks) in [("f", 0), ("proc", 1)] {
        let mut channels = shelf.open(&format!("test:{name}, 0, 9, 2, 0, 0"));
        assert_eq!(read(x(&mut channels), 2).unwrap(), b"ab");
        let before = shelf.count(name, "read");
        assert_eq!(read(x(&mut channels), 2), Err(Code::EDQUOT), "{name}");
        assert_eq!(shelf.count(name, "read"), before + looks, "{name}");
    }
}

#[test]
fn behind_a_quota_the_later_sources_count_too() {
    let shelf = Shelf::new();
    for (name, data) in [("a", "ab"), ("b", ""), ("c", "c")] {
        shelf.put(name, Book::pipe(data));
    }
    let mut channels = shelf.open("test:a;test:b;test:c, 0, 9, 2, 0, 0");
    assert_eq!(read(x(&mut channels), 2).unwrap(), b"ab");
    assert_eq!(read(x(&mut channels), 2), Err(Code::EDQUOT));
    let mut channels = shelf.open("test:a;test:b, 0, 9, 2, 0, 0");
    assert_eq!(read(x(&mut channels), 2).unwrap(), b"ab");
    assert_eq!(read(x(&mut channels), 2).unwrap(), b"");
}

#[test]
fn a_terminal_is_never_asked_behind_a_quota() {
    let shelf = Shelf::new();
    shelf.put("tty", Book { kind: Kind::Terminal, ..Book::pipe("ab") });
    let mut channels = shelf.open("test:tty, 0, 9, 2, 0, 0");
    assert!(x(&mut channels).is_terminal());
    assert_eq!(read(x(&mut channels), 2).unwrap(), b"ab");
    let before = shelf.count("tty", "read");
    assert_eq!(read(x(&mut channels), 2), Err(Code::EDQUOT));
    assert_eq!(shelf.count("tty", "read"), before);
}

#[test]
fn a_failed_read_breaks_the_channel() {
    let shelf = Shelf::new();
    shelf.put("p", Book { read_error: Some((2, Code::ECONNRESET)), ..Book::pipe("abcd") });
    let mut channels = shelf.open("test:p, 0, 9, 99, 0, 0");
    let error = x(&mut channels).read_at(&mut [0; 9], 0).unwrap_err();
    let CallError::Failed(failure) = &error else { panic!("{error:?}") };
    assert_eq!(failure.exit(), ExitCode::Io);
    assert!(failure.text().starts_with("channel /x: read test:p: "), "{failure}");
    assert_eq!(error.code(), Code::EIO);
    assert_eq!(channels.failure(), Some(failure));
    // The bytes before it count, and nothing runs on.
    assert_eq!(x(&mut channels).counts().get_bytes, 2);
    shelf.edit("p", |book| book.read_error = None);
    assert_eq!(x(&mut channels).read_at(&mut [0; 9], 0), Err(error));
}

#[test]
fn random_reads_work_without_positional_ones() {
    let shelf = Shelf::new();
    let capabilities = PIPE | Capabilities::SEEKABLE;
    shelf.put("f", Book { capabilities, chunk: 2, ..Book::new("abcdef") });
    let mut channels = shelf.open("test:f, 3, 9, 99, 9, 99");
    let mut buffer = [0; 4];
    assert_eq!(x(&mut channels).read_at(&mut buffer, 1), Ok(4));
    assert_eq!(&buffer, b"bcde");
    assert_eq!(x(&mut channels).write_at(b"XYZ", 2), Ok(3));
    assert_eq!(shelf.data("f"), b"abXYZf");
}

#[test]
fn reading_what_is_only_written_is_a_quota() {
    let shelf = Shelf::new();
    let mut channels = shelf.open("test:new, 3, 0, 0, 9, 99");
    assert_eq!(read(x(&mut channels), 1), Err(Code::EDQUOT));
    assert_eq!(read(x(&mut channels), 0).unwrap(), b"");
}
