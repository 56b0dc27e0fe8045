//! How channels end, and how another thread ends them.

use crate::shelf::{Book, PIPE, Shelf, x};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Capabilities, Code, Control, Finish, Kind};
use zvm::{CallError, ExitCode, OutputState};

const LONG: Duration = Duration::from_secs(20);

/// The calls of a log that end or close a file.
fn ends(shelf: &Shelf, name: &str) -> Vec<String> {
    shelf
        .log(name)
        .into_iter()
        .filter(|call| ["End", "Commit", "Discard", "close"].contains(&&**call))
        .collect()
}

/// A file whose reads, and COMMIT, wait for a cancel; the receiver hears when one does.
fn stuck(book: Book) -> (Book, Receiver<()>) {
    let (sender, receiver) = channel();
    (Book { stuck: Some(sender), ..book }, receiver)
}

#[test]
fn a_good_session_ends_lets_go_and_commits() {
    let shelf = Shelf::new();
    let mut channels = shelf.open("test:rw, 3, 1, 1, 1, 1");
    channels.end_all().unwrap();
    assert_eq!((ends(&shelf, "in"), ends(&shelf, "out")), (vec![], vec!["End".to_owned()]));
    channels.close_readers();
    assert_eq!((ends(&shelf, "in"), ends(&shelf, "rw")), (vec!["close".to_owned()], vec!["End".to_owned()]));
    channels.commit_all(Some(Instant::now() + LONG)).unwrap();
    drop(channels);
    for name in ["out", "err", "rw"] {
        assert_eq!(ends(&shelf, name), ["End", "Commit", "close"], "{name}");
    }
}

#[test]
fn a_failed_session_discards() {
    let shelf = Shelf::new();
    let mut channels = shelf.open("test:rw, 3, 1, 1, 1, 1");
    channels.discard_all();
    for name in ["out", "err", "rw"] {
        assert_eq!(ends(&shelf, name), ["Discard", "close"], "{name}");
    }
    assert_eq!(ends(&shelf, "in"), ["close"]);
}

#[test]
fn closing_the_last_writer_ends_a_pipe_but_not_a_file() {
    let shelf = Shelf::new();
    shelf.put("p", Book::pipe(""));
    for (name, ended) in [("p", true), ("file", false)] {
        let mut channels = shelf.open(&format!("test:{name}, 0, 0, 0, 9, 9"));
        let channel = x(&mut channels);
        channel.writer_closed().unwrap();
        channel.writer_closed().unwrap();
        assert_eq!(channel.writing_ended(), ended);
        assert_eq!(shelf.count(name, "End"), usize::from(ended));
        let written = channel.write_at(b"a", 0);
        assert_eq!(written, if ended { Err(Code::EPIPE.into()) } else { Ok(1) });
        channels.end_all().unwrap();
        assert_eq!(shelf.count(name, "End"), 1, "END comes once");
    }
    let mut channels = shelf.open("test:p, 0, 9, 9, 0, 0");
    x(&mut channels).writer_closed().unwrap();
    assert!(!x(&mut channels).writing_ended());
}

/// What cannot be taken back is told first; what appears as a whole comes last, so that it is still discarded if that fails.
#[test]
fn commits_of_what_is_in_place_come_first() {
    let shelf = Shelf::new();
    shelf.put("err", Book { finish_error: Some((Finish::Commit, Code::ENOSPC)), ..Book::new("") });
    let mut channels = shelf.open("test:x, 0, 0, 0, 1, 1");
    let meters = channels.meters();
    channels.end_all().unwrap();
    channels.commit_all(Some(Instant::now() + LONG)).unwrap_err();
    channels.discard_all();
    for name in ["out", "x"] {
        assert_eq!(ends(&shelf, name), ["End", "Discard", "close"], "{name}");
    }
    let states = meters.iter().flat_map(|meter| meter.outputs()).map(|output| output.state);
    let expected = [OutputState::Discarded, OutputState::Partial, OutputState::Discarded];
    assert_eq!(states.collect::<Vec<_>>(), expected);
}

