//! Faults by chance, one after the other: whatever a server does, what comes is right, or it is an error.

use crate::common::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use vfs_core::{Capabilities, OpenOptions};
use zvfs_http_servers::{After, Answer, Body, FaultServer, Object, Peer, Request, chunked, pattern};

const SIZE: u64 = 300_000;
const SEEDS: u64 = 40;

/// The next of a sequence that its seed decides.
fn next(state: &AtomicU64) -> u64 {
    let mut z = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Answers as some server somewhere does.
fn by_chance(state: &AtomicU64, request: &Request, peer: &mut Peer) -> std::io::Result<After> {
    let object = Object::new(SIZE);
    let answer = object.answer(request);
    let (first, end) = (request.first().min(SIZE), SIZE);
    let somewhere = next(state) % (end - first + 1);
    match next(state) % 24 {
        0..=5 => peer.cut(&answer, somewhere, After::Close),
        6..=9 => peer.cut(&answer, somewhere, After::Reset),
        10 => Ok(After::Close),
        11 => Ok(After::Reset),
        12 => peer.send(&Answer::new([408, 429, 500, 502, 503, 504][(next(state) % 6) as usize])),
        13 => peer.send(&object.without_ranges().answer(request)),
        14 => {
            // The same in chunks, which may break off.
            let Body::Pattern(range) = answer.body.clone() else {
                return peer.send(&answer);
            };
            let framed = chunked(&pattern::bytes(range), 1 + (next(state) % 50_000) as usize);
            let cut = next(state) % (framed.len() as u64 * 2);
            let answer = answer.raw_body(framed).with("Transfer-Encoding", "chunked");
            peer.cut(&answer, cut, After::Close)
        }
        15 => peer.send(&answer.with("Connection", "close")),
        16 => {
            peer.cut(&answer, somewhere, After::Next)?;
            peer.stall()
        }
        17 => {
            peer.raw(b"HTTP/1.1 103 Early Hints\r\n\r\n")?;
            peer.send(&answer)
        }
        18 if first > 0 && next(state).is_multiple_of(8) => {
            peer.send(&object.tagged("\"two\"").answer(request))
        }
        19 if first > 0 && next(state).is_multiple_of(8) => peer.send(&answer.with("ETag", "\"two\"")),
        20 if first > 0 && next(state).is_multiple_of(8) => {
            peer.send(&answer.with("Content-Range", format!("bytes 0-{}/{SIZE}", SIZE - 1)))
        }
        21 if next(state).is_multiple_of(8) => peer.raw(b"\r\n\r\nnothing\r\n").map(|()| After::Close),
        _ => peer.send(&answer),
    }
}

fn server(seed: u64) -> FaultServer {
    let state = Arc::new(AtomicU64::new(seed));
    FaultServer::http(move |request, peer| by_chance(&state, request, peer))
}

const SETTINGS: &str =
    r#"retry-delay = "1ms", stall-timeout = "100ms", first-byte-timeout = "300ms", retries = 8"#;

#[test]
fn what_is_read_from_start_to_end_is_right_or_an_error() {
    let mut whole = 0;
    for seed in 0..SEEDS {
        let server = server(seed);
        // Every other one by ranges at once.
        let ahead = r#", read-ahead = 3, read-ahead-size = "64k""#;
        let settings = format!("{SETTINGS}{}", if seed % 2 == 0 { "" } else { ahead });
        let fetched = fetch(&registry(&settings), &server.url("/"));
        match &fetched.error {
            None => fetched.is(0..SIZE),
            Some(error) => drop(fetched.failed(error.code())),
        }
        whole += u64::from(fetched.error.is_none());
    }
    // Most faults can be mended.
    println!("{whole} of {SEEDS} came whole");
    assert!(whole > SEEDS / 4, "{whole} of {SEEDS} came whole");
}

#[test]
fn what_is_read_at_offsets_is_right_or_an_error() {
    let mut right = 0;
    for seed in 0..SEEDS {
        let (server, registry) = (server(seed | 1 << 40), registry(SETTINGS));
        let url = server.url("/");
        right += in_time(move || {
            let Ok(mut file) = registry.open(&url, &OpenOptions::new(READ)) else { return 0 };
            if !file.capabilities().contains(Capabilities::SEEKABLE | Capabilities::POSITIONAL_READ) {
                return 0;
            }
            let (state, mut right) = (AtomicU64::new(seed), 0);
            for _ in 0..10 {
                let offset = next(&state) % (SIZE + 1000);
                let count = 1 + next(&state) % 40_000;
                let wanted =
                    pattern::bytes(offset.min(SIZE)..(offset + count).min(SIZE).max(offset.min(SIZE)));
                if let Ok(bytes) = read_at(&file, offset, count as usize) {
                    assert!(bytes == wanted, "seed {seed}: {count} at {offset}");
                    right += 1;
                }
                let mut buf = vec![0; count as usize];
                if file.seek(std::io::SeekFrom::Start(offset)).is_ok()
                    && let Ok(read) = file.read(&mut buf)
                {
                    assert!(buf[..read] == wanted[..read], "seed {seed}: read {count} at {offset}");
                    assert!(read > 0 || wanted.is_empty(), "seed {seed}: an end at {offset}");
                }
            }
            right
        });
    }
    println!("{right} of {} reads came", SEEDS * 10);
    assert!(right > SEEDS * 2, "{right} of {} reads came", SEEDS * 10);
}

#[test]
fn a_slow_server_among_them_costs_no_more_than_its_limits() {
    let server = FaultServer::http(|request, peer| {
        peer.pause(Duration::from_millis(20))?;
        peer.cut(&Object::new(SIZE).answer(request), 50_000, After::Close)
    });
    fetch(&registry(SETTINGS), &server.url("/")).is(0..SIZE);
}
