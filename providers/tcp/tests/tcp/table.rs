//! The situations of a netpipe, row by row.

use crate::common::*;
use std::time::{Duration, Instant};
use vfs_core::{Capabilities, Code, Finish, Flush, OpenFile, OpenFlags, OpenOptions, Result};

#[test]
fn bytes_go_through_and_the_end_is_the_end() {
    each_way(|house| {
        let (mut reader, mut writer) = (house.reader("a"), house.writer("a"));
        assert_eq!(reader.capabilities(), Capabilities::READABLE | Capabilities::CANCEL);
        assert_eq!(writer.capabilities(), Capabilities::WRITABLE | Capabilities::CANCEL | crate::SPLICE);
        let content = sample(3_000_000);
        let sent = content.clone();
        let outcome = in_thread(move || {
            writer.write_all(&sent).unwrap();
            writer.finish(Finish::Commit).unwrap();
        });
        assert_eq!(read_to_end(&mut reader), content);
        for _ in 0..3 {
            assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
        }
        outcome.recv_timeout(SLACK).unwrap();
    });
}

#[test]
fn open_returns_at_once_whoever_is_first() {
    each_way(|house| {
        for writer_first in [true, false] {
            let name = format!("first-{writer_first}");
            let start = Instant::now();
            let (mut reader, mut writer) = if writer_first {
                let writer = house.writer(&name);
                (house.reader(&name), writer)
            } else {
                (house.reader(&name), house.writer(&name))
            };
            assert!(start.elapsed() < SLACK);
            writer.write_all(b"hello").unwrap();
            writer.finish(Finish::End).unwrap();
            assert_eq!(read_to_end(&mut reader), b"hello");
        }
    });
}

#[test]
fn a_write_waits_for_its_reader_to_open_and_not_to_read() {
    each_way(|house| {
        let mut writer = house.writer("a");
        let mut reader = None;
        let mut writer = waits_until(
            move || {
                assert_eq!(writer.write(b"bytes").unwrap(), 5);
                writer
            },
            || reader = Some(house.reader("a")),
        );
        // Nobody reads, and small writes go on.
        assert_eq!(
            in_time(move || {
                let n = writer.write(b"more").unwrap();
                drop(writer);
                n
            }),
            4
        );
    });
}

#[test]
fn a_write_without_a_reader_times_out_and_may_be_repeated() {
    each_way(|house| {
        let mut writer = house.writer("a");
        times_out(&mut writer, "waiting for its reader", |writer| writer.write(b"bytes"));
        let mut reader = house.reader("a");
        writer.write_all(b"bytes").unwrap();
        writer.finish(Finish::End).unwrap();
        assert_eq!(read_to_end(&mut reader), b"bytes");
    });
}

#[test]
fn a_read_waits_for_data() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        let (mut reader, bytes) = waits_until(
            move || {
                let mut buffer = [0; 100];
                let count = reader.read(&mut buffer).unwrap();
                (reader, buffer[..count].to_vec())
            },
            || writer.write_all(b"late").unwrap(),
        );
        assert_eq!(bytes, b"late");
        waits_until(
            move || assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0),
            || writer.finish(Finish::End).unwrap(),
        );
    });
}

#[test]
fn a_read_without_data_times_out_and_may_be_repeated() {
    each_way(|house| {
        let mut reader = house.reader("a");
        times_out(&mut reader, "waiting for a writer", |reader| reader.read(&mut [0; 8]));
        let mut writer = house.writer("a");
        let mut reader = waits_until(
            move || {
                read_exactly(&mut reader, 5);
                reader
            },
            || writer.write_all(b"bytes").unwrap(),
        );
        times_out(&mut reader, "waiting for data", |reader| reader.read(&mut [0; 8]));
    });
}

#[test]
fn end_before_any_reader_is_delivered_when_it_comes() {
    each_way(|house| {
        let mut writer = house.writer("a");
        in_time(move || {
            writer.finish(Finish::End).unwrap();
            drop(writer);
        });
        assert_eq!(read_to_end(&mut house.reader("a")), b"");
    });
}

#[test]
fn commit_waits_for_the_reader_to_take_everything() {
    each_way(|house| {
        let mut writer = house.writer("a");
        let mut reader = None;
        waits_until(
            move || writer.finish(Finish::Commit).unwrap(),
            || {
                let mut opened = house.reader("a");
                assert_eq!(opened.read(&mut [0; 8]).unwrap(), 0);
                reader = Some(opened);
            },
        );
        let (mut reader, mut writer) = house.pair("b");
        writer.write_all(b"bytes").unwrap();
        waits_until(
            move || writer.finish(Finish::Commit).unwrap(),
            || assert_eq!(read_to_end(&mut reader), b"bytes"),
        );
    });
}