/// A stranger's report: an upload that its server refused was committed after a file beside it.
#[test]
fn commits_of_uploads_come_before_renames() {
    let shelf = Shelf::new();
    let refused = Some((Finish::Commit, Code::EIO));
    shelf.put("x", Book { kind: Kind::Unknown, finish_error: refused, ..Book::new("") });
    let mut channels = shelf.open("test:x, 0, 0, 0, 1, 1");
    channels.end_all().unwrap();
    channels.commit_all(Some(Instant::now() + LONG)).unwrap_err();
    channels.discard_all();
    assert_eq!(ends(&shelf, "x"), ["End", "Commit", "Discard", "close"]);
    assert_eq!(ends(&shelf, "out"), ["End", "Discard", "close"]);
}

#[test]
fn a_commit_that_fails_leaves_the_others_to_discard() {
    let shelf = Shelf::new();
    shelf.put("out", Book { finish_error: Some((Finish::Commit, Code::ECONNRESET)), ..Book::pipe("") });
    let mut channels = shelf.open("test:x, 0, 0, 0, 1, 1");
    channels.end_all().unwrap();
    let failure = channels.commit_all(Some(Instant::now() + LONG)).unwrap_err();
    assert_eq!(failure.exit(), ExitCode::Io);
    assert!(failure.text().starts_with("channel /dev/stdout: commit test:out: "), "{failure}");
    channels.discard_all();
    assert_eq!(ends(&shelf, "out"), ["End", "Commit", "Discard", "close"]);
    assert_eq!(ends(&shelf, "x"), ["End", "Discard", "close"]);
    assert_eq!(ends(&shelf, "err"), ["End", "Discard", "close"]);
}

/// Found: a target whose provider's process was killed "may be incomplete", though it was never made.
#[test]
fn what_cannot_be_discarded_is_not_there_unless_its_end_was_told() {
    for (ended, state) in [(false, OutputState::Discarded), (true, OutputState::Unknown)] {
        let shelf = Shelf::new();
        shelf.put("x", Book { finish_error: Some((Finish::Discard, Code::EIO)), ..Book::new("") });
        let mut channels = shelf.open("test:x, 0, 0, 0, 1, 1");
        let meters = channels.meters();
        if ended {
            channels.end_all().unwrap();
        }
        channels.discard_all();
        let outputs: Vec<_> = meters.iter().flat_map(|meter| meter.outputs()).collect();
        assert_eq!(outputs[2].state, state);
    }
}

#[test]
fn what_was_committed_is_not_discarded() {
    let shelf = Shelf::new();
    shelf.put("x", Book { finish_error: Some((Finish::Commit, Code::EIO)), ..Book::new("") });
    let mut channels = shelf.open("test:x, 0, 0, 0, 1, 1");
    channels.commit_all(None).unwrap_err();
    channels.discard_all();
    assert_eq!(ends(&shelf, "out"), ["Commit", "close"]);
}

#[test]
fn a_reader_gone_at_the_end_is_a_note() {
    for how in [Finish::End, Finish::Commit] {
        let shelf = Shelf::new();
        shelf.put("p", Book { finish_error: Some((how, Code::EPIPE)), ..Book::pipe("") });
        let mut channels = shelf.open("test:p, 0, 0, 0, 1, 1");
        channels.end_all().unwrap();
        channels.commit_all(None).unwrap();
        assert_eq!(
            channels.notes().collect::<Vec<_>>(),
            ["test:p: its reader closed before it took everything"]
        );
    }
}

