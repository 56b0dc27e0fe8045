//! What goes through memory between two ends that have left a network, and ends that lie there.

use super::*;
use crate::digest::{Algorithm, Digest};
use crate::error::{Reason, code};
use crate::frame::{HEADER, Header};
use crate::message::Message;
use crate::pipe::Incoming;
use crate::same_host::{Leaving, Meeting, Place, SameHost, Step, Way, ring};
use crate::values::{Role, random};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use vfs_core::Memory;
use zvfs_test_support::alone;

const WINDOW: u32 = 128 << 10;

/// What the two ends of one pipe know.
fn meetings() -> [Meeting; 2] {
    let [writers, readers] = [random().unwrap(), random().unwrap()];
    [Role::Writer, Role::Reader].map(|role| Meeting::of_nonces(&writers, &readers, role, WINDOW).unwrap())
}

fn way(meeting: Meeting) -> Way {
    Way { at: SameHost { place: Place::Abstract, after: 0 }, meeting: Box::new(meeting) }
}

fn incoming() -> Incoming {
    Incoming::new(u32::MAX, false)
}

/// Two ends that have met where `from` bytes had gone before; the reader has taken these.
fn met(from: u64, follows: impl FnOnce() -> Incoming) -> (Outlet, Arrival) {
    let [writers, readers] = meetings();
    let (mut leaving, mut arrival) = (Leaving::new(way(writers)), Arrival::new(Some(way(readers))));
    let mut step = || leaving.go_on(from, from, |guest| Outlet::new(guest, from));
    assert!(matches!(step(), Some((Step::Waits, None))));
    arrival.go();
    let Some((Step::Leaves, Some(outlet))) = step() else { panic!("they do not meet") };
    arrival.go_on(from, from, follows).unwrap();
    assert_eq!((arrival.from(), arrival.is_through()), (Some(from), true));
    (outlet, arrival)
}

/// Reads on until nothing is there, in pieces of so many bytes.
fn drained(arrival: &mut Arrival, piece: usize) -> (Vec<u8>, Look) {
    let (mut all, mut bytes) = (Vec::new(), vec![0; piece]);
    let inlet = arrival.inlet().unwrap();
    loop {
        match inlet.look(false) {
            Look::Ready => {
                let count = inlet.read(&mut bytes);
                all.extend_from_slice(&bytes[..count]);
            }
            look => return (all, look),
        }
    }
}

fn broken(look: &Look) -> u32 {
    match look {
        Look::Broken(why) => why.code,
        look => panic!("{look:?}"),
    }
}

fn content(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at % 251) as u8).collect()
}

#[test]
fn what_is_written_comes_whole_and_in_order_to_its_end() {
    for (write, read) in [(1, 7), (1000, 333), (70_000, 64 << 10), (300_000, 1 << 20)] {
        let (mut outlet, mut arrival) = met(5, || incoming().after(5));
        let sent = content(write * 50);
        let (mut at, mut came) = (0, Vec::new());
        while at < sent.len() {
            let end = sent.len().min(at + write);
            match outlet.write(&sent[at..end], 0).unwrap() {
                Some(count) => at += count,
                None => assert!(!came.is_empty() || at > 0),
            }
            came.extend(drained(&mut arrival, read).0);
        }
        assert!(outlet.is_taken().unwrap());
        outlet.say(&[Message::End(5 + sent.len() as u64)]).unwrap();
        assert!(outlet.is_taken().unwrap(), "nobody need look for an end");
        let (rest, look) = drained(&mut arrival, read);
        came.extend(rest);
        assert!(came == sent && look == Look::End, "{write}, {read}: {look:?}");
    }
}

