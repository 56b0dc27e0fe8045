//! Peers that meet, and then lie.

use super::ON;
use crate::common::*;
use crate::hostile::open;
use crate::peer::{answer, connect, listening};
use netpipe::frame::HEADER;
use netpipe::hello::FEATURE_SAME_HOST;
use netpipe::same_host::{Meeting, Offer, Place, Producer, Ring, Step, Venue, ring};
use netpipe::{Handshake, Header, Hello, Kind, Local, Message, Name, Progress, Role, code};
use rustix::io::{Errno, IoSlice};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::Receiver;
use std::time::Instant;
use vfs_core::{Code, Error, Finish, Memory};

/// Goes through a handshake, whose sides know then where they meet.
fn shake_hands(stream: &mut TcpStream, side: &mut Handshake) -> Box<Meeting> {
    stream.set_read_timeout(Some(SLACK)).unwrap();
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
        if let Progress::Done(established) = progress {
            stream.write_all(&side.output()).unwrap();
            return established.meeting.unwrap();
        }
    }
}

/// A writer that dials a reader at this port.
fn dialling(port: u16) -> (TcpStream, Box<Meeting>) {
    let mut stream = connect(port);
    let hello = Hello { features: FEATURE_SAME_HOST, ..Hello::pipe(Role::Writer, Name::unnamed(), None) };
    let meeting = shake_hands(&mut stream, &mut Handshake::dialler(hello, None, None).unwrap());
    (stream, meeting)
}

fn say(stream: &mut TcpStream, step: Step) {
    stream.write_all(&Message::Meeting(step).to_bytes()).unwrap();
}

/// Who comes to the place, and the memory that it shows.
fn guest(meeting: &Meeting, venue: &Venue) -> (OwnedFd, OwnedFd) {
    let socket = eventually(|| venue.accept().unwrap());
    let memory = received(meeting, &socket);
    (socket, memory)
}

/// The memory that the other end shows.
fn received(meeting: &Meeting, socket: &OwnedFd) -> OwnedFd {
    eventually(|| meeting.receive(socket).unwrap())
}

fn eventually<T>(mut there: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + SLACK;
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(Instant::now() < until);
        std::thread::yield_now();
    }
}

/// A writer whose reader has come to where it waits.
fn visited(port: u16) -> (TcpStream, Box<Meeting>, OwnedFd, OwnedFd) {
    let (mut stream, meeting) = dialling(port);
    let venue = Place::Abstract.listen(&meeting).unwrap();
    say(&mut stream, Step::Waits);
    let (socket, memory) = guest(&meeting, &venue);
    (stream, meeting, socket, memory)
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
        let (mut stream, meeting, socket, theirs) = visited(port);
        let size = ring::size(meeting.window);
        let (memory, file) = ring::make(Role::Writer, size).unwrap();
        let theirs = ring::map(Role::Reader, size, theirs).unwrap();
        meeting.send(&socket, file.as_fd()).unwrap();
        say(&mut stream, Step::Leaves);
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
    let (mut stream, meeting, socket, theirs) = visited(port);
    let (Ring::Producer(producer), ours) = Offer::new(&meeting).unwrap().join(theirs).unwrap() else {
        panic!("a writer")
    };
    meeting.send(&socket, ours.as_fd()).unwrap();
    say(&mut stream, Step::Leaves);
    (stream, socket, producer)
}

/// What a reader has read, and what ended that.
type Reading = Receiver<(Vec<u8>, Option<Error>)>;

/// A reader, and where it listens.
fn reader() -> (Reading, u16) {
    let port = free_port();
    let mut reader = open(ON, &format!("tcp://127.0.0.1:{port}"), false);
    (in_thread(move || drain(&mut reader)), port)
}

fn is_found_out(reading: &Reading, before: &[u8]) {
    let (came, error) = reading.recv_timeout(SLACK).unwrap();
    assert_eq!(came, before);
    refused::<usize>(Err(error.unwrap()), Code::ECONNRESET, "broke the rules");
}

fn frame(payload: &[u8]) -> Vec<u8> {
    [&Header::data(payload, false).encode()[..], payload].concat()
}

#[test]
fn a_writer_that_counts_what_cannot_be_is_found_out() {
    for lie in [u32::MAX, 1 << 31, (1 << 20) + 1] {
        let (reading, port) = reader();
        let mut liar = Liar::met(port);
        liar.memory.store(ring::COUNT, lie);
        liar.ring();
        is_found_out(&reading, b"");
    }
}

