//! Cancel and deadline, in every state that a call can wait in.

use crate::common::*;
use std::ops::ControlFlow;
use vfs_core::{Code, Control, Finish, OpenFile, OpenFlags, OpenOptions, Registry, Result};
use zvfs_http_servers::{After, Answer, BlackHole, FaultServer, Object};

/// None of these is what ends the call.
const PATIENT: &str = r#"connect-timeout = "600s", first-byte-timeout = "600s", stall-timeout = "600s", retry-delay = "300s", retry-delay-max = "600s", part-size = "5m", parallel = 2"#;

/// Stops a call of a host that knows the store at this endpoint. What it opens it leaves to be closed.
#[track_caller]
fn stops(
    endpoint: &str,
    call: impl Fn(&Registry, &Control, &mut Option<OpenFile>) -> Result<()> + Clone + Send + 'static,
) -> usize {
    let registry = registry(endpoint, PATIENT);
    zvfs_conformance::stops(move |control, open| call(&registry, control, open))
}

fn read_all(registry: &Registry, control: &Control, open: &mut Option<OpenFile>) -> Result<()> {
    let file = open.insert(registry.open(NAME, &OpenOptions::new(READ).control(control))?);
    while file.read(&mut [0; 65_536])? > 0 {}
    Ok(())
}

/// Stops an upload of so many bytes.
#[track_caller]
fn stops_writing(endpoint: &str, size: u64) {
    stops(endpoint, move |registry, control, open| {
        let file = open.insert(registry.open(NAME, &OpenOptions::new(UPLOAD).control(control))?);
        write_all(file, size)?;
        file.finish(Finish::Commit)
    });
}

/// A store that says nothing more from some step on.
fn stalling(step: Step) -> FaultServer {
    taking(move |_, now, peer| (now == step).then(|| peer.stall()))
}

#[test]
fn while_connecting() {
    let hole = BlackHole::new();
    stops(&format!("http://{}", hole.address()), read_all);
}

#[test]
fn while_shaking_hands() {
    let server = FaultServer::silent();
    stops(&server.url("").replace("http:", "https:"), read_all);
}

#[test]
fn while_waiting_for_the_first_byte() {
    let server = FaultServer::http(|_, peer| peer.stall());
    let calls = stops(&server.url(""), read_all);
    assert!(server.requests().len() <= calls, "a request was repeated");
}

#[test]
fn while_reading() {
    let server = FaultServer::http(|request, peer| {
        peer.cut(&Object::new(1 << 30).answer(request), 100_000, After::Next)?;
        peer.stall()
    });
    stops(&server.url(""), read_all);
}

#[test]
fn while_reading_at_an_offset() {
    let server = FaultServer::http(|request, peer| match request.first() {
        0 => peer.send(&Object::new(1 << 30).answer(request)),
        _ => peer.stall(),
    });
    stops(&server.url(""), |registry, control, open| {
        let file = open.insert(registry.open(NAME, &OpenOptions::new(READ).control(control))?);
        file.read_at(&mut [0; 1000], 1 << 29).map(drop)
    });
}

#[test]
fn while_pausing_before_the_next_attempt() {
    let server = FaultServer::http(|_, peer| peer.send(&Answer::new(503)));
    let calls = stops(&server.url(""), read_all);
    assert!(server.requests().len() <= calls, "a request was repeated");
}

#[test]
fn while_parts_are_not_taken() {
    for step in [Step::Begin, Step::Part] {
        let server = stalling(step);
        stops_writing(&server.url(""), 40 << 20);
    }
}

#[test]
fn while_committing() {
    let server = stalling(Step::Put);
    stops_writing(&server.url(""), 1000);
    let server = stalling(Step::Complete);
    stops_writing(&server.url(""), 6 << 20);
}

/// The host gives it 5 s.
#[test]
fn while_discarding() {
    let server = stalling(Step::Abort);
    let registry = registry(&server.url(""), PATIENT);
    let discarded = in_time(move || {
        let mut file = open(&registry, UPLOAD).unwrap();
        write_all(&mut file, 6 << 20).unwrap();
        file.finish(Finish::Discard)
    });
    refused(discarded, Code::ETIMEDOUT);
}

fn options(control: &Control) -> OpenOptions {
    OpenOptions::new(OpenFlags::empty()).control(control)
}

#[test]
fn while_working_on_names() {
    let server = FaultServer::http(|_, peer| peer.stall());
    stops(&server.url(""), |registry, control, _| registry.stat(NAME, &options(control)).map(drop));
    stops(&server.url(""), |registry, control, _| registry.remove(NAME, &options(control)));
    stops(&server.url(""), |registry, control, _| {
        registry.list(NAME, &options(control), &mut |_| ControlFlow::Continue(()))
    });
}
