//! Cancel and deadline, in every state that a call can wait in.

use crate::common::*;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use vfs_core::{Code, Control, Finish, OpenFlags, OpenOptions, Registry, Result};
use zvfs_conformance::stops;
use zvfs_engines::ftp::{Act, Command, FaultServer, Peer};
use zvfs_http_servers::BlackHole;
use zvfs_test_support::{eventually, in_thread, within};

/// Time enough to be in a state that nobody can see from outside.
const WAITS: Duration = Duration::from_millis(200);
/// None of these is what ends the call.
const PATIENT: &str = r#"connect-timeout = "600s", reply-timeout = "600s", stall-timeout = "600s", retry-delay = "300s", retry-delay-max = "600s""#;

/// Stops a call that opens and reads; says how often it was called.
#[track_caller]
fn stops_reading(descriptor: String) -> usize {
    let registry = registry(PATIENT);
    stops(move |control, open| {
        let file = open.insert(registry.open(&descriptor, &OpenOptions::new(READ).control(control))?);
        while file.read(&mut [0; 65_536])? > 0 {}
        Ok(())
    })
}

/// A server that keeps quiet at one command.
fn quiet_at(verb: &'static str) -> FaultServer {
    spoiling(verb, |_, peer| peer.stall()).with("f", b"content")
}

#[test]
fn while_connecting() {
    let hole = BlackHole::new();
    stops_reading(format!("ftp://{}/f", hole.address()));
}

#[test]
fn while_waiting_for_each_answer() {
    for verb in ["", "USER", "PASS", "TYPE", "FEAT", "SIZE", "MDTM", "EPSV", "RETR"] {
        println!("{verb}");
        stops_reading(quiet_at(verb).ftp("f"));
    }
}

#[test]
fn while_tls_begins() {
    let server = spoiling("AUTH", |_, peer| {
        peer.reply("234 go on")?;
        peer.stall()
    });
    stops_reading(server.ftp("f").replace("ftp:", "ftps:"));
}

/// A server whose transfers begin and then stand still.
fn stalling(verb: &'static str, bytes: usize) -> FaultServer {
    spoiling(verb, move |_: &Command, peer: &mut Peer| -> io::Result<Act> {
        let mut data = peer.data()?;
        data.socket.write_all(&pattern(bytes))?;
        peer.stall()
    })
    .with("f", &pattern(1_000_000))
}

#[test]
fn while_reading() {
    let server = stalling("RETR", 1000);
    stops_reading(server.ftp("f"));
}

#[test]
fn while_reading_at_an_offset() {
    let server = stalling("RETR", 1000);
    let (registry, descriptor) = (registry(PATIENT), server.ftp("f"));
    stops(move |control, open| {
        let options = OpenOptions::new(READ | OpenFlags::RANDOM).control(control);
        let file = open.insert(registry.open(&descriptor, &options)?);
        file.read_at(&mut [0; 1000], 500).and_then(|_| file.read_at(&mut [0; 1000], 5000)).map(drop)
    });
}

#[test]
fn while_pausing_before_the_next_attempt() {
    let server = answering("", "421 too many users");
    let calls = stops_reading(server.ftp("f"));
    assert!(server.sessions() <= calls, "it did not pause");
}

#[test]
fn while_an_upload_is_not_taken() {
    let server = stalling("STOR", 0);
    let (registry, descriptor) = (registry(PATIENT), server.ftp("new"));
    stops(move |control, open| {
        let file = open.insert(registry.open(&descriptor, &OpenOptions::new(UPLOAD).control(control))?);
        (0..10_000).try_for_each(|_| file.write_all(&[7; 65_536]))
    });
}

#[test]
fn while_an_upload_is_not_confirmed() {
    for verb in ["STOR", "RNFR", "RNTO"] {
        println!("{verb}");
        let server = spoiling(verb, |command, peer| {
            if command.verb == "STOR" {
                peer.receive()?;
            }
            peer.stall()
        });
        let (registry, descriptor) = (registry(PATIENT), server.ftp("new"));
        stops(move |control, open| {
            let file = open.insert(registry.open(&descriptor, &OpenOptions::new(UPLOAD).control(control))?);
            file.write_all(b"bytes")?;
            file.finish(Finish::Commit)
        });
    }
}