#[test]
fn a_writer_that_takes_back_what_it_wrote_is_found_out() {
    let (reading, port) = reader();
    let mut liar = Liar::met(port);
    liar.memory.put(ring::BYTES, &frame(b"bytes"));
    liar.memory.store(ring::COUNT, 17);
    liar.ring();
    eventually(|| (liar._theirs.load(ring::COUNT) == 17).then_some(()));
    liar.memory.store(ring::COUNT, 5);
    liar.ring();
    is_found_out(&reading, b"bytes");
}

#[test]
fn a_writer_that_rings_for_nothing_is_found_out() {
    let (reading, port) = reader();
    let liar = Liar::met(port);
    let ringing = in_thread(move || while liar.ring() {});
    is_found_out(&reading, b"");
    ringing.recv_timeout(SLACK).unwrap();
}

#[test]
fn frames_that_break_the_rules_are_refused_wherever_they_come_from() {
    let (reading, port) = reader();
    let (mut stream, socket, mut producer) = honest(port);
    producer.put([&frame(b"good"), &[0xee; HEADER]]).unwrap();
    send(&socket, &[1], SendFlags::NOSIGNAL).unwrap();
    let (came, error) = reading.recv_timeout(SLACK).unwrap();
    assert_eq!((&came[..], error.unwrap().code()), (&b"good"[..], Code::EPROTO));
    let heard = answer(&mut stream);
    assert!(heard.windows(4).any(|four| four == code::EPROTO.to_le_bytes()), "{heard:?}");
}

#[test]
fn a_writer_that_speaks_beside_the_ring_is_found_out() {
    // With the step, or after it.
    for at_once in [true, false] {
        let (reading, port) = reader();
        let (mut stream, meeting, socket, theirs) = visited(port);
        let (_ring, ours) = Offer::new(&meeting).unwrap().join(theirs).unwrap();
        meeting.send(&socket, ours.as_fd()).unwrap();
        let step = Message::Meeting(Step::Leaves).to_bytes();
        let words = [step, frame(b"beside")];
        if at_once {
            stream.write_all(&words.concat()).unwrap();
        } else {
            words.iter().for_each(|word| stream.write_all(word).unwrap());
        }
        is_found_out(&reading, b"");
    }
}

#[test]
fn a_writer_that_dies_in_the_middle_of_a_frame_is_econnreset_after_what_there_is() {
    let (reading, port) = reader();
    let (stream, socket, mut producer) = honest(port);
    producer.put([&frame(&[7; 100])[..HEADER + 60], &[]]).unwrap();
    drop((stream, socket, producer));
    let (came, error) = reading.recv_timeout(SLACK).unwrap();
    assert_eq!(came, [7; 60]);
    assert_eq!(error.unwrap().code(), Code::ECONNRESET);
}

/// Steps in an order that no writer takes.
#[test]
fn steps_out_of_turn_are_refused() {
    for steps in [&[Step::Leaves][..], &[Step::Waits, Step::Waits]] {
        let (reading, port) = reader();
        let (mut stream, meeting) = dialling(port);
        let _venue = Place::Abstract.listen(&meeting).unwrap();
        steps.iter().for_each(|step| say(&mut stream, *step));
        let (_, error) = reading.recv_timeout(SLACK).unwrap();
        assert_eq!(error.unwrap().code(), Code::EPROTO, "{steps:?}");
    }
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

/// A writer that has shown nothing, or something else, and stays: the connection carries everything. One that leaves is found out.
#[test]
fn a_writer_that_errs_where_they_meet_stays_or_is_found_out() {
    for wrong in WRONGS {
        for leaves in [false, true] {
            let (reading, port) = reader();
            let (mut stream, meeting, socket, _theirs) = visited(port);
            let _kept = does(wrong, &meeting, socket);
            if leaves {
                say(&mut stream, Step::Leaves);
                is_found_out(&reading, b"");
            } else {
                stream.write_all(&[frame(b"all the same"), Message::End(12).to_bytes()].concat()).unwrap();
                let (came, error) = reading.recv_timeout(SLACK).unwrap();
                assert!(error.is_none() && came == b"all the same", "{wrong:?}");
            }
        }
    }
}

/// Nobody is where the writer says that it waits.
#[test]
fn a_writer_that_is_not_there_is_heard_by_the_connection() {
    let (reading, port) = reader();
    let (mut stream, _meeting) = dialling(port);
    say(&mut stream, Step::Waits);
    stream.write_all(&[frame(b"all the same"), Message::End(12).to_bytes()].concat()).unwrap();
    let (came, error) = reading.recv_timeout(SLACK).unwrap();
    assert!(error.is_none() && came == b"all the same");
}

/// A frame of a writer's stream.
fn next_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).unwrap();
    let length = Header::decode(&header).unwrap().length as usize;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (header[0], body)
}

