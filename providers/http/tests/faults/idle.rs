//! Answers that lie idle between two calls: what they must not hold up, and what is read on from them.

use crate::common::*;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use vfs_core::{Code, Finish, OpenFlags, OpenOptions};
use zvfs_http_servers::{After, Answer, FaultServer, Object, Server, pattern};

/// More than the buffers between a server and its client take: an answer that is not read keeps its connection busy.
const SIZE: u64 = 30_000_000;

/// Serves one connection at a time, as gunicorn's sync worker, small devices and the like do.
fn one_at_a_time(after: After) -> FaultServer {
    let object = Object::new(SIZE);
    FaultServer::one_at_a_time(move |request, peer| match request.method.as_str() {
        "PUT" => {
            peer.body(request)?;
            peer.send(&Answer::new(201))
        }
        _ => {
            peer.send(&object.answer(request))?;
            Ok(after)
        }
    })
}

/// Open, read 100 bytes, read at a far offset: the second request waited for the first answer, which nobody read on, for
/// minutes.
#[test]
fn a_server_that_serves_one_connection_at_a_time_is_not_waited_for() {
    for after in [After::Close, After::Next] {
        let server = one_at_a_time(after);
        with_file(quick(), server.url("/"), READ, |file| {
            for number in 0..5 {
                let (at, far) = (number * 100, SIZE - 1_000_000 - number * 1_000_000);
                let mut buf = [0; 100];
                file.read_exact(&mut buf).unwrap();
                assert!(buf[..] == pattern::bytes(at..at + 100), "{number}");
                assert!(read_at(file, far, 100).unwrap() == pattern::bytes(far..far + 100), "{number}");
            }
        });
    }
}

#[test]
fn nor_do_two_files_of_such_a_server_wait_for_each_other() {
    let server = one_at_a_time(After::Next);
    let (registry, urls, target) = (quick(), [server.url("/a"), server.url("/b")], server.url("/c"));
    in_time(move || {
        let mut files = urls.map(|url| registry.open(&url, &OpenOptions::new(READ)).unwrap());
        for number in 0..5 {
            for file in &mut files {
                let mut buf = vec![0; 100_000];
                file.read_exact(&mut buf).unwrap();
                assert!(buf == pattern::bytes(number * 100_000..(number + 1) * 100_000));
            }
        }
        let mut upload = registry.open(&target, &OpenOptions::new(UPLOAD)).unwrap();
        upload.write_all(b"bytes").unwrap();
        upload.finish(Finish::Commit).unwrap();
    });
}

#[test]
fn whitenoise_under_gunicorn_serves_one_connection_at_a_time() {
    let Some(server) = Server::whitenoise() else { return };
    server.put("big", &pattern::bytes(0..SIZE));
    with_file(quick(), server.http("big"), READ, |file| {
        let mut buf = [0; 100];
        file.read_exact(&mut buf).unwrap();
        assert!(read_at(file, SIZE - 100, 100).unwrap() == pattern::bytes(SIZE - 100..SIZE));
        file.read_exact(&mut buf).unwrap();
        assert!(buf[..] == pattern::bytes(100..200));
    });
}

/// What cannot be asked for again is not given up for another request.
#[test]
fn an_answer_without_a_version_is_kept_whoever_waits() {
    let object = Object::new(SIZE).unversioned();
    let server = FaultServer::one_at_a_time(move |request, peer| peer.send(&object.answer(request)));
    let (registry, url) = (registry("first-byte-timeout = \"2500ms\", retries = 0"), server.url("/"));
    in_time(move || {
        let mut file = registry.open(&url, &OpenOptions::new(READ)).unwrap();
        refused(registry.stat(&url, &OpenOptions::default()), Code::ETIMEDOUT);
        drain(&mut file).is(0..SIZE);
    });
}

