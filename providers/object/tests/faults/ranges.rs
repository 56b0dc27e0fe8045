//! Answers to reads that break off, lie, or are of another object.

use crate::common::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Code, OpenFlags};
use zvfs_http_servers::{After, Answer, Body, FaultServer, Object};

/// Several ranges.
const SIZE: u64 = (3 << 20) + 5;

#[test]
fn a_body_that_breaks_off_is_resumed_at_its_byte() {
    for how in [After::Close, After::Reset] {
        let breaks = AtomicUsize::new(0);
        let server = FaultServer::http(move |request, peer| {
            let answer = Object::new(SIZE).answer(request);
            match is_early(&breaks, 4) {
                true => peer.cut(&answer, 100_000, how),
                false => peer.send(&answer),
            }
        });
        is_whole(fetch(&quick(&server)), SIZE);
        let starts: Vec<u64> = server.requests().iter().map(|request| request.first()).collect();
        // A reset takes what is still under way with it.
        assert!(how == After::Reset || starts.contains(&100_000), "{starts:?}");
    }
}

#[test]
fn a_body_that_breaks_off_each_time_is_econnreset() {
    let server =
        FaultServer::http(|request, peer| peer.cut(&Object::new(SIZE).answer(request), 1000, After::Close));
    failed(fetch(&quick(&server)), Code::ECONNRESET);
}

#[test]
fn a_store_that_goes_in_mid_body_is_an_error_and_no_end() {
    let server = FaultServer::http(|request, peer| {
        peer.cut(&Object::new(SIZE).answer(request), 300_000, After::Close)
    });
    let registry = quick(&server);
    let mut file = open(&registry, READ).unwrap();
    file.read(&mut [0; 1000]).unwrap();
    drop(server);
    let (_, error) = in_time(move || drain(&mut file));
    let code = error.expect("an error").code();
    assert!(matches!(code, Code::ECONNREFUSED | Code::ECONNRESET), "{code:?}");
}

#[test]
fn an_answer_that_ignores_the_range_is_eproto() {
    let server = spoiling(Object::new(SIZE).without_ranges(), |_, answer| answer);
    failed(fetch(&quick(&server)), Code::EPROTO);
}

/// As `rclone serve s3` answers.
#[test]
fn a_range_that_comes_as_200_is_one() {
    let server = spoiling(Object::new(SIZE), |_, answer| Answer { status: 200, ..answer });
    is_whole(fetch(&quick(&server)), SIZE);
}

#[test]
fn lying_ranges_are_eproto() {
    // The numbers are added to its first and its last byte; none: it is no range.
    let lies = [("begins elsewhere", Some((1, 0))), ("ends elsewhere", Some((0, -1))), ("is no range", None)];
    for (status, (lie, range)) in [206, 200].into_iter().flat_map(|status| lies.map(|lie| (status, lie))) {
        let server = spoiling(Object::new(SIZE), move |_, answer| match answer.body {
            Body::Pattern(ref bytes) => {
                let range = range.map_or("bytes x".to_owned(), |(first, last)| {
                    format!("bytes {}-{}/{SIZE}", bytes.start as i64 + first, bytes.end as i64 - 1 + last)
                });
                Answer { status, ..answer.with("Content-Range", range) }
            }
            Body::Bytes(_) => answer,
        });
        let error = failed(fetch(&quick(&server)), Code::EPROTO);
        println!("{status}, {lie}: {}", error.chain());
    }
}

#[test]
fn lengths_that_are_not_the_ranges_are_errors() {
    for (length, code) in [(-1_i64, Code::ECONNRESET), (1, Code::EPROTO)] {
        let server = FaultServer::http(move |request, peer| {
            let answer = Object::new(SIZE).answer(request);
            let Body::Pattern(ref range) = answer.body else { return peer.send(&answer) };
            let length = (range.end - range.start).checked_add_signed(length).unwrap();
            let longer = Body::Pattern(range.start..range.start + length);
            let answer = Answer { body: longer, ..answer.with("Content-Length", length) };
            peer.send(&answer)
        });
        failed(fetch(&quick(&server)), code);
    }
}

#[test]
fn an_object_that_changed_is_estale_though_the_store_ignores_the_condition() {
    for changed in [Object::new(SIZE).tagged("\"two\""), Object::new(SIZE + 1), Object::new(SIZE).untagged()]
    {
        let server = spoiling(Object::new(SIZE), move |request, answer| match request.first() {
            0 => answer,
            _ => {
                let mut request = request.clone();
                request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("if-match"));
                changed.answer(&request)
            }
        });
        failed(fetch(&quick(&server)), Code::ESTALE);
    }
}

