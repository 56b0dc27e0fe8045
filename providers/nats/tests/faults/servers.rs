//! Servers that die, hang, come back, or are none.

use crate::common::*;
use std::io::Write;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, Error, Finish, OpenFlags, OpenOptions};
use zvfs_engines::NatsServer;
use zvfs_test_support::free_port;

/// Carries bytes through a pipe while something is done to the servers, at each fifth of the way: which it is, and the writer's control.
#[track_caller]
pub fn survives(house: &House, mut disturb: impl FnMut(usize, &Control)) {
    let content = sample(20_000_000);
    let (mut reader, mut writer) = house.pair("load");
    let (sent, control) = (content.clone(), writer.control().clone());
    let done = in_thread(move || {
        sent.chunks(70_001).for_each(|piece| writer.write_all(piece).unwrap());
        writer.finish(Finish::Commit).unwrap();
    });
    let (mut got, mut bytes, mut round) = (Vec::new(), vec![0; 100_000], 0);
    loop {
        match reader.read(&mut bytes).unwrap() {
            0 => break,
            count => got.extend_from_slice(&bytes[..count]),
        }
        if got.len() > (round + 1) * content.len() / 5 && round < 4 {
            disturb(round, &control);
            round += 1;
        }
    }
    assert!(got == content, "other bytes arrived than were sent");
    assert_eq!(round, 4);
    done.recv_timeout(SLACK).unwrap();
}

#[test]
fn a_server_that_is_killed_and_restarted_under_load_costs_no_byte() {
    let Some(server) = NatsServer::debian() else { return };
    let mut servers = [server];
    let house = House::at(&servers, "");
    survives(&house, |_, _| {
        servers[0].kill();
        servers[0].restart();
    });
}

#[test]
fn a_server_that_hangs_for_a_while_costs_no_byte() {
    let Some(server) = NatsServer::debian() else { return };
    let mut servers = [server];
    let house = House::at(&servers, "peer-timeout = \"8s\"");
    survives(&house, |round, writer| {
        servers[0].freeze();
        if round == 0 {
            eventually("the server counts as lost", || {
                writer
                    .waiting()
                    .and_then(|waiting| waiting.refusal)
                    .is_some_and(|why| why.contains("no connection"))
            });
        }
        servers[0].thaw();
    });
}

#[test]
fn a_cluster_that_loses_one_server_after_the_other_costs_no_byte() {
    let Some(mut servers) = NatsServer::cluster() else { return };
    let house = House::at(&servers, "replicas = 3");
    survives(&house, |round, _| {
        servers[round % 3].kill();
        servers[round % 3].restart();
    });
    // Names work, too.
    goes_through(&mut house.reader("after"), house.writer("after"), b"bytes");
}

/// Once a close gave its last words 50 ms to leave.
#[test]
fn a_close_waits_for_no_server() {
    let Some(server) = NatsServer::debian() else { return };
    let mut servers = [server];
    let house = House::at(&servers, "");
    let pairs: Vec<_> = (0..100).map(|number| house.pair(&format!("pipe-{number}"))).collect();
    servers[0].freeze();
    let start = Instant::now();
    drop(pairs);
    assert!(start.elapsed() < Duration::from_secs(5), "200 files closed in {:?}", start.elapsed());
    servers[0].thaw();
}

/// Once each attempt to reach the reader began the wait anew, so that the log never told of it.
#[test]
fn a_writers_wait_is_as_old_as_its_call() {
    let Some(server) = NatsServer::debian() else { return };
    let servers = [server];
    let house = House::at(&servers, "");
    let mut writer = house.writer("a");
    let control = writer.control().clone();
    let writing = in_thread(move || writer.write(b"x").map(drop));
    eventually("a writer waits", || control.waiting().is_some());
    let first = control.waiting().unwrap();
    assert_eq!(first.object, "its reader");
    // Attempts are 2 s apart at most.
    eventually("the wait lasts", || {
        control.waiting().unwrap().since.elapsed() > Duration::from_millis(2_500)
    });
    assert_eq!(control.waiting().unwrap().since, first.since);
    control.cancel();
    refused(writing.recv_timeout(SLACK).unwrap(), Code::ECANCELED, "waiting for its reader");
}