/// Found: a pipe that its writer's quota had cut ended like a whole one, and an upload that a guest had closed was complete.
#[test]
fn what_a_quota_cut_hears_no_end_where_that_would_make_it_whole() {
    let told = PIPE.without(Capabilities::STAT);
    // A netpipe, which is written in place, and an upload, which appears at COMMIT.
    for (channel, state) in [("plain:p", OutputState::Partial), ("test:p", OutputState::Discarded)] {
        for closes in [true, false] {
            let shelf = Shelf::new();
            shelf.put("p", Book { capabilities: told, ..Book::pipe("") });
            let mut channels = shelf.open(&format!("{channel}, 0, 0, 0, 9, 2"));
            let meters = channels.meters();
            assert_eq!(x(&mut channels).write_at(b"abc", 0), Ok(2));
            channels.check_uncut().unwrap();
            assert_eq!(x(&mut channels).write_at(b"c", 0), Err(Code::EDQUOT.into()));
            if closes {
                // At once: who reads it may be waited for.
                x(&mut channels).writer_closed().unwrap();
                assert_eq!(ends(&shelf, "p"), ["Discard", "close"]);
                assert!(x(&mut channels).writing_ended());
                assert_eq!(x(&mut channels).write_at(b"c", 0), Err(Code::EPIPE.into()));
            }
            let failure = channels.check_uncut().unwrap_err();
            assert_eq!(failure.exit(), ExitCode::NotCommitted);
            let text = "channel /x: its quota put_size refused a write, and it is to be whole, so nothing is committed";
            assert_eq!(failure.text(), text);
            channels.discard_all();
            assert_eq!(ends(&shelf, "p"), ["Discard", "close"]);
            assert_eq!(meters[3].outputs()[0].state, state, "{channel}");
        }
    }
}

#[test]
fn what_a_quota_cut_ends_where_the_manifest_or_its_kind_says_so() {
    let told = PIPE.without(Capabilities::STAT);
    let messages = "plain:p, /dev/stderr, 0, 0, 0, 9, 2";
    for (capabilities, channel, more) in [
        (told, "plain:p, /x, 0, 0, 0, 9, 2", "Partial = keep, /x"),
        (told, "test:p, /x, 0, 0, 0, 9, 2", "Partial = keep"),
        // A FIFO's reader can be told nothing, and messages explain a failure.
        (PIPE, "plain:p, /x, 0, 0, 0, 9, 2", ""),
        (told, messages, ""),
    ] {
        for closes in [true, false] {
            let shelf = Shelf::new();
            shelf.put("p", Book { capabilities, ..Book::pipe("") });
            let mut channels = shelf.try_open(channel, more, &Control::new()).unwrap();
            let handle = if channel == messages { 2 } else { 3 };
            let channel = channels.by_handle(handle).unwrap();
            assert_eq!(channel.write_at(b"abc", 0), Ok(2));
            assert_eq!(channel.write_at(b"c", 0), Err(Code::EDQUOT.into()));
            if closes {
                channel.writer_closed().unwrap();
                assert_eq!(ends(&shelf, "p"), ["End"]);
            }
            channels.check_uncut().unwrap();
            channels.end_all().unwrap();
            channels.commit_all(None).unwrap();
            drop(channels);
            assert_eq!(ends(&shelf, "p"), ["End", "Commit", "close"]);
        }
    }
}

/// Found: what lost its reader was closed without a word, and a host's own channel took the part for the whole, or kept it.
#[test]
fn what_lost_its_reader_is_discarded_in_a_good_session_too() {
    let commit = Some((Finish::Commit, Code::EPIPE));
    for (book, expected) in [
        (Book { write_error: Some((1, Code::EPIPE)), ..Book::pipe("") }, &["Discard", "close"][..]),
        (Book { finish_error: commit, ..Book::pipe("") }, &["End", "Commit", "Discard", "close"]),
    ] {
        let shelf = Shelf::new();
        shelf.put("p", book);
        let mut channels = shelf.open("test:p, 0, 0, 0, 9, 9");
        // The quota of bytes is larger than what its reader takes.
        let _ = x(&mut channels).write_at(b"ab", 0);
        let _ = x(&mut channels).write_at(b"c", 0);
        channels.end_all().unwrap();
        channels.commit_all(None).unwrap();
        drop(channels);
        assert_eq!(ends(&shelf, "p"), expected);
    }
}

