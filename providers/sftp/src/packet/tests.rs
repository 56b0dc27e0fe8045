use super::*;

/// The packet of a reply without its length.
fn packet(parts: &[&[u8]]) -> Bytes {
    Bytes::from(parts.concat())
}

#[test]
fn a_request_is_as_the_draft_has_it() {
    let attributes = Attributes { mode: Some(0o644), ..Attributes::default() };
    let open = Request::Open { path: b"/a\xff", flags: open::WRITE | open::CREATE, attributes: &attributes };
    let wanted: [&[u8]; 6] = [
        &[0, 0, 0, 24, 3, 0, 0, 0, 7],
        &[0, 0, 0, 3],
        b"/a\xff",
        &[0, 0, 0, 10],
        &[0, 0, 0, 4],
        &[0, 0, 1, 0xa4],
    ];
    assert_eq!(open.encode(7)[..], wanted.concat()[..]);
}

#[test]
fn the_length_of_a_write_counts_the_bytes_that_follow() {
    let head = Request::Write { handle: &[0, 0, 0, 200], offset: 1 << 40, count: 1000 }.encode(1);
    assert_eq!(u32::from_be_bytes(*head.first_chunk().unwrap()) as usize, head.len() - 4 + 1000);
    assert_eq!(head[head.len() - 4..], 1000_u32.to_be_bytes());
}

#[test]
fn attributes_survive_their_way() {
    for attributes in [
        Attributes::default(),
        Attributes { size: Some(1 << 33), ..Attributes::default() },
        Attributes { size: Some(1), owner: Some((2, 3)), mode: Some(0), times: Some((4, 0)) },
        Attributes { owner: Some((0o644, 0)), mode: Some(0o644), ..Attributes::default() },
    ] {
        let mut bytes = BytesMut::new();
        attributes.encode(&mut bytes);
        let mut bytes = bytes.freeze();
        assert_eq!(Attributes::decode(&mut bytes), Ok(attributes));
        assert!(bytes.is_empty());
    }
}

#[test]
fn replies_are_told_apart() {
    let id: &[u8] = &[0, 0, 0, 9];
    let handle = packet(&[&[102], id, &[0, 0, 0, 4, 0, 0, 0, 0x80]]);
    assert_eq!(reply(handle), Ok((9, Reply::Handle(Bytes::from_static(&[0, 0, 0, 0x80])))));
    let status = packet(&[&[101], id, &[0, 0, 0, 31], &[0, 0, 0, 2], b"no", &[0, 0, 0, 0]]);
    assert_eq!(reply(status), Ok((9, Reply::Status { code: 31, text: "no".to_owned() })));
    let bare = packet(&[&[101], id, &[0, 0, 0, 0]]);
    assert_eq!(reply(bare), Ok((9, Reply::Status { code: 0, text: String::new() })));
    let names = packet(&[
        &[104],
        id,
        &[0, 0, 0, 1, 0, 0, 0, 2],
        b"a\xff",
        &[0, 0, 0, 1],
        b"-",
        &[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    ]);
    let attributes = Attributes { size: Some(5), ..Attributes::default() };
    let name = Name { name: Bytes::from_static(b"a\xff"), attributes };
    assert_eq!(reply(names), Ok((9, Reply::Names(vec![name]))));
}

/// A count of names that no packet holds must not be believed before they are there.
#[test]
fn what_is_no_reply_is_refused() {
    for bytes in [
        &[][..],
        &[101],
        &[102, 0, 0, 0, 1, 0, 0, 0, 9, 1],
        &[104, 0, 0, 0, 1, 255, 255, 255, 255],
        &[99, 0, 0, 0, 1],
    ] {
        assert!(reply(Bytes::copy_from_slice(bytes)).is_err(), "{bytes:?}");
    }
    assert!(extensions(Bytes::from_static(&[2, 0, 0, 0, 2])).is_err());
}

#[test]
fn a_stream_is_cut_into_its_packets_wherever_it_was_torn() {
    let whole: Vec<u8> = [&[0, 0, 0, 2][..], b"ab", &[0, 0, 0, 0], &[0, 0, 0, 3], b"cde"].concat();
    for size in 1..=whole.len() {
        let (mut stream, mut packets) = (Stream::default(), Vec::new());
        for piece in whole.chunks(size) {
            stream.push(piece);
            while let Some(packet) = stream.next().unwrap() {
                packets.push(packet);
            }
        }
        assert_eq!(packets, [&b"ab"[..], b"", b"cde"], "in pieces of {size}");
    }
    let mut stream = Stream::default();
    stream.push(&[0xff; 4]);
    assert!(stream.next().is_err());
}
