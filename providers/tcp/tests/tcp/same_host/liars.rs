//! Peers that meet, and then lie.

use super::ON;
use crate::common::*;
use crate::hostile::open;
use crate::peer::{answer, connect, listening};
use netpipe::frame::HEADER;
use netpipe::hello::FEATURE_SAME_HOST;
use netpipe::same_host::{Meeting, Offer, Outcome, Place, Producer, Ring, ring};
use netpipe::{Handshake, Header, Hello, Kind, Local, Message, Name, Progress, Role, code};
use rustix::io::{Errno, IoSlice};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use vfs_core::{Code, Memory};

/// Goes through a handshake up to the meeting.
fn up_to_meeting(stream: &mut TcpStream, side: &mut Handshake) -> Box<Meeting> {
    loop {
        stream.write_all(&side.output()).unwrap();
        let mut bytes = vec![0; side.want()];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "closed during the handshake");
        let mut progress = side.input(&mut &bytes[..count]).unwrap();
        if let Progress::Hello(_) = progress {
            let local = Local { features: FEATURE_SAME_HOST, ..Local::default() };
            progress = side.accept(local, None).unwrap();
        }
        if let Progress::Meeting(meeting) = progress {
            return meeting;
        }
    }
}

/// A writer that dials a reader at this port, and has heard where they meet.
fn dialling(port: u16) -> (TcpStream, Handshake, Box<Meeting>) {
    let mut stream = connect(port);
    stream.set_read_timeout(Some(SLACK)).unwrap();
    let hello = Hello { features: FEATURE_SAME_HOST, ..Hello::pipe(Role::Writer, Name::unnamed(), None) };
    let mut side = Handshake::dialler(hello, None, None).unwrap();
    let meeting = up_to_meeting(&mut stream, &mut side);
    (stream, side, meeting)
}

fn say(stream: &mut TcpStream, side: &mut Handshake, outcome: Outcome) {
    assert!(matches!(side.met(outcome), Ok(Progress::Done(_))));
    stream.write_all(&side.output()).unwrap();
}

/// Waits until the other end has shown what it brings.
fn received(meeting: &Meeting, socket: &OwnedFd) -> OwnedFd {
    let until = Instant::now() + SLACK;
    loop {
        if let Some(memory) = meeting.receive(socket).unwrap() {
            return memory;
        }
        assert!(Instant::now() < until);
        std::thread::yield_now();
    }
}

/// A writer that has met its reader, with memory of its own to lie in.
struct Liar {
    _stream: TcpStream,
    socket: OwnedFd,
    memory: Memory,
    _theirs: Memory,
}

impl Liar {
    fn met(port: u16) -> Liar {
        let (mut stream, mut side, meeting) = dialling(port);
        let size = ring::size(meeting.window);
        let (memory, file) = ring::make(Role::Writer, size).unwrap();
        let socket = Place::Abstract.connect(&meeting).unwrap();
        meeting.send(&socket, file.as_fd()).unwrap();
        let theirs = ring::map(Role::Reader, size, received(&meeting, &socket)).unwrap();
        say(&mut stream, &mut side, Outcome::Met);
        Liar { _stream: stream, socket, memory, _theirs: theirs }
    }

    /// Rings, once the reader has heard enough of the earlier ones; false: it is gone.
    fn ring(&self) -> bool {
        let until = Instant::now() + SLACK;
        loop {
            match send(&self.socket, &[1], SendFlags::NOSIGNAL) {
                Ok(_) => return true,
                Err(Errno::AGAIN) => assert!(Instant::now() < until),
                Err(_) => return false,
            }
            std::thread::yield_now();
        }
    }
}

/// An honest writer by hand.
fn honest(port: u16) -> (TcpStream, OwnedFd, Producer) {
    let (mut stream, mut side, meeting) = dialling(port);
    let offer = Offer::new(&meeting).unwrap();
    let socket = Place::Abstract.connect(&meeting).unwrap();
    meeting.send(&socket, offer.file()).unwrap();
    let (Ring::Producer(producer), _) = offer.join(received(&meeting, &socket)).unwrap() else {
        panic!("a writer")
    };
    say(&mut stream, &mut side, Outcome::Met);
    (stream, socket, producer)
}

