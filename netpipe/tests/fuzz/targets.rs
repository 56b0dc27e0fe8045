//! What hostile bytes meet: one function for each parser, for any input.
//!
//! Each panics where the crate breaks a promise, and returns whether it took the input whole. `main.rs` beside this file
//! runs them over the stored corpus and over mutations of it; `fuzz/` runs them under libFuzzer.

use bytes::Bytes;
use netpipe::descriptor::{Location, SCHEMES};
use netpipe::frame::{Crc, HEADER};
use netpipe::hello::FEATURE_SAME_HOST;
use netpipe::lossy;
use netpipe::passage::{Inlet, Look};
use netpipe::pipe::{Incoming, Next};
use netpipe::same_host::{Consumer, Producer, ring};
use netpipe::{
    Decoder, Descriptor, Endpoint, Error, Handshake, Header, Hello, Kind, Local, Message, Name, Progress,
    Role, Secret, Sender,
};
use std::time::Duration;

type Target = fn(&[u8]) -> bool;

/// Each target, and the folder of `tests/corpus` with its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("acceptor", acceptor),
    ("decoder", decoder),
    ("descriptor", descriptor),
    ("dialler", dialler),
    ("header", header),
    ("hello", hello),
    ("incoming", incoming),
    ("lossy", lossy_frame),
    ("register", register),
    ("inlet", inlet),
    ("ring-reader", ring_reader),
    ("ring-writer", ring_writer),
];

/// Bytes of one header.
fn header(data: &[u8]) -> bool {
    let Some(bytes) = data.first_chunk::<HEADER>() else { return false };
    let Ok(header) = Header::decode(bytes) else { return false };
    assert!(header.kind.bounds().contains(&header.length));
    assert_eq!(Header::decode(&header.encode()), Ok(header));
    true
}

/// A selecting byte, then the stream of one of the four senders.
fn decoder(data: &[u8]) -> bool {
    let Some((&choice, stream)) = data.split_first() else { return false };
    let from = [Sender::Writer, Sender::Reader, Sender::Instance, Sender::Broker][usize::from(choice % 4)];
    let whole = decode(from, stream, stream.len().max(1));
    let pieces = decode(from, stream, 1 + usize::from(choice / 4));
    assert_eq!(whole, pieces, "the pieces in which a stream arrives make a difference");
    whole.0 == Ok(())
}

/// How the stream ends, how many messages it has, and a sum of them.
fn decode(from: Sender, stream: &[u8], piece: usize) -> (Result<(), Error>, usize, Crc) {
    let (mut decoder, mut count, mut sum) = (Decoder::new(from), 0, Crc::new(Kind::Ping, 0));
    for mut bytes in stream.chunks(piece) {
        while !bytes.is_empty() {
            let message = match decoder.next(&mut bytes) {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => return (Err(error), count, sum),
            };
            let again = message.to_bytes();
            assert!(from.sends(message.kind()) && again.len() <= HEADER + 4096);
            assert_eq!(Message::parse(message.kind(), &again[HEADER..]), Ok(message));
            sum.update(&again);
            count += 1;
        }
    }
    let state = if decoder.is_within_frame() { Err(Error::Closed("within a frame")) } else { Ok(()) };
    (state, count, sum)
}

/// HELLO's body.
fn hello(data: &[u8]) -> bool {
    let Ok(hello) = Hello::parse(data) else { return false };
    let again = hello.to_bytes();
    assert!(again.len() <= HEADER + 4096);
    assert_eq!(Hello::parse(&again[HEADER..]), Ok(hello));
    true
}

/// A selecting byte, then REGISTER's or MATCH's body.
fn register(data: &[u8]) -> bool {
    let Some((&choice, body)) = data.split_first() else { return false };
    let kind = if choice.is_multiple_of(2) { Kind::Register } else { Kind::Match };
    let Ok(message) = Message::parse(kind, body) else { return false };
    assert_eq!(Message::parse(kind, &message.to_bytes()[HEADER..]), Ok(message));
    true
}

fn secret(choice: u8) -> Option<Secret> {
    (!choice.is_multiple_of(2)).then(|| Secret::new(b"a secret for fuzzing").unwrap())
}

/// A selecting byte, then what a dialler sends.
fn acceptor(data: &[u8]) -> bool {
    let Some((&choice, stream)) = data.split_first() else { return false };
    let mut acceptor = Handshake::acceptor(None);
    let mut answered = 0;
    for mut bytes in stream.chunks(1 + usize::from(choice / 2)) {
        while !bytes.is_empty() {
            assert!((1..=HEADER + 4096).contains(&acceptor.want()));
            let progress = match acceptor.input(&mut bytes) {
                Ok(Progress::Hello(_)) => {
                    let local = Local { features: FEATURE_SAME_HOST, ..Local::default() };
                    acceptor.accept(local, secret(choice))
                }
                progress => progress,
            };
            answered += acceptor.output().len();
            assert!(answered <= 2 * (HEADER + 4096), "an answer of {answered} bytes");
            match progress {
                Ok(Progress::Done(established)) => {
                    assert!(choice.is_multiple_of(2), "a peer without the secret proved it");
                    assert!(!established.proven);
                    return true;
                }
                Ok(_) => {}
                Err(Error::NotNetpipe) => {
                    assert_eq!(answered, 0, "a peer that does not speak netpipe was answered");
                    return false;
                }
                Err(_) => return false,
            }
        }
    }
    false
}

