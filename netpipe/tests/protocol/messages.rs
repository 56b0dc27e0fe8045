use crate::{EBADMSG, EINVAL, EPROTO, assert_code, field, raw};
use netpipe::held::{Held, State, Totals};
use netpipe::message::ADDRESSES_MAX;
use netpipe::{Address, Decoder, Error, Kind, Match, Message, Name, Reason, Register, Role, Sender, Token};
use zvfs_test_support::Random;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn addresses() -> Vec<Address> {
    ["10.0.0.1:9713", "[::1]:1", "host.example:65535", ":9713"]
        .map(|text| Address::new(text).unwrap())
        .to_vec()
}

fn register(role: Role, writers: Option<u32>) -> Message {
    Message::Register(Register {
        id: 7,
        role,
        name: name("job/a>b"),
        addresses: addresses(),
        writers,
        takeover: false,
    })
}

fn held(state: State, writers: Option<u32>) -> Held {
    let (place, peers) = ((1 << 63, 9), addresses());
    Held { place, state, name: name("job/a>b"), peers, writers, seconds: 60, bytes: [1, u64::MAX] }
}

/// One of each, or more.
fn samples() -> Vec<(Sender, Message)> {
    let reason = Reason::new(16, "the name is in use");
    let token = Token([0xa5; 16]);
    vec![
        (Sender::Writer, Message::End(u64::MAX)),
        (Sender::Writer, Message::Digest([0xd1; 32])),
        (Sender::Writer, Message::Discard(reason.clone())),
        (Sender::Writer, Message::Full),
        (Sender::Writer, Message::Alive),
        (Sender::Reader, Message::Window(1 << 21)),
        (Sender::Reader, Message::Taken(1 << 40)),
        (Sender::Reader, Message::Closed(3)),
        (Sender::Reader, Message::Done),
        (Sender::Reader, Message::Refusal(Reason::new(0, ""))),
        (Sender::Instance, register(Role::Reader, Some(0))),
        (Sender::Instance, register(Role::Writer, None)),
        (Sender::Instance, Message::Withdraw(7)),
        (Sender::Instance, Message::Unreachable { id: 7, token }),
        (Sender::Instance, Message::Discarded(7)),
        (Sender::Instance, Message::Ping),
        (Sender::Instance, Message::Status((1 << 40, u64::MAX))),
        (Sender::Broker, Message::Match(Match { id: 7, token, addresses: addresses() })),
        (Sender::Broker, Message::Match(Match { id: 7, token, addresses: Vec::new() })),
        (Sender::Broker, Message::Refused { id: 7, reason: reason.clone() }),
        (Sender::Broker, Message::Relay { id: 7, token }),
        (Sender::Broker, Message::Held(Box::new(held(State::Reader, Some(3))))),
        (Sender::Broker, Message::Held(Box::new(held(State::Relay, None)))),
        (
            Sender::Broker,
            Message::Totals(Totals { next: (1, 2), connections: 3, relays: 7, ..Totals::default() }),
        ),
        (Sender::Broker, Message::Pong),
        (Sender::Broker, Message::Refusal(reason)),
    ]
}

fn decode(from: Sender, bytes: &[u8]) -> Result<Option<Message>, Error> {
    Decoder::new(from).next(&mut &bytes[..])
}

