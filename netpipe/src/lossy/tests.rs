//! What one end makes of a peer that breaks a rule, and of a network that refuses it something.

use super::frame::{VERSION, WINDOW_LEAST};
use super::*;
use crate::digest::Algorithm;
use crate::error::{Reason, code};
use crate::values::Role;
use bytes::Bytes;
use std::time::{Duration, Instant};

const TIMING: Timing = Timing { peer_timeout: Duration::from_secs(2) };
const CUT: &str = "no connection to a server";

/// A reader that has its name, and has let in one writer, `w`: that speaks to its inbox 1.
fn reader() -> (ReaderEnd, Instant) {
    reader_that_digests(None)
}

fn reader_that_digests(digest: Option<Algorithm>) -> (ReaderEnd, Instant) {
    let now = Instant::now();
    let mut reader = ReaderEnd::new(TIMING, WINDOW_LEAST, Some(1), digest);
    assert_eq!(reader.wish(), Some(Wish::Claim { over: None }));
    reader.answered(now, Answer::Claimed);
    reader.hear(now, None, Some("w".into()), Frame::Hello { version: VERSION, digest, nonce: None });
    (reader, now)
}

fn data(offset: u64, payload: &'static [u8]) -> Frame {
    Frame::Data { offset, payload: Bytes::from_static(payload) }
}

fn end(total: u64) -> Frame {
    Frame::End { total, digest: None }
}

/// A writer that has met the reader `r`, and knows of no other place.
fn writer() -> (WriterEnd, Instant) {
    let (mut writer, now) = seeking();
    writer.hear(now, Some(0), Some("r".into()), welcome(WINDOW_LEAST));
    assert!(writer.has_met());
    (writer, now)
}

fn seeking() -> (WriterEnd, Instant) {
    let (mut writer, now) = (WriterEnd::new(TIMING, None), Instant::now());
    assert_eq!(writer.wish(), Some(Wish::Listen(Role::Writer)));
    writer.answered(now, Answer::Listening);
    (writer, now)
}

fn welcome(window: u32) -> Frame {
    Frame::Welcome { version: VERSION, window, digest: None, nonce: None }
}

fn failure(writer: &WriterEnd) -> Option<&Reason> {
    match writer.outcome()? {
        Outcome::Failed(why) => Some(why),
        other => panic!("{other:?}"),
    }
}

/// It was forgotten only when a question was due: its host took four seconds to stop.
#[test]
fn nothing_is_owed_to_a_writer_that_has_left() {
    for (last, read) in [
        (end(1), true),
        (end(1), false),
        (Frame::Discard { total: 1, reason: Reason::new(5, "failed") }, true),
    ] {
        let (mut reader, now) = reader();
        for frame in [data(0, b"x"), last, Frame::Bye] {
            reader.hear(now, Some(1), None, frame);
        }
        if read {
            assert_eq!(reader.read(now, &mut [0; 8]), Flow::Bytes(1));
            assert!(matches!(reader.read(now, &mut [0; 8]), Flow::End | Flow::Broken(_)));
        }
        reader.close(now);
        while reader.wish().is_some() || reader.transmit(now).is_some() {}
        reader.answered(now, Answer::Released);
        assert!(reader.is_settled(), "read: {read}");
    }
}

#[test]
fn a_writers_last_word_says_how_much_it_has_sent() {
    let refusals = [
        vec![end(20), end(10)],
        vec![end(20), Frame::Discard { total: 10, reason: Reason::new(5, "failed") }],
        vec![end(9)],
        vec![end(20), data(10, b"0123456789A")],
        vec![end(20), data(15, b"012345")],
    ];
    for frames in refusals {
        let (mut reader, now) = reader();
        reader.hear(now, Some(1), None, data(0, b"0123456789"));
        for frame in &frames {
            reader.hear(now, Some(1), None, frame.clone());
        }
        let flow = reader.read(now, &mut [0; 100]);
        assert!(matches!(&flow, Flow::Broken(why) if why.code == code::EPROTO), "{frames:?}: {flow:?}");
    }
    // It may come before what it counts, and more than once.
    let (mut reader, now) = reader();
    for frame in [end(10), data(0, b"01234"), end(10), data(5, b"56789"), end(10)] {
        reader.hear(now, Some(1), None, frame);
    }
    assert_eq!(reader.read(now, &mut [0; 100]), Flow::Bytes(10));
    assert_eq!(reader.read(now, &mut [0; 100]), Flow::End);
}