/// Found: a provider's own ECANCELED ended the session as if somebody had cancelled it.
#[test]
fn a_cancel_that_nobody_asked_for_is_the_channels_failure() {
    let shelf = Shelf::new();
    shelf.put("p", Book { read_error: Some((0, Code::ECANCELED)), ..Book::pipe("a") });
    let mut channels = shelf.open("test:p, 0, 9, 9, 0, 0");
    let CallError::Failed(failure) = x(&mut channels).read_at(&mut [0], 0).unwrap_err() else { panic!() };
    assert_eq!(failure.exit(), ExitCode::Io);
    assert!(failure.text().starts_with("channel /x: read test:p: "), "{failure}");
    shelf.put("p", Book { open_error: Some(Code::ECANCELED), ..Book::pipe("a") });
    let failure = shelf.try_open("test:p, /x, 0, 9, 9, 0, 0", "", &Control::new()).unwrap_err();
    assert_eq!(failure.exit(), ExitCode::Io);
}

#[test]
fn every_channel_is_ended_though_one_fails() {
    let shelf = Shelf::new();
    shelf.put("out", Book { finish_error: Some((Finish::End, Code::EIO)), ..Book::pipe("") });
    let mut channels = shelf.open("test:x, 0, 0, 0, 1, 1");
    assert_eq!(channels.end_all().unwrap_err().exit(), ExitCode::Io);
    assert_eq!((shelf.count("err", "End"), shelf.count("x", "End")), (1, 1));
}

#[test]
fn a_commit_ends_at_the_deadline() {
    let shelf = Shelf::new();
    let (book, _waiting) = stuck(Book::pipe(""));
    shelf.put("p", book);
    let mut channels = shelf.open("test:p, 0, 0, 0, 1, 1");
    let begun = Instant::now();
    let failure = channels.commit_all(Some(begun + Duration::from_millis(50))).unwrap_err();
    assert!(begun.elapsed() < LONG / 2, "the provider waited for itself");
    assert_eq!(failure.exit(), ExitCode::Stopped);
    assert!(failure.text().starts_with("timeout: channel "), "{failure}");
    channels.discard_all();
    assert_eq!(ends(&shelf, "p"), ["Commit", "Discard", "close"]);
}

#[test]
fn a_cancel_ends_a_read_in_progress_and_the_counters_show_it() {
    let shelf = Shelf::new();
    let (book, waiting) = stuck(Book::pipe(""));
    shelf.put("p", book);
    let control = Control::new();
    let mut channels = shelf.try_open("test:p, /x, 0, 9, 99, 0, 0", "", &control).unwrap();
    let meters = channels.meters();
    let reader = thread::spawn(move || x(&mut channels).read_at(&mut [0], 0));
    waiting.recv_timeout(LONG).unwrap();
    assert_eq!((&*meters[3].alias, meters[3].counts().gets), ("/x", 1));
    control.cancel();
    let CallError::Failed(failure) = reader.join().unwrap().unwrap_err() else { panic!() };
    assert_eq!(failure.exit(), ExitCode::Stopped);
}

#[test]
fn a_cancel_ends_an_open_in_progress() {
    let shelf = Shelf::new();
    let (sender, waiting) = channel();
    shelf.put("f", Book { stuck_open: Some(sender), ..Book::new("") });
    let control = Control::new();
    let opener = {
        let (shelf, control) = (shelf.clone(), control.clone());
        thread::spawn(move || shelf.try_open("test:f, /x, 0, 9, 99, 0, 0", "", &control).map(|_| ()))
    };
    waiting.recv_timeout(LONG).unwrap();
    control.cancel();
    assert_eq!(opener.join().unwrap().unwrap_err().exit(), ExitCode::Stopped);
    // And one that has not begun.
    assert!(control.is_cancelled());
    let failure = shelf.try_open("test:g, /x, 0, 0, 0, 9, 99", "", &control).unwrap_err();
    assert_eq!(failure.exit(), ExitCode::Stopped);
}