#[test]
fn a_write_of_64_kib_waits_for_its_room_and_what_the_network_has_counts() {
    let (mut outlet, mut arrival) = met(0, incoming);
    assert_eq!(outlet.write(&[1; 64 << 10], WINDOW.into()), Ok(None));
    assert_eq!(outlet.write(&[1; 64 << 10], 0), Ok(Some(64 << 10)));
    assert_eq!(outlet.write(&[2; 64 << 10], 0), Ok(None));
    assert_eq!(outlet.write(&[3; 60 << 10], 0), Ok(Some(60 << 10)));
    assert_eq!(drained(&mut arrival, 1 << 20).0.len(), 124 << 10);
    assert_eq!(outlet.write(&[4; 200 << 10], 0), Ok(Some(64 << 10)), "the rest has to wait");
}

#[test]
fn last_words_have_room_in_a_full_ring() {
    let long = "x".repeat(Reason::TEXT_MAX);
    let words = [
        (vec![Message::Discard(Reason::new(5, &long))], code::ECONNRESET),
        (vec![Message::Digest([7; 32]), Message::End(0)], code::EBADMSG),
    ];
    for (words, code) in words {
        let digest = (code == code::EBADMSG).then(|| Digest::new(Algorithm::Blake3));
        let (mut outlet, mut arrival) = met(0, || incoming().with_digest(digest));
        let mut written = 0;
        while let Some(count) = outlet.write(b"x", 0).unwrap() {
            written += count;
        }
        let words = words.into_iter().map(|word| match word {
            Message::End(_) => Message::End(written as u64),
            word => word,
        });
        outlet.say(&words.collect::<Vec<_>>()).unwrap();
        drop(outlet);
        let (came, look) = drained(&mut arrival, 1 << 20);
        assert_eq!((came.len(), broken(&look)), (written, code));
    }
}

#[test]
fn a_writer_that_is_gone_is_lost_after_what_it_left_and_one_that_ended_is_not() {
    for ended in [false, true] {
        let (mut outlet, mut arrival) = met(0, incoming);
        outlet.write(b"left", 0).unwrap();
        if ended {
            outlet.say(&[Message::End(4)]).unwrap();
        }
        drop(outlet);
        // It waits for more by now.
        arrival.sleep(&mut |_| true);
        let (came, look) = drained(&mut arrival, 3);
        assert_eq!(came, b"left");
        match ended {
            true => assert_eq!(look, Look::End),
            false => {
                arrival.sleep(&mut |_| true);
                assert_eq!(broken(&drained(&mut arrival, 3).1), code::ECONNRESET);
            }
        }
    }
}

#[test]
fn a_reader_that_is_gone_is_heard_by_who_waits_for_it() {
    let (mut outlet, arrival) = met(0, incoming);
    outlet.write(b"bytes", 0).unwrap();
    assert!(!outlet.is_taken().unwrap() && outlet.hear().unwrap());
    outlet.sleep(&mut |_| true);
    assert!(outlet.hear().unwrap());
    drop(arrival);
    assert!(!outlet.hear().unwrap());
}

/// A ring for each frame of a full ring would be more than an honest end can be rung.
#[test]
fn who_waits_until_all_is_taken_is_rung_once() {
    let (mut outlet, mut arrival) = met(0, incoming);
    while outlet.write(&[7; 20], 0).unwrap().is_some() {}
    assert!(!outlet.is_taken().unwrap());
    outlet.sleep(&mut |_| false);
    let came = drained(&mut arrival, 20).0.len();
    assert!(came > 20 * ring::IN_VAIN as usize);
    let mut bells = Vec::new();
    outlet.sleep(&mut |bell| {
        while let Ok((count @ 1.., _)) =
            rustix::net::recv(bell, &mut [0_u8; 8], rustix::net::RecvFlags::DONTWAIT)
        {
            bells.push(count);
        }
        false
    });
    assert_eq!(bells, [1]);
}

/// A writer by hand whose reader has come to where it waits: the two sockets, and the memory to lie in.
struct Liar {
    arrival: Arrival,
    socket: OwnedFd,
    memory: Memory,
    file: OwnedFd,
    meeting: Meeting,
    _theirs: OwnedFd,
}

