//! The end of a handshake whose sides may be on one host.

use crate::handshake::{accept, hello, ours};
use crate::{EINVAL, EPROTO, assert_code, raw};
use netpipe::hello::FEATURE_SAME_HOST;
use netpipe::same_host::{Meeting, Outcome};
use netpipe::{Error, Established, Handshake, Hello, Local, Progress, Role, Secret};

const MEETING: u8 = 0x84;

fn meets(progress: Result<Progress, Error>) -> Box<Meeting> {
    match progress {
        Ok(Progress::Meeting(meeting)) => meeting,
        other => panic!("no meeting but {other:?}"),
    }
}

fn done(progress: Result<Progress, Error>) -> Established {
    match progress {
        Ok(Progress::Done(established)) => established,
        other => panic!("not done but {other:?}"),
    }
}

fn dialler(secret: Option<Secret>) -> Handshake {
    Handshake::dialler(Hello { features: FEATURE_SAME_HOST, ..hello() }, secret, None).unwrap()
}

/// Two sides of one handshake up to where each has learned of the meeting.
fn apart(secret: Option<Secret>) -> [(Handshake, Box<Meeting>); 2] {
    let (mut dialler, mut acceptor) = (dialler(secret.clone()), Handshake::acceptor(None));
    assert!(matches!(acceptor.input(&mut &dialler.output()[..]), Ok(Progress::Hello(_))));
    let local = Local { features: FEATURE_SAME_HOST, window: Some(70_000), ..Local::default() };
    let mut accepted = acceptor.accept(local, secret.clone());
    if secret.is_some() {
        assert_eq!(accepted, Ok(Progress::More));
        assert_eq!(dialler.input(&mut &acceptor.output()[..]), Ok(Progress::More));
        accepted = acceptor.input(&mut &dialler.output()[..]);
    }
    let accepted = meets(accepted);
    let dialled = meets(dialler.input(&mut &acceptor.output()[..]));
    [(dialler, dialled), (acceptor, accepted)]
}

#[test]
fn a_meeting_ends_as_the_dialler_says() {
    for secret in [None, ours()] {
        for (outcome, met) in [(Outcome::Met, true), (Outcome::Missed, false)] {
            let [(mut dialler, dialled), (mut acceptor, accepted)] = apart(secret.clone());
            assert_eq!((dialled.role, accepted.role), (Role::Writer, Role::Reader));
            assert_eq!((dialled.window, accepted.window), (70_000, 70_000));
            assert_eq!(dialled.name(), accepted.name());
            assert!(dialled.is_theirs(accepted.proof()) && accepted.is_theirs(dialled.proof()));
            assert_eq!(done(dialler.met(outcome)).met, met);
            let word = [&dialler.output()[..], b"data"].concat();
            let mut rest = &word[..];
            assert_eq!(done(acceptor.input(&mut rest)).met, met);
            assert_eq!(rest, b"data");
        }
    }
}

#[test]
fn no_two_handshakes_meet_at_one_place() {
    let [(_, one), _] = apart(ours());
    let [(_, other), (_, there)] = apart(ours());
    assert_ne!(one.name(), other.name());
    assert!(!one.is_theirs(there.proof()));
}

#[test]
fn who_does_not_know_of_meetings_has_none() {
    let mut acceptor = Handshake::acceptor(None);
    assert!(matches!(accept(&mut acceptor, &dialler(None).output(), None), Ok(Progress::Done(_))));
    // Nor has a broker, whatever it says that it knows.
    let hello = Hello { features: FEATURE_SAME_HOST, ..Hello::broker() };
    let mut dialler = Handshake::dialler(hello, None, None).unwrap();
    let mut acceptor = Handshake::acceptor(None);
    assert!(matches!(acceptor.input(&mut &dialler.output()[..]), Ok(Progress::Hello(_))));
    let local = Local { features: FEATURE_SAME_HOST, ..Local::default() };
    assert!(!done(acceptor.accept(local, None)).met);
    assert!(!done(dialler.input(&mut &acceptor.output()[..])).met);
    assert_code(dialler.met(Outcome::Met), EINVAL, "once");
}

#[test]
fn a_word_that_is_neither_yes_nor_no_is_refused() {
    for body in [&[2][..], &[0xff], &[], &[1, 1]] {
        let [_, (mut acceptor, _)] = apart(None);
        assert_code(acceptor.input(&mut &raw(MEETING, body)[..]), EPROTO, "MEETING");
        assert_eq!(acceptor.output()[0], 3, "the peer is told");
    }
}

#[test]
fn a_word_out_of_turn_is_refused() {
    let word = raw(MEETING, &[1]);
    let mut acceptor = Handshake::acceptor(None);
    assert_code(acceptor.input(&mut &word[..]), EPROTO, "netpipe");
    let mut acceptor = Handshake::acceptor(None);
    accept(&mut acceptor, &dialler(ours()).output(), ours()).unwrap();
    assert_code(acceptor.input(&mut &word[..]), EPROTO, "out of turn");
    let [_, (mut acceptor, _)] = apart(None);
    assert_code(acceptor.input(&mut &raw(0x10, b"payload")[..]), EPROTO, "out of turn");
    // A dialler looks at nothing until it has said its own.
    let [(mut dialler, _), _] = apart(None);
    let mut rest = &word[..];
    assert_eq!(dialler.input(&mut rest), Ok(Progress::More));
    assert_eq!(rest, word);
    done(dialler.met(Outcome::Missed));
    assert_code(dialler.met(Outcome::Missed), EINVAL, "once");
}

#[test]
fn an_acceptor_says_nothing_of_how_it_went() {
    let [_, (mut acceptor, _)] = apart(None);
    assert_code(acceptor.met(Outcome::Met), EINVAL, "a dialler says");
}
