//! Reads that do not wait: the same bytes as those that do, and no thread for a file that only waits.

use crate::common::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs;
use std::time::Duration;
use vfs_core::{Capabilities, Code, Control, OpenFile, OpenOptions, Wanted};
use zvfs_http_servers::{After, FaultServer, Object};

/// Waits until there may be something to read.
fn await_interest(file: &mut OpenFile) {
    let interest = file.interest(Wanted::READ).unwrap();
    if !interest.ready.is_empty() {
        return;
    }
    let limit = interest.after.unwrap_or(SLACK).min(SLACK);
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
    let mut awaited = [PollFd::from_borrowed_fd(interest.fd.unwrap(), PollFlags::IN)];
    let came = rustix::io::retry_on_intr(|| poll(&mut awaited, Some(&limit))).unwrap();
    assert!(came > 0 || interest.after.is_some(), "nothing occurred within {SLACK:?}");
}

/// Reads to the end as a host with an event loop does.
fn drain_in_tries(file: &mut OpenFile) -> Fetched {
    assert!(file.capabilities().contains(Capabilities::POLL));
    let (mut bytes, mut buf) = (Vec::new(), vec![0; 50_000]);
    loop {
        match file.try_read(&mut buf) {
            Ok(Some(0)) => return Fetched { bytes, error: None },
            Ok(Some(count)) => bytes.extend_from_slice(&buf[..count]),
            Ok(None) => await_interest(file),
            Err(error) => return Fetched { bytes, error: Some(error) },
        }
    }
}

/// Whether these are the pattern's bytes from here on.
#[track_caller]
fn is_right(bytes: Vec<u8>, start: u64) {
    let end = start + bytes.len() as u64;
    Fetched { bytes, error: None }.is(start..end);
}

/// How many threads of this process ask for an answer.
fn asking() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path().join("comm"));
    // One that ends meanwhile has no name any more.
    tasks.filter(|comm| fs::read_to_string(comm).is_ok_and(|name| name.trim() == "zvfs-http-ask")).count()
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again() {
    let server = dropping(Object::new(1_000_000), 30_000, After::Reset);
    with_file(quick(), server.url("/"), READ, drain_in_tries).is(0..1_000_000);
    assert!(server.connections() > 30);
}

#[test]
fn a_server_that_falls_silent_is_left() {
    let object = Object::new(100_000);
    let server = FaultServer::http(move |request, peer| match request.first() {
        0 => {
            peer.cut(&object.answer(request), 60_000, After::Next)?;
            peer.stall()
        }
        _ => peer.send(&object.answer(request)),
    });
    let settings = r#"retry-delay = "1ms", stall-timeout = "100ms""#;
    with_file(registry(settings), server.url("/"), READ, drain_in_tries).is(0..100_000);
}

#[test]
fn what_no_further_attempt_helps_is_the_error_of_a_try() {
    let server = dropping(Object::new(1_000_000).unversioned(), 30_000, After::Reset);
    let fetched = with_file(quick(), server.url("/"), READ, drain_in_tries);
    fetched.failed(Code::ECONNRESET);
    assert_eq!(fetched.bytes.len(), 30_000);
}

#[test]
fn tries_and_reads_and_seeks_may_take_turns() {
    let server = dropping(Object::new(1_000_000), 30_000, After::Reset);
    with_file(quick(), server.url("/"), READ, |file| {
        for start in (0..10).rev().map(|number| number * 90_000) {
            let mut bytes = vec![0; 40_000];
            file.seek(std::io::SeekFrom::Start(start)).unwrap();
            // Asked for or not, a read that waits goes on from here.
            let mut done = file.try_read(&mut bytes).unwrap().unwrap_or(0);
            while done < bytes.len() {
                done += file.read(&mut bytes[done..]).unwrap();
            }
            is_right(bytes, start);
        }
    });
}

#[test]
fn files_that_wait_cost_no_thread() {
    let object = Object::new(100_000);
    let server = FaultServer::http(move |request, peer| {
        peer.cut(&object.answer(request), 1_000, After::Next)?;
        peer.stall()
    });
    let (registry, url) = (quick(), server.url("/"));
    in_time(move || {
        let mut files: Vec<_> =
            (0..50).map(|_| registry.open(&url, &OpenOptions::new(READ)).unwrap()).collect();
        for file in &mut files {
            let (mut buf, mut done) = ([0; 1_000], 0);
            while done < 1_000 {
                match file.try_read(&mut buf[done..]).unwrap() {
                    Some(count) => done += count,
                    None => await_interest(file),
                }
            }
            assert_eq!(file.try_read(&mut buf).unwrap(), None);
            let interest = file.interest(Wanted::READ).unwrap();
            assert!(
                interest.ready.is_empty()
                    && interest.after.is_some_and(|after| after <= Duration::from_secs(30))
            );
        }
        // Other tests of this process ask too, for a file or two each.
        assert!(asking() < files.len() / 2);
    });
}

#[test]
fn a_cancelled_file_is_tried_in_vain() {
    let server = FaultServer::http(move |request, peer| {
        peer.cut(&Object::new(100_000).answer(request), 1_000, After::Next)?;
        peer.stall()
    });
    let (registry, url) = (quick(), server.url("/"));
    in_time(move || {
        let control = Control::new();
        let mut file = registry.open(&url, &OpenOptions::new(READ).control(&control)).unwrap();
        control.cancel();
        refused(file.try_read(&mut [0; 10]), Code::ECANCELED);
        refused(file.interest(Wanted::READ).map(drop), Code::ECANCELED);
    });
}

/// A server that serves one connection at a time: files that wait for nothing do not hold each other up.
#[test]
fn two_files_of_a_server_that_serves_one_are_read_in_turns() {
    let object = Object::new(30_000_000);
    let server = FaultServer::one_at_a_time(move |request, peer| peer.send(&object.answer(request)));
    let (registry, urls) = (quick(), [server.url("/a"), server.url("/b")]);
    in_time(move || {
        let mut files = urls.map(|url| registry.open(&url, &OpenOptions::new(READ)).unwrap());
        for number in 0..3 {
            for file in &mut files {
                let (mut bytes, mut done) = (vec![0; 100_000], 0);
                while done < bytes.len() {
                    match file.try_read(&mut bytes[done..]).unwrap() {
                        Some(count) => done += count,
                        None => await_interest(file),
                    }
                }
                is_right(bytes, number * 100_000);
            }
        }
    });
}
