use crate::{EPROTO, assert_code};
use netpipe::frame::{Crc, DATA_MAX, crc32c};
use netpipe::{Header, Kind};

/// The table of the protocol's section 2, typed again: type, least and greatest length.
const TABLE: [(u8, &str, u32, u32); 26] = [
    (0x01, "HELLO", 12, 4096),
    (0x02, "PROOF", 32, 32),
    (0x03, "REFUSAL", 4, 516),
    (0x10, "DATA", 1, 1_048_576),
    (0x11, "END", 8, 8),
    (0x12, "DISCARD", 4, 516),
    (0x20, "TAKEN", 8, 8),
    (0x21, "CLOSED", 8, 8),
    (0x22, "DONE", 0, 0),
    (0x40, "REGISTER", 8, 4096),
    (0x41, "WITHDRAW", 8, 8),
    (0x42, "UNREACHABLE", 24, 24),
    (0x43, "DISCARDED", 8, 8),
    (0x50, "MATCH", 8, 4096),
    (0x51, "REFUSED", 12, 524),
    (0x52, "RELAY", 24, 24),
    (0x60, "PING", 0, 0),
    (0x61, "PONG", 0, 0),
    (0x80, "DIGEST", 32, 32),
    (0x81, "FULL", 0, 0),
    (0x82, "WINDOW", 4, 4),
    (0x83, "ALIVE", 0, 0),
    (0x84, "MEETING", 1, 1),
    (0x90, "STATUS", 16, 16),
    (0x91, "HELD", 16, 4096),
    (0x92, "TOTALS", 36, 36),
];

fn bytes(kind: u8, length: u32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[0] = kind;
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes
}

#[test]
fn header_lies_as_documented() {
    let header = Header { kind: Kind::End, crc: Some(0x0403_0201), length: 8 };
    assert_eq!(header.encode(), [0x11, 1, 0, 0, 8, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(Header::decode(&header.encode()), Ok(header));
    let bare = Header { crc: None, ..header };
    assert_eq!(bare.encode(), [0x11, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(Header::decode(&bare.encode()), Ok(bare));
}

#[test]
fn lengths_are_bounded_type_by_type() {
    assert_eq!(TABLE.len(), Kind::ALL.len());
    for (kind, name, least, greatest) in TABLE {
        for length in [least, greatest] {
            let header = Header::decode(&bytes(kind, length)).unwrap();
            assert_eq!((header.kind as u8, header.kind.name(), header.length), (kind, name, length));
        }
        for length in [least.wrapping_sub(1), greatest + 1, u32::MAX] {
            assert_code(Header::decode(&bytes(kind, length)), EPROTO, name);
        }
    }
}

#[test]
fn unknown_types_are_refused() {
    for kind in 0..=u8::MAX {
        if TABLE.iter().all(|row| row.0 != kind) {
            assert_code(Header::decode(&bytes(kind, 8)), EPROTO, "unknown type");
        }
    }
}

#[test]
fn unused_bits_are_ignored() {
    let mut bytes = bytes(0x11, 8);
    bytes[1] = 0xfe;
    bytes[2..4].copy_from_slice(&[0xff, 0xff]);
    bytes[8..].copy_from_slice(&[7; 4]);
    assert_eq!(Header::decode(&bytes), Ok(Header { kind: Kind::End, crc: None, length: 8 }));
}

#[test]
fn crc32c_is_castagnolis() {
    // RFC 3720, appendix B.4, and the check value of the catalogues.
    assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn crc_covers_type_length_and_body() {
    let payload = b"123456789";
    let header = Header::data(payload, true);
    assert_eq!((header.kind, header.length), (Kind::Data, 9));
    assert_eq!(header.crc, Some(crc32c(b"\x10\x09\x00\x00\x00123456789")));
    assert_eq!(Header::data(payload, false).crc, None);
    for cut in 0..=payload.len() {
        let mut crc = Crc::new(Kind::Data, 9);
        crc.update(&payload[..cut]);
        crc.update(&payload[cut..]);
        assert_eq!(Some(crc.value()), header.crc);
    }
    let largest = vec![5; DATA_MAX];
    let header = Header::data(&largest, true);
    assert_eq!(Header::decode(&header.encode()), Ok(header));
}