#[test]
fn bodies_lie_as_documented() {
    let token = Token(*b"0123456789abcdef");
    let frames: [(Message, u8, &[u8]); 6] = [
        (Message::End(258), 0x11, &[2, 1, 0, 0, 0, 0, 0, 0]),
        (Message::Discard(Reason::new(104, "gone")), 0x12, b"\x68\0\0\0gone"),
        (Message::Done, 0x22, b""),
        (Message::Unreachable { id: 1, token }, 0x42, b"\x01\0\0\0\0\0\0\x000123456789abcdef"),
        (Message::Refused { id: 1, reason: Reason::new(16, "no") }, 0x51, b"\x01\0\0\0\0\0\0\0\x10\0\0\0no"),
        (Message::Relay { id: 1, token }, 0x52, b"\x01\0\0\0\0\0\0\x000123456789abcdef"),
    ];
    for (message, kind, body) in frames {
        let bytes = message.to_bytes();
        assert_eq!((bytes[0], &bytes[12..]), (kind, body));
        assert_eq!(Message::parse(message.kind(), body), Ok(message));
    }
    let id = 7u64.to_le_bytes();
    let (writers, takeover) = (field(13, &[3, 0, 0, 0]), field(17, &[1]));
    let fields = [&field(4, &[1])[..], &field(6, b"p"), &field(11, b":9"), &writers, &takeover];
    let body = [&id[..], &fields.concat()].concat();
    let registered = Register {
        id: 7,
        role: Role::Reader,
        name: name("p"),
        addresses: vec![Address::new(":9").unwrap()],
        writers: Some(3),
        takeover: true,
    };
    assert_eq!(Message::parse(Kind::Register, &body), Ok(Message::Register(registered.clone())));
    assert_eq!(Message::Register(registered).to_bytes()[12..], body);
    let body = [&id[..], &field(10, &token.0), &field(11, b"h:9")].concat();
    let matched = Match { id: 7, token, addresses: vec![Address::new("h:9").unwrap()] };
    assert_eq!(Message::Match(matched).to_bytes()[12..], body);
}

#[test]
fn messages_come_out_of_a_stream_in_any_pieces() {
    for from in [Sender::Writer, Sender::Reader, Sender::Instance, Sender::Broker] {
        // A last frame ends its stream, so each stream has one, at its end.
        let mut sent: Vec<_> = samples().into_iter().filter(|sample| sample.0 == from).map(|s| s.1).collect();
        sent.retain(|m| {
            !matches!(m.kind(), Kind::Closed | Kind::Done | Kind::Refusal | Kind::Discard | Kind::End)
        });
        sent.push(Message::Refusal(Reason::new(16, "full")));
        let stream: Vec<u8> = sent.iter().flat_map(Message::to_bytes).collect();
        for piece in [1, 2, 11, 12, 13, 50, stream.len()] {
            let mut decoder = Decoder::new(from);
            let mut got = Vec::new();
            for mut bytes in stream.chunks(piece) {
                while let Some(message) = decoder.next(&mut bytes).unwrap() {
                    got.push(message);
                    if bytes.is_empty() {
                        break;
                    }
                }
                assert!(bytes.is_empty());
            }
            assert_eq!(got, sent);
            assert!(!decoder.is_within_frame());
        }
    }
}

#[test]
fn every_message_round_trips() {
    for (from, message) in samples() {
        assert_eq!(decode(from, &message.to_bytes()), Ok(Some(message)));
    }
}

#[test]
fn random_registrations_round_trip() {
    let mut random = Random(4);
    for _ in 0..1000 {
        let role = [Role::Reader, Role::Writer][random.below(2)];
        let writers = (role == Role::Reader && random.below(2) == 0).then(|| random.number() as u32);
        let takeover = role == Role::Reader && random.below(2) == 0;
        let addresses = (0..random.below(ADDRESSES_MAX + 1))
            .map(|_| Address::new(&format!("h{}:{}", random.number(), 1 + random.below(65535))).unwrap())
            .collect();
        let name = name(&format!("job{}/é", random.number()));
        let message =
            Message::Register(Register { id: random.number(), role, name, addresses, writers, takeover });
        assert_eq!(decode(Sender::Instance, &message.to_bytes()), Ok(Some(message)));
    }
}

#[test]
fn cut_frames_need_more() {
    for (from, message) in samples() {
        let bytes = message.to_bytes();
        for cut in 0..bytes.len() {
            let mut decoder = Decoder::new(from);
            assert_eq!(decoder.next(&mut &bytes[..cut]), Ok(None));
            assert_eq!(decoder.is_within_frame(), cut > 0);
        }
    }
}

