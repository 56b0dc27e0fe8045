//! Many pipes: what could deadlock must not, and what is large must be right.

use crate::common::*;
use netpipe::broker;
use std::time::Duration;
use vfs_core::{Code, Finish, Flush, OpenOptions};

#[test]
fn both_sides_write_first() {
    each_way(|house| {
        let (mut ab_reader, mut ab_writer) = (house.reader("ab"), house.writer("ab"));
        // The other direction, so the other host listens.
        let ba = house.descriptor("ba");
        let mut ba_reader = house.writing.open(&ba, &OpenOptions::new(READ)).unwrap();
        let mut ba_writer = house.reading.open(&ba, &OpenOptions::new(WRITE)).unwrap();
        let size = 40_000;
        let one = in_thread(move || {
            ab_writer.write_all(&vec![1; size]).unwrap();
            ab_writer.finish(Finish::End).unwrap();
            read_to_end(&mut ba_reader)
        });
        let other = in_thread(move || {
            ba_writer.write_all(&vec![2; size]).unwrap();
            ba_writer.finish(Finish::End).unwrap();
            read_to_end(&mut ab_reader)
        });
        assert_eq!(one.recv_timeout(SLACK).unwrap(), vec![2; size]);
        assert_eq!(other.recv_timeout(SLACK).unwrap(), vec![1; size]);
    });
}

#[test]
fn request_and_response_over_two_pipes_with_flushes() {
    each_way(|house| {
        let (mut requests, mut request) = (house.reader("requests"), house.writer("requests"));
        let descriptor = house.descriptor("responses");
        let mut responses = house.writing.open(&descriptor, &OpenOptions::new(READ)).unwrap();
        let mut response = house.reading.open(&descriptor, &OpenOptions::new(WRITE)).unwrap();
        let server = in_thread(move || {
            loop {
                let mut bytes = [0; 64];
                match requests.read(&mut bytes).unwrap() {
                    0 => break response.finish(Finish::Commit).unwrap(),
                    count => response.write_all(&bytes[..count]).unwrap(),
                }
                response.flush(Flush::Push).unwrap();
            }
        });
        let client = in_thread(move || {
            for round in 0..500_u64 {
                request.write_all(&round.to_le_bytes()).unwrap();
                request.flush(Flush::Sync).unwrap();
                assert_eq!(read_exactly(&mut responses, 8), round.to_le_bytes());
            }
            request.finish(Finish::End).unwrap();
            assert_eq!(responses.read(&mut [0; 8]).unwrap(), 0);
        });
        client.recv_timeout(SLACK).unwrap();
        server.recv_timeout(SLACK).unwrap();
    });
}

#[test]
fn a_ring_of_three_ends() {
    let broker = Running::start(broker::Config::default());
    let host = || registry(&format!("broker = \"{}\", job = \"ring\"", broker.address));
    let nodes: Vec<_> = (0..3)
        .map(|node: u32| {
            let registry = host();
            in_thread(move || {
                let open = |text: String| {
                    registry.open(&text, &OpenOptions::default().offer("node", node.to_string())).unwrap()
                };
                let mut from = open(format!("netpipe:{}:r", (node + 2) % 3));
                let mut to = open(format!("netpipe:{}:w", (node + 1) % 3));
                // Each starts one token; each token goes round twice.
                to.write_all(&[node as u8, 0]).unwrap();
                for _ in 0..6 {
                    let mut token = read_exactly(&mut from, 2);
                    token[1] += 1;
                    if token[1] < 6 {
                        to.write_all(&token).unwrap();
                    } else {
                        break;
                    }
                }
                to.finish(Finish::End).unwrap();
                let rest = read_to_end(&mut from).len();
                to.finish(Finish::Commit).unwrap();
                rest
            })
        })
        .collect();
    for node in nodes {
        assert_eq!(node.recv_timeout(SLACK).unwrap(), 0);
    }
}

