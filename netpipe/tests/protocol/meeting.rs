//! Where the sides of a handshake meet if they are on one host, and the writer's steps to there.

use crate::handshake::{accept, hello, ours};
use crate::{EPROTO, assert_code, raw};
use netpipe::hello::FEATURE_SAME_HOST;
use netpipe::pipe::{Incoming, Next, Window};
use netpipe::same_host::{Meeting, Step};
use netpipe::{Error, Established, Handshake, Hello, Local, Message, Progress, Role, Secret};

const MEETING: u8 = 0x84;

fn done(progress: Result<Progress, Error>) -> Established {
    match progress {
        Ok(Progress::Done(established)) => established,
        other => panic!("not done but {other:?}"),
    }
}

fn dialler(secret: Option<Secret>) -> Handshake {
    Handshake::dialler(Hello { features: FEATURE_SAME_HOST, ..hello() }, secret, None).unwrap()
}

/// What the two sides of one handshake know of their meeting.
fn apart(secret: Option<Secret>) -> [Box<Meeting>; 2] {
    let (mut dialler, mut acceptor) = (dialler(secret.clone()), Handshake::acceptor(None));
    assert!(matches!(acceptor.input(&mut &dialler.output()[..]), Ok(Progress::Hello(_))));
    let local = Local { features: FEATURE_SAME_HOST, window: Some(70_000), ..Local::default() };
    let mut accepted = acceptor.accept(local, secret.clone());
    if secret.is_some() {
        assert_eq!(accepted, Ok(Progress::More));
        assert_eq!(dialler.input(&mut &acceptor.output()[..]), Ok(Progress::More));
        accepted = acceptor.input(&mut &dialler.output()[..]);
    }
    let accepted = done(accepted);
    let dialled = done(dialler.input(&mut &acceptor.output()[..]));
    [dialled, accepted].map(|established| established.meeting.unwrap())
}

#[test]
fn both_sides_of_a_handshake_know_one_place() {
    for secret in [None, ours()] {
        let [dialled, accepted] = apart(secret);
        assert_eq!((dialled.role, accepted.role), (Role::Writer, Role::Reader));
        assert_eq!((dialled.window, accepted.window), (70_000, 70_000));
        assert_eq!(dialled.name(), accepted.name());
        assert!(dialled.is_theirs(accepted.proof()) && accepted.is_theirs(dialled.proof()));
    }
}

#[test]
fn no_two_handshakes_meet_at_one_place() {
    let [one, _] = apart(ours());
    let [other, there] = apart(ours());
    assert_ne!(one.name(), other.name());
    assert!(!one.is_theirs(there.proof()));
}

#[test]
fn who_does_not_know_of_meetings_has_none() {
    let mut acceptor = Handshake::acceptor(None);
    assert_eq!(done(accept(&mut acceptor, &dialler(None).output(), None)).meeting, None);
    // Nor has a broker, whatever it says that it knows.
    let hello = Hello { features: FEATURE_SAME_HOST, ..Hello::broker() };
    let mut dialler = Handshake::dialler(hello, None, None).unwrap();
    let mut acceptor = Handshake::acceptor(None);
    assert!(matches!(acceptor.input(&mut &dialler.output()[..]), Ok(Progress::Hello(_))));
    let local = Local { features: FEATURE_SAME_HOST, ..Local::default() };
    assert_eq!(done(acceptor.accept(local, None)).meeting, None);
    assert_eq!(done(dialler.input(&mut &acceptor.output()[..])).meeting, None);
}

#[test]
fn a_reader_follows_each_step_before_it_reads_on() {
    let mut incoming = Incoming::new(1 << 20, false).with_features(FEATURE_SAME_HOST);
    for step in [Step::Waits, Step::Leaves] {
        let stream = [Message::Meeting(step).to_bytes(), Message::End(0).to_bytes()].concat();
        let mut rest = &stream[..];
        assert_eq!(incoming.control(&mut rest), Ok(Next::Meeting(step)));
        assert_eq!(rest.len(), stream.len() - 13, "what follows is left");
        incoming.followed();
        assert_eq!(incoming.next(), Ok(Next::Control(12)));
    }
    assert_eq!(incoming.control(&mut &Message::End(0).to_bytes()[..]), Ok(Next::End));
}

#[test]
fn steps_out_of_turn_are_refused() {
    for (features, steps) in [
        (0, &[Step::Waits][..]),
        (FEATURE_SAME_HOST, &[Step::Leaves]),
        (FEATURE_SAME_HOST, &[Step::Waits, Step::Waits]),
        (FEATURE_SAME_HOST, &[Step::Waits, Step::Leaves, Step::Leaves]),
        (FEATURE_SAME_HOST, &[Step::Waits, Step::Leaves, Step::Waits]),
    ] {
        let mut incoming = Incoming::new(1 << 20, false).with_features(features);
        let mut outcome = Ok(Next::End);
        for step in steps {
            outcome = incoming.control(&mut &Message::Meeting(*step).to_bytes()[..]);
            incoming.followed();
        }
        assert_code(outcome, EPROTO, "out of turn");
    }
    // A reader takes no step of its own.
    let window = Window::new(1 << 20).with_features(FEATURE_SAME_HOST);
    assert_code(window.hear(&Message::Meeting(Step::Waits)), EPROTO, "out of turn");
}

#[test]
fn a_step_that_nobody_knows_is_refused() {
    for body in [&[2][..], &[0xff], &[], &[1, 1]] {
        let mut incoming = Incoming::new(1 << 20, false).with_features(FEATURE_SAME_HOST);
        assert_code(incoming.control(&mut &raw(MEETING, body)[..]), EPROTO, "MEETING");
    }
}

/// It belongs to what comes after a handshake.
#[test]
fn a_step_within_a_handshake_is_refused() {
    let step = Message::Meeting(Step::Waits).to_bytes();
    assert_code(Handshake::acceptor(None).input(&mut &step[..]), EPROTO, "netpipe");
    let mut acceptor = Handshake::acceptor(None);
    accept(&mut acceptor, &dialler(ours()).output(), ours()).unwrap();
    assert_code(acceptor.input(&mut &step[..]), EPROTO, "out of turn");
}