#[test]
fn a_server_that_stays_away_is_a_lost_peer_to_both_ends() {
    let Some(server) = NatsServer::debian() else { return };
    let mut servers = [server];
    let house = House::at(&servers, "peer-timeout = \"2s\"");
    let (mut reader, mut writer) = house.pair("a");
    servers[0].kill();
    let start = Instant::now();
    let reading = in_thread(move || {
        let read = reader.read(&mut [0; 8]);
        assert!(read.as_ref().is_err_and(|error| error.chain().contains("the writer was lost")), "{read:?}");
        refused(read, Code::ECONNRESET, "no connection to a server");
    });
    let error = write_until_it_fails(&mut writer);
    assert_eq!(error.code(), Code::ECONNRESET, "{}", error.chain());
    assert!(error.chain().contains("no connection to a server"), "{}", error.chain());
    assert_eq!(writer.write(b"x").unwrap_err().code(), Code::ECONNRESET);
    reading.recv_timeout(SLACK).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn a_reader_and_a_writer_meet_after_the_server_came_back() {
    let Some(server) = NatsServer::debian() else { return };
    let mut servers = [server];
    let house = House::at(&servers, "");
    // Both hosts know the server, and one waits.
    let (_kept, _alive) = house.pair("other");
    let mut writer = house.writer("a");
    let writing = in_thread(move || {
        writer.write_all(b"late").unwrap();
        writer.finish(Finish::Commit).unwrap();
    });
    servers[0].kill();
    let mut reader = house.reader("a");
    servers[0].restart();
    assert_eq!(read_to_end(&mut reader), b"late");
    writing.recv_timeout(SLACK).unwrap();
}

#[test]
fn an_absent_server_is_refused_with_its_address() {
    let port = free_port();
    let host = registry(&format!("servers = [\"127.0.0.1:{port}\"]"));
    let error = host.open("nats:a:r", &OpenOptions::new(OpenFlags::READ)).map(drop).unwrap_err();
    assert_eq!(error.code(), Code::ECONNREFUSED, "{}", error.chain());
    assert!(error.chain().contains(&format!("connect to 127.0.0.1:{port}")), "{}", error.chain());
    assert!(error.is_retryable());
}

#[test]
fn a_server_of_another_protocol_is_eproto() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"220 ftp.example ready\r\n");
        }
    });
    let host = registry(&format!("servers = [\"{address}\"]"));
    let opened = host.open("nats:a:r", &OpenOptions::new(OpenFlags::READ)).map(drop);
    refused(opened, Code::EPROTO, "does not speak NATS");
}

#[test]
fn a_server_without_jetstream_says_what_to_do() {
    let Some(server) = NatsServer::with("") else { return };
    let servers = [server];
    let house = House::at(&servers, "");
    let opened = house.reading.open("nats:a:r", &OpenOptions::new(OpenFlags::READ)).map(drop);
    refused(opened, Code::ENOTSUP, "names = \"best-effort\"");
    let house = House::at(&servers, "names = \"best-effort\"");
    goes_through(&mut house.reader("a"), house.writer("a"), b"bytes");
}

/// Once the wait said that it was for a server, which was there.
#[test]
fn a_wait_for_jetstream_names_it() {
    let host = registry(&format!("servers = [\"{}\"]", silent_server()));
    let control = Control::new();
    let options = OpenOptions::new(OpenFlags::READ).control(&control);
    let opening = in_thread(move || host.open("nats:a:r", &options).map(drop));
    let refusal = || control.waiting().and_then(|waiting| waiting.refusal);
    eventually("the wait says why it lasts", || refusal().is_some());
    control.cancel();
    let outcome = opening.recv_timeout(SLACK).unwrap();
    let is_told = |error: &Error| error.chain().contains("names = \"best-effort\"");
    assert!(outcome.as_ref().is_err_and(is_told), "{outcome:?}");
    refused(outcome, Code::ECANCELED, "JetStream does not answer");
}

#[test]
fn an_open_whose_server_says_nothing_says_so_when_it_is_cancelled() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = registry(&format!("servers = [\"{}\"]", listener.local_addr().unwrap()));
    let control = Control::new();
    let options = OpenOptions::new(OpenFlags::READ).control(&control);
    let opening = in_thread(move || host.open("nats:a:r", &options).map(drop));
    // It is in the middle of it.
    let _peer = listener.accept().unwrap();
    control.cancel();
    refused(opening.recv_timeout(SLACK).unwrap(), Code::ECANCELED, "waiting for a NATS server");
}

#[test]
fn a_cancel_ends_calls_while_the_server_is_away() {
    let Some(server) = NatsServer::debian() else { return };
    let mut servers = [server];
    let house = House::at(&servers, "");
    let (mut reader, mut writer) = house.pair("a");
    let mut alone = house.reader("b");
    servers[0].kill();
    let controls = [reader.control().clone(), writer.control().clone(), alone.control().clone()];
    let calls = [
        in_thread(move || reader.read(&mut [0; 8]).map(drop)),
        in_thread(move || writer.finish(Finish::Commit)),
        in_thread(move || alone.read(&mut [0; 8]).map(drop)),
    ];
    for (control, call) in controls.iter().zip(calls) {
        let refusal = || control.waiting().and_then(|waiting| waiting.refusal);
        eventually("a call says why it waits", || refusal().is_some_and(|why| why.contains("no connection")));
        control.cancel();
        refused(call.recv_timeout(SLACK).unwrap(), Code::ECANCELED, "waiting for");
    }
}
