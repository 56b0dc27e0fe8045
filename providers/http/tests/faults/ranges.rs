//! Ranges that are not those that were asked for, and objects that change.

use crate::common::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use vfs_core::{Capabilities, Code, Error, OpenFlags, OpenOptions, Result};
use zvfs_http_servers::{After, Answer, Body, FaultServer, Object, Request, Server, chunked, pattern};

const SIZE: u64 = 100_000;

/// A positional read in the middle of an object whose ranges are spoilt.
fn read_in_the_middle(spoil: impl Fn(&Request, Answer) -> Answer + Send + Sync + 'static) -> Result<Vec<u8>> {
    let server = spoiling(Object::new(SIZE), move |request, answer| match request.first() {
        0 => answer,
        _ => spoil(request, answer),
    });
    // Without RANDOM the answer to the open, which stands near, is read on.
    with_file(quick(), server.url("/"), READ | OpenFlags::RANDOM, |file| {
        assert!(file.capabilities().contains(Capabilities::POSITIONAL_READ), "{:?}", file.capabilities());
        read_at(file, 5_000, 1_000)
    })
}

/// An object whose first answer breaks off after 40,000 bytes, and what is answered to those who want the rest.
fn cut_and_then(object: Object, rest: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> FaultServer {
    FaultServer::http(move |request, peer| match request.first() {
        0 => peer.cut(&object.answer(request), 40_000, After::Close),
        _ => peer.send(&rest(request)),
    })
}

#[track_caller]
fn is_eproto(result: Result<Vec<u8>>) {
    refused(result.map(|bytes| bytes.len()), Code::EPROTO);
}

#[test]
fn a_right_range_is_read() {
    assert!(read_in_the_middle(|_, answer| answer).unwrap() == pattern::bytes(5_000..6_000));
}

#[test]
fn a_start_that_lies() {
    for lie in ["bytes 0-999/100000", "bytes 5001-6000/100000", "bytes 4999-5998/100000"] {
        is_eproto(read_in_the_middle(move |_, answer| answer.with("Content-Range", lie)));
    }
}

#[test]
fn an_end_that_lies() {
    // Not what the length says, before the start, and beyond the object.
    for lie in ["bytes 5000-9999999/100000", "bytes 5000-4000/100000", "bytes 5000-100000/100000"] {
        is_eproto(read_in_the_middle(move |_, answer| answer.with("Content-Range", lie)));
    }
}

#[test]
fn a_total_that_lies_is_another_object() {
    let result = read_in_the_middle(|_, answer| {
        let range = answer.headers.iter().find(|(name, _)| name == "Content-Range").unwrap().1.clone();
        answer.with("Content-Range", range.replace("/100000", "/99999"))
    });
    refused(result.map(|bytes| bytes.len()), Code::ESTALE);
}

#[test]
fn a_range_that_is_none() {
    for lie in ["bytes */100000", "lines 5000-5999/100000", "bytes 5000/100000", "bytes x-y/z", ""] {
        is_eproto(read_in_the_middle(move |_, answer| answer.with("Content-Range", lie)));
    }
    is_eproto(read_in_the_middle(|_, answer| answer.without("Content-Range")));
}

#[test]
fn several_ranges_that_nobody_asked_for() {
    is_eproto(read_in_the_middle(|_, answer| {
        answer.without("Content-Range").with("Content-Type", "multipart/byteranges; boundary=x")
    }));
}

#[test]
fn a_length_that_contradicts_the_range() {
    for (length, given) in [(500, 1_000), (2_000, 1_000)] {
        let server = FaultServer::http(move |request, peer| {
            let answer = Object::new(SIZE).answer(request);
            if request.first() == 0 {
                return peer.send(&answer);
            }
            let range = format!("bytes {}-{}/{SIZE}", request.first(), request.first() + given - 1);
            let answer = answer.with("Content-Range", range).with("Content-Length", length);
            peer.cut(&answer, given, After::Close)
        });
        is_eproto(with_file(quick(), server.url("/"), READ | OpenFlags::RANDOM, |file| {
            read_at(file, 5_000, 1_000)
        }));
    }
}

#[test]
fn a_shorter_range_is_completed_by_another() {
    let server = FaultServer::http(|request, peer| {
        let answer = Object::new(SIZE).answer(request);
        if request.first() == 0 {
            return peer.send(&answer);
        }
        // As servers and caches do that have blocks of their own.
        let (first, last) = request.range().unwrap();
        let end = (first + 300).min(last.map_or(SIZE, |last| last + 1));
        let mut answer = answer
            .with("Content-Range", format!("bytes {first}-{}/{SIZE}", end - 1))
            .with("Content-Length", end - first);
        answer.body = Body::Pattern(first..end);
        peer.send(&answer)
    });
    let bytes = with_file(quick(), server.url("/"), READ, |file| read_at(file, 5_000, 1_000));
    assert!(bytes.unwrap() == pattern::bytes(5_000..6_000));
}

/// busybox httpd takes the range `0-0` for `0-`, and was refused with EPROTO.
#[test]
fn more_than_was_asked_for_is_used_as_far_as_it_was_asked_for() {
    let server = FaultServer::http(|request, peer| {
        let (first, _) = request.range().unwrap();
        let mut answer = Object::new(SIZE)
            .answer(request)
            .with("Content-Range", format!("bytes {first}-{}/{SIZE}", SIZE - 1))
            .with("Content-Length", SIZE - first);
        answer.body = Body::Pattern(first..SIZE);
        peer.send(&answer)
    });
    let registry = quick();
    assert_eq!(registry.stat(&server.url("/"), &OpenOptions::default()).unwrap().size, Some(SIZE));
    with_file(registry, server.url("/"), READ | OpenFlags::RANDOM, |file| {
        for (offset, count) in [(0, 1), (50_000, 1_000), (SIZE - 1, 1), (7, 70_000)] {
            let wanted = pattern::bytes(offset..offset + count);
            assert!(read_at(file, offset, count as usize).unwrap() == wanted, "{count} bytes at {offset}");
        }
    });
}

/// whitenoise answers 416 to a range of one byte: stat, and reads of a single byte, failed.
#[test]
fn a_server_that_refuses_single_bytes_gives_them_all_the_same() {
    let server = FaultServer::http(|request, peer| {
        let object = Object::new(SIZE);
        match request.range() {
            Some((first, last)) if last.unwrap_or(SIZE - 1) <= first => {
                peer.send(&Answer::new(416).with("Content-Range", format!("bytes */{SIZE}")))
            }
            _ => peer.send(&object.answer(request)),
        }
    });
    let registry = quick();
    assert_eq!(registry.stat(&server.url("/"), &OpenOptions::default()).unwrap().size, Some(SIZE));
    with_file(registry, server.url("/"), READ | OpenFlags::RANDOM, |file| {
        for offset in [0, 1, 50_000, SIZE - 1] {
            assert!(read_at(file, offset, 1).unwrap() == pattern::bytes(offset..offset + 1), "{offset}");
            file.seek(std::io::SeekFrom::Start(offset)).unwrap();
            assert_eq!(file.read(&mut [0; 1]).unwrap(), 1);
        }
    });
}

/// webfs says 400 to a range that is longer than the file, and `0--1/0` of an empty one: neither could be opened.
#[test]
fn a_server_that_stumbles_over_small_objects_is_asked_without_a_range() {
    for size in [0, 1, 2] {
        let server = FaultServer::http(move |request, peer| {
            let (object, range) = (Object::new(size), request.range());
            match range {
                Some((0, None)) if size == 0 => {
                    peer.send(&Answer::new(206).with("Content-Range", "bytes 0--1/0"))
                }
                Some((_, Some(last))) if last >= size => peer.send(&Answer::new(400).body("no")),
                _ => peer.send(&object.answer(request)),
            }
        });
        fetch(&quick(), &server.url("/")).is(0..size);
        assert_eq!(quick().stat(&server.url("/"), &OpenOptions::default()).unwrap().size, Some(size));
        fetch_with(&quick(), &server.url("/"), OpenOptions::new(READ | OpenFlags::RANDOM)).is(0..size);
    }
}

#[test]
fn a_total_that_is_not_known_is_no_lie() {
    let bytes = read_in_the_middle(|_, answer| {
        let range = answer.headers.iter().find(|(name, _)| name == "Content-Range").unwrap().1.clone();
        answer.with("Content-Range", range.replace("/100000", "/*"))
    });
    assert!(bytes.unwrap() == pattern::bytes(5_000..6_000));
}

#[test]
fn a_server_that_ignores_ranges_gives_right_bytes_or_says_so() {
    let server = serving(Object::new(SIZE).without_ranges());
    fetch(&quick(), &server.url("/")).is(0..SIZE);
    with_file(quick(), server.url("/"), READ, |file| {
        if file.capabilities().contains(Capabilities::SEEKABLE) {
            for offset in [50_000, 10_000, 99_000] {
                file.seek(std::io::SeekFrom::Start(offset)).unwrap();
                drain(file).is(offset..SIZE);
            }
        }
        if file.capabilities().contains(Capabilities::POSITIONAL_READ) {
            assert!(read_at(file, 5_000, 1_000).unwrap() == pattern::bytes(5_000..6_000));
        }
    });
}

#[test]
fn a_server_that_stops_honouring_ranges_gives_right_bytes_or_says_so() {
    let server = FaultServer::http(|request, peer| {
        let object = Object::new(SIZE);
        let object = if request.first() > 0 { object.without_ranges() } else { object };
        let count = if request.connection == 0 { 10_000 } else { u64::MAX };
        peer.cut(&object.answer(request), count, After::Close)
    });
    // The version is still the same: what is known already is passed over.
    fetch(&quick(), &server.url("/")).is(0..SIZE);
}

#[test]
fn a_changed_tag_is_estale_and_final() {
    let server =
        cut_and_then(Object::new(SIZE), |request| Object::new(SIZE).tagged("\"two\"").answer(request));
    with_file(quick(), server.url("/"), READ, |file| {
        let fetched = drain(file);
        fetched.failed(Code::ESTALE);
        assert_eq!(fetched.bytes.len(), 40_000);
        refused(file.read(&mut [0; 10]), Code::ESTALE);
    });
    assert_eq!(server.requests().len(), 2, "a changed object is tried again");
}

#[test]
fn a_changed_tag_is_noticed_even_if_the_server_ignores_if_range() {
    // 206, with bytes of another version.
    let server =
        cut_and_then(Object::new(SIZE), |request| Object::new(SIZE).answer(request).with("ETag", "\"two\""));
    fetch(&quick(), &server.url("/")).failed(Code::ESTALE);
}

#[test]
fn a_changed_tag_is_estale_for_a_positional_read() {
    refused(read_in_the_middle(|_, answer| answer.with("ETag", "\"two\"")), Code::ESTALE);
}

/// The date went as If-Range though there was a (weak) tag, and a 206 with another weak tag was taken: mixed contents, and success.
#[test]
fn a_changed_weak_tag_is_estale_though_date_and_size_stay() {
    let server = cut_and_then(Object::new(SIZE).tagged("W/\"x1\""), |request| {
        Object::new(SIZE).tagged("W/\"x2\"").answer(request)
    });
    for how in [OpenOptions::new(READ), OpenOptions::new(READ).setting("trust-ranges", "true")] {
        let fetched = fetch_with(&quick(), &server.url("/"), how);
        fetched.failed(Code::ESTALE);
        assert_eq!(fetched.bytes.len(), 40_000);
    }
    assert!(server.requests().iter().all(|request| request.header("If-Range").is_none()));
}

#[test]
fn a_weak_tag_that_stays_is_resumed_by_an_old_date_alone() {
    let object = Object::new(SIZE).tagged("W/\"x1\"");
    let undated = Object { modified: None, ..object.clone() };
    for (object, resumed) in [(object, true), (undated, false)] {
        let server = dropping(object, 40_000, After::Close);
        let fetched = fetch(&quick(), &server.url("/"));
        let requests = server.requests();
        match resumed {
            true => fetched.is(0..SIZE),
            false => {
                fetched.failed(Code::ECONNRESET);
            }
        }
        assert_eq!(requests.get(1).is_some_and(|next| next.header("If-Unmodified-Since").is_some()), resumed);
        assert!(requests.iter().all(|request| request.header("If-Range").is_none()));
    }
}

/// A file that is written twice within a second keeps its date: the rest of the second was put behind the start of the first.
#[test]
fn a_date_as_young_as_its_answer_resumes_nothing_unless_ranges_are_trusted() {
    let object = Object::new(SIZE).untagged();
    let server = FaultServer::http(move |request, peer| {
        let answer = object.answer(request);
        let young = answer.with("Date", object.modified.as_ref().unwrap());
        peer.cut(&young, 40_000, After::Close)
    });
    let fetched = fetch(&quick(), &server.url("/"));
    let error = fetched.failed(Code::ECONNRESET).chain();
    assert!(error.contains("`trust-ranges`"), "{error}");
    assert_eq!(fetched.bytes.len(), 40_000);
    fetch_with(&quick(), &server.url("/"), OpenOptions::new(READ).setting("trust-ranges", "true"))
        .is(0..SIZE);
    assert!(server.requests().iter().all(|request| request.header("If-Range").is_none()));
}

#[test]
fn a_changed_date_is_estale_where_there_is_no_tag() {
    let server = cut_and_then(Object::new(SIZE).untagged(), |request| {
        let modified = Some("Mon, 07 Nov 1994 08:49:37 GMT".to_owned());
        Object { modified, ..Object::new(SIZE).untagged() }.answer(request)
    });
    fetch(&quick(), &server.url("/")).failed(Code::ESTALE);
    assert_eq!(server.requests()[1].header("If-Range"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
}

/// apache2 takes a date for too weak to give a range by, as long as it is younger than a minute.
#[test]
fn a_date_that_is_too_young_for_if_range_is_compared_in_the_answer() {
    let changed = Arc::new(AtomicBool::new(false));
    let changes = changed.clone();
    let server = FaultServer::http(move |request, peer| {
        let modified = match changes.load(Ordering::Relaxed) {
            true => "Mon, 07 Nov 1994 08:49:37 GMT",
            false => "Sun, 06 Nov 1994 08:49:37 GMT",
        };
        let object = Object { modified: Some(modified.to_owned()), ..Object::new(8 << 20).untagged() };
        match request.header("If-Range") {
            Some(_) => peer.send(&object.without_ranges().answer(request).with("Accept-Ranges", "bytes")),
            None => peer.send(&object.answer(request)),
        }
    });
    with_file(quick(), server.url("/"), READ, move |file| {
        for offset in [5 << 20, 3 << 20] {
            assert!(read_at(file, offset, 1_000).unwrap() == pattern::bytes(offset..offset + 1_000));
        }
        changed.store(true, Ordering::Relaxed);
        refused(read_at(file, 4 << 20, 1_000), Code::ESTALE);
    });
    let dates =
        server.requests().iter().filter(|request| request.header("If-Unmodified-Since").is_some()).count();
    assert_eq!(dates, 3);
}

#[test]
fn an_object_that_was_just_made_is_read_at_positions_on_apache2() {
    let Some(server) = Server::apache2() else { return };
    server.put("young", &pattern::bytes(0..5 << 20));
    let read = with_file(quick(), server.http("young"), READ, |file| read_at(file, 4 << 20, 1_000));
    assert!(read.unwrap() == pattern::bytes(4 << 20..(4 << 20) + 1_000));
}

#[test]
fn what_has_no_version_is_not_resumed() {
    // Nobody could tell whether the rest is of the same object.
    let server = dropping(Object::new(SIZE).unversioned(), 40_000, After::Close);
    let fetched = fetch(&quick(), &server.url("/"));
    let error = fetched.failed(Code::ECONNRESET);
    assert!(error.chain().contains("ETag"), "{}", error.chain());
    assert_eq!(fetched.bytes.len(), 40_000);
}

/// Without a validator the tail of an object was reached by reading all of it.
#[test]
fn what_has_no_version_is_read_at_positions_and_resumed_if_who_opens_trusts_it() {
    let server = dropping(Object::new(SIZE).unversioned(), 40_000, After::Close);
    let error = with_file(quick(), server.url("/"), READ, |file| {
        assert!(!file.capabilities().contains(Capabilities::SEEKABLE));
        drain(file).error.unwrap().chain()
    });
    assert!(error.contains("`trust-ranges`"), "{error}");
    let trusting = || OpenOptions::new(READ).setting("trust-ranges", "true");
    fetch_with(&quick(), &server.url("/"), trusting()).is(0..SIZE);
    let url = server.url("/");
    let tail = in_time(move || read_at(&quick().open(&url, &trusting()).unwrap(), SIZE - 10, 10));
    assert!(tail.unwrap() == pattern::bytes(SIZE - 10..SIZE));
    assert!(server.requests().iter().all(|request| request.header("If-Range").is_none()));
}

#[test]
fn what_is_trusted_and_has_another_size_is_another_object() {
    let server = FaultServer::http(|request, peer| {
        let size = if request.first() == 0 { SIZE } else { SIZE + 1 };
        peer.cut(&Object::new(size).unversioned().answer(request), 40_000, After::Close)
    });
    let how = OpenOptions::new(READ).setting("trust-ranges", "true");
    fetch_with(&quick(), &server.url("/"), how).failed(Code::ESTALE);
}

#[test]
fn a_weak_tag_is_not_sent_in_if_range() {
    let server = dropping(Object::new(SIZE).tagged("W/\"one\""), 40_000, After::Close);
    fetch(&quick(), &server.url("/")).is(0..SIZE);
    for request in &server.requests()[1..] {
        let seen = request.header("If-Range");
        assert!(seen.is_none_or(|seen| !seen.starts_with("W/")), "{seen:?}");
    }
}

#[test]
fn an_object_that_vanishes_midway_is_an_error() {
    let server = cut_and_then(Object::new(SIZE), |_| Answer::new(404));
    let fetched = fetch(&quick(), &server.url("/"));
    let code = fetched.error.as_ref().map(Error::code);
    assert!(matches!(code, Some(Code::ENOENT | Code::ESTALE)), "{fetched:?}");
}

#[test]
fn not_satisfiable_at_the_end_is_the_end() {
    let server = serving(Object::new(SIZE));
    with_file(quick(), server.url("/"), READ, |file| {
        for offset in [SIZE, SIZE + 1, SIZE * 1000] {
            assert_eq!(file.read_at(&mut [0; 10], offset).unwrap(), 0);
            file.seek(std::io::SeekFrom::Start(offset)).unwrap();
            assert_eq!(file.read(&mut [0; 10]).unwrap(), 0);
        }
        assert_eq!(read_at(file, SIZE - 5, 100).unwrap(), pattern::bytes(SIZE - 5..SIZE));
    });
}

#[test]
fn not_satisfiable_after_a_length_that_was_not_known_is_the_end() {
    // A body in chunks, whose connection breaks just before its last chunk; the rest is empty.
    let seen = AtomicUsize::new(0);
    let server = FaultServer::http(move |request, peer| {
        let answer = Object::new(1_000).answer(request);
        if seen.fetch_add(1, Ordering::Relaxed) > 0 {
            return peer.send(&answer);
        }
        let framed = chunked(&pattern::bytes(0..1_000), 100);
        let cut = framed.len() as u64 - 5;
        let answer = answer.raw_body(framed).with("Transfer-Encoding", "chunked").without("Content-Range");
        peer.cut(&Answer { status: 200, ..answer }, cut, After::Close)
    });
    fetch(&quick(), &server.url("/")).is(0..1_000);
}

#[test]
fn not_satisfiable_in_the_middle_is_no_end() {
    let server = cut_and_then(Object::new(SIZE), |_| Answer::new(416).with("Content-Range", "bytes */40000"));
    let fetched = fetch(&quick(), &server.url("/"));
    let code = fetched.error.as_ref().map(Error::code);
    assert!(matches!(code, Some(Code::ESTALE | Code::EPROTO)), "{fetched:?}");
}

#[test]
fn an_empty_object_is_empty() {
    for object in [Object::new(0), Object::new(0).without_ranges()] {
        fetch(&quick(), &serving(object).url("/")).is(0..0);
    }
}

#[test]
fn the_size_is_known_where_head_is_refused() {
    // As presigned URLs are: signed for one method.
    let server = FaultServer::http(|request, peer| match request.method.as_str() {
        "GET" => peer.send(&Object::new(SIZE).answer(request)),
        _ => peer.send(&Answer::new(403)),
    });
    let registry = quick();
    assert_eq!(registry.stat(&server.url("/"), &OpenOptions::new(READ)).unwrap().size, Some(SIZE));
    with_file(registry, server.url("/"), READ, |file| {
        assert_eq!(file.stat().unwrap().size, Some(SIZE));
        assert_eq!(file.seek(std::io::SeekFrom::End(-10)).unwrap(), SIZE - 10);
        drain(file).is(SIZE - 10..SIZE);
    });
}

#[test]
fn parallel_positional_reads_are_right_while_connections_drop() {
    let server = FaultServer::http(|request, peer| {
        let answer = Object::new(10_000_000).answer(request);
        let count = answer.body.size();
        // Every other answer breaks off halfway.
        if request.connection % 2 == 0 {
            peer.cut(&answer, count / 2, After::Reset)
        } else {
            peer.send(&answer)
        }
    });
    let registry = registry(r#"retry-delay = "1ms", retries = 20"#);
    with_file(registry, server.url("/"), READ, |file| {
        let file = &*file;
        std::thread::scope(|scope| {
            for thread in 0..8_u64 {
                scope.spawn(move || {
                    for number in 0..20 {
                        let offset = (thread * 20 + number) * 61_007;
                        assert!(
                            read_at(file, offset, 50_000).unwrap() == pattern::bytes(offset..offset + 50_000)
                        );
                    }
                });
            }
        });
    });
}