#[test]
fn commit_is_done_when_the_last_byte_is_taken_though_nobody_reads_the_end() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        writer.write_all(b"bytes").unwrap();
        writer.finish(Finish::End).unwrap();
        read_exactly(&mut reader, 5);
        drop(reader);
        in_time(move || writer.finish(Finish::Commit).unwrap());
    });
}

#[test]
fn a_discard_before_any_reader_is_remembered() {
    each_way(|house| {
        let mut writer = house.writer("a");
        writer.finish(Finish::Discard).unwrap();
        drop(writer);
        let mut reader = house.reader("a");
        in_time(move || {
            refused(reader.read(&mut [0; 8]), Code::ECONNRESET, "");
            refused(reader.read(&mut [0; 8]), Code::ECONNRESET, "");
        });
    });
}

#[test]
fn a_broken_pipe_is_never_an_end() {
    each_way(|house| {
        for discard in [true, false] {
            let name = format!("broken-{discard}");
            let (mut reader, mut writer) = house.pair(&name);
            writer.write_all(b"parts").unwrap();
            if discard {
                writer.finish(Finish::Discard).unwrap();
            }
            drop(writer);
            in_time(move || {
                let (bytes, error) = drain(&mut reader);
                assert_eq!(
                    (bytes.as_slice(), error.unwrap().code()),
                    (b"parts".as_slice(), Code::ECONNRESET)
                );
                refused(reader.read(&mut [0; 8]), Code::ECONNRESET, "");
            });
        }
    });
}

#[test]
fn a_reader_that_closes_is_epipe() {
    each_way(|house| {
        let (reader, mut writer) = house.pair("a");
        // Blocked, with the window full.
        let error = waits_until(
            move || loop {
                if let Err(error) = writer.write(&[0; 60_000]) {
                    return error;
                }
            },
            || drop(reader),
        );
        assert_eq!(error.code(), Code::EPIPE, "{}", error.chain());

        let (reader, mut writer) = house.pair("b");
        drop(reader);
        in_time(move || {
            let error = loop {
                if let Err(error) = writer.write(b"x") {
                    break error;
                }
            };
            assert_eq!(error.code(), Code::EPIPE);
            refused(writer.finish(Finish::Commit), Code::EPIPE, "the reader closed");
        });

        let (reader, mut writer) = house.pair("c");
        writer.write_all(b"never taken").unwrap();
        let error = waits_until(move || writer.finish(Finish::Commit).unwrap_err(), || drop(reader));
        assert_eq!(error.code(), Code::EPIPE);
    });
}

#[test]
fn a_second_writer_is_ebusy() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        let mut second = house.writer("a");
        refused(in_time(move || second.write(b"x")), Code::EBUSY, "");
        let mut third = house.writer("a");
        refused(in_time(move || third.finish(Finish::Commit)), Code::EBUSY, "");
        writer.write_all(b"still").unwrap();
        writer.finish(Finish::End).unwrap();
        assert_eq!(read_to_end(&mut reader), b"still");
    });
}

/// The protocol did not say whether this is EPROTO or EBUSY: the pipe may be free for the dialler a moment later.
#[test]
fn two_ends_of_one_direction_are_ebusy() {
    let host = registry("");
    let pipe = format!("tcp://127.0.0.1:{}", free_port());
    let _listens = host.open(&format!("{pipe}?role=listen"), &OpenOptions::new(WRITE)).unwrap();
    let mut dials = host.open(&pipe, &OpenOptions::new(WRITE)).unwrap();
    refused(in_time(move || dials.write(b"x")), Code::EBUSY, "same direction");
}

#[test]
fn a_second_reader_is_ebusy() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        let mut second = house.reader("a");
        refused(in_time(move || second.read(&mut [0; 8])), Code::EBUSY, "");
        writer.write_all(b"still").unwrap();
        writer.finish(Finish::End).unwrap();
        assert_eq!(read_to_end(&mut reader), b"still");
    });
}

#[test]
fn the_end_counts_after_as_many_ends_as_writers_are_expected() {
    each_way(|house| {
        let mut reader = house.reader_of("a", "3");
        for round in 0..3 {
            let mut writer = house.writer("a");
            writer.write_all(&[round; 10]).unwrap();
            writer.finish(Finish::End).unwrap();
        }
        let mut bytes = in_time(move || read_to_end(&mut reader));
        bytes.sort_unstable();
        assert_eq!(bytes, [[0; 10], [1; 10], [2; 10]].concat());
    });
}

#[test]
fn with_any_number_of_writers_the_end_comes_when_none_is_left() {
    each_way(|house| {
        let mut reader = house.reader_of("a", "*");
        let mut writers: Vec<_> = (0..4).map(|_| house.writer("a")).collect();
        for writer in &mut writers {
            writer.write_all(b"x").unwrap();
        }
        for mut writer in writers {
            writer.finish(Finish::End).unwrap();
        }
        assert_eq!(in_time(move || read_to_end(&mut reader)), b"xxxx");
    });
}

