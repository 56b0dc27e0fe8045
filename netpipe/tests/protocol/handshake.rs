use crate::{EBUSY, ECONNRESET, EINVAL, EPROTO, ETIMEDOUT, assert_code, field, raw};
use netpipe::hello::{FEATURE_CRC, MAGIC};
use netpipe::{
    Error, Established, Handshake, Hello, Local, Message, Name, Progress, Purpose, Reason, Role, Secret,
    Token,
};

pub fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text.as_bytes()).unwrap())
}

pub fn ours() -> Option<Secret> {
    secret("sixteen bytes at least")
}

pub fn hello() -> Hello {
    Hello::pipe(Role::Writer, Name::new("p").unwrap(), None)
}

pub fn dialler(secret: Option<Secret>) -> Handshake {
    Handshake::dialler(hello(), secret, None).unwrap()
}

/// Gives an acceptor a HELLO, and has it accepted.
pub fn accept(acceptor: &mut Handshake, bytes: &[u8], secret: Option<Secret>) -> Result<Progress, Error> {
    let mut rest = bytes;
    assert!(matches!(acceptor.input(&mut rest)?, Progress::Hello(_)));
    assert!(rest.is_empty());
    acceptor.accept(Local::default(), secret)
}

/// Runs both ends against each other, `piece` bytes at a time.
pub fn meet(
    dialler: &mut Handshake,
    acceptor: &mut Handshake,
    local: Local,
    secret: Option<Secret>,
    piece: usize,
) -> (Result<Established, Error>, Result<Established, Error>) {
    let (mut dialled, mut accepted) = (None, None);
    for _ in 0..4 {
        for mut bytes in dialler.output().chunks(piece) {
            let progress = match acceptor.input(&mut bytes) {
                Ok(Progress::Hello(_)) => acceptor.accept(local.clone(), secret.clone()),
                progress => progress,
            };
            note(&mut accepted, progress);
        }
        for mut bytes in acceptor.output().chunks(piece) {
            note(&mut dialled, dialler.input(&mut bytes));
        }
    }
    (dialled.expect("the dialler came to an end"), accepted.expect("the acceptor came to an end"))
}

/// Keeps the first outcome.
pub fn note(outcome: &mut Option<Result<Established, Error>>, progress: Result<Progress, Error>) {
    let new = match progress {
        Ok(Progress::Done(established)) => Ok(established),
        Ok(_) => return,
        Err(error) => Err(error),
    };
    outcome.get_or_insert(new);
}

#[test]
fn two_ends_meet_with_and_without_a_secret() {
    for (key, proven) in [(None, false), (ours(), true)] {
        for piece in [1, 5, 12, 4096] {
            let token = Some(Token([4; 16]));
            let mut mine = Hello::pipe(Role::Writer, Name::new("p").unwrap(), token);
            (mine.features, mine.agent) = (FEATURE_CRC | 4, Some("dialler".into()));
            let local = Local {
                features: FEATURE_CRC | 2,
                agent: Some("acceptor".into()),
                window: Some(70_000),
                alive: None,
            };
            let mut dialler = Handshake::dialler(mine, key.clone(), None).unwrap();
            let (dialled, accepted) =
                meet(&mut dialler, &mut Handshake::acceptor(None), local, key.clone(), piece);
            let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
            for end in [&dialled, &accepted] {
                assert_eq!((end.version, end.features, end.proven), (1, FEATURE_CRC, proven));
                assert_eq!((end.peer.purpose, end.peer.token), (Purpose::Pipe, token));
            }
            assert_eq!((dialled.peer.role, dialled.peer.window()), (Some(Role::Reader), 70_000));
            assert_eq!(
                (accepted.peer.role, accepted.peer.agent.as_deref()),
                (Some(Role::Writer), Some("dialler"))
            );
            assert_ne!(dialled.peer.nonce, accepted.peer.nonce);
        }
    }
}

#[test]
fn brokers_and_relays_are_met_too() {
    for hello in [Hello::broker(), Hello::relay(Token([1; 16]))] {
        let mut dialler = Handshake::dialler(hello.clone(), ours(), None).unwrap();
        let (dialled, accepted) =
            meet(&mut dialler, &mut Handshake::acceptor(None), Local::default(), ours(), 4096);
        assert_eq!(dialled.unwrap().peer.purpose, hello.purpose);
        assert_eq!(accepted.unwrap().peer.token, hello.token);
    }
}