#[test]
fn a_digest_that_differs_or_is_missing_is_no_end() {
    for (digest, code) in [(Some([7; 32]), code::EBADMSG), (None, code::EPROTO)] {
        let (mut reader, now) = reader_that_digests(Some(Algorithm::Sha256));
        reader.hear(now, Some(1), None, data(0, b"data"));
        reader.hear(now, Some(1), None, Frame::End { total: 4, digest });
        assert_eq!(reader.read(now, &mut [0; 8]), Flow::Bytes(4));
        let flow = reader.read(now, &mut [0; 8]);
        assert!(matches!(&flow, Flow::Broken(why) if why.code == code), "{digest:?}: {flow:?}");
    }
}

/// Once the writer went on asking, and nobody learned why.
#[test]
fn a_window_that_holds_no_whole_write_is_refused() {
    let (mut writer, now) = seeking();
    writer.hear(now, Some(0), Some("r".into()), welcome(WINDOW_LEAST - 1));
    let why = failure(&writer).expect("the window is too small");
    assert_eq!(why.code, code::EPROTO);
    assert!(why.text.contains("65535"), "{why}");
    let goodbye = writer.transmit(now).expect("the reader is to know");
    assert_eq!((goodbye.to, Frame::decode(&goodbye.frame)), (To::Peer("r".into()), Ok(Frame::Bye)));
}

#[test]
fn what_the_network_forbids_ends_whoever_needs_it() {
    let why = Reason::new(code::EACCES, "not allowed");
    let (other, peer) = (Forbidden::Speaking(To::Peer("x".into())), |place: &str| To::Peer(place.into()));
    for (what, seeks, has_met) in [
        (other.clone(), false, false),
        (Forbidden::Speaking(peer("r")), false, true),
        (Forbidden::Speaking(To::Reader), true, false),
        (Forbidden::Speaking(To::Writers), false, false),
        (Forbidden::Hearing(None), true, true),
        (Forbidden::Hearing(Some(Role::Writer)), true, false),
        (Forbidden::Hearing(Some(Role::Reader)), false, false),
        (Forbidden::Claiming, false, false),
    ] {
        for ((mut writer, now), ends) in [(seeking(), seeks), (writer(), has_met)] {
            writer.forbidden(now, &what, &why);
            assert_eq!(failure(&writer), ends.then_some(&why), "{what:?}");
        }
    }
    for (what, ends) in [
        (other, false),
        (Forbidden::Speaking(peer("w")), true),
        (Forbidden::Speaking(To::Reader), false),
        (Forbidden::Speaking(To::Writers), true),
        (Forbidden::Hearing(None), true),
        (Forbidden::Hearing(Some(Role::Reader)), true),
        (Forbidden::Hearing(Some(Role::Writer)), false),
        (Forbidden::Claiming, false),
    ] {
        let (mut reader, now) = reader();
        reader.forbidden(now, &what, &why);
        let flow = if ends { Flow::Broken(why.clone()) } else { Flow::Nothing };
        assert_eq!(reader.read(now, &mut [0; 8]), flow, "{what:?}");
    }
    for what in [Forbidden::Claiming, Forbidden::Speaking(To::Reader)] {
        let mut reader = ReaderEnd::new(TIMING, WINDOW_LEAST, Some(1), None);
        reader.forbidden(Instant::now(), &what, &why);
        assert_eq!(reader.read(Instant::now(), &mut [0; 8]), Flow::Broken(why.clone()), "{what:?}");
    }
}

#[test]
fn an_end_that_is_cut_off_says_so() {
    let (mut reader, start) = reader();
    let (mut writer, _) = writer();
    reader.disconnected(CUT);
    writer.disconnected(CUT);
    assert_eq!((reader.refusal().as_deref(), writer.refusal().as_deref()), (Some(CUT), Some(CUT)));
    let mut now = start;
    while now < start + TIMING.peer_timeout * 2 {
        now += TIMING.interval();
        reader.tick(now);
        writer.tick(now);
    }
    let Flow::Broken(why) = reader.read(now, &mut [0; 8]) else { panic!("the writer is lost") };
    for (why, whom) in [(&why, "writer"), (failure(&writer).expect("the reader is lost"), "reader")] {
        assert_eq!(why.code, code::ECONNRESET);
        let text = format!("the {whom} was lost: no word from it for 2 s, and {CUT}");
        assert_eq!(why.text, text);
    }
    reader.reconnected(now);
    writer.reconnected(now);
    assert_eq!((reader.refusal(), writer.refusal()), (None, None));
}
