//! Cancel and deadline, in every state that a call can wait in.

use crate::common::*;
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, Finish, OpenFile, OpenOptions, Registry, Result, Waiting};
use zvfs_conformance::stops;
use zvfs_http_servers::{After, Answer, BlackHole, Body, FaultServer, Object, pattern};

/// None of these is what ends the call.
const PATIENT: &str = r#"connect-timeout = "600s", first-byte-timeout = "600s", stall-timeout = "600s", retry-delay = "300s", retry-delay-max = "600s""#;

fn patient() -> Registry {
    registry(PATIENT)
}

/// Opens and reads until something ends it.
fn read_all(registry: &Registry, url: &str, control: &Control, open: &mut Option<OpenFile>) -> Result<()> {
    let file = open.insert(registry.open(url, &OpenOptions::new(READ).control(control))?);
    while file.read(&mut [0; 65_536])? > 0 {}
    Ok(())
}

/// Stops a call that opens and reads; says how often it was called.
#[track_caller]
fn stops_reading(registry: Registry, url: String) -> usize {
    stops(move |control, open| read_all(&registry, &url, control, open))
}

/// A command that timed out said neither what it had waited for, nor that a server had kept refusing.
#[test]
fn what_is_waited_for_is_told_to_who_asks_and_named_in_the_error() {
    let silent = FaultServer::silent();
    let refusing = FaultServer::http(|_, peer| peer.send(&Answer::new(503)));
    let answer = format!("answer ({})", silent.address());
    let (answer, attempt) = (answer.as_str(), "another attempt");
    for (url, object, refusal) in
        [(silent.url("/"), answer, None), (refusing.url("/"), attempt, Some("503 service unavailable"))]
    {
        let (registry, control) = (patient(), Control::new());
        let own = control.clone();
        let ended = in_thread(move || read_all(&registry, &url, &own, &mut None));
        let until = Instant::now() + SLACK;
        // The library's own start may be waited for at first.
        let is_told = |waiting: &Waiting| waiting.object == object && waiting.refusal.as_deref() == refusal;
        while !control.waiting().as_ref().is_some_and(is_told) {
            assert!(Instant::now() < until, "{object}, {refusal:?}: told is {:?}", control.waiting());
            std::thread::yield_now();
        }
        control.set_deadline(Some(Instant::now()));
        let error = ended.recv_timeout(SLACK).unwrap().unwrap_err().chain();
        assert_eq!(error.matches(&format!("timed out waiting for {object}")).count(), 1, "{error}");
        assert!(refusal.is_none_or(|refusal| error.matches(refusal).count() == 1), "{error}");
    }
}

#[test]
fn while_connecting() {
    let hole = BlackHole::new();
    stops_reading(patient(), format!("http://{}/", hole.address()));
}

#[test]
fn while_shaking_hands() {
    let server = FaultServer::silent();
    let calls = stops_reading(patient(), server.url("/").replace("http:", "https:"));
    assert!(server.connections() <= calls, "it connected again");
}

#[test]
fn while_waiting_for_the_first_byte() {
    let server = FaultServer::http(|_, peer| peer.stall());
    let calls = stops_reading(patient(), server.url("/"));
    assert!(server.requests().len() <= calls, "a request was repeated");
}

#[test]
fn while_a_head_drips() {
    let server = FaultServer::http(|request, peer| {
        peer.drip(&Object::new(100).answer(request).head().repeat(50), Duration::from_millis(10))?;
        peer.stall()
    });
    stops_reading(patient(), server.url("/"));
}

#[test]
fn while_reading() {
    let server = FaultServer::http(|request, peer| {
        peer.cut(&Object::new(1 << 40).answer(request), 1_000_000, After::Next)?;
        peer.stall()
    });
    stops_reading(patient(), server.url("/"));
}

#[test]
fn while_reading_at_an_offset() {
    let server = FaultServer::http(|request, peer| {
        let answer = Object::new(1 << 40).answer(request);
        if request.first() == 0 {
            peer.cut(&answer, 1_000_000, After::Next)?;
        }
        peer.stall()
    });
    let (registry, url) = (patient(), server.url("/"));
    stops(move |control, open| {
        let file = open.insert(registry.open(&url, &OpenOptions::new(READ).control(control))?);
        read_at(file, 1 << 30, 1_000).map(drop)
    });
}

#[test]
fn while_reading_ahead() {
    let server = FaultServer::http(|request, peer| {
        let answer = Object::new(1 << 30).answer(request);
        if request.first() < 4 << 20 {
            return peer.send(&answer);
        }
        peer.stall()
    });
    let registry = registry(&format!("{PATIENT}, read-ahead = 4, read-ahead-size = \"1m\""));
    stops_reading(registry, server.url("/"));
}

