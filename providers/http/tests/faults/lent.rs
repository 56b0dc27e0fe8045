//! The socket of an answer, lent to whoever moves its bytes in the kernel.

use crate::common::*;
use rustix::pipe::{SpliceFlags, splice};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use vfs_core::{Capabilities, Code, Direction, OpenFile};
use zvfs_http_servers::{After, Body, FaultServer, Object};

const SIZE: u64 = 3_000_000;

/// Reads to the end: through a pipe what is lent, by a call what is not. Returns what came, and how much of it through the pipe.
fn drain_through(file: &mut OpenFile) -> (Fetched, u64) {
    let (from, to) = rustix::pipe::pipe().unwrap();
    let (mut bytes, mut buf, mut lent) = (Vec::new(), vec![0; 64 << 10], 0);
    let error = loop {
        match file.lease(Direction::Read) {
            Ok(lease) => {
                assert_eq!(lease.offset, None);
                assert!(lease.limit > 0, "nothing is lent");
                let most = usize::try_from(lease.limit).unwrap().min(buf.len());
                // What is lent has come: this waits for nothing.
                let count = splice(lease.fd, None, to.as_fd(), None, most, SpliceFlags::NONBLOCK).unwrap();
                file.advance(Direction::Read, count as u64).unwrap();
                lent += count as u64;
                let mut left = count;
                while left > 0 {
                    let came = rustix::io::read(&from, &mut buf[..left]).unwrap();
                    bytes.extend_from_slice(&buf[..came]);
                    left -= came;
                }
            }
            Err(error) if error.code() == Code::ENOTSUP => match file.read(&mut buf) {
                Ok(0) => break None,
                Ok(count) => bytes.extend_from_slice(&buf[..count]),
                Err(error) => break Some(error),
            },
            Err(error) => break Some(error),
        }
    };
    (Fetched { bytes, error }, lent)
}

fn fetch_lent(settings: &str, server: &FaultServer) -> (Fetched, u64) {
    with_file(registry(settings), server.url("/"), READ, |file| {
        assert!(file.capabilities().contains(Capabilities::FD));
        drain_through(file)
    })
}

#[test]
fn what_has_come_is_lent_and_nothing_else() {
    let server = serving(Object::new(SIZE));
    let (fetched, lent) = fetch_lent(QUICK, &server);
    fetched.is(0..SIZE);
    // But for what came with the head.
    assert!(lent >= SIZE - (64 << 10), "{lent} bytes were lent");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_connection_that_breaks_while_it_is_lent_is_replaced() {
    for after in [After::Close, After::Reset] {
        let server = dropping(Object::new(SIZE), 400_000, after);
        fetch_lent(QUICK, &server).0.is(0..SIZE);
        assert!(server.requests().len() > 7, "{} requests", server.requests().len());
    }
}

#[test]
fn silence_is_met_while_it_is_lent() {
    let asked = AtomicU64::new(0);
    let server = FaultServer::http(move |request, peer| {
        let object = Object::new(SIZE);
        if asked.fetch_add(1, Ordering::Relaxed) > 0 {
            return peer.send(&object.answer(request));
        }
        peer.raw(&object.answer(request).head())?;
        peer.send_body(&Body::Pattern(0..1_000_000), u64::MAX)?;
        peer.stall()
    });
    let settings = format!("{QUICK}, stall-timeout = \"1s\"");
    fetch_lent(&settings, &server).0.is(0..SIZE);
    assert_eq!(server.requests()[1].first(), 1_000_000, "it goes on where it fell silent");
    let silent = FaultServer::http(|request, peer| {
        peer.raw(&Object::new(SIZE).answer(request).head())?;
        peer.stall()
    });
    let settings = format!("{settings}, retries = 1");
    fetch_lent(&settings, &silent).0.failed(Code::ETIMEDOUT);
}

#[test]
fn what_comes_behind_an_answer_is_found() {
    let longer = FaultServer::http(|request, peer| {
        let answer = Object::new(SIZE).answer(request);
        peer.raw(&answer.head())?;
        peer.send_body(&answer.body, u64::MAX)?;
        peer.raw(b"more")?;
        Ok(After::Close)
    });
    fetch_lent(QUICK, &longer).0.failed(Code::EPROTO);
}

#[test]
fn what_is_encrypted_read_here_and_there_or_read_ahead_in_any_case_is_not_lent() {
    let server = serving(Object::new(SIZE));
    for (settings, flags) in [("read-ahead = 2", READ), (QUICK, READ | vfs_core::OpenFlags::RANDOM)] {
        with_file(registry(settings), server.url("/"), flags, |file| {
            assert!(!file.capabilities().contains(Capabilities::FD));
            refused(file.lease(Direction::Read).map(drop), Code::ENOTSUP);
        });
    }
}

#[test]
fn more_than_was_lent_cannot_have_been_moved() {
    let server = serving(Object::new(SIZE));
    with_file(registry(QUICK), server.url("/"), READ, |file| {
        let mut buf = [0; 50_000];
        while file.lease(Direction::Read).is_err() {
            file.read(&mut buf).unwrap();
        }
        let limit = file.lease(Direction::Read).unwrap().limit;
        refused(file.advance(Direction::Read, limit + SIZE), Code::EINVAL);
        refused(file.lease(Direction::Write).map(drop), Code::EBADF);
        // Nothing was moved.
        let position = file.tell().unwrap();
        drain(file).is(position..SIZE);
    });
}

/// Found by a review: the time in which the other side took nothing counted, and a reader that paused lost its download.
#[test]
fn what_is_there_and_not_taken_yet_is_not_waited_for() {
    let server = serving(Object::new(SIZE));
    let settings = r#"least-rate = "1g", least-rate-time = "2s""#;
    with_file(registry(settings), server.url("/"), READ, |file| {
        let mut buf = [0; 50_000];
        while file.lease(Direction::Read).is_err() {
            file.read(&mut buf).unwrap();
        }
        let (_from, to) = rustix::pipe::pipe().unwrap();
        let lease = file.lease(Direction::Read).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2500));
        let count = splice(lease.fd, None, to.as_fd(), None, 1000, SpliceFlags::NONBLOCK).unwrap();
        file.advance(Direction::Read, count as u64).unwrap();
    });
}