#[test]
fn an_object_that_changed_while_its_range_broke_off_is_an_error() {
    let begun = AtomicUsize::new(0);
    let server = FaultServer::http(move |request, peer| match is_early(&begun, 1) {
        true => peer.cut(&Object::new(SIZE).answer(request), 1000, After::Close),
        false => peer.send(&Object::new(SIZE).tagged("\"two\"").answer(request)),
    });
    let (bytes, error) = fetch(&quick(&server));
    assert!(bytes.is_empty() && matches!(error.unwrap().code(), Code::ESTALE | Code::ECONNRESET));
}

#[test]
fn every_later_request_has_the_first_tag() {
    let server = spoiling(Object::new(SIZE), |_, answer| answer);
    is_whole(fetch(&quick(&server)), SIZE);
    let requests = server.requests();
    assert_eq!(requests[0].header("If-Match"), None);
    assert!(requests.len() > 2);
    assert!(requests[1..].iter().all(|request| request.header("If-Match") == Some("\"one\"")));
}

#[test]
fn a_store_without_tags_is_eproto() {
    let server = spoiling(Object::new(SIZE).untagged(), |_, answer| answer);
    failed(fetch(&quick(&server)), Code::EPROTO);
}

#[test]
fn a_short_read_costs_little_and_sequential_reads_few_requests() {
    let server = spoiling(Object::new(1 << 30), |_, answer| answer);
    let registry = quick(&server);
    let mut file = open(&registry, READ).unwrap();
    file.read(&mut [0; 100]).unwrap();
    // The first range, and the two that are begun as soon as it is there.
    let asked: Vec<_> = server.requests().iter().filter_map(|request| request.range()).collect();
    assert!(asked.len() <= 3, "{asked:?}");
    assert!(asked.iter().all(|(_, end)| end.is_some_and(|end| end < 2 << 20)), "{asked:?}");
    drop(file);
    let file = open(&registry, READ).unwrap();
    let before = server.requests().len();
    for step in 0..500 {
        assert_eq!(file.read_at(&mut [0; 4096], step * 4096).unwrap(), 4096);
    }
    assert!(server.requests().len() - before < 10, "{}", server.requests().len() - before);
    drop(file);
    let file = open(&registry, READ | OpenFlags::RANDOM).unwrap();
    let before = server.requests().len();
    file.read_at(&mut [0; 4096], 1 << 20).unwrap();
    let requests = server.requests();
    assert_eq!(
        (requests.len(), requests[before].range()),
        (before + 1, Some((1 << 20, Some((1 << 20) + 4095))))
    );
}

#[test]
fn an_empty_object_has_no_bytes() {
    let server = spoiling(Object::new(0), |_, answer| answer);
    is_whole(fetch(&quick(&server)), 0);
}

/// How many requests a server has at once, at most.
#[derive(Default)]
struct AtOnce {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl AtOnce {
    /// Counts a request in. Until there were so many at once, each waits for others, a moment on the busiest machine.
    fn count<T>(&self, together: usize, work: impl FnOnce() -> T) -> T {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        let start = Instant::now();
        while self.most.load(Ordering::Relaxed) < together && start.elapsed() < Duration::from_secs(1) {
            thread::sleep(Duration::from_millis(1));
        }
        let done = work();
        self.now.fetch_sub(1, Ordering::Relaxed);
        done
    }
}

#[test]
fn no_more_ranges_and_parts_are_under_way_than_may_be() {
    let at_once = Arc::new(AtOnce::default());
    let counted = at_once.clone();
    let server = FaultServer::http(move |request, peer| {
        counted.count(3, || {
            // Long enough for a fourth to come.
            peer.pause(Duration::from_millis(20))?;
            peer.body(request)?;
            match request.method.as_str() {
                "GET" => peer.send(&Object::new(60 << 20).answer(request)),
                _ => peer.send(&Step::of(request).answer()),
            }
        })
    });
    let registry = registry(&server.url(""), r#"part-size = "5m", parallel = 3"#);
    is_whole(fetch(&registry), 60 << 20);
    assert_eq!(at_once.most.swap(0, Ordering::Relaxed), 3);
    upload(&registry, UPLOAD, 60 << 20).unwrap();
    assert_eq!(at_once.most.load(Ordering::Relaxed), 3);
}

/// What is fetched ahead of a reader that stands still has an end.
#[test]
fn a_reader_that_stands_still_holds_a_bounded_part_of_the_object() {
    let server = spoiling(Object::new(1 << 30), |_, answer| answer);
    let registry = registry(&server.url(""), r#"part-size = "5m", parallel = 2"#);
    let mut file = open(&registry, READ).unwrap();
    let mut buf = vec![0; 20 << 20];
    let mut done = 0;
    while done < buf.len() {
        done += file.read(&mut buf[done..]).unwrap();
    }
    let asked = |request: &zvfs_http_servers::Request| {
        request.range().and_then(|(first, last)| Some(last? + 1 - first))
    };
    let total: u64 = server.requests().iter().filter_map(asked).sum();
    assert!(total - done as u64 <= 3 * (5 << 20), "{total} bytes were asked for, {done} read");
}
