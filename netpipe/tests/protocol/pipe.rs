use crate::{EBADMSG, ECONNRESET, EPROTO, assert_code, raw};
use netpipe::digest::{Algorithm, Digest};
use netpipe::hello::{FEATURE_ALIVE, FEATURE_WINDOWS};
use netpipe::pipe::{Incoming, Next, REPORT_BYTES, Report, Window};
use netpipe::{Error, Header, Message, Reason};

const WINDOW: u32 = 1 << 20;

fn data(payload: &[u8], crc: bool) -> Vec<u8> {
    [&Header::data(payload, crc).encode(), payload].concat()
}

/// Reads a whole stream the way a reader does, `piece` bytes at a time.
fn read(incoming: &mut Incoming, stream: &[u8], piece: usize) -> (Vec<u8>, Result<Next, Error>) {
    let (mut payload, mut rest) = (Vec::new(), stream);
    loop {
        match incoming.next() {
            Ok(Next::Control(_)) if !rest.is_empty() => {
                let mut bytes = &rest[..piece.min(rest.len())];
                let before = bytes.len();
                let _ = incoming.control(&mut bytes);
                rest = &rest[before - bytes.len()..];
            }
            Ok(Next::Payload(left)) if !rest.is_empty() => {
                let (bytes, after) = rest.split_at(left.min(piece).min(rest.len()));
                payload.extend_from_slice(bytes);
                incoming.payload(bytes);
                rest = after;
            }
            outcome => return (payload, outcome),
        }
    }
}

#[test]
fn payload_and_end_come_out_in_any_pieces() {
    for crc in [false, true] {
        let stream =
            [data(b"hello ", crc), data(b"w", crc), data(b"orld", crc), Message::End(11).to_bytes()].concat();
        for piece in 1..=stream.len() {
            let mut incoming = Incoming::new(WINDOW, crc);
            let (payload, outcome) = read(&mut incoming, &stream, piece);
            assert_eq!((&payload[..], outcome), (&b"hello world"[..], Ok(Next::End)));
            assert_eq!((incoming.received(), incoming.closed()), (11, None));
        }
    }
}

#[test]
fn an_empty_pipe_ends() {
    let (payload, outcome) = read(&mut Incoming::new(WINDOW, true), &Message::End(0).to_bytes(), 20);
    assert_eq!((payload.len(), outcome), (0, Ok(Next::End)));
}

#[test]
fn a_connection_without_end_never_ends_well() {
    let stream = [data(b"hello", true), Message::End(5).to_bytes()].concat();
    for cut in 0..stream.len() {
        let mut incoming = Incoming::new(WINDOW, true);
        let (payload, outcome) = read(&mut incoming, &stream[..cut], stream.len());
        assert_eq!(payload, &b"hello"[..cut.saturating_sub(12).min(5)]);
        assert!(matches!(outcome, Ok(Next::Control(1..) | Next::Payload(1..))), "cut at {cut}: {outcome:?}");
        assert_code(Err::<(), _>(incoming.closed().unwrap()), ECONNRESET, "before the pipe's end");
    }
}

#[test]
fn a_wrong_total_is_no_end() {
    for total in [0, 4, 6, u64::MAX] {
        let stream = [data(b"hello", false), Message::End(total).to_bytes()].concat();
        let (payload, outcome) = read(&mut Incoming::new(WINDOW, false), &stream, 100);
        assert_eq!(payload, b"hello");
        assert_code(outcome, EPROTO, "END after 5 bytes");
    }
}

#[test]
fn a_wrong_crc_is_for_good() {
    let mut bad = data(b"hello", true);
    bad[14] ^= 1;
    let stream = [bad, data(b"more", true), Message::End(9).to_bytes()].concat();
    for crc in [false, true] {
        let mut incoming = Incoming::new(WINDOW, crc);
        let (payload, outcome) = read(&mut incoming, &stream, 100);
        assert_eq!(payload.len(), 5);
        assert_code(outcome, EBADMSG, "CRC");
        assert_code(incoming.control(&mut &Message::End(5).to_bytes()[..]), EBADMSG, "CRC");
        assert_code(Err::<(), _>(incoming.closed().unwrap()), EBADMSG, "CRC");
    }
}

#[test]
fn a_flipped_bit_is_never_a_good_end() {
    let stream = [data(b"hello", true), data(b"w", true), Message::End(6).to_bytes()].concat();
    for at in 0..stream.len() * 8 {
        let mut bad = stream.clone();
        bad[at / 8] ^= 1 << (at % 8);
        let (payload, outcome) = read(&mut Incoming::new(WINDOW, true), &bad, 100);
        // Unused header bits, and END's CRC flag, may flip without harm: then the data are whole.
        assert!(outcome != Ok(Next::End) || payload == b"hellow", "bit {at}: {payload:?}");
    }
}