#[test]
fn bytes_behind_the_handshake_are_left_alone() {
    for key in [None, ours()] {
        let (mut dialler, mut acceptor) = (dialler(key.clone()), Handshake::acceptor(None));
        accept(&mut acceptor, &dialler.output(), key.clone()).unwrap();
        let mut answer = acceptor.output();
        if key.is_some() {
            assert_eq!(dialler.input(&mut &answer[..]), Ok(Progress::More));
            let mut proof = dialler.output();
            proof.extend_from_slice(b"data");
            let mut rest = &proof[..];
            assert!(matches!(acceptor.input(&mut rest), Ok(Progress::Done(_))));
            assert_eq!(rest, b"data");
            answer = acceptor.output();
        }
        answer.extend_from_slice(b"taken");
        let mut rest = &answer[..];
        assert!(matches!(dialler.input(&mut rest), Ok(Progress::Done(_))));
        assert_eq!(rest, b"taken");
        // What is over is over, and nobody is refused for it.
        assert_code(dialler.input(&mut rest), EINVAL, "over");
        assert!(dialler.output().is_empty());
    }
}

#[test]
fn want_never_reads_too_far() {
    let (mut dialler, mut acceptor) = (dialler(ours()), Handshake::acceptor(None));
    let (mut to_acceptor, mut to_dialler) = (Vec::new(), Vec::new());
    let (mut dialled, mut accepted) = (None, None);
    for _ in 0..2000 {
        to_acceptor.extend(dialler.output());
        to_dialler.extend(acceptor.output());
        if accepted.is_none() && !to_acceptor.is_empty() {
            let bytes: Vec<u8> = to_acceptor.drain(..acceptor.want().min(to_acceptor.len())).collect();
            let mut rest = &bytes[..];
            let progress = match acceptor.input(&mut rest) {
                Ok(Progress::Hello(_)) => acceptor.accept(Local::default(), ours()),
                progress => progress,
            };
            assert!(rest.is_empty());
            note(&mut accepted, progress);
        }
        if dialled.is_none() && !to_dialler.is_empty() {
            let bytes: Vec<u8> = to_dialler.drain(..dialler.want().min(to_dialler.len())).collect();
            let mut rest = &bytes[..];
            note(&mut dialled, dialler.input(&mut rest));
            assert!(rest.is_empty());
        }
    }
    assert!(dialled.unwrap().is_ok() && accepted.unwrap().is_ok());
}

/// Answers a dialler with an altered HELLO.
fn answered(alter: impl Fn(&mut Hello)) -> Result<Progress, Error> {
    let (mut dialler, mut acceptor) = (dialler(None), Handshake::acceptor(None));
    accept(&mut acceptor, &dialler.output(), None)?;
    let mut answer = Hello::parse(&acceptor.output()[12..])?;
    alter(&mut answer);
    let progress = dialler.input(&mut &answer.to_bytes()[..]);
    if progress.is_err() {
        assert_eq!(dialler.output()[0], 3, "the peer is told");
    }
    progress
}

#[test]
fn an_answer_that_does_not_fit_is_refused() {
    assert!(matches!(answered(|_| {}), Ok(Progress::Done(_))));
    assert_code(answered(|hello| hello.role = Some(Role::Writer)), EPROTO, "");
    assert_code(answered(|hello| hello.name = Some(Name::new("q").unwrap())), EPROTO, "differ");
    assert_code(answered(|hello| hello.token = Some(Token([0; 16]))), EPROTO, "differ");
    let other = |hello: &mut Hello| *hello = Hello { nonce: [1; 32], ..Hello::broker() };
    assert_code(answered(other), EPROTO, "differ");
    assert_code(answered(|hello| hello.versions = 2..=3), EPROTO, "no common version: 1 to 1 and 2 to 3");
    let newer = answered(|hello| hello.versions = 1..=3);
    assert!(matches!(newer, Ok(Progress::Done(Established { version: 1, .. }))));
}