/// A reader by hand, whose writer waits for it, and what came before that.
fn invited(listener: &TcpListener) -> (TcpStream, Box<Meeting>, u64) {
    let (mut stream, _) = listener.accept().unwrap();
    let meeting = shake_hands(&mut stream, &mut Handshake::acceptor(None));
    let mut came = 0;
    loop {
        match next_frame(&mut stream) {
            (kind, body) if kind == Kind::Meeting as u8 => {
                assert_eq!(body, [Step::Waits as u8]);
                return (stream, meeting, came);
            }
            (_, body) => came += body.len() as u64,
        }
    }
}

/// Reads on until the writer leaves or ENDs; true: it leaves.
fn leaves(stream: &mut TcpStream, mut came: u64) -> bool {
    loop {
        match next_frame(stream) {
            (kind, body) if kind == Kind::Meeting as u8 => {
                assert_eq!(body, [Step::Leaves as u8]);
                return true;
            }
            (kind, _) if kind == Kind::End as u8 => return false,
            (_, body) => {
                came += body.len() as u64;
                // The writer goes on where it cannot, too.
                stream.write_all(&Message::Taken(came).to_bytes()).unwrap();
            }
        }
    }
}

/// Writes frame by frame, so many, or until an error.
fn writing(descriptor: &str, frames: usize) -> Receiver<Option<Error>> {
    let mut writer = open(ON, descriptor, true);
    in_thread(move || {
        let all = (0..frames).try_for_each(|_| writer.write_all(b"bytes"));
        let end = all.and_then(|()| writer.finish(Finish::End));
        end.err()
    })
}

#[test]
fn a_reader_that_takes_what_was_not_written_is_found_out() {
    let (listener, descriptor) = listening();
    let writing = writing(&descriptor, usize::MAX);
    let (mut stream, meeting, came) = invited(&listener);
    let size = ring::size(meeting.window);
    let (mut memory, file) = ring::make(Role::Reader, size).unwrap();
    let socket = Place::Abstract.connect(&meeting).unwrap();
    meeting.send(&socket, file.as_fd()).unwrap();
    assert!(leaves(&mut stream, came));
    let _theirs = ring::map(Role::Writer, size, received(&meeting, &socket)).unwrap();
    memory.store(ring::COUNT, 1 << 31);
    let error = writing.recv_timeout(SLACK).unwrap().unwrap();
    refused::<usize>(Err(error), Code::ECONNRESET, "broke the rules");
}

/// A reader that errs there, or does not come: the connection carries everything.
#[test]
fn a_reader_that_errs_where_they_meet_is_written_to_by_the_connection() {
    for wrong in WRONGS.into_iter().map(Some).chain([None]) {
        let (listener, descriptor) = listening();
        let writing = writing(&descriptor, 3000);
        let (mut stream, meeting, came) = invited(&listener);
        let _kept = wrong.map(|wrong| does(wrong, &meeting, Place::Abstract.connect(&meeting).unwrap()));
        assert!(!leaves(&mut stream, came), "{wrong:?}");
        assert!(writing.recv_timeout(SLACK).unwrap().is_none(), "{wrong:?}");
    }
}

/// Somebody errs there, and then the reader comes.
#[test]
fn who_errs_where_they_meet_is_sent_away_and_in_nobodys_way() {
    for wrong in WRONGS.into_iter().filter(|wrong| !matches!(wrong, Wrong::Silent)) {
        let (listener, descriptor) = listening();
        let _writing = writing(&descriptor, usize::MAX);
        let (mut stream, meeting, came) = invited(&listener);
        let _stranger = does(wrong, &meeting, Place::Abstract.connect(&meeting).unwrap());
        let offer = Offer::new(&meeting).unwrap();
        let socket = Place::Abstract.connect(&meeting).unwrap();
        meeting.send(&socket, offer.file()).unwrap();
        assert!(leaves(&mut stream, came), "{wrong:?}");
        received(&meeting, &socket);
    }
}

/// Its memory's maker could make it shorter, which would end this process: it is sent away, not mapped.
#[test]
fn memory_that_could_become_shorter_is_no_place_to_meet() {
    let (listener, descriptor) = listening();
    let _writing = writing(&descriptor, 3000);
    let (mut stream, meeting, came) = invited(&listener);
    let socket = does(Wrong::Loose, &meeting, Place::Abstract.connect(&meeting).unwrap()).unwrap();
    assert!(!leaves(&mut stream, came));
    rustix::io::ioctl_fionbio(&socket, false).unwrap();
    assert_eq!(in_time(move || rustix::io::read(&socket, &mut [0; 1])).unwrap_or(0), 0);
}