#[test]
fn senders_keep_to_their_types() {
    for from in [Sender::Writer, Sender::Reader, Sender::Instance, Sender::Broker] {
        for (other, message) in samples() {
            let allowed = other == from || matches!(message.kind(), Kind::Refusal);
            let both = match message.kind() {
                Kind::Ping | Kind::Pong => matches!(from, Sender::Instance | Sender::Broker),
                Kind::Alive => matches!(from, Sender::Writer | Sender::Reader),
                _ => false,
            };
            let decoded = decode(from, &message.to_bytes());
            if allowed || both {
                assert_eq!(decoded, Ok(Some(message)));
            } else {
                assert_code(decoded, EPROTO, "out of turn");
            }
        }
        for (kind, body) in [(1, &[0; 12][..]), (2, &[0; 32]), (0x10, b"payload")] {
            assert_code(decode(from, &raw(kind, body)), EPROTO, "out of turn");
        }
        assert_code(decode(from, &raw(0xa0, b"")), EPROTO, "unknown type");
    }
}

#[test]
fn nothing_follows_a_last_frame() {
    let last = [Message::Closed(0), Message::Done, Message::Refusal(Reason::new(5, ""))];
    for message in last {
        let bytes = [message.to_bytes(), Message::Taken(0).to_bytes()].concat();
        let (mut decoder, mut rest) = (Decoder::new(Sender::Reader), &bytes[..]);
        assert_eq!(decoder.next(&mut rest), Ok(Some(message.clone())));
        assert_code(decoder.next(&mut rest), EPROTO, "after the last one");
        // To ask for more is no frame: a refusal was told as one that was followed by another.
        let mut decoder = Decoder::new(Sender::Reader);
        assert_eq!(decoder.next(&mut &message.to_bytes()[..]), Ok(Some(message)));
        assert_eq!(decoder.next(&mut &[][..]), Ok(None));
    }
}

#[test]
fn lengths_are_refused_before_the_body_comes() {
    let mut header = raw(0x40, &[]);
    header[4..8].copy_from_slice(&4097u32.to_le_bytes());
    assert_code(decode(Sender::Instance, &header), EPROTO, "REGISTER frame of 4097 bytes");
}

#[test]
fn wrong_crcs_are_for_good() {
    for at in 0..20 {
        let mut bytes = Message::Taken(5).to_bytes();
        let good = Message::Taken(6).to_bytes();
        bytes[at] ^= 0x10;
        let mut decoder = Decoder::new(Sender::Reader);
        match decoder.next(&mut &bytes[..]) {
            // Bytes 1 to 3 are ignored but for the flag's bit; type and length break a rule earlier than the CRC.
            Ok(Some(Message::Taken(5))) => assert!((1..4).contains(&at), "at {at}"),
            Err(Error::Checksum) => {
                assert!(at >= 8, "at {at}");
                assert_code(decoder.next(&mut &good[..]), EBADMSG, "CRC");
            }
            other => assert!(
                matches!(other, Err(Error::Protocol(_))) && matches!(at, 0 | 4..8),
                "at {at}: {other:?}"
            ),
        }
    }
}

#[test]
fn an_error_is_for_good() {
    let mut decoder = Decoder::new(Sender::Reader);
    assert_code(decoder.next(&mut &raw(0xa0, b"")[..]), EPROTO, "unknown type");
    assert_code(decoder.next(&mut &Message::Taken(1).to_bytes()[..]), EPROTO, "unknown type");
}

#[test]
fn registrations_keep_the_rules() {
    let id = 7u64.to_le_bytes();
    let (role, p) = (field(4, &[2]), field(6, b"p"));
    let good = [&id[..], &role, &p].concat();
    let parse = |more: &[u8]| Message::parse(Kind::Register, &[&good[..], more].concat());
    parse(&[]).unwrap();
    assert_eq!(parse(&field(99, b"later")), parse(&[]));
    assert_code(parse(&field(98, b"later")), EPROTO, "must not be ignored");
    assert_code(parse(&field(10, &[0; 16])), EPROTO, "must not be ignored");
    assert_code(parse(&role), EPROTO, "twice");
    assert_code(parse(&field(13, &[1, 0, 0, 0])), EPROTO, "a writer that expects writers");
    assert_code(parse(&field(13, &[1])), EPROTO, "field 13");
    assert_code(parse(&[1]), EPROTO, "cut off");
    parse(&field(11, b":1").repeat(8)).unwrap();
    assert_code(parse(&field(11, b":1").repeat(9)), EPROTO, "more than 8");
    assert_code(Message::parse(Kind::Register, &[&id[..], &role].concat()), EPROTO, "without role or name");
    assert_code(Message::parse(Kind::Register, &[&id[..], &p].concat()), EPROTO, "without role or name");
    assert_code(Message::parse(Kind::Register, &id[..7]), EPROTO, "wrong length");
    assert_code(Message::parse(Kind::Match, &[&id[..], &field(11, b":1")].concat()), EPROTO, "without token");
}