impl Liar {
    fn new() -> Liar {
        let [writers, readers] = meetings();
        let venue = Place::Abstract.listen(&writers).unwrap();
        let mut arrival = Arrival::new(Some(way(readers)));
        arrival.go();
        let socket = venue.accept().unwrap().unwrap();
        let theirs = writers.receive(&socket).unwrap().unwrap();
        let (memory, file) = ring::make(Role::Writer, ring::size(WINDOW)).unwrap();
        Liar { arrival, socket, memory, file, meeting: writers, _theirs: theirs }
    }

    /// Shows its memory.
    fn shown(self) -> Liar {
        self.meeting.send(&self.socket, self.file.as_fd()).unwrap();
        self
    }

    fn met() -> Liar {
        let mut liar = Liar::new().shown();
        liar.arrival.go_on(0, 0, incoming).unwrap();
        assert!(liar.arrival.is_through());
        liar
    }

    fn puts(&mut self, bytes: &[u8]) {
        self.memory.put(ring::BYTES, bytes);
        self.memory.store(ring::COUNT, bytes.len() as u32);
    }

    /// What the reader makes of it, as often as it looks.
    fn is_found_out(&mut self, code: u32) {
        for _ in 0..2 {
            let (came, look) = drained(&mut self.arrival, 8);
            assert_eq!((came.len(), broken(&look)), (0, code));
        }
    }
}

#[test]
fn a_writer_that_counts_what_cannot_be_is_found_out() {
    for lie in [u32::MAX, 1 << 31, ring::size(WINDOW) + 1] {
        let mut liar = Liar::met();
        liar.memory.store(ring::COUNT, lie);
        liar.is_found_out(code::ECONNRESET);
    }
    let mut liar = Liar::met();
    liar.puts(&[&Header::data(b"bytes", false).encode()[..], b"bytes"].concat());
    assert_eq!(drained(&mut liar.arrival, 8).0, b"bytes");
    liar.memory.store(ring::COUNT, 5);
    liar.is_found_out(code::ECONNRESET);
}

#[test]
fn frames_that_are_none_of_a_writers_are_found_out() {
    for bytes in [
        vec![0xee; HEADER],
        Message::Taken(0).to_bytes(),
        Message::Done.to_bytes(),
        Message::Meeting(Step::Leaves).to_bytes(),
        Message::End(1).to_bytes(),
        Header { kind: crate::Kind::Data, crc: None, length: 0 }.encode().to_vec(),
    ] {
        let mut liar = Liar::met();
        liar.puts(&bytes);
        liar.is_found_out(code::EPROTO);
    }
}

#[test]
fn a_writer_that_dies_in_the_middle_of_a_frame_is_lost_after_what_there_is() {
    let mut liar = Liar::met();
    liar.puts(&[&Header::data(&[7; 100], false).encode()[..], &[7; 60]].concat());
    let Liar { mut arrival, socket, memory, .. } = liar;
    drop((socket, memory));
    assert_eq!(drained(&mut arrival, 8), (vec![7; 60], Look::Nothing));
    assert!(arrival.is_within_frame());
    arrival.sleep(&mut |_| true);
    assert_eq!(broken(&drained(&mut arrival, 8).1), code::ECONNRESET);
}

#[test]
fn a_writer_that_rings_for_nothing_is_found_out() {
    let mut liar = Liar::met();
    liar.arrival.sleep(&mut |_| true);
    for _ in 0..=ring::IN_VAIN {
        match send(&liar.socket, &[1], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(_) | Err(Errno::AGAIN) => {}
            Err(errno) => panic!("{errno}"),
        }
        if liar.arrival.inlet().unwrap().look(false) != Look::Nothing {
            return liar.is_found_out(code::ECONNRESET);
        }
    }
    panic!("it rang for ever");
}