/// A selecting byte, then what an acceptor sends.
fn dialler(data: &[u8]) -> bool {
    let Some((&choice, stream)) = data.split_first() else { return false };
    let hello = Hello { features: FEATURE_SAME_HOST, ..Hello::pipe(Role::Writer, Name::unnamed(), None) };
    let mut dialler = Handshake::dialler(hello, secret(choice), None).unwrap();
    dialler.output();
    for mut bytes in stream.chunks(1 + usize::from(choice / 2)) {
        assert!((1..=HEADER + 4096).contains(&dialler.want()));
        match dialler.input(&mut bytes) {
            Ok(Progress::Done(established)) => {
                assert!(choice.is_multiple_of(2), "a peer without the secret proved it");
                assert_eq!(established.peer.role, Some(Role::Reader));
                return true;
            }
            Ok(progress) => assert_eq!(progress, Progress::More),
            Err(_) => return false,
        }
    }
    false
}

/// A selecting byte, then what the writer of a pipe sends.
fn incoming(data: &[u8]) -> bool {
    let Some((&choice, mut rest)) = data.split_first() else { return false };
    let piece = 1 + usize::from(choice / 2);
    let mut incoming = Incoming::new(65_536, !choice.is_multiple_of(2)).with_features(FEATURE_SAME_HOST);
    let mut payload = 0;
    loop {
        match incoming.next() {
            Ok(Next::Control(want)) if !rest.is_empty() => {
                assert!((1..=HEADER + 4096).contains(&want));
                let mut bytes = &rest[..piece.min(rest.len())];
                let before = bytes.len();
                let moved = incoming.control(&mut bytes);
                let taken = before - bytes.len();
                assert!(taken > 0 || moved.is_err());
                rest = &rest[taken..];
            }
            Ok(Next::Meeting(_)) => incoming.followed(),
            Ok(Next::Payload(left)) if !rest.is_empty() => {
                assert!(left <= 65_536);
                let (bytes, after) = rest.split_at(left.min(piece).min(rest.len()));
                incoming.payload(bytes);
                payload += bytes.len() as u64;
                rest = after;
            }
            Ok(Next::End) => {
                assert_eq!((incoming.received(), incoming.closed()), (payload, None));
                return true;
            }
            _ => {
                assert!(incoming.closed().is_some(), "a connection without END ended well");
                return false;
            }
        }
    }
}

/// A message of a network that loses some.
fn lossy_frame(data: &[u8]) -> bool {
    let message = Bytes::copy_from_slice(data);
    let Ok(frame) = lossy::Frame::decode(&message) else { return false };
    let again = frame.encode();
    assert_eq!(lossy::Frame::decode(&again), Ok(frame.clone()));
    let has_text = matches!(frame, lossy::Frame::Discard { .. } | lossy::Frame::Refused(_));
    assert!(again.len() <= message.len() || has_text);
    if let lossy::Frame::Data { offset, payload } = frame {
        assert!(offset.checked_add(payload.len() as u64).is_some());
        assert_eq!(again, message);
    }
    true
}

/// A selecting byte, then what follows the scheme of a descriptor.
fn descriptor(data: &[u8]) -> bool {
    let Some((&choice, rest)) = data.split_first() else { return false };
    let Ok(rest) = str::from_utf8(rest) else { return false };
    let scheme = SCHEMES[usize::from(choice) % SCHEMES.len()];
    let Ok(descriptor) = Descriptor::parse(scheme, rest) else { return false };
    let named = descriptor.name(Role::Reader, None, None).is_ok();
    if let Location::Direct { at, .. } | Location::Broker { broker: Some(at), .. } = descriptor.location {
        assert_eq!(Endpoint::parse(&at.to_string(), None), Ok(at), "shown as another than is dialled");
    }
    named
}