fn reader() -> (vfs_core::OpenFile, u16) {
    let port = free_port();
    (open(ON, &format!("tcp://127.0.0.1:{port}"), false), port)
}

fn frame(payload: &[u8]) -> Vec<u8> {
    [&Header::data(payload, false).encode()[..], payload].concat()
}

#[test]
fn a_writer_that_counts_what_cannot_be_is_found_out() {
    for lie in [u32::MAX, 1 << 31, (1 << 20) + 1] {
        let (mut reader, port) = reader();
        let mut liar = Liar::met(port);
        liar.memory.store(ring::COUNT, lie);
        liar.ring();
        let error = in_time(move || reader.read(&mut [0; 8]).unwrap_err());
        refused::<usize>(Err(error), Code::ECONNRESET, "broke the rules");
    }
}

#[test]
fn a_writer_that_takes_back_what_it_wrote_is_found_out() {
    let (mut reader, port) = reader();
    let mut liar = Liar::met(port);
    liar.memory.put(ring::BYTES, &frame(b"bytes"));
    liar.memory.store(ring::COUNT, 17);
    liar.ring();
    assert_eq!(read_exactly(&mut reader, 5), b"bytes");
    liar.memory.store(ring::COUNT, 5);
    liar.ring();
    let error = in_time(move || reader.read(&mut [0; 8]).unwrap_err());
    refused::<usize>(Err(error), Code::ECONNRESET, "broke the rules");
}

#[test]
fn a_writer_that_rings_for_nothing_is_found_out() {
    let (mut reader, port) = reader();
    let liar = Liar::met(port);
    let ringing = in_thread(move || while liar.ring() {});
    let error = in_time(move || reader.read(&mut [0; 8]).unwrap_err());
    refused::<usize>(Err(error), Code::ECONNRESET, "broke the rules");
    ringing.recv_timeout(SLACK).unwrap();
}

#[test]
fn frames_that_break_the_rules_are_refused_wherever_they_come_from() {
    let (mut reader, port) = reader();
    let (mut stream, socket, mut producer) = honest(port);
    producer.put([&frame(b"good"), &[0xee; HEADER]]).unwrap();
    send(&socket, &[1], SendFlags::NOSIGNAL).unwrap();
    assert_eq!(read_exactly(&mut reader, 4), b"good");
    let error = in_time(move || reader.read(&mut [0; 8]).unwrap_err());
    assert_eq!(error.code(), Code::EPROTO, "{}", error.chain());
    let heard = answer(&mut stream);
    assert!(heard.windows(4).any(|four| four == code::EPROTO.to_le_bytes()), "{heard:?}");
}

#[test]
fn a_writer_that_speaks_beside_the_ring_is_found_out() {
    let (mut reader, port) = reader();
    let (mut stream, _socket, _producer) = honest(port);
    stream.write_all(&frame(b"beside")).unwrap();
    let error = in_time(move || reader.read(&mut [0; 8]).unwrap_err());
    refused::<usize>(Err(error), Code::ECONNRESET, "broke the rules");
}

#[test]
fn a_writer_that_dies_in_the_middle_of_a_frame_is_econnreset_after_what_there_is() {
    let (mut reader, port) = reader();
    let (stream, socket, mut producer) = honest(port);
    producer.put([&frame(&[7; 100])[..HEADER + 60], &[]]).unwrap();
    drop((stream, socket, producer));
    let (came, error) = in_time(move || drain(&mut reader));
    assert_eq!(came, [7; 60]);
    assert_eq!(error.unwrap().code(), Code::ECONNRESET);
}

#[test]
fn who_says_that_it_was_there_and_was_not_is_refused() {
    let (_reader, port) = reader();
    let (mut stream, mut side, _) = dialling(port);
    say(&mut stream, &mut side, Outcome::Met);
    let heard = answer(&mut stream);
    assert!(heard.ends_with(b"was not there"), "{}", String::from_utf8_lossy(&heard));
}

