//! The cases by which the pipes that ZeroVM planned were tested, and the defects that those had.

use crate::common::*;
use netpipe::broker;
use vfs_core::{Code, Finish, OpenOptions, Result};

#[test]
fn both_descriptor_forms_of_zpipes() {
    let broker = Running::start(broker::Config::default());
    let registry = registry("");
    let open = |text: String| registry.open(&text, &OpenOptions::default()).unwrap();
    let mut reader = open(format!("opaque:{}|hello", broker.address));
    let mut writer = open(format!("opaque:{}|>hello", broker.address));
    writer.write_all(b"hello").unwrap();
    writer.finish(Finish::End).unwrap();
    assert_eq!(read_to_end(&mut reader), b"hello");
}

#[test]
fn a_read_of_nothing_is_nothing() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        assert_eq!(reader.read(&mut []).unwrap(), 0);
        assert_eq!(writer.write(&[]).unwrap(), 0);
    });
}

#[test]
fn reads_smaller_than_the_write() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        writer.write_all(b"123456789abc").unwrap();
        writer.finish(Finish::End).unwrap();
        drop(writer);
        for piece in [&b"1"[..], b"23", b"456", b"789"] {
            assert_eq!(read_exactly(&mut reader, piece.len()), piece);
        }
        let mut rest = [0; 100];
        assert_eq!((reader.read(&mut rest).unwrap(), &rest[..3]), (3, &b"abc"[..]));
        assert_eq!(reader.read(&mut rest).unwrap(), 0);
    });
}

#[test]
fn reads_larger_than_the_writes() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        for piece in [b"abcdef", b"ghijkl", b"mnopqr"] {
            writer.write_all(piece).unwrap();
        }
        writer.finish(Finish::End).unwrap();
        assert_eq!(read_exactly(&mut reader, 1), b"a");
        assert_eq!(read_exactly(&mut reader, 10), b"bcdefghijk");
        let mut rest = [0; 50];
        let mut all = Vec::new();
        while all.len() < 7 {
            let count = reader.read(&mut rest).unwrap();
            assert!(count > 0);
            all.extend_from_slice(&rest[..count]);
        }
        assert_eq!(all, b"lmnopqr");
        assert_eq!(reader.read(&mut rest).unwrap(), 0);
    });
}

#[test]
fn an_old_reader_keeps_the_old_data_when_a_new_writer_opens_the_name() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        writer.write_all(b"old").unwrap();
        writer.finish(Finish::End).unwrap();
        drop(writer);
        let _new = house.writer("a");
        assert_eq!(read_to_end(&mut reader), b"old");
    });
}

#[test]
fn a_pending_read_ends_short_when_the_writer_ends() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        writer.write_all(b"some").unwrap();
        writer.finish(Finish::End).unwrap();
        let mut buffer = [0; 1000];
        let mut count = 0;
        while count < 4 {
            count += reader.read(&mut buffer[count..]).unwrap();
        }
        assert_eq!(&buffer[..count], b"some");
        assert_eq!(reader.read(&mut buffer).unwrap(), 0);
    });
}

#[test]
fn a_pending_read_is_ended_by_its_cancel_and_the_close_succeeds() {
    each_way(|house| {
        let (mut reader, writer) = house.pair("a");
        let control = reader.control().clone();
        let error = waits_until(
            move || {
                let error = reader.read(&mut [0; 100]).unwrap_err();
                drop(reader);
                error
            },
            || control.cancel(),
        );
        assert_eq!(error.code(), Code::ECANCELED);
        drop(writer);
    });
}

#[test]
fn across_hosts_with_the_writer_coming_while_the_reader_is_blocked() {
    each_way(|house| {
        let mut reader = house.reader("a");
        let bytes = waits_until(
            move || read_to_end(&mut reader),
            || {
                let mut writer = house.writer("a");
                writer.write_all(b"at last").unwrap();
                writer.finish(Finish::End).unwrap();
            },
        );
        assert_eq!(bytes, b"at last");
    });
}

#[test]
fn a_partial_arrival_does_not_cancel_the_deadline() {
    each_way(|house| {
        let (mut reader, mut writer) = house.pair("a");
        writer.write_all(b"part").unwrap();
        let mut left = &b"part"[..];
        times_out(&mut reader, "data", |reader| -> Result<()> {
            // The deadline was set once, before the bytes came.
            loop {
                let mut byte = [0];
                assert_eq!(reader.read(&mut byte)?, 1);
                assert_eq!(left.first(), Some(&byte[0]));
                left = &left[1..];
            }
        });
        assert!(left.is_empty());
    });
}