/// A server that lists MFMT and greets so many sessions. `sets`: it answers MFMT.
fn greeting(count: usize, sets: bool) -> FaultServer {
    let greeted = AtomicUsize::new(0);
    FaultServer::new(move |command, peer| match command.verb.as_str() {
        "" if greeted.fetch_add(1, Ordering::Relaxed) >= count => peer.stall(),
        "FEAT" => peer.reply("211-features\r\n EPSV\r\n SIZE\r\n MFMT\r\n211 end").map(|()| Act::Done),
        "MFMT" if sets => peer.reply("213 set").map(|()| Act::Done),
        "MFMT" => peer.stall(),
        _ => Ok(Act::Usual),
    })
}

#[test]
fn while_a_server_is_asked_for_a_time() {
    let server = greeting(usize::MAX, false);
    let (registry, descriptor) = (registry(PATIENT), server.ftp("new"));
    stops(move |control, open| {
        let file = open.insert(registry.open(&descriptor, &OpenOptions::new(UPLOAD).control(control))?);
        file.set_modified(SystemTime::now())
    });
}

/// Found: all uploads waited while one asked a server that said nothing, and then asked it again, each for the connect-timeout.
#[test]
fn a_server_that_does_not_say_whether_it_sets_times_holds_up_no_upload_for_long() {
    const COUNT: usize = 8;
    let server = greeting(COUNT, true);
    let registry = registry(PATIENT);
    let open = |number| {
        let (registry, descriptor) = (registry.clone(), server.ftp(&format!("f{number}")));
        within(SLACK, move || registry.open(&descriptor, &OpenOptions::new(UPLOAD)).unwrap())
    };
    // Each has a session of its own.
    let files: Vec<_> = (0..COUNT).map(open).collect();
    let ends = files.into_iter().map(|mut file| {
        in_thread(move || {
            file.set_modified(SystemTime::now())?;
            file.write_all(b"content")?;
            file.finish(Finish::Commit)
        })
    });
    let ends: Vec<_> = ends.collect();
    within(SLACK, move || ends.into_iter().for_each(|end| end.recv().unwrap().unwrap()));
    assert_eq!((server.sessions(), server.count("MFMT"), server.names().len()), (COUNT + 1, COUNT, COUNT));
}

/// A COMMIT that ran out of time may be repeated.
#[test]
fn a_commit_goes_on_after_its_deadline_was_moved() {
    let (go, goes) = std::sync::mpsc::channel::<()>();
    let goes = std::sync::Mutex::new(goes);
    let server = spoiling("RNFR", move |_, _| {
        goes.lock().unwrap().recv_timeout(SLACK).unwrap();
        Ok(Act::Usual)
    });
    let (registry, descriptor) = (registry(PATIENT), server.ftp("new"));
    let ended = in_thread(move || {
        let control = Control::new();
        let mut file = registry.open(&descriptor, &OpenOptions::new(UPLOAD).control(&control)).unwrap();
        file.write_all(b"bytes").unwrap();
        control.set_deadline(Some(Instant::now() + Duration::from_millis(50)));
        refused(file.finish(Finish::Commit), Code::ETIMEDOUT);
        control.set_deadline(None);
        go.send(()).unwrap();
        file.finish(Finish::Commit)
    });
    ended.recv_timeout(SLACK).unwrap().unwrap();
    assert_eq!(server.names(), ["new"]);
}

/// One that is discarded before its rename never appears.
#[test]
fn a_commit_that_ran_out_of_time_can_be_discarded() {
    let server = spoiling("STOR", |command, peer| {
        let content = peer.receive()?;
        peer.change(&command.argument, &content);
        peer.stall()
    });
    let (registry, descriptor) = (registry(PATIENT), server.ftp("new"));
    let ended = in_thread(move || {
        let control = Control::new();
        let mut file = registry.open(&descriptor, &OpenOptions::new(UPLOAD).control(&control)).unwrap();
        file.write_all(b"bytes").unwrap();
        control.set_deadline(Some(Instant::now() + Duration::from_millis(50)));
        refused(file.finish(Finish::Commit), Code::ETIMEDOUT);
        file.finish(Finish::Discard)
    });
    ended.recv_timeout(SLACK).unwrap().unwrap();
    assert_eq!(server.names(), Vec::<String>::new());
}