/// What somebody does wrong where the two were to meet.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Silent,
    Closes,
    Proof,
    NoMemory,
    TwoMemories,
    /// Of another ring.
    Size,
    /// Its maker could make it shorter, and so end who has mapped it.
    Loose,
}

const WRONGS: [Wrong; 7] = [
    Wrong::Silent,
    Wrong::Closes,
    Wrong::Proof,
    Wrong::NoMemory,
    Wrong::TwoMemories,
    Wrong::Size,
    Wrong::Loose,
];

/// Does it, and gives what is to be kept open.
fn does(wrong: Wrong, meeting: &Meeting, socket: OwnedFd) -> Option<OwnedFd> {
    let size = ring::size(meeting.window);
    let (_ours, right) = ring::make(meeting.role, size).unwrap();
    let (_other, small) = ring::make(meeting.role.other(), size / 2).unwrap();
    let loose = tempfile::tempfile().unwrap();
    loose.set_len(right_size(&right)).unwrap();
    let proof = &meeting.proof()[..];
    match wrong {
        Wrong::Silent => {}
        Wrong::Closes => return None,
        Wrong::Proof => shows(&socket, &[7; 32], &[right.as_fd()]),
        Wrong::NoMemory => shows(&socket, proof, &[]),
        Wrong::TwoMemories => shows(&socket, proof, &[right.as_fd(), right.as_fd()]),
        Wrong::Size => shows(&socket, proof, &[small.as_fd()]),
        Wrong::Loose => shows(&socket, proof, &[loose.as_fd()]),
    }
    Some(socket)
}

fn right_size(memory: &OwnedFd) -> u64 {
    rustix::fs::fstat(memory).unwrap().st_size as u64
}

fn shows(socket: &OwnedFd, proof: &[u8], files: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(files.is_empty() || control.push(SendAncillaryMessage::ScmRights(files)));
    sendmsg(socket, &[IoSlice::new(proof)], &mut control, SendFlags::empty()).unwrap();
}

/// Whatever a writer does there, or somebody else who has found the place, the connection carries everything.
#[test]
fn a_writer_that_errs_where_they_meet_is_heard_by_the_connection() {
    for wrong in WRONGS {
        let (mut reader, port) = reader();
        let (mut stream, mut side, meeting) = dialling(port);
        let _kept = does(wrong, &meeting, Place::Abstract.connect(&meeting).unwrap());
        // Who is busy with somebody takes nobody else, and only for as long as the dialler waits.
        let _other = Place::Abstract.connect(&meeting).unwrap();
        say(&mut stream, &mut side, Outcome::Missed);
        stream.write_all(&[frame(b"all the same"), Message::End(12).to_bytes()].concat()).unwrap();
        assert_eq!(in_time(move || read_to_end(&mut reader)), b"all the same", "{wrong:?}");
    }
}

/// Somebody errs there, and then the writer comes.
#[test]
fn who_errs_where_they_meet_is_sent_away_and_in_nobodys_way() {
    for wrong in WRONGS.into_iter().filter(|wrong| !matches!(wrong, Wrong::Silent)) {
        let (mut reader, port) = reader();
        let (mut stream, mut side, meeting) = dialling(port);
        let _stranger = does(wrong, &meeting, Place::Abstract.connect(&meeting).unwrap());
        let offer = Offer::new(&meeting).unwrap();
        let socket = Place::Abstract.connect(&meeting).unwrap();
        meeting.send(&socket, offer.file()).unwrap();
        let (Ring::Producer(mut producer), _) = offer.join(received(&meeting, &socket)).unwrap() else {
            panic!("a writer")
        };
        say(&mut stream, &mut side, Outcome::Met);
        producer.put([&frame(b"well"), &Message::End(4).to_bytes()]).unwrap();
        send(&socket, &[1], SendFlags::NOSIGNAL).unwrap();
        assert_eq!(in_time(move || read_to_end(&mut reader)), b"well", "{wrong:?}");
    }
}

