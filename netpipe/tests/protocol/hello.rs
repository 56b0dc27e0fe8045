use crate::{EINVAL, EPROTO, assert_code, field};
use netpipe::hello::{FEATURE_CRC, MAGIC, WINDOW_DEFAULT, WINDOW_MIN};
use netpipe::{Hello, Name, Purpose, Role, Token};
use zvfs_test_support::Random;

/// A body of these fields behind magic and versions.
fn body(fields: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = [&MAGIC[..], &[1, 0, 1, 0]].concat();
    fields.iter().for_each(|(tag, value)| body.extend(field(*tag, value)));
    body
}

const NONCE: [u8; 32] = [7; 32];
const TOKEN: [u8; 16] = [9; 16];
const BROKER: [(u16, &[u8]); 3] = [(2, &[2]), (8, &NONCE), (12, &[0])];
const PIPE: [(u16, &[u8]); 5] = [(2, &[1]), (4, &[1]), (6, b"p"), (8, &NONCE), (12, &[1])];
const RELAY: [(u16, &[u8]); 4] = [(2, &[3]), (8, &NONCE), (10, &TOKEN), (12, &[0])];

fn with<'a>(base: &[(u16, &'a [u8])], more: &[(u16, &'a [u8])]) -> Vec<u8> {
    body(&[base, more].concat())
}

fn without(base: &[(u16, &[u8])], tag: u16) -> Vec<u8> {
    body(&base.iter().filter(|field| field.0 != tag).copied().collect::<Vec<_>>())
}

/// The base with one value changed.
fn changed<'a>(base: &[(u16, &'a [u8])], tag: u16, value: &'a [u8]) -> Vec<u8> {
    body(&base.iter().map(|&(t, v)| (t, if t == tag { value } else { v })).collect::<Vec<_>>())
}

#[test]
fn hello_lies_as_documented() {
    let mut hello = Hello::pipe(Role::Reader, Name::new("p").unwrap(), Some(Token(TOKEN)));
    (hello.nonce, hello.proof, hello.features) = (NONCE, true, FEATURE_CRC);
    (hello.agent, hello.window) = (Some("a/1".into()), Some(0x1_0000));
    let frame = hello.to_bytes();
    let expected = body(&[
        (2, &[1]),
        (4, &[1]),
        (6, b"p"),
        (8, &NONCE),
        (10, &TOKEN),
        (12, &[1]),
        (5, &[1, 0, 0, 0, 0, 0, 0, 0]),
        (7, b"a/1"),
        (9, &[0, 0, 1, 0]),
    ]);
    assert_eq!(frame[..4], [1, 1, 0, 0]);
    assert_eq!(frame[4..8], (expected.len() as u32).to_le_bytes());
    assert_eq!(frame[12..20], *b"\x89npipe\r\n");
    assert_eq!(frame[12..], expected);
    assert_eq!(Hello::parse(&frame[12..]), Ok(hello));
}

#[test]
fn least_hellos_of_each_purpose_are_taken() {
    let broker = Hello::parse(&body(&BROKER)).unwrap();
    assert_eq!((broker.purpose, broker.features, broker.proof), (Purpose::Broker, 0, false));
    let pipe = Hello::parse(&body(&PIPE)).unwrap();
    assert_eq!((pipe.purpose, pipe.role, pipe.proof), (Purpose::Pipe, Some(Role::Reader), true));
    assert_eq!(pipe.window(), WINDOW_DEFAULT);
    let relay = Hello::parse(&body(&RELAY)).unwrap();
    assert_eq!((relay.purpose, relay.token), (Purpose::Relay, Some(Token(TOKEN))));
}

#[test]
fn fields_come_in_any_order() {
    let backwards: Vec<_> = PIPE.iter().rev().copied().collect();
    assert_eq!(Hello::parse(&body(&backwards)), Hello::parse(&body(&PIPE)));
}

#[test]
fn random_hellos_round_trip() {
    let mut random = Random(3);
    for _ in 0..2000 {
        let name: String =
            (0..=random.below(60)).map(|_| ['a', 'ä', '/', '日', '🦀'][random.below(5)]).collect();
        let role = [Role::Reader, Role::Writer][random.below(2)];
        let token = [None, Some(Token(random.bytes()))][random.below(2)];
        let mut hello = match random.below(3) {
            0 => Hello::broker(),
            1 => Hello::relay(Token(random.bytes())),
            _ => Hello::pipe(role, Name::new(&name).unwrap(), token),
        };
        (hello.nonce, hello.proof, hello.features) = (random.bytes(), random.below(2) == 0, random.number());
        hello.versions = 1..=1 + random.number() as u16 / 2;
        hello.agent = [None, Some("zvfs/1.0".to_owned())][random.below(2)].clone();
        if hello.role == Some(Role::Reader) {
            hello.window = Some(WINDOW_MIN + random.below(1 << 30) as u32);
        }
        assert_eq!(Hello::parse(&hello.to_bytes()[12..]), Ok(hello));
    }
}

#[test]
fn other_magic_is_not_netpipe() {
    let mut other = body(&BROKER);
    other[3] ^= 1;
    assert_code(Hello::parse(&other), EPROTO, "does not speak netpipe");
    assert_code(Hello::parse(b""), EPROTO, "does not speak netpipe");
    assert_code(Hello::parse(&MAGIC), EPROTO, "without versions");
}