#[test]
fn an_acceptor_refuses_versions_that_it_does_not_speak() {
    let mut newer = hello();
    newer.versions = 2..=9;
    let mut dialler = Handshake::dialler(newer, None, None).unwrap();
    let (dialled, accepted) =
        meet(&mut dialler, &mut Handshake::acceptor(None), Local::default(), None, 4096);
    assert_code(accepted, EPROTO, "no common version");
    assert_code(dialled, EPROTO, "no common version");
}

#[test]
fn an_owner_refuses_in_its_own_words() {
    let (mut dialler, mut acceptor) = (dialler(ours()), Handshake::acceptor(None));
    let bytes = dialler.output();
    assert!(matches!(acceptor.input(&mut &bytes[..]), Ok(Progress::Hello(_))));
    // As long as its owner has not answered, the question stays.
    assert!(matches!(acceptor.input(&mut &[][..]), Ok(Progress::Hello(_))));
    acceptor.refuse(Reason::new(EBUSY, "pipe p has its writer"));
    assert_code(acceptor.accept(Local::default(), None), EINVAL, "refused");
    assert_code(dialler.input(&mut &acceptor.output()[..]), EBUSY, "the peer refused: pipe p has its writer");
    assert!(dialler.output().is_empty(), "a refusal is not answered");
}

#[test]
fn a_refusal_may_come_before_any_hello() {
    let mut full = Handshake::acceptor(None);
    full.refuse(Reason::new(EBUSY, "too many connections"));
    assert_code(dialler(None).input(&mut &full.output()[..]), EBUSY, "too many connections");
    let refusal = Message::Refusal(Reason::new(125, "gave up")).to_bytes();
    let mut acceptor = Handshake::acceptor(None);
    assert_code(acceptor.input(&mut &refusal[..]), 125, "gave up");
    assert!(acceptor.output().is_empty());
}

#[test]
fn a_refusal_may_come_instead_of_a_proof() {
    let (mut dialler, mut acceptor) = (dialler(ours()), Handshake::acceptor(None));
    accept(&mut acceptor, &dialler.output(), ours()).unwrap();
    dialler.input(&mut &acceptor.output()[..]).unwrap();
    let refusal = Message::Refusal(Reason::new(EBUSY, "came too late")).to_bytes();
    assert_code(dialler.input(&mut &refusal[..]), EBUSY, "came too late");
    assert_code(acceptor.input(&mut &refusal[..]), EBUSY, "came too late");
}

/// Bytes that other programs send first.
const OTHERS: [&[u8]; 8] = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"\0\0\0\x08\x04\xd2\x16\x2f",
    b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0",
    b"\x01\0\0\0\x40\0\0\0\0\0\0\0\x89npipe\n\n\0\0",
    b"\x01\0\0\0\xff\xff\xff\xff\0\0\0\0",
    b"\n",
];

#[test]
fn other_protocols_do_not_speak_netpipe() {
    for bytes in OTHERS {
        for piece in [1, 3, bytes.len()] {
            let (mut dialler, mut acceptor) = (dialler(ours()), Handshake::acceptor(None));
            dialler.output();
            let (mut dialled, mut accepted) = (None, None);
            for chunk in bytes.chunks(piece) {
                note(&mut dialled, dialler.input(&mut &chunk[..]));
                note(&mut accepted, acceptor.input(&mut &chunk[..]));
            }
            assert_code(dialled.unwrap(), EPROTO, "does not speak netpipe");
            assert!(dialler.output().is_empty(), "nothing is sent back");
            if bytes[0] != 0x16 {
                assert_code(accepted.unwrap(), EPROTO, "does not speak netpipe");
                assert!(acceptor.output().is_empty(), "nothing is sent back");
            }
        }
    }
}

#[test]
fn a_corrupted_first_refusal_is_not_answered() {
    let mut refusal = Message::Refusal(Reason::new(EBUSY, "full")).to_bytes();
    refusal[8] ^= 1;
    let mut acceptor = Handshake::acceptor(None);
    assert_code(acceptor.input(&mut &refusal[..]), EPROTO, "does not speak netpipe");
    assert!(acceptor.output().is_empty());
}