#[test]
fn a_corrupted_end_is_no_end() {
    let mut end = Message::End(0).to_bytes();
    end[8] ^= 1;
    assert_code(read(&mut Incoming::new(WINDOW, true), &end, 100).1, EBADMSG, "CRC");
    let mut discard = Message::Discard(Reason::new(5, "x")).to_bytes();
    discard[16] ^= 1;
    assert_code(read(&mut Incoming::new(WINDOW, true), &discard, 100).1, EBADMSG, "CRC");
}

#[test]
fn crcs_in_use_are_obligatory() {
    let (_, outcome) = read(&mut Incoming::new(WINDOW, true), &data(b"hello", false), 100);
    assert_code(outcome, EPROTO, "without a CRC");
}

#[test]
fn discard_and_refusal_break_the_pipe() {
    let stream = [data(b"hello", true), Message::Discard(Reason::new(125, "cancelled")).to_bytes()].concat();
    let (payload, outcome) = read(&mut Incoming::new(WINDOW, true), &stream, 100);
    assert_eq!(payload, b"hello");
    assert_code(outcome, ECONNRESET, "cancelled");
    let stream = Message::Refusal(Reason::new(71, "bad TAKEN")).to_bytes();
    assert_code(read(&mut Incoming::new(WINDOW, true), &stream, 100).1, EPROTO, "bad TAKEN");
}

#[test]
fn only_a_writers_frames_come() {
    for message in [Message::Taken(0), Message::Done, Message::Ping, Message::Withdraw(0)] {
        assert_code(
            read(&mut Incoming::new(WINDOW, true), &message.to_bytes(), 100).1,
            EPROTO,
            "out of turn",
        );
    }
    assert_code(read(&mut Incoming::new(WINDOW, true), &raw(0xa0, b""), 100).1, EPROTO, "unknown type");
    assert_code(
        read(&mut Incoming::new(WINDOW, true), &raw(0x10, b""), 100).1,
        EPROTO,
        "DATA frame of 0 bytes",
    );
}

#[test]
fn nothing_is_read_after_the_end() {
    let stream = [Message::End(0).to_bytes(), data(b"late", true)].concat();
    let mut incoming = Incoming::new(WINDOW, true);
    let mut rest = &stream[..];
    assert_eq!(incoming.control(&mut rest), Ok(Next::End));
    assert_eq!(rest.len(), data(b"late", true).len());
}

#[test]
fn a_writer_over_the_window_is_refused() {
    let chunk = vec![1; 40_000];
    let mut incoming = Incoming::new(65_536, false);
    let two = [data(&chunk, false), data(&chunk, false)].concat();
    assert_code(read(&mut incoming, &two, 1 << 20).1, EPROTO, "over the window");
    let mut incoming = Incoming::new(65_536, false);
    assert_eq!(read(&mut incoming, &data(&chunk, false), 1 << 20).1, Ok(Next::Control(12)));
    incoming.reported(40_000);
    let (payload, outcome) = read(&mut incoming, &data(&chunk, false), 1 << 20);
    assert_eq!((payload.len(), outcome), (40_000, Ok(Next::Control(12))));
}

#[test]
fn unseen_payload_counts_unless_it_has_a_crc() {
    let mut incoming = Incoming::new(WINDOW, false);
    incoming.control(&mut &Header::data(b"hello", false).encode()[..]).unwrap();
    incoming.unseen(2).unwrap();
    assert_eq!(incoming.next(), Ok(Next::Payload(3)));
    incoming.unseen(99).unwrap();
    assert_eq!(incoming.control(&mut &Message::End(5).to_bytes()[..]), Ok(Next::End));
    let mut incoming = Incoming::new(WINDOW, false);
    incoming.control(&mut &Header::data(b"hello", true).encode()[..]).unwrap();
    assert!(incoming.has_crc());
    assert!(incoming.unseen(2).is_err());
}

#[test]
fn a_window_is_used_up_and_opens_again() {
    let window = Window::new(65_536);
    assert_eq!(window.room(), 65_536);
    window.send(60_000);
    assert_eq!((window.room(), window.sent()), (5_536, 60_000));
    window.hear(&Message::Taken(10_000)).unwrap();
    assert_eq!((window.room(), window.taken()), (15_536, 10_000));
    window.hear(&Message::Closed(20_000)).unwrap();
    assert_eq!(window.taken(), 20_000);
}

#[test]
fn taken_neither_falls_nor_exceeds_what_was_sent() {
    let window = Window::new(65_536);
    window.send(100);
    window.hear(&Message::Taken(50)).unwrap();
    window.hear(&Message::Taken(50)).unwrap();
    for wrong in [Message::Taken(49), Message::Taken(101), Message::Closed(49), Message::Closed(u64::MAX)] {
        assert_code(window.hear(&wrong), EPROTO, "bytes taken");
        assert_eq!(window.taken(), 50);
    }
}

#[test]
fn done_comes_after_end_and_the_last_taken() {
    let window = Window::new(65_536);
    window.send(100);
    window.hear(&Message::Taken(100)).unwrap();
    assert_code(window.hear(&Message::Done), EPROTO, "DONE before");
    window.end();
    window.hear(&Message::Done).unwrap();
    window.send(1);
    assert_code(window.hear(&Message::Done), EPROTO, "DONE before");
    assert_code(window.hear(&Message::Ping), EPROTO, "out of turn");
    let refusal = Message::Refusal(Reason::new(ECONNRESET, "another writer broke"));
    assert_code(window.hear(&refusal), ECONNRESET, "another writer broke");
}