/// Reads an object to its end by positions, in steps.
fn in_steps(server: &FaultServer, flags: OpenFlags, size: u64, step: u64) {
    with_file(quick(), server.url("/"), flags, move |file| {
        let wanted = pattern::bytes(0..size);
        let mut buf = vec![0; step as usize];
        for at in (0..size).step_by(step as usize) {
            let end = size.min(at + step);
            assert_eq!(file.read_at(&mut buf, at).unwrap() as u64, end - at);
            assert!(buf[..(end - at) as usize] == wanted[at as usize..end as usize], "at {at}");
        }
        assert_eq!(file.read_at(&mut buf, size).unwrap(), 0);
    });
}

/// A guest that read a channel of type 1 in steps of 100 bytes made a request for each.
#[test]
fn small_positional_reads_one_after_the_other_take_a_handful_of_requests() {
    let server = serving(Object::new(1_000_000));
    in_steps(&server, READ, 1_000_000, 100);
    assert_eq!(server.requests().len(), 1);
    // One that says that it will jump about is given windows, which grow.
    let server = serving(Object::new(1_000_000));
    in_steps(&server, READ | OpenFlags::RANDOM, 1_000_000, 100);
    assert!(server.requests().len() <= 12, "{} requests", server.requests().len());
    let server = serving(Object::new(10_000_000));
    in_steps(&server, READ | OpenFlags::RANDOM, 10_000_000, 1_000);
    assert!(server.requests().len() <= 12, "{} requests", server.requests().len());
}

#[test]
fn positional_reads_one_after_the_other_are_right_while_connections_drop() {
    let server = dropping(Object::new(1_000_000), 77_777, After::Reset);
    for flags in [READ, READ | OpenFlags::RANDOM] {
        in_steps(&server, flags, 1_000_000, 1_000);
    }
    assert!(server.requests().len() < 100, "{} requests", server.requests().len());
}

#[test]
fn several_places_are_read_on_from_at_once_and_by_threads() {
    let server = serving(Object::new(8_000_000));
    with_file(quick(), server.url("/"), READ, |file| {
        let file = &*file;
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                scope.spawn(move || {
                    for number in 0..2_000 {
                        let at = thread * 2_000_000 + number * 1_000;
                        assert!(read_at(file, at, 1_000).unwrap() == pattern::bytes(at..at + 1_000));
                    }
                });
            }
        });
    });
    assert!(server.requests().len() < 400, "{} requests", server.requests().len());
}

#[test]
fn positional_reads_leave_a_file_s_own_answer_to_it() {
    let server = serving(Object::new(5_000_000));
    with_file(quick(), server.url("/"), READ, |file| {
        let mut at = 0;
        while at < 5_000_000 {
            let mut buf = vec![0; 100_000];
            file.read_exact(&mut buf).unwrap();
            assert!(buf == pattern::bytes(at..at + 100_000));
            at += 100_000;
            let ahead = 5_000_000.min(at + 1_000) - at;
            assert!(read_at(file, at, 1_000).unwrap() == pattern::bytes(at..at + ahead));
        }
    });
    let whole = server.requests().iter().filter(|request| request.range().unwrap().1.is_none()).count();
    assert_eq!(whole, 1, "the answer that is read on was taken away");
}

#[test]
fn bytes_read_on_are_of_the_pinned_version_or_estale() {
    let changed = Arc::new(AtomicBool::new(false));
    let changes = changed.clone();
    let server = FaultServer::http(move |request, peer| {
        let object = Object::new(10_000_000);
        let object = if changes.load(Ordering::SeqCst) { object.tagged("\"two\"") } else { object };
        peer.send(&object.answer(request))
    });
    with_file(quick(), server.url("/"), READ | OpenFlags::RANDOM, move |file| {
        for at in 0..100 {
            assert!(read_at(file, at * 100, 100).unwrap() == pattern::bytes(at * 100..at * 100 + 100));
        }
        changed.store(true, Ordering::SeqCst);
        let outcome = (100..100_000).find_map(|at| match read_at(file, at * 100, 100) {
            Ok(bytes) => {
                assert!(bytes == pattern::bytes(at * 100..at * 100 + 100));
                None
            }
            Err(error) => Some(error.code()),
        });
        assert_eq!(outcome, Some(Code::ESTALE));
    });
}