#[test]
fn the_first_wrong_byte_is_enough() {
    assert_code(Handshake::acceptor(None).input(&mut &b"G"[..]), EPROTO, "does not speak netpipe");
    let start = [&raw(1, &[0; 100])[..12], &MAGIC[..3], b"!"].concat();
    assert_code(Handshake::acceptor(None).input(&mut &start[..]), EPROTO, "does not speak netpipe");
}

/// A reader that was stopped for longer than the handshake may take "did not speak netpipe", for good.
#[test]
fn silence_and_early_ends_have_their_names() {
    let mut peer = dialler(None);
    let bytes = peer.output();
    let mut silent = Handshake::acceptor(None);
    assert_code(Err::<(), _>(silent.closed()), ECONNRESET, "closed the connection during the handshake");
    assert_code(Err::<(), _>(silent.timed_out()), ETIMEDOUT, "said nothing");
    assert!(silent.output().is_empty(), "nothing is sent to who has not said what it speaks");
    let mut begun = Handshake::acceptor(None);
    begun.input(&mut &bytes[..19]).unwrap();
    assert_code(Err::<(), _>(begun.closed()), EPROTO, "does not speak netpipe");
    assert_code(Err::<(), _>(begun.timed_out()), ETIMEDOUT, "said nothing");
    assert!(begun.output().is_empty());
    let mut slow = Handshake::acceptor(None);
    slow.input(&mut &bytes[..20]).unwrap();
    assert_code(Err::<(), _>(slow.closed()), ECONNRESET, "closed the connection during the handshake");
    assert_code(Err::<(), _>(slow.timed_out()), ETIMEDOUT, "in time");
    assert_code(peer.input(&mut &slow.output()[..]), ETIMEDOUT, "in time");
    assert_code(slow.input(&mut &bytes[20..]), ETIMEDOUT, "in time");
    let mut alone = dialler(None);
    alone.output();
    assert_code(Err::<(), _>(alone.timed_out()), ETIMEDOUT, "said nothing");
    assert_eq!(alone.output()[0], 3, "the peer learns of it once it listens");
}

#[test]
fn frames_out_of_turn_are_refused() {
    let mut early = Handshake::acceptor(None);
    accept(&mut early, &dialler(ours()).output(), ours()).unwrap();
    early.output();
    assert_code(early.input(&mut &raw(0x10, b"payload")[..]), EPROTO, "out of turn");
    assert_eq!(early.output()[0], 3);
    let mut twice = Handshake::acceptor(None);
    let hello = dialler(ours()).output();
    accept(&mut twice, &hello, ours()).unwrap();
    assert_code(twice.input(&mut &hello[..]), EPROTO, "out of turn");
    assert_code(
        Handshake::acceptor(None).accept(Local::default(), None),
        EINVAL,
        "after the dialler's HELLO",
    );
}

#[test]
fn a_broken_rule_in_hello_is_told() {
    let body = [&MAGIC[..], &[1, 0, 1, 0], &field(200, b"")].concat();
    let mut acceptor = Handshake::acceptor(None);
    assert_code(acceptor.input(&mut &raw(1, &body)[..]), EPROTO, "must not be ignored");
    assert_code(dialler(None).input(&mut &acceptor.output()[..]), EPROTO, "must not be ignored");
}

#[test]
fn a_corrupted_hello_is_refused() {
    let mut bytes = dialler(None).output();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert_code(Handshake::acceptor(None).input(&mut &bytes[..]), 74, "CRC");
}

/// A writer with TLS took a reader without for one that was about to go, and dialled it again until its deadline.
#[test]
fn tls_on_one_side_is_told_to_who_has_it() {
    let client_hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, 0x00];
    let mut acceptor = Handshake::acceptor(None);
    assert_code(acceptor.input(&mut &client_hello[..]), EPROTO, "speaks TLS");
    assert_eq!(acceptor.output()[0], 3, "which no TLS takes for its own");
    // Beneath TLS it is bytes like others, and to a dialler too.
    for error in [
        Handshake::acceptor(Some([0; 32])).input(&mut &client_hello[..]),
        dialler(None).input(&mut &client_hello[..]),
    ] {
        assert_code(error, EPROTO, "does not speak netpipe");
    }
}
