//! Descriptors and settings, while all is well.

use crate::common::*;
use std::time::{Duration, Instant};
use vfs_core::{Code, Finish, OpenFlags, OpenOptions};
use zvfs_engines::NatsServer;

#[test]
fn every_form_of_a_descriptor_names_the_pipe() {
    let Some(server) = NatsServer::debian() else { return };
    let servers = [server];
    let (house, address) = (House::at(&servers, ""), servers[0].address());
    for (reader, writer) in [
        ("nats:a.b > c:r".to_owned(), "nats:a.b > c:w".to_owned()),
        (format!("nats:{address}:d:r"), format!("nats://{address}/d?mode=w")),
        ("nats:1:r?node=2&job=j".to_owned(), "nats:///j/1>2?mode=w".to_owned()),
    ] {
        let mut reader = house.reading.open(&reader, &OpenOptions::new(OpenFlags::READ)).unwrap();
        let writer = house.writing.open(&writer, &OpenOptions::new(OpenFlags::WRITE)).unwrap();
        goes_through(&mut reader, writer, &sample(100_000));
    }
}

#[test]
fn a_descriptor_leads_to_no_other_server() {
    let host = registry("servers = [\"127.0.0.1:4222\"]");
    for (descriptor, code, words) in [
        ("nats:10.0.0.1:4222:a:r", Code::EACCES, "add 10.0.0.1:4222 to the setting `servers`"),
        ("nats://10.0.0.1:4222?mode=r", Code::EINVAL, "nats:name"),
        ("nats:a:w?writers=2", Code::EINVAL, "only a reader takes `writers`"),
        ("nats:a:r?prefix=b", Code::EINVAL, "`prefix` can be set only by the operator's configuration"),
        ("nats:a", Code::EINVAL, "whether to read or to write"),
    ] {
        let opened = host.open(descriptor, &OpenOptions::new(OpenFlags::empty())).map(drop);
        refused(opened, code, words);
    }
}

#[test]
fn digests_are_compared_where_both_ends_ask() {
    let Some(server) = NatsServer::debian() else { return };
    let servers = [server];
    let house = House::at(&servers, "");
    for (name, reads, writes) in [
        ("a", Some("sha256"), Some("sha256")),
        ("b", Some("blake3"), Some("blake3")),
        ("c", Some("sha256"), Some("blake3")),
        ("d", None, Some("sha256")),
    ] {
        let options = |flags, digest: Option<&str>| match digest {
            Some(digest) => OpenOptions::new(flags).offer("digest", digest),
            None => OpenOptions::new(flags),
        };
        let descriptor = format!("nats:{name}");
        let mut reader = house.reading.open(&descriptor, &options(OpenFlags::READ, reads)).unwrap();
        let writer = house.writing.open(&descriptor, &options(OpenFlags::WRITE, writes)).unwrap();
        goes_through(&mut reader, writer, &sample(3_000_000));
    }
}

#[test]
fn pipes_of_other_prefixes_do_not_meet() {
    let Some(server) = NatsServer::debian() else { return };
    let servers = [server];
    let (one, other) = (House::at(&servers, ""), House::at(&servers, "prefix = \"other\""));
    let mut reader = one.reader("a");
    let mut stranger = other.writer("a");
    stranger.control().set_deadline(Some(Instant::now() + Duration::from_millis(300)));
    refused(stranger.write(b"x"), Code::ETIMEDOUT, "waiting for its reader");
    goes_through(&mut reader, one.writer("a"), b"bytes");
}

/// An instance that stops has delivered what was ENDed, and has given its names back.
#[test]
fn a_host_that_stops_leaves_nothing_behind() {
    let Some(server) = NatsServer::debian() else { return };
    let servers = [server];
    for _ in 0..3 {
        let house = House::at(&servers, "");
        let (mut reader, mut writer) = house.pair("a");
        writer.write_all(b"last").unwrap();
        writer.finish(Finish::End).unwrap();
        let start = Instant::now();
        drop(writer);
        drop(house.writing);
        assert!(start.elapsed() < Duration::from_secs(4), "the writer's host took its whole time to stop");
        assert_eq!(read_to_end(&mut reader), b"last");
        drop(reader);
        let start = Instant::now();
        drop(house.reading);
        assert!(start.elapsed() < Duration::from_secs(4), "the reader's host took its whole time to stop");
    }
}