#[test]
fn versions_are_a_range_from_1_on() {
    for versions in [[0, 0, 1, 0], [2, 0, 1, 0], [0, 0, 0, 0]] {
        let mut other = body(&BROKER);
        other[8..12].copy_from_slice(&versions);
        assert_code(Hello::parse(&other), EPROTO, "versions");
    }
}

#[test]
fn missing_fields_are_refused() {
    for tag in [2, 8, 12] {
        assert_code(Hello::parse(&without(&PIPE, tag)), EPROTO, "without purpose, nonce or proof");
    }
    for tag in [4, 6] {
        assert_code(Hello::parse(&without(&PIPE, tag)), EPROTO, "role and name");
    }
    assert_code(Hello::parse(&without(&RELAY, 10)), EPROTO, "without a token");
}

#[test]
fn misplaced_fields_are_refused() {
    assert_code(Hello::parse(&with(&BROKER, &[(4, &[1])])), EPROTO, "role and name");
    assert_code(Hello::parse(&with(&RELAY, &[(6, b"p")])), EPROTO, "role and name");
    assert_code(Hello::parse(&with(&BROKER, &[(10, &TOKEN)])), EPROTO, "token");
    assert_code(Hello::parse(&with(&BROKER, &[(9, &[0, 0, 1, 0])])), EPROTO, "only a reader");
    let writer = [(2, &[1][..]), (4, &[2]), (6, b"p"), (8, &NONCE), (12, &[1]), (9, &[0, 0, 1, 0])];
    assert_code(Hello::parse(&body(&writer)), EPROTO, "only a reader");
}

#[test]
fn wrong_values_are_refused() {
    let long = [b'x'; 256];
    let values: [(u16, &[u8]); 16] = [
        (2, &[]),
        (2, &[0]),
        (2, &[4]),
        (2, &[1, 0]),
        (4, &[0]),
        (4, &[3]),
        (4, &[]),
        (6, b""),
        (6, &long),
        (6, b"a\nb"),
        (6, &[0xff]),
        (6, "a\u{85}b".as_bytes()),
        (8, &[7; 31]),
        (8, &[7; 33]),
        (12, &[2]),
        (12, &[]),
    ];
    for (tag, value) in values {
        assert_code(Hello::parse(&changed(&PIPE, tag, value)), EPROTO, "");
    }
    let more: [(u16, &[u8]); 7] = [
        (5, &[0; 7]),
        (7, &long[..65]),
        (7, b"a\x1b[0m"),
        (9, &[0; 3]),
        (9, &[0xff, 0xff, 0, 0]),
        (10, &[0; 15]),
        (10, &[0; 17]),
    ];
    for field in more {
        assert_code(Hello::parse(&with(&PIPE, &[field])), EPROTO, "");
    }
    Hello::parse(&changed(&PIPE, 6, &long[..255])).unwrap();
    Hello::parse(&with(&PIPE, &[(7, &long[..64])])).unwrap();
}

#[test]
fn unknown_odd_fields_are_ignored_and_even_ones_not() {
    assert_eq!(Hello::parse(&with(&PIPE, &[(201, b"later"), (1, b"")])), Hello::parse(&body(&PIPE)));
    assert_code(Hello::parse(&with(&PIPE, &[(200, b"later")])), EPROTO, "must not be ignored");
    assert_code(Hello::parse(&with(&PIPE, &[(0, b"")])), EPROTO, "must not be ignored");
}

#[test]
fn tags_given_twice_are_refused() {
    for (tag, value) in PIPE {
        assert_code(Hello::parse(&with(&PIPE, &[(tag, value)])), EPROTO, "twice");
    }
    assert_code(Hello::parse(&with(&PIPE, &[(201, b""), (201, b"")])), EPROTO, "twice");
}

#[test]
fn too_many_fields_are_refused() {
    let odd = |count: u16| (0..count).map(|n| (n * 2 + 101, &b""[..])).collect::<Vec<_>>();
    Hello::parse(&with(&PIPE, &odd(27))).unwrap();
    assert_code(Hello::parse(&with(&PIPE, &odd(28))), EPROTO, "too many fields");
}

#[test]
fn cut_bodies_are_refused_at_every_byte() {
    let whole = with(&PIPE, &[(10, &TOKEN)]);
    // A cut behind the last obligatory field is a whole HELLO, only with a field less.
    let least = whole.len() - (4 + TOKEN.len());
    for cut in 0..whole.len() {
        assert_eq!(Hello::parse(&whole[..cut]).is_ok(), cut == least, "cut at {cut}");
    }
}

#[test]
fn names_agents_and_windows_of_ours_are_sendable() {
    for name in ["", "a\0b", &"x".repeat(256)] {
        assert_code(Name::new(name), EINVAL, "name");
    }
    assert_eq!(Name::unnamed(), Name::new("-").unwrap());
    let mut hello = Hello::pipe(Role::Reader, Name::unnamed(), None);
    (hello.agent, hello.window) = (Some("日".repeat(40)), Some(1));
    let parsed = Hello::parse(&hello.to_bytes()[12..]).unwrap();
    assert_eq!((parsed.agent, parsed.window), (Some("日".repeat(21)), Some(WINDOW_MIN)));
    hello.agent = Some("a\nb".into());
    assert_eq!(Hello::parse(&hello.to_bytes()[12..]).unwrap().agent, None);
}
