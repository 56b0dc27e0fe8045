//! Writes: joined short ones, several sources, closed readers, sizes.

use crate::shelf::{Book, PIPE, Shelf, x};
use vfs_core::Code;
use zvm::{CallError, ExitCode, Quota};

#[test]
fn short_writes_are_joined_and_cost_one_put() {
    let shelf = Shelf::new();
    shelf.put("p", Book { chunk: 3, ..Book::pipe("") });
    let mut channels = shelf.open("test:p, 0, 0, 0, 9, 99");
    assert_eq!(x(&mut channels).write_at(b"abcdefgh", 0), Ok(8));
    assert_eq!((shelf.count("p", "write"), x(&mut channels).counts().puts), (3, 1));
}

#[test]
fn puts_run_out_before_bytes() {
    let shelf = Shelf::new();
    let mut channels = shelf.open("test:new, 2, 0, 0, 1, 4");
    assert_eq!(x(&mut channels).write_at(b"ab", 0), Ok(2));
    for offset in [0, 4, 9] {
        assert_eq!(x(&mut channels).write_at(b"c", offset), Err(Code::EDQUOT.into()));
    }
}

#[test]
fn each_source_takes_everything() {
    let shelf = Shelf::new();
    shelf.put("b", Book { chunk: 1, ..Book::pipe("") });
    let mut channels = shelf.open("test:a;test:b, 0, 0, 0, 9, 99");
    assert_eq!(x(&mut channels).write_at(b"abc", 0), Ok(3));
    assert_eq!((shelf.data("a"), shelf.data("b")), (b"abc".to_vec(), b"abc".to_vec()));
    assert_eq!(x(&mut channels).counts().put_bytes, 3);
}

#[test]
fn a_closed_reader_is_the_guests_to_see() {
    let shelf = Shelf::new();
    shelf.put("p", Book { write_error: Some((4, Code::EPIPE)), ..Book::pipe("") });
    let mut channels = shelf.open("test:p, 0, 0, 0, 9, 99");
    let channel = x(&mut channels);
    assert_eq!(channel.write_at(b"abc", 0), Ok(3));
    assert_eq!(channel.write_at(b"def", 0), Ok(1), "what was taken is told first");
    for _ in 0..3 {
        assert_eq!(channel.write_at(b"ef", 0), Err(Code::EPIPE.into()));
    }
    assert_eq!((channel.counts().puts, channel.counts().put_bytes), (2, 4));
    assert_eq!(channels.failure(), None);
    let notes: Vec<&str> = channels.notes().collect();
    assert_eq!(notes, ["test:p: its reader closed before it took everything"]);
    // Nobody is left to end or commit to.
    channels.end_all().unwrap();
    channels.commit_all(None).unwrap();
    assert_eq!((shelf.count("p", "End"), shelf.count("p", "Commit")), (0, 0));
}

#[test]
fn one_closed_reader_of_several_drops_out() {
    let shelf = Shelf::new();
    shelf.put("a", Book { write_error: Some((1, Code::EPIPE)), ..Book::pipe("") });
    shelf.put("b", Book { write_error: Some((5, Code::EPIPE)), ..Book::pipe("") });
    let mut channels = shelf.open("test:a;test:b, 0, 0, 0, 9, 99");
    assert_eq!(x(&mut channels).write_at(b"abc", 0), Ok(3));
    assert_eq!(channels.notes().count(), 1);
    assert_eq!(x(&mut channels).write_at(b"def", 0), Ok(2));
    assert_eq!(x(&mut channels).write_at(b"f", 0), Err(Code::EPIPE.into()));
    assert_eq!((shelf.data("b"), channels.notes().count()), (b"abcde".to_vec(), 2));
}

#[test]
fn a_failed_write_breaks_the_channel() {
    let shelf = Shelf::new();
    shelf.put("p", Book { write_error: Some((2, Code::ENOSPC)), ..Book::pipe("") });
    let mut channels = shelf.open("test:p, 0, 0, 0, 9, 99");
    let error = x(&mut channels).write_at(b"abc", 0).unwrap_err();
    let CallError::Failed(failure) = &error else { panic!("{error:?}") };
    assert_eq!((failure.exit(), failure.text()), (ExitCode::Io, "channel /x: write test:p: no space left"));
    assert_eq!(x(&mut channels).counts().put_bytes, 2);
    shelf.edit("p", |book| book.write_error = None);
    assert_eq!(x(&mut channels).write_at(b"abc", 0), Err(error));
    assert_eq!(x(&mut channels).counts().puts, 1);
}

#[test]
fn a_size_is_set_within_the_quota() {
    let shelf = Shelf::new();
    shelf.put("f", Book::new("abcdef"));
    let mut channels = shelf.open("test:f, 3, 9, 99, 9, 8");
    let meters = channels.meters();
    let channel = x(&mut channels);
    assert_eq!(channel.set_size(9), Err(Code::EDQUOT.into()));
    assert!(meters.iter().any(|meter| &*meter.alias == "/x" && meter.exhausted() == [Quota::PutSize]));
    assert_eq!(channel.set_size(2), Ok(()));
    assert_eq!(channel.allocate(1, 1), Ok(()));
    assert_eq!(channel.size(), Ok(2), "an allocation never shrinks");
    assert_eq!(channel.allocate(2, 2), Ok(()));
    assert_eq!(channel.size(), Ok(4));
    assert_eq!(channel.allocate(u64::MAX, 1), Err(Code::EFBIG.into()));
    assert_eq!(channel.empty(), Ok(()));
    assert_eq!(shelf.data("f"), b"");
}

#[test]
fn emptying_depends_on_the_kind_of_channel() {
    let shelf = Shelf::new();
    shelf.put("cdr", Book::new("abc"));
    shelf.put("fixed", Book { capabilities: PIPE | vfs_core::Capabilities::SEEKABLE, ..Book::new("abc") });
    for (channel, answer) in [
        ("test:new, 0, 0, 0, 9, 99", Ok(())),
        ("test:cdr, 1, 9, 99, 9, 99", Ok(())),
        ("test:fixed, 3, 9, 99, 9, 99", Err(Code::ENOTSUP.into())),
        ("test:cdr, 3, 9, 99, 0, 0", Err(Code::EACCES.into())),
    ] {
        assert_eq!(x(&mut shelf.open(channel)).empty(), answer, "{channel}");
    }
    assert_eq!(shelf.data("cdr"), b"abc");
}

#[test]
fn sizes_are_for_random_writes_only() {
    let shelf = Shelf::new();
    shelf.put("cdr", Book::new("abc"));
    for channel in ["test:new, 0, 0, 0, 9, 99", "test:cdr, 1, 9, 99, 9, 99"] {
        assert_eq!(x(&mut shelf.open(channel)).set_size(1), Err(Code::ENOTSUP.into()), "{channel}");
    }
}

#[test]
fn sync_reaches_every_source_that_is_written() {
    let shelf = Shelf::new();
    let mut channels = shelf.open("test:a;test:b, 0, 0, 0, 9, 99");
    x(&mut channels).sync().unwrap();
    assert_eq!((shelf.count("a", "Sync"), shelf.count("b", "Sync")), (1, 1));
    channels.by_handle(0).unwrap().sync().unwrap();
    assert_eq!(shelf.count("in", "Sync"), 0);
}