#[test]
fn writes_of_64_kib_arrive_whole_and_each_writers_in_order() {
    each_way(|house| {
        const WRITERS: u8 = 4;
        const ROUNDS: u8 = 20;
        let size = 64 << 10;
        let mut reader = house.reader_of("a", &WRITERS.to_string());
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let mut writer = house.writer("a");
                in_thread(move || {
                    for round in 0..ROUNDS {
                        let mut record = vec![number; size];
                        record[0] = round;
                        assert_eq!(writer.write(&record).unwrap(), size, "it is never short");
                    }
                    writer.finish(Finish::Commit).unwrap();
                })
            })
            .collect();
        let mut next = [0; WRITERS as usize];
        for _ in 0..usize::from(WRITERS) * usize::from(ROUNDS) {
            let record = read_exactly(&mut reader, size);
            let number = record[1];
            assert!(record[1..].iter().all(|byte| *byte == number), "two writes are mixed");
            assert_eq!(record[0], next[usize::from(number)], "out of order");
            next[usize::from(number)] += 1;
        }
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
        for writer in writers {
            writer.recv_timeout(SLACK).unwrap();
        }
    });
}

#[test]
fn one_broken_writer_breaks_the_pipe_for_all() {
    each_way(|house| {
        let mut reader = house.reader_of("a", "2");
        let (mut one, mut other) = (house.writer("a"), house.writer("a"));
        one.write_all(b"x").unwrap();
        other.write_all(b"x").unwrap();
        drop(one);
        in_time(move || {
            let (_, error) = drain(&mut reader);
            assert_eq!(error.unwrap().code(), Code::ECONNRESET);
        });
        in_time(move || {
            let error = loop {
                if let Err(error) = other.write(b"x") {
                    break error;
                }
            };
            assert_eq!(error.code(), Code::ECONNRESET, "{}", error.chain());
        });
    });
}

#[test]
fn a_name_may_be_used_again_after_its_end() {
    each_way(|house| {
        for round in 0..5_u8 {
            let (mut reader, mut writer) = (house.reader("a"), house.writer("a"));
            writer.write_all(&[round; 10]).unwrap();
            let done = in_thread(move || writer.finish(Finish::Commit).unwrap());
            assert_eq!(read_to_end(&mut reader), [round; 10]);
            done.recv_timeout(SLACK).unwrap();
        }
        // The end is the end for the reader of then; a late writer waits for the next one.
        let (mut reader, mut writer) = house.pair("b");
        writer.finish(Finish::End).unwrap();
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
        let mut late = house.writer("b");
        let mut next = None;
        waits_until(
            move || {
                late.write_all(b"for the next").unwrap();
                late.finish(Finish::End).unwrap();
            },
            || {
                assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
                next = Some(house.reader("b"));
            },
        );
        assert_eq!(read_to_end(&mut next.unwrap()), b"for the next");
    });
}

#[test]
fn the_wrong_direction_is_ebadf() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        refused(reader.write(b"x"), Code::EBADF, "");
        refused(writer.read(&mut [0; 8]), Code::EBADF, "");
    });
    let registry = registry("broker = \"127.0.0.1:1\"");
    for (descriptor, flags) in [
        ("netpipe:2:w", READ),
        ("netpipe:2:r", WRITE),
        ("tcp://127.0.0.1:1?mode=r", WRITE),
        ("tcp:127.0.0.1:1?mode=w", READ),
        ("opaque:|x", WRITE),
        ("opaque:|>x", READ),
    ] {
        refused(
            registry.open(descriptor, &OpenOptions::new(flags)).map(drop),
            Code::EBADF,
            "the descriptor is for",
        );
    }
    refused(registry.open("netpipe:2", &OpenOptions::new(READ | WRITE)).map(drop), Code::EINVAL, "one way");
    refused(
        registry.open("netpipe:2", &OpenOptions::new(OpenFlags::empty())).map(drop),
        Code::EINVAL,
        "neither",
    );
}

#[test]
fn a_deadline_in_mid_frame_finishes_the_frame() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        let content = sample(64 << 10);
        // As long as the kernel and the window take something.
        let written = fill(&mut writer, &content);
        let done = in_thread(move || writer.finish(Finish::Commit));
        let bytes = read_to_end(&mut reader);
        assert_eq!(bytes.len(), written);
        assert!(bytes.chunks(content.len()).all(|chunk| chunk == content));
        done.recv_timeout(SLACK).unwrap().unwrap();
    });
}