/// It would have its reader wait for what has come already.
#[test]
fn a_writer_that_takes_back_what_went_before_is_found_out() {
    let mut liar = Liar::new();
    liar.memory.store(ring::FROM[0], 9);
    liar = liar.shown();
    let why = liar.arrival.go_on(10, 10, incoming).unwrap_err();
    assert_eq!(why.code, code::ECONNRESET);
}

/// What never comes is waited for, as on the network; nothing is read before it.
#[test]
fn a_writer_that_begins_later_than_it_sent_is_not_read_before() {
    let mut liar = Liar::new();
    FROM_FAR.into_iter().for_each(|(at, half)| liar.memory.store(at, half));
    liar = liar.shown();
    liar.arrival.go_on(10, 10, incoming).unwrap();
    assert_eq!((liar.arrival.from(), liar.arrival.is_through()), (Some(u64::MAX), false));
}

const FROM_FAR: [(usize, u32); 2] = [(ring::FROM[0], u32::MAX), (ring::FROM[1], u32::MAX)];

#[test]
fn a_reader_that_takes_what_was_not_written_is_found_out() {
    for lie in [6, u32::MAX, 1 << 31] {
        let [writers, readers] = meetings();
        let mut leaving = Leaving::new(way(writers));
        let mut step = || leaving.go_on(0, 0, |guest| Outlet::new(guest, 0));
        step();
        let socket = Place::Abstract.connect(&readers).unwrap();
        let (mut memory, file) = ring::make(Role::Reader, ring::size(WINDOW)).unwrap();
        readers.send(&socket, file.as_fd()).unwrap();
        let Some((_, Some(mut outlet))) = step() else { panic!("they do not meet") };
        memory.store(ring::COUNT, lie);
        let mut written = outlet.write(b"x", 0).map(drop);
        written = written.and_then(|()| outlet.is_taken().map(drop));
        assert_eq!(written.unwrap_err().code, code::ECONNRESET, "{lie}");
    }
}

/// Whoever shows nothing, or leaves, has not met its reader: the network carries everything.
#[test]
fn a_writer_that_shows_nothing_is_not_followed() {
    let mut liar = Liar::new();
    liar.arrival.go_on(0, 0, incoming).unwrap();
    assert!(!liar.arrival.is_through() && liar.arrival.is_under_way());
    let Liar { mut arrival, socket, .. } = liar;
    drop(socket);
    arrival.go_on(0, 0, incoming).unwrap();
    assert!(!arrival.is_under_way());
}

#[test]
fn a_writer_that_nobody_reads_any_more_wakes_nobody() {
    let mut liar = Liar::met();
    for _ in 0..3 {
        send(&liar.socket, &[1], SendFlags::NOSIGNAL).unwrap();
    }
    liar.arrival.hush();
    assert!(liar.arrival.is_through());
    let Liar { mut arrival, socket, .. } = liar;
    drop(socket);
    arrival.hush();
    assert!(!arrival.is_through(), "its socket would be readable for ever");
}

/// Once the writer has shown its memory it sends no byte any other way: a reader that could not take it then would lose the pipe.
#[test]
fn a_reader_that_has_come_has_room_for_what_it_is_shown() {
    alone(|| {
        for resource in [Resource::Nofile, Resource::As] {
            let mut liar = Liar::new().shown();
            let before = getrlimit(resource);
            let most = match resource {
                Resource::Nofile => 64,
                _ => pages_in_use() * rustix::param::page_size() as u64,
            };
            setrlimit(resource, Rlimit { current: Some(most), ..before }).unwrap();
            let taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).take(64).collect();
            let more = ring::make(Role::Writer, ring::size(WINDOW)).is_ok();
            let went = liar.arrival.go_on(0, 0, incoming);
            setrlimit(resource, before).unwrap();
            drop(taken);
            assert!(!more, "{resource:?} is not limited");
            assert!(went.is_ok() && liar.arrival.is_through(), "{resource:?}: {went:?}");
        }
    });
}

/// Of this process's addresses.
fn pages_in_use() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse().unwrap()
}