#[test]
fn nobody_comes_and_the_connection_carries_everything() {
    let (mut reader, port) = reader();
    let (mut stream, mut side, _meeting) = dialling(port);
    say(&mut stream, &mut side, Outcome::Missed);
    stream.write_all(&[frame(b"all the same"), Message::End(12).to_bytes()].concat()).unwrap();
    assert_eq!(in_time(move || read_to_end(&mut reader)), b"all the same");
}

/// The reader's side of a meeting, up to its word.
fn accepting(listener: &TcpListener) -> (TcpStream, Box<Meeting>, OwnedFd) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(SLACK)).unwrap();
    let mut side = Handshake::acceptor(None);
    let meeting = up_to_meeting(&mut stream, &mut side);
    let venue = Place::Abstract.listen(&meeting).unwrap();
    stream.write_all(&side.output()).unwrap();
    let until = Instant::now() + SLACK;
    loop {
        if let Some(socket) = venue.accept().unwrap() {
            return (stream, meeting, socket);
        }
        assert!(Instant::now() < until);
        std::thread::yield_now();
    }
}

/// What a dialler says of the meeting.
fn word(stream: &mut TcpStream) -> u8 {
    let mut bytes = [0; HEADER + 1];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes[0], Kind::Meeting as u8);
    bytes[HEADER]
}

#[test]
fn a_reader_that_takes_what_was_not_written_is_found_out() {
    let until = Instant::now() + SLACK;
    loop {
        let (listener, descriptor) = listening();
        let mut writer = open(ON, &descriptor, true);
        let writing = in_thread(move || {
            loop {
                assert!(Instant::now() < until);
                if let Err(error) = writer.write(b"bytes") {
                    return error;
                }
            }
        });
        let (mut stream, meeting, socket) = accepting(&listener);
        let size = ring::size(meeting.window);
        let (mut memory, file) = ring::make(Role::Reader, size).unwrap();
        // Here 50 ms may be too short.
        let Ok(theirs) = meeting.receive(&socket) else { continue };
        if meeting.send(&socket, file.as_fd()).is_err() || word(&mut stream) == 0 {
            continue;
        }
        let _theirs = theirs.map(|theirs| ring::map(Role::Writer, size, theirs).unwrap());
        memory.store(ring::COUNT, 1 << 31);
        let error = writing.recv_timeout(SLACK).unwrap();
        return refused::<usize>(Err(error), Code::ECONNRESET, "broke the rules");
    }
}

/// A reader that errs there, or is stopped: the connection carries everything, after 50 ms if it says nothing.
#[test]
fn a_reader_that_errs_where_they_meet_is_written_to_by_the_connection() {
    for wrong in WRONGS {
        let (listener, descriptor) = listening();
        let mut writer = open(ON, &descriptor, true);
        let writing = in_thread(move || writer.write_all(b"all the same").unwrap());
        let (mut stream, meeting, socket) = accepting(&listener);
        let start = Instant::now();
        let _kept = does(wrong, &meeting, socket);
        assert_eq!(word(&mut stream), 0, "{wrong:?}");
        assert!(start.elapsed() < Duration::from_secs(5), "{wrong:?}: {:?}", start.elapsed());
        let mut bytes = vec![0; frame(b"all the same").len()];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, frame(b"all the same"), "{wrong:?}");
        writing.recv_timeout(SLACK).unwrap();
    }
}

/// Its memory's maker could make it shorter, which would end this process: it is sent away, not mapped.
#[test]
fn memory_that_could_become_shorter_is_no_place_to_meet() {
    let (_reader, port) = reader();
    let (_stream, _side, meeting) = dialling(port);
    let socket = does(Wrong::Loose, &meeting, Place::Abstract.connect(&meeting).unwrap()).unwrap();
    let mut byte = [0; 1];
    rustix::io::ioctl_fionbio(&socket, false).unwrap();
    assert_eq!(in_time(move || rustix::io::read(&socket, &mut byte)).unwrap_or(0), 0);
}