#[test]
fn a_reader_that_takes_less_than_was_written_ends_its_writer() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        let done = in_thread(move || {
            let mut written = 0_u64;
            loop {
                match writer.write(&[7; 10_000]) {
                    Ok(count) => written += count as u64,
                    Err(error) => break (written, error),
                }
            }
        });
        read_exactly(&mut reader, 100_000);
        drop(reader);
        let (written, error) = done.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(error.code(), Code::EPIPE, "{}", error.chain());
        assert!(written >= 100_000);
    });
}

#[test]
fn two_hops_of_32_mib_in_random_pieces_are_equal() {
    each_way(|house| {
        let (mut first, mut to_first) = (house.reader("one"), house.writer("one"));
        let (mut last, mut to_last) = (house.reader("two"), house.writer("two"));
        let content = sample(32 << 20);
        let sent = content.clone();
        // Each hop's sizes are of its own sequence.
        let sizes = |seed: u64| {
            let mut state = seed;
            move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as usize % 200_000 + 1
            }
        };
        let source = in_thread(move || {
            let (mut size, mut at) = (sizes(1), 0);
            while at < sent.len() {
                let end = (at + size()).min(sent.len());
                at += to_first.write(&sent[at..end]).unwrap();
            }
            to_first.finish(Finish::Commit).unwrap();
        });
        let hop = in_thread(move || {
            let mut size = sizes(2);
            loop {
                let mut bytes = vec![0; size()];
                match first.read(&mut bytes).unwrap() {
                    0 => break to_last.finish(Finish::Commit).unwrap(),
                    count => to_last.write_all(&bytes[..count]).unwrap(),
                }
            }
        });
        let (mut size, mut at) = (sizes(3), 0);
        loop {
            let mut bytes = vec![0; size()];
            let count = last.read(&mut bytes).unwrap();
            if count == 0 {
                break;
            }
            assert!(bytes[..count] == content[at..at + count], "differs after {at}");
            at += count;
        }
        assert_eq!(at, content.len());
        source.recv_timeout(SLACK).unwrap();
        hop.recv_timeout(SLACK).unwrap();
    });
}

#[test]
fn a_mesh_of_eight_by_eight() {
    const NODES: usize = 8;
    let broker = Running::start(broker::Config::default());
    let host = || registry(&format!("broker = \"{}\"", broker.address));
    let (mapping, reducing) = (host(), host());
    let mappers: Vec<_> = (0..NODES)
        .map(|mapper| {
            let registry = mapping.clone();
            in_thread(move || {
                let mut writers: Vec<_> = (0..NODES)
                    .map(|reducer| {
                        registry
                            .open(&format!("netpipe:{mapper}-{reducer}:w"), &OpenOptions::default())
                            .unwrap()
                    })
                    .collect();
                for round in 0..20_u8 {
                    for writer in &mut writers {
                        writer.write_all(&[round; 5000]).unwrap();
                    }
                }
                for writer in &mut writers {
                    writer.finish(Finish::End).unwrap();
                }
                for writer in &mut writers {
                    writer.finish(Finish::Commit).unwrap();
                }
            })
        })
        .collect();
    let reducers: Vec<_> = (0..NODES)
        .map(|reducer| {
            let registry = reducing.clone();
            in_thread(move || {
                let readers: Vec<_> = (0..NODES)
                    .map(|mapper| {
                        registry
                            .open(&format!("netpipe:{mapper}-{reducer}:r"), &OpenOptions::default())
                            .unwrap()
                    })
                    .collect();
                // One after the other: the others' writers wait meanwhile.
                readers.into_iter().map(|mut reader| read_to_end(&mut reader).len()).sum::<usize>()
            })
        })
        .collect();
    for reducer in reducers {
        assert_eq!(reducer.recv_timeout(SLACK).unwrap(), NODES * 20 * 5000);
    }
    for mapper in mappers {
        mapper.recv_timeout(SLACK).unwrap();
    }
}
