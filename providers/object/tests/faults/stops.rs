//! Cancel and deadline, in every state that a call can wait in.

use crate::common::*;
use std::ops::ControlFlow;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, Finish, OpenFlags, OpenOptions, Registry, Result};
use zvfs_http_servers::{After, Answer, BlackHole, FaultServer, Object};
use zvfs_test_support::in_thread;

/// Time enough to be in a state that nobody can see from outside.
const WAITS: Duration = Duration::from_millis(200);
/// The rule is 100 ms; a loaded machine gets more. The provider's own timeouts are far longer.
const AT_ONCE: Duration = Duration::from_secs(10);
/// None of these is what ends the call.
const PATIENT: &str = r#"connect-timeout = "600s", first-byte-timeout = "600s", stall-timeout = "600s", retry-delay = "300s", retry-delay-max = "600s", part-size = "5m", parallel = 2"#;

/// Lets a call wait, stops it by a cancel and by a deadline, and checks how and how soon it ends.
#[track_caller]
fn stops(endpoint: &str, call: fn(&Registry, &Control) -> Result<()>) {
    for by_cancel in [true, false] {
        let (registry, control) = (registry(endpoint, PATIENT), Control::new());
        let own = control.clone();
        let ended = in_thread(move || (call(&registry, &own), Instant::now()));
        match ended.recv_timeout(WAITS) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(error) => panic!("{error}"),
            Ok((outcome, _)) => panic!("it did not wait: {outcome:?}"),
        }
        let stopped = Instant::now();
        if by_cancel {
            control.cancel();
        } else {
            control.set_deadline(Some(stopped));
        }
        let (outcome, at) = ended.recv_timeout(SLACK).expect("it is still waiting");
        let took = at.saturating_duration_since(stopped);
        println!("stopped after {took:?}");
        assert!(took < AT_ONCE, "it took {took:?} to stop");
        refused(outcome, if by_cancel { Code::ECANCELED } else { Code::ETIMEDOUT });
    }
}

fn read_all(registry: &Registry, control: &Control) -> Result<()> {
    let mut file = registry.open(NAME, &OpenOptions::new(READ).control(control))?;
    while file.read(&mut [0; 65_536])? > 0 {}
    Ok(())
}

fn write_and_commit(registry: &Registry, control: &Control, size: u64) -> Result<()> {
    let mut file = registry.open(NAME, &OpenOptions::new(UPLOAD).control(control))?;
    write_all(&mut file, size)?;
    file.finish(Finish::Commit)
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
    stops(&server.url(""), read_all);
    assert_eq!(server.requests().len(), 2);
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
    stops(&server.url(""), |registry, control| {
        let file = registry.open(NAME, &OpenOptions::new(READ).control(control))?;
        file.read_at(&mut [0; 1000], 1 << 29).map(drop)
    });
}

#[test]
fn while_pausing_before_the_next_attempt() {
    let server = FaultServer::http(|_, peer| peer.send(&Answer::new(503)));
    stops(&server.url(""), read_all);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn while_parts_are_not_taken() {
    for step in [Step::Begin, Step::Part] {
        let server = stalling(step);
        stops(&server.url(""), |registry, control| write_and_commit(registry, control, 40 << 20));
    }
}

#[test]
fn while_committing() {
    let server = stalling(Step::Put);
    stops(&server.url(""), |registry, control| write_and_commit(registry, control, 1000));
    let server = stalling(Step::Complete);
    stops(&server.url(""), |registry, control| write_and_commit(registry, control, 6 << 20));
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
    stops(&server.url(""), |registry, control| registry.stat(NAME, &options(control)).map(drop));
    stops(&server.url(""), |registry, control| registry.remove(NAME, &options(control)));
    stops(&server.url(""), |registry, control| {
        registry.list(NAME, &options(control), &mut |_| ControlFlow::Continue(()))
    });
}