/// A DISCARD waited for what was under way as long as any command may take.
#[test]
fn a_discard_removes_the_new_file_though_a_command_gets_no_answer() {
    for (verb, is_taken) in [("STOR", false), ("STOR", true), ("RNFR", true), ("RNTO", true)] {
        let server = spoiling(verb, move |command, peer| {
            if command.verb == "STOR" {
                peer.change(&command.argument, b"some");
                let data = peer.data()?;
                if is_taken {
                    io::copy(&mut &data.socket, &mut io::sink())?;
                }
                return peer.stall();
            }
            peer.stall()
        });
        let (registry, descriptor) = (registry(PATIENT), server.ftp("new"));
        let (committed, discarded) = within(SLACK, move || {
            let control = Control::new();
            let mut file = registry.open(&descriptor, &OpenOptions::new(UPLOAD).control(&control)).unwrap();
            control.set_deadline(Some(Instant::now() + WAITS));
            let committed = file.write_all(&pattern(8_000_000)).and_then(|()| file.finish(Finish::Commit));
            (committed, file.finish(Finish::Discard))
        });
        refused(committed, Code::ETIMEDOUT);
        discarded.unwrap_or_else(|error| panic!("{verb}: {}", error.chain()));
        assert_eq!(server.names(), Vec::<String>::new(), "{verb}");
    }
}

/// One whose server has renamed the file says so, and one whose server says nothing more says that.
#[test]
fn a_discard_that_comes_too_late_is_eio() {
    for (is_silent, words) in [(false, "complete already"), (true, "does not say")] {
        let renaming = AtomicBool::new(false);
        let server = FaultServer::new(move |command, peer| match command.verb.as_str() {
            "RNTO" => {
                peer.change("new", b"bytes");
                renaming.store(true, Ordering::Relaxed);
                peer.stall()
            }
            "DELE" if !is_silent => {
                peer.reply("550 no such file")?;
                Ok(Act::Done)
            }
            _ if is_silent && renaming.load(Ordering::Relaxed) => peer.stall(),
            _ => Ok(Act::Usual),
        });
        let (registry, descriptor) = (registry(PATIENT), server.ftp("new"));
        let discarded = within(SLACK, move || {
            let control = Control::new();
            let mut file = registry.open(&descriptor, &OpenOptions::new(UPLOAD).control(&control)).unwrap();
            file.write_all(b"bytes").unwrap();
            let cancel = control.clone();
            let committing = in_thread(move || (file.finish(Finish::Commit), file));
            eventually("it is renamed", || server.file("new").is_some());
            cancel.cancel();
            let (committed, mut file) = committing.recv_timeout(SLACK).unwrap();
            refused(committed, Code::ECANCELED);
            file.finish(Finish::Discard)
        });
        let text = refused(discarded, Code::EIO).chain();
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn while_working_on_names() {
    type Call = fn(&Registry, &str, &OpenOptions) -> Result<()>;
    let calls: [(&'static str, Call); 3] = [
        ("SIZE", |registry, descriptor, how| registry.stat(descriptor, how).map(drop)),
        ("LIST", |registry, descriptor, how| {
            registry.list(descriptor, how, &mut |_| ControlFlow::Continue(()))
        }),
        ("DELE", |registry, descriptor, how| registry.remove(descriptor, how)),
    ];
    for (verb, call) in calls {
        let server = quiet_at(verb);
        let name = if verb == "LIST" { "folder" } else { "f" };
        let (registry, descriptor) = (registry(PATIENT), server.ftp(name));
        stops(move |control, _| call(&registry, &descriptor, &OpenOptions::default().control(control)));
    }
}