#[test]
fn taken_is_reported_by_steps() {
    let mut report = Report::new(WINDOW);
    assert!(!report.is_pending());
    assert!(!report.take(REPORT_BYTES - 1));
    assert!(report.is_pending());
    assert!(report.take(1));
    assert_eq!(report.message(), Message::Taken(REPORT_BYTES));
    assert!(!report.is_pending());
    assert_eq!((report.taken(), report.reported()), (REPORT_BYTES, REPORT_BYTES));
    assert!(Report::new(65_536).take(32_768));
    assert!(!Report::new(65_536).take(32_767));
}

fn digest(algorithm: Algorithm, bytes: &[u8]) -> [u8; 32] {
    let mut digest = Digest::new(algorithm);
    digest.update(bytes);
    digest.value()
}

#[test]
fn a_digest_is_compared_at_the_end_in_any_pieces() {
    for algorithm in [Algorithm::Sha256, Algorithm::Blake3] {
        let told = digest(algorithm, b"hello world");
        let parts = [data(b"hello ", true), data(b"world", true)].concat();
        let end = Message::End(11).to_bytes();
        let stream = [&parts[..], &Message::Digest(told).to_bytes(), &end].concat();
        let expecting = || Incoming::new(WINDOW, true).with_digest(Some(Digest::new(algorithm)));
        for piece in 1..=stream.len() {
            let (payload, outcome) = read(&mut expecting(), &stream, piece);
            assert_eq!((&payload[..], outcome), (&b"hello world"[..], Ok(Next::End)));
        }
        // A byte that no CRC misses: it was wrong before the CRC was made.
        let wrong = [data(b"hello ", true), data(b"w0rld", true)].concat();
        let stream = [&wrong[..], &Message::Digest(told).to_bytes(), &end].concat();
        let mut incoming = expecting();
        let (payload, outcome) = read(&mut incoming, &stream, 7);
        assert_eq!(payload, b"hello w0rld");
        assert_code(outcome, EBADMSG, "digest mismatch at end of stream");
        assert_code(incoming.next(), EBADMSG, "digest mismatch at end of stream");
        let none = [&parts[..], &end].concat();
        assert_code(read(&mut expecting(), &none, 100).1, EPROTO, "without a DIGEST");
        let twice = [Message::Digest(told).to_bytes(), Message::Digest(told).to_bytes()].concat();
        assert_code(read(&mut expecting(), &twice, 100).1, EPROTO, "DIGEST frame out of turn");
        let more = [Message::Digest(told).to_bytes(), parts.clone()].concat();
        assert_code(read(&mut expecting(), &more, 100).1, EPROTO, "after DIGEST");
        let unasked = Message::Digest(told).to_bytes();
        assert_code(read(&mut Incoming::new(WINDOW, true), &unasked, 100).1, EPROTO, "out of turn");
    }
}

#[test]
fn a_digest_needs_to_see_the_bytes() {
    let stream = data(b"hello", false);
    let mut incoming = Incoming::new(WINDOW, false).with_digest(Some(Digest::new(Algorithm::Blake3)));
    incoming.control(&mut &stream[..12]).unwrap();
    assert!(matches!(incoming.unseen(5), Err(Error::Invalid(_))));
}

/// Frames of features are frames out of turn where one HELLO does not have them.
#[test]
fn windows_grow_and_signs_of_life_pass_where_both_know_of_them() {
    let both = FEATURE_WINDOWS | FEATURE_ALIVE;
    let window = Window::new(1 << 20).with_features(both);
    window.hear(&Message::Alive).unwrap();
    window.hear(&Message::Window(1 << 21)).unwrap();
    window.send(1 << 20);
    assert_eq!((window.size(), window.room()), (1 << 21, 1 << 20));
    assert_code(window.hear(&Message::Window(1 << 20)), EPROTO, "shrinks");
    for message in [Message::Window(1 << 21), Message::Alive] {
        assert_code(Window::new(1 << 20).hear(&message), EPROTO, "out of turn");
    }

    let mut incoming = Incoming::new(WINDOW, false).with_features(both);
    let mut stream: Vec<u8> = [Message::Alive, Message::Full].iter().flat_map(Message::to_bytes).collect();
    assert_eq!(read(&mut incoming, &stream, 100).1, Ok(Next::Control(12)));
    assert!(incoming.is_full());
    stream = data(b"hello", false);
    assert_eq!(read(&mut incoming, &stream, 100).0, b"hello");
    assert!(!incoming.is_full(), "it was sent more");
    for message in [Message::Full, Message::Alive] {
        let (_, outcome) = read(&mut Incoming::new(WINDOW, false), &message.to_bytes(), 100);
        assert_code(outcome, EPROTO, "out of turn");
    }
}
