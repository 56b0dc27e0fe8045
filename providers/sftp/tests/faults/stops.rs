//! Cancel and deadline, in every state that a call can wait in.

use crate::common::*;
use rustix::process::Signal;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, Finish, OpenFlags, OpenOptions, Registry, Result};
use zvfs_conformance::stops;
use zvfs_engines::ssh::SshServer;
use zvfs_http_servers::{BlackHole, FaultServer, pattern};
use zvfs_test_support::eventually;

/// Time enough to be in a state that nobody can see from outside.
const WAITS: Duration = Duration::from_millis(200);
/// None of these is what ends the call.
const PATIENT: &str = r#"connect-timeout = "600s", reply-timeout = "600s", keep-alive = "600s", retry-delay = "300s", retry-delay-max = "600s""#;

fn patient(server: &SshServer) -> Registry {
    registry(&format!("{}, {PATIENT}", with_key(&server.known_hosts(), &server.key_file())))
}

/// A server that stands still once `prepare` has opened something on it, and what a call does then.
#[track_caller]
fn stops_at_a_server_that_stands_still<T: Send + 'static>(
    flags: OpenFlags,
    call: fn(&Registry, &str, &mut vfs_core::OpenFile, &Control) -> Result<T>,
) {
    let Some(server) = with_large_file() else { return };
    let (registry, descriptor) = (patient(&server), server.sftp(if flags == READ { "large" } else { "new" }));
    let server = Arc::new(Mutex::new(server));
    let still = server.clone();
    stops(move |control, open| {
        still.lock().unwrap().signal(Signal::CONT);
        let file = open.insert(registry.open(&descriptor, &OpenOptions::new(flags).control(control))?);
        still.lock().unwrap().signal(Signal::STOP);
        call(&registry, &descriptor, file, control).map(drop)
    });
    server.lock().unwrap().signal(Signal::CONT);
}

#[test]
fn while_connecting() {
    let Some(server) = SshServer::openssh() else { return };
    let (hole, registry) = (BlackHole::new(), patient(&server));
    let descriptor = format!("sftp://me@{}/x", hole.address());
    stops(move |control, _| registry.open(&descriptor, &OpenOptions::new(READ).control(control)).map(drop));
}

#[test]
fn while_shaking_hands() {
    let Some(server) = SshServer::openssh() else { return };
    let (silent, registry) = (FaultServer::silent(), patient(&server));
    let descriptor = format!("sftp://me@{}/x", silent.address());
    stops(move |control, _| registry.open(&descriptor, &OpenOptions::new(READ).control(control)).map(drop));
}

#[test]
fn while_opening() {
    stops_at_a_server_that_stands_still(READ, |registry, descriptor, _, control| {
        registry.open(descriptor, &OpenOptions::new(READ).control(control))
    });
}

#[test]
fn while_reading() {
    stops_at_a_server_that_stands_still(READ, |_, _, file, _| {
        while file.read(&mut [0; 65_536])? > 0 {}
        Ok(())
    });
}

#[test]
fn while_reading_at_an_offset() {
    stops_at_a_server_that_stands_still(READ, |_, _, file, _| file.read_at(&mut [0; 1000], 1 << 20));
}

#[test]
fn while_writing() {
    for flags in [REPLACE, ATOMIC] {
        stops_at_a_server_that_stands_still(flags, |_, _, file, _| {
            (0..LARGE >> 16).try_for_each(|_| file.write_all(&[7; 1 << 16]))
        });
    }
}

#[test]
fn while_committing() {
    for flags in [REPLACE, ATOMIC] {
        stops_at_a_server_that_stands_still(flags, |_, _, file, _| {
            file.write_all(b"some")?;
            file.finish(Finish::Commit)
        });
    }
}

#[test]
fn while_asking_for_a_status_listing_and_removing() {
    stops_at_a_server_that_stands_still(READ, |_, _, file, _| file.stat());
    stops_at_a_server_that_stands_still(READ, |registry, descriptor, _, control| {
        registry.stat(descriptor, &OpenOptions::default().control(control))
    });
    stops_at_a_server_that_stands_still(READ, |registry, descriptor, _, control| {
        let each = &mut |_: vfs_core::Name<'_>| std::ops::ControlFlow::Continue(());
        registry.names(descriptor, &OpenOptions::default().control(control), each)
    });
    stops_at_a_server_that_stands_still(READ, |registry, descriptor, _, control| {
        registry.remove(descriptor, &OpenOptions::default().control(control))
    });
}

#[test]
fn a_reader_goes_on_after_its_deadline_was_moved() {
    let Some(mut server) = with_large_file() else { return };
    let control = Control::new();
    let options = OpenOptions::new(READ).control(&control);
    let mut file = patient(&server).open(&server.sftp("large"), &options).unwrap();
    server.signal(Signal::STOP);
    let (said, late) = channel();
    let reading = in_thread(move || {
        let (mut bytes, mut buf) = (Vec::new(), vec![0; 100_000]);
        control.set_deadline(Some(Instant::now() + WAITS));
        loop {
            match file.read(&mut buf) {
                Ok(0) => return bytes,
                Ok(count) => bytes.extend_from_slice(&buf[..count]),
                Err(error) => {
                    assert_eq!(error.code(), Code::ETIMEDOUT, "{}", error.chain());
                    said.send(()).unwrap();
                    control.set_deadline(None);
                }
            }
        }
    });
    late.recv_timeout(SLACK).unwrap();
    server.signal(Signal::CONT);
    let bytes = reading.recv_timeout(SLACK).unwrap();
    assert!(bytes == pattern::bytes(0..LARGE));
}

#[test]
fn a_commit_that_ran_out_of_time_goes_on_and_may_be_asked_for_again() {
    let Some(mut server) = SshServer::openssh() else { return };
    let control = Control::new();
    let options = OpenOptions::new(ATOMIC).control(&control);
    let mut file = patient(&server).open(&server.sftp("new"), &options).unwrap();
    file.write_all(b"content").unwrap();
    server.signal(Signal::STOP);
    control.set_deadline(Some(Instant::now() + WAITS));
    let (outcome, mut file) = in_time(move || (file.finish(Finish::Commit), file));
    refused(outcome, Code::ETIMEDOUT);
    control.set_deadline(None);
    server.signal(Signal::CONT);
    in_time(move || file.finish(Finish::Commit)).unwrap();
    eventually("it is there", || names(&server) == ["new"]);
}

/// A DISCARD has a limit of its own: the host's would say ETIMEDOUT.
#[test]
fn a_discard_at_a_server_that_stands_still_says_what_it_does_not_know() {
    let Some(mut server) = SshServer::openssh() else { return };
    let mut file = open(&patient(&server), &server.sftp("new"), ATOMIC).unwrap();
    file.write_all(&[7; 1 << 20]).unwrap();
    server.signal(Signal::STOP);
    let error = refused(in_time(move || file.finish(Finish::Discard)), Code::EIO).chain();
    assert!(error.contains("does not say"), "{error}");
}

#[test]
fn a_server_that_stands_still_is_given_up_after_the_reply_timeout() {
    let Some(mut server) = with_large_file() else { return };
    let settings = settings(&server);
    let registry =
        registry(&format!(r#"{settings}, reply-timeout = "3s", connect-timeout = "3s", retries = 1"#));
    let mut file = open(&registry, &server.sftp("large"), READ).unwrap();
    server.signal(Signal::STOP);
    server.stop_accepting();
    let (bytes, error) = in_time(move || drain(&mut file));
    are_right(&bytes, 0);
    assert_eq!(error.expect("no server sends that").code(), Code::ETIMEDOUT);
}