#[test]
fn while_pausing_before_the_next_attempt() {
    let server = FaultServer::http(|_, peer| peer.send(&Answer::new(503).with("Retry-After", "500")));
    let calls = stops_reading(patient(), server.url("/"));
    assert!(server.requests().len() <= calls, "a request was repeated");
}

#[test]
fn while_a_proxy_keeps_quiet() {
    let server = FaultServer::http(|_, peer| peer.stall());
    let registry = registry(&format!("{PATIENT}, proxy = \"{}\"", server.url("")));
    stops_reading(registry, "https://somewhere.example/".into());
    assert!(server.requests().iter().all(|request| request.method == "CONNECT"));
}

#[test]
fn while_an_upload_is_not_taken() {
    let server = FaultServer::http(|request, peer| {
        peer.let_begin(request)?;
        // Reads nothing: the kernel's buffers fill.
        peer.pause(Duration::from_secs(600))?;
        peer.stall()
    });
    let (registry, url) = (patient(), server.url("/"));
    stops(move |control, open| {
        let file = open.insert(registry.open(&url, &OpenOptions::new(UPLOAD).control(control))?);
        for _ in 0..10_000 {
            file.write_all(&[7; 65_536])?;
        }
        Ok(())
    });
}

#[test]
fn while_an_upload_is_not_answered() {
    let server = FaultServer::http(|request, peer| {
        peer.body(request)?;
        peer.stall()
    });
    let (registry, url) = (patient(), server.url("/"));
    stops(move |control, open| {
        let file = open.insert(registry.open(&url, &OpenOptions::new(UPLOAD).control(control))?);
        file.write_all(b"bytes")?;
        file.finish(Finish::Commit)
    });
}

#[test]
fn while_asking_for_a_status_and_while_removing() {
    let server = FaultServer::http(|_, peer| peer.stall());
    let (registry, url) = (patient(), server.url("/x"));
    let (again, same) = (registry.clone(), url.clone());
    stops(move |control, _| registry.stat(&url, &OpenOptions::default().control(control)).map(drop));
    stops(move |control, _| again.remove(&same, &OpenOptions::default().control(control)));
}

#[test]
fn a_deadline_ends_all_attempts_together() {
    let server = FaultServer::http(|_, peer| peer.send(&Answer::new(503)));
    let registry = registry(r#"retry-delay = "20ms", retry-delay-max = "20ms", retries = 1000"#);
    let control = Control::new();
    control.set_deadline(Some(Instant::now() + Duration::from_millis(300)));
    let url = server.url("/");
    let outcome = in_time(move || read_all(&registry, &url, &control, &mut None));
    refused(outcome, Code::ETIMEDOUT);
}

#[test]
fn a_file_goes_on_after_its_deadline_was_moved() {
    let server = FaultServer::http(|request, peer| {
        let answer = Object::new(1_000_000).answer(request);
        peer.cut(&answer, 200_000, After::Next)?;
        peer.pause(Duration::from_millis(500))?;
        let Body::Pattern(range) = &answer.body else { unreachable!() };
        let rest = Body::Pattern((range.start + 200_000).min(range.end)..range.end);
        peer.send_body(&rest, u64::MAX)?;
        Ok(After::Next)
    });
    let (registry, url) = (patient(), server.url("/"));
    let bytes = in_time(move || {
        let control = Control::new();
        let mut file = registry.open(&url, &OpenOptions::new(READ).control(&control)).unwrap();
        let (mut bytes, mut buf, mut late) = (Vec::new(), vec![0; 50_000], 0);
        control.set_deadline(Some(Instant::now() + Duration::from_millis(100)));
        loop {
            match file.read(&mut buf) {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(&buf[..count]),
                Err(error) => {
                    assert_eq!(error.code(), Code::ETIMEDOUT, "{}", error.chain());
                    late += 1;
                    control.set_deadline(None);
                }
            }
        }
        assert_eq!(late, 1);
        bytes
    });
    assert!(bytes == pattern::bytes(0..1_000_000));
}

#[test]
fn an_open_that_is_cancelled_already_does_not_begin() {
    let server = FaultServer::http(|request, peer| peer.send(&Object::new(10).answer(request)));
    let control = Control::new();
    control.cancel();
    let url = server.url("/");
    let outcome = in_time(move || read_all(&patient(), &url, &control, &mut None));
    refused(outcome, Code::ECANCELED);
    assert_eq!(server.requests().len(), 0);
}

/// A stranger's report: a server that takes connections and never says a word of TLS was tried six times. Another attempt would wait here.
#[test]
fn the_provider_s_own_timeout_ends_connecting() {
    let hole = BlackHole::new();
    let registry = registry(r#"connect-timeout = "200ms", retry-delay = "600s", retry-delay-max = "600s""#);
    fetch(&registry, &format!("http://{}/", hole.address())).failed(Code::ETIMEDOUT);
    let server = FaultServer::silent();
    fetch(&registry, &server.url("/").replace("http:", "https:")).failed(Code::ETIMEDOUT);
}