#[test]
fn at_least_64_kib_are_buffered_and_no_more_than_the_window() {
    for (window, settings) in [(64 << 10, "window = \"64k\""), (1 << 20, "")] {
        let house = House::with(None, settings);
        let (_reader, mut writer) = house.pair("a");
        let written = fill(&mut writer, &[0; 1000]);
        assert!((64_000..=window).contains(&written), "{written} of {window}");
    }
}

#[test]
fn sync_waits_for_the_reader_and_push_does_not() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        writer.write_all(b"bytes").unwrap();
        let mut writer = in_time(move || {
            writer.flush(Flush::Push).unwrap();
            writer
        });
        let mut writer = waits_until(
            move || {
                writer.flush(Flush::Sync).unwrap();
                writer
            },
            || assert_eq!(read_exactly(&mut reader, 5), b"bytes"),
        );
        writer.write_all(b"more").unwrap();
        times_out(&mut writer, "take everything", |writer| writer.flush(Flush::Sync));
        let error = waits_until(move || writer.flush(Flush::Sync).unwrap_err(), || drop(reader));
        assert_eq!(error.code(), Code::EPIPE);
    });
}

#[test]
fn a_cancel_ends_every_wait() {
    each_way(|house| {
        let open = |name: &str, flags| {
            house.reading.open(&house.descriptor(name), &OpenOptions::new(flags)).unwrap()
        };
        type Call = fn(&mut OpenFile) -> Result<()>;
        let waits: [(OpenFlags, Call); 3] = [
            (READ, |file| file.read(&mut [0; 8]).map(drop)),
            (WRITE, |file| file.write(b"x").map(drop)),
            (WRITE, |file| file.finish(Finish::Commit)),
        ];
        for (at, (flags, call)) in waits.into_iter().enumerate() {
            let mut file = open(&format!("nobody-{at}"), flags);
            let control = file.control().clone();
            let mut since = None;
            let error = waits_until(
                move || {
                    let error = call(&mut file).unwrap_err();
                    file.finish(Finish::Discard).unwrap();
                    error
                },
                || {
                    since = Some(Instant::now());
                    control.cancel();
                },
            );
            assert!(since.unwrap().elapsed() < SLACK);
            assert_eq!(error.code(), Code::ECANCELED);
        }
    });
}

#[test]
fn a_reader_that_pauses_is_not_taken_for_a_dead_one() {
    // Bytes that lie unread must not count as a silent peer, however small the writes were.
    for size in [50, 64 << 10] {
        let house = House::with(None, "peer-timeout = \"1s\"");
        let (mut reader, mut writer) = house.pair("a");
        let written = fill(&mut writer, &vec![7; size]);
        // The pause is the matter of this test: three times what a dead peer gets.
        std::thread::sleep(Duration::from_secs(4));
        let done = in_thread(move || writer.finish(Finish::Commit));
        assert_eq!(in_time(move || read_to_end(&mut reader).len()), written);
        done.recv_timeout(SLACK).unwrap().unwrap();
    }
}

/// Nobody there, no broker, a host that no resolver knows: each was silence.
#[test]
fn a_wait_says_for_whom_and_what_came_of_the_last_attempt() {
    let (port, broker) = (free_port(), free_port());
    for (descriptor, object, refusal) in [
        (format!("tcp://127.0.0.1:{port}?mode=w"), "its reader at 127.0.0.1", "connection refused"),
        (format!("tcp://127.0.0.1:{port}?mode=r"), "a writer to connect to 127.0.0.1", ""),
        (format!("netpipe:127.0.0.1:{broker}:a:r"), "a writer through the broker", "connection refused"),
        (
            "tcp://nobody.invalid:1?mode=w".to_owned(),
            "its reader at nobody.invalid:1",
            "look up nobody.invalid:1: ",
        ),
    ] {
        let mut file = registry("").open(&descriptor, &OpenOptions::default()).unwrap();
        let control = file.control().clone();
        let writes = file.capabilities().contains(Capabilities::WRITABLE);
        let outcome = in_thread(move || match writes {
            true => file.write(b"x"),
            false => file.read(&mut [0; 8]),
        });
        let start = Instant::now();
        let waiting = loop {
            match control.waiting() {
                Some(waiting) if refusal.is_empty() || waiting.refusal.is_some() => break waiting,
                _ => assert!(start.elapsed() < SLACK, "{descriptor}: {:?}", control.waiting()),
            }
            std::thread::yield_now();
        };
        assert!(waiting.object.starts_with(object), "{descriptor}: {waiting}");
        assert!(waiting.refusal.unwrap_or_default().contains(refusal), "{descriptor}");
        control.cancel();
        let error = outcome.recv_timeout(SLACK).unwrap().unwrap_err();
        assert_eq!(error.code(), Code::ECANCELED);
        for words in [object, refusal] {
            assert!(error.chain().contains(words), "{}", error.chain());
        }
    }
}
