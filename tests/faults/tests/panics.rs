//! Panics at every entry of a Rust provider: each becomes EIO with the panic's text, and the host survives.

use std::io::{SeekFrom, stderr};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::process::Command;
use vfs_core::{
    Code, Configuration, Direction, Error, Finish, Flush, OpenFile, OpenFlags, OpenOptions, Registry, Wanted,
};
use zvfs_faults::of_tests;
use zvfs_test_support::{bounded, run};

type Call = fn(&mut OpenFile) -> Result<(), Error>;

const FILE_CALLS: [(&str, Call); 18] = [
    ("read", |file| file.read(&mut [0; 4]).map(drop)),
    ("write", |file| file.write(b"x").map(drop)),
    ("seek", |file| file.seek(SeekFrom::Start(1)).map(drop)),
    ("tell", |file| file.tell().map(drop)),
    ("truncate", |file| file.truncate(0)),
    ("flush", |file| file.flush(Flush::Sync)),
    ("finish", |file| file.finish(Finish::Commit)),
    ("read_at", |file| file.read_at(&mut [0; 4], 0).map(drop)),
    ("write_at", |file| file.write_at(b"x", 0).map(drop)),
    ("stat", |file| file.stat().map(drop)),
    ("lease", |file| file.lease(Direction::Read).map(drop)),
    ("advance", |file| file.advance(Direction::Read, 1)),
    ("send_from", |file| file.send_from(stderr().as_fd(), 0, 1).map(drop)),
    ("receive_into", |file| file.receive_into(stderr().as_fd(), 0, 1).map(drop)),
    ("interest", |file| file.interest(Wanted::READ).map(drop)),
    ("try_read", |file| file.try_read(&mut [0; 4]).map(drop)),
    ("try_write", |file| file.try_write(b"x").map(drop)),
    ("try_finish", |file| file.try_finish(Finish::Commit).map(drop)),
];

fn registry(panicking: &str) -> Registry {
    let library = of_tests("panicking");
    let folder = library.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
    let text = format!(
        "provider-path = [{folder:?}]\n[provider.panicking]\nsettings = {{ panic = {panicking:?} }}\n[alias]\nquiet = \"panicking\"\n"
    );
    Registry::new(Configuration::parse(&text).expect("a configuration"))
}

fn both() -> OpenOptions {
    OpenOptions::new(OpenFlags::READ | OpenFlags::WRITE)
}

fn assert_boom(error: &Error, call: &str) {
    assert_eq!(error.code(), Code::EIO, "{call}");
    let text = error.chain();
    assert!(text.contains("panicked") && text.contains(&format!("boom in {call}")), "{text}");
}

const WRITES: [&str; 5] = ["write", "truncate", "write_at", "send_from", "try_write"];

#[test]
fn a_panic_in_a_files_call_is_eio_and_poisons_that_file_only() {
    bounded(|| {
        let registry = registry("");
        for (name, call) in FILE_CALLS {
            let mut file = registry.open(&format!("panicking:{name}"), &both()).unwrap();
            let mut other = registry.open("panicking:nothing", &both()).unwrap();
            assert_boom(&call(&mut file).unwrap_err(), name);
            for (later, call) in FILE_CALLS {
                let error = call(&mut file).expect_err(later);
                // What writes does not reach it after a finish, not even one that failed.
                let ended = name.ends_with("finish") && WRITES.contains(&later);
                let code = if ended { Code::EBADF } else { Code::EIO };
                assert_eq!(error.code(), code, "{later} after a panic in {name}");
            }
            assert_eq!(other.read(&mut [0; 4]).unwrap(), 0, "another file goes on after a panic in {name}");
        }
    });
}

#[test]
fn a_panic_in_open_or_capabilities_fails_that_open_only() {
    bounded(|| {
        let registry = registry("");
        for name in ["open", "capabilities"] {
            for flags in [OpenFlags::READ, OpenFlags::empty()] {
                let error =
                    registry.open(&format!("panicking:{name}"), &OpenOptions::new(flags)).unwrap_err();
                assert_boom(&error, name);
            }
            registry.open("panicking:nothing", &both()).unwrap();
        }
    });
}

#[test]
fn a_panic_in_a_name_call_fails_that_call_only() {
    bounded(|| {
        let (registry, how) = (registry(""), OpenOptions::default());
        assert_boom(&registry.stat("panicking:stat", &how).unwrap_err(), "stat");
        let listed = registry.list("panicking:list", &how, &mut |_| ControlFlow::Continue(()));
        assert_boom(&listed.unwrap_err(), "list");
        assert_boom(&registry.remove("panicking:remove", &how).unwrap_err(), "remove");
        registry.open("panicking:nothing", &both()).unwrap();
    });
}

#[test]
fn a_panic_in_close_or_stop_is_swallowed() {
    bounded(|| {
        let registry = registry("stop");
        drop(registry.open("panicking:close", &both()).unwrap());
        registry.open("panicking:nothing", &both()).unwrap();
        drop(registry);
    });
}

#[test]
fn a_panic_in_start_is_the_opens_error() {
    bounded(|| {
        let registry = registry("start");
        for _ in 0..2 {
            assert_boom(&registry.open("panicking:x", &both()).unwrap_err(), "start");
        }
    });
}

#[test]
fn a_context_kept_beyond_its_close_is_answered_without_the_host() {
    bounded(|| {
        let registry = registry("");
        drop(registry.open("panicking:keep", &both()).unwrap());
        let error = registry.open("panicking:kept", &both()).unwrap().read(&mut [0; 4]).unwrap_err();
        assert_eq!((error.code(), error.chain().as_str()), (Code::ECANCELED, "the file is closed"));
    });
}

#[test]
fn a_panic_while_describing_itself_is_a_refusal() {
    // In a process of its own: the environment is the process's, and the entry runs once.
    let mut command = Command::new(env!("CARGO_BIN_EXE_zvfs-faults-host"));
    command.args(["load", "panicking"]).arg(of_tests("panicking")).env("ZVFS_PANICKING_INFO", "1");
    let output = run(command).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("breaks the provider ABI") && text.contains("NULL"), "{text}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("boom in info"), "the panic's own report");
}