#[test]
fn bodies_have_no_gaps_and_no_rest() {
    for (_, message) in samples() {
        let bytes = message.to_bytes();
        let fixed = !matches!(
            message.kind(),
            Kind::Refusal | Kind::Discard | Kind::Refused | Kind::Register | Kind::Match | Kind::Held
        );
        if fixed {
            let longer = [&bytes[12..], &[0]].concat();
            assert_code(Message::parse(message.kind(), &longer), EPROTO, "wrong length");
        }
    }
}

#[test]
fn addresses_are_host_and_port() {
    for (text, host, port) in [
        ("10.0.0.1:9713", "10.0.0.1", 9713),
        ("[fe80::1%eth0]:1", "fe80::1%eth0", 1),
        ("[::1]:65535", "::1", 65535),
        (":9", "", 9),
    ] {
        let address = Address::new(text).unwrap();
        assert_eq!((address.host(), address.port(), address.as_str()), (host, port, text));
    }
    for text in
        ["", "host", "host:", "host:0", "host:65536", "host:+1", "::1:9", "[::1:9", "[x]:9", "a b:9", "a@b:9"]
    {
        assert_code(Address::new(text), EINVAL, "host:port");
        let body = [&[0; 8][..], &field(4, &[1]), &field(6, b"p"), &field(11, text.as_bytes())].concat();
        assert_code(Message::parse(Kind::Register, &body), EPROTO, "field 11");
    }
    assert_code(Address::new(&format!("{}:9", "x".repeat(258))), EINVAL, "host:port");
}

#[test]
fn the_longest_registration_fits() {
    let longest = Address::new(&format!("{}:9", "x".repeat(257))).unwrap();
    let name = name(&"n".repeat(255));
    let message = Message::Register(Register {
        id: 1,
        role: Role::Reader,
        name,
        addresses: vec![longest; ADDRESSES_MAX + 1],
        writers: Some(1),
        takeover: true,
    });
    let Ok(Some(Message::Register(got))) = decode(Sender::Instance, &message.to_bytes()) else { panic!() };
    assert_eq!(got.addresses.len(), ADDRESSES_MAX);
}

#[test]
fn texts_are_made_harmless_and_short() {
    assert_eq!(Reason::new(1, "a\nb\x1b[0m").text, "a b [0m");
    let long = Reason::new(1, &"日".repeat(400));
    assert_eq!(long.text, "日".repeat(170));
    let message = Message::Refusal(Reason { code: 1, text: "日".repeat(400) });
    assert_eq!(decode(Sender::Broker, &message.to_bytes()), Ok(Some(Message::Refusal(long))));
    let Ok(Message::Discard(reason)) = Message::parse(Kind::Discard, b"\x05\0\0\0a\xff\x07b") else {
        panic!()
    };
    assert_eq!(reason, Reason { code: 5, text: "a\u{fffd} b".into() });
    // Each bad byte becomes three: the text is still bounded.
    let Ok(Message::Discard(reason)) = Message::parse(Kind::Discard, &[0xff; 516]) else { panic!() };
    assert!(reason.text.len() <= 512);
}

#[test]
fn codes_that_are_none_are_eio() {
    for (code, errno) in [(0, 5), (4096, 5), (u32::MAX, 5), (16, 16), (4095, 4095)] {
        assert_eq!(Error::Refused(Reason::new(code, "")).code(), errno);
    }
}

#[test]
fn tokens_are_random_and_not_printed() {
    let token = Token::random().unwrap();
    assert_ne!(token, Token::random().unwrap());
    assert_eq!(format!("{token:?}"), "Token(...)");
}