/// A selecting byte, then what a writer puts into the memory through which the rest of its pipe comes. Then it is gone.
fn inlet(data: &[u8]) -> bool {
    let Some((&choice, stream)) = data.split_first() else { return false };
    let piece = 1 + usize::from(choice);
    let (ours, readers) = ring::make(Role::Reader, RING).unwrap();
    let (memory, writers) = ring::make(Role::Writer, RING).unwrap();
    let mut producer = Producer::new(memory, readers, RING).unwrap();
    let consumer = Consumer::new(ours, writers, RING).unwrap();
    let (socket, _) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut inlet = Inlet::new(consumer, socket.into(), 0, Incoming::new(u32::MAX, false));
    let (mut bytes, mut read) = ([0; 300], 0);
    for part in stream.chunks(piece) {
        assert_eq!(producer.put([part, &[]]).unwrap(), part.len());
        let look = loop {
            match inlet.look(false) {
                Look::Ready => read += inlet.read(&mut bytes[..piece]),
                look => break look,
            }
        };
        if matches!(look, Look::Broken(_)) {
            assert_eq!(inlet.look(false), look, "another end than the first");
            assert_eq!(inlet.read(&mut bytes), 0);
            return false;
        }
    }
    assert!(read <= stream.len());
    match inlet.look(true) {
        Look::End => true,
        look => {
            assert!(matches!(look, Look::Broken(_)), "{look:?} though its writer is gone");
            false
        }
    }
}

/// The least ring that there is.
const RING: u32 = 128 << 10;

/// What one end does and what the other end, who may write anything into its memory, has done before that: an opcode and a word each.
fn steps(data: &[u8]) -> impl Iterator<Item = (u8, u32)> {
    data.chunks_exact(5).map(|step| (step[0], u32::from_le_bytes([step[1], step[2], step[3], step[4]])))
}

/// What a writer does to a reader through the memory that it writes: it lies until it is found out.
fn ring_reader(data: &[u8]) -> bool {
    let (ours, readers) = ring::make(Role::Reader, RING).unwrap();
    let (mut liar, writers) = ring::make(Role::Writer, RING).unwrap();
    let theirs = ring::map(Role::Reader, RING, readers).unwrap();
    let mut reader = Consumer::new(ours, writers, RING).unwrap();
    let (mut said, mut taken, mut rings) = (0, 0, 0);
    let mut bytes = vec![0; 4096];
    for (step, word) in steps(data) {
        match step % 7 {
            0 => {
                said = word;
                liar.store(ring::COUNT, word);
            }
            1 => liar.store(ring::SLEEPS, word),
            2 => liar.store(ring::ROOM, word),
            3 => {
                let room = bytes.len().min(word as usize % 5000);
                let (first, second) = bytes[..room].split_at_mut(room / 3);
                let had = reader.there();
                match reader.take([first, second]) {
                    Ok(count) => {
                        assert_eq!(Ok(true), had.map(|had| count == had.min(room)));
                        taken += count as u32;
                        // What it says it has taken is what it has.
                        assert_eq!(theirs.load(ring::COUNT), taken);
                    }
                    Err(_) => return false,
                }
            }
            4 => {
                if reader.wake() {
                    assert!(!reader.wake(), "a writer is rung twice for one sleep");
                }
            }
            6 => match reader.doze(Duration::ZERO) {
                Ok(()) => {}
                Err(_) => return false,
            },
            _ => {
                rings += 1;
                match reader.rang() {
                    Ok(()) => assert!(rings <= ring::IN_VAIN + taken, "a writer rings for nothing"),
                    Err(_) => return false,
                }
            }
        }
    }
    match reader.there() {
        Ok(there) => {
            assert!(there <= RING as usize);
            assert_eq!(said.wrapping_sub(taken), there as u32);
            true
        }
        Err(_) => false,
    }
}

/// What a reader does to a writer.
fn ring_writer(data: &[u8]) -> bool {
    let (ours, writers) = ring::make(Role::Writer, RING).unwrap();
    let (mut liar, readers) = ring::make(Role::Reader, RING).unwrap();
    let theirs = ring::map(Role::Writer, RING, writers).unwrap();
    let mut writer = Producer::new(ours, readers, RING).unwrap();
    let (mut said, mut put) = (0, 0_u32);
    let bytes = vec![7; 4096];
    for (step, word) in steps(data) {
        match step % 6 {
            0 => {
                said = word;
                liar.store(ring::COUNT, word);
            }
            1 => liar.store(ring::SLEEPS, word),
            2 => {
                let piece = &bytes[..bytes.len().min(word as usize % 5000)];
                let (first, second) = piece.split_at(piece.len() / 3);
                match writer.put([first, second]) {
                    Ok(count) => {
                        let room = RING - put.wrapping_sub(said);
                        assert_eq!(count, piece.len().min(room as usize));
                        put += count as u32;
                        assert_eq!(theirs.load(ring::COUNT), put);
                    }
                    Err(_) => return false,
                }
            }
            3 => {
                writer.sleep(word as usize);
                assert!((1..=RING / 2).contains(&theirs.load(ring::ROOM)));
            }
            5 => match writer.doze(word as usize, Duration::ZERO) {
                Ok(()) => {}
                Err(_) => return false,
            },
            _ => {
                if writer.wake() {
                    assert!(!writer.wake(), "a reader is rung twice for one sleep");
                }
            }
        }
    }
    writer.put([b"", b""]).is_ok()
}
