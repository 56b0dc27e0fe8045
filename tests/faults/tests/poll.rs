//! Providers that break the rules of `zvfs.poll/1`.
#![allow(clippy::unwrap_used, reason = "clippy takes only the #[test] functions of this file for tests")]

use std::os::fd::AsRawFd;
use vfs_core::{
    Capabilities, Code, Error, Events, Finish, OpenFile, OpenFlags, OpenOptions, Registry, Wanted,
};
use zvfs_faults::{Plugins, over};

fn plugins() -> (Plugins, Registry) {
    let plugins = Plugins::new();
    plugins.add("behave", "behave", &[]);
    let registry = plugins.registry();
    (plugins, registry)
}

fn open(registry: &Registry, what: &str) -> OpenFile {
    let file = registry
        .open(&format!("behave:{what}"), &OpenOptions::new(OpenFlags::READ | OpenFlags::WRITE))
        .unwrap();
    assert!(file.capabilities().contains(Capabilities::POLL));
    file
}

#[track_caller]
fn breaks<T: std::fmt::Debug>(result: Result<T, Error>, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), Code::EIO, "{error:?}");
    let text = error.chain();
    assert!(text.contains("broke a rule") && text.contains(words), "{text}");
}

#[test]
fn not_now_moves_nothing_and_is_kept_nowhere() {
    over(plugins, |(_plugins, registry)| {
        let mut file = open(&registry, "as it should");
        for _ in 0..2 {
            assert_eq!(file.try_read(&mut [0; 8]).unwrap(), None);
            assert_eq!(file.try_write(b"12345678").unwrap(), None);
        }
        assert_eq!(file.write(b"12345678").unwrap(), 8, "no error stays");
        let interest = file.interest(Wanted::READ).unwrap();
        assert_eq!((interest.fd.map(|fd| fd.as_raw_fd()), interest.after), (Some(0), None));
        assert_eq!(
            (interest.events, interest.ready),
            (Events::READ, Wanted::empty()),
            "unknown bits are left out"
        );
        assert_eq!(file.try_finish(Finish::Commit).unwrap(), None);
        assert_eq!(file.try_write(b"more").unwrap_err().code(), Code::EBADF, "the COMMIT was begun");
        assert_eq!(file.try_finish(Finish::Commit).unwrap(), None);
        assert_eq!(file.try_finish(Finish::Discard).unwrap_err().code(), Code::EINVAL);
        file.finish(Finish::Commit).unwrap();
        assert_eq!(file.try_finish(Finish::Commit).unwrap(), Some(()), "the COMMIT's answer");
    });
}

#[test]
fn impossible_counts_of_tries_are_eio() {
    over(plugins, |(_plugins, registry)| {
        breaks(open(&registry, "read-more").try_read(&mut [0; 8]), "9 bytes where 8");
        breaks(open(&registry, "write-more").try_write(b"12345678"), "9 bytes where 8");
        breaks(open(&registry, "try=0").try_write(b"12345678"), "took nothing");
        breaks(open(&registry, "try=28").try_finish(Finish::Commit), "returned 28");
        breaks(open(&registry, "try=-4").try_read(&mut [0; 8]), "EINTR");
        breaks(open(&registry, "").try_finish(Finish::End), "END is to be tried again");
        let mut failed = open(&registry, "try=-28");
        assert_eq!(failed.try_write(b"12345678").unwrap_err().code(), Code::ENOSPC);
        assert_eq!(
            failed.write(b"12345678").unwrap_err().code(),
            Code::ENOSPC,
            "a failed write stays failed"
        );
    });
}

#[test]
fn an_interest_that_cannot_be_is_eio() {
    over(plugins, |(_plugins, registry)| {
        breaks(open(&registry, "ready=3").interest(Wanted::READ).map(drop), "asked for");
        breaks(open(&registry, "waits-for-nothing").interest(Wanted::READ).map(drop), "nothing to wait for");
        let mut moves = open(&registry, "fd-moves");
        moves.interest(Wanted::READ).map(drop).unwrap();
        breaks(moves.interest(Wanted::READ).map(drop), "fd 0, and now fd 1");
        breaks(open(&registry, "interest=-11").interest(Wanted::READ).map(drop), "EAGAIN");
    });
}

/// A host that tries what is ready would spin for ever.
#[test]
fn what_is_ready_again_and_again_and_never_moves_is_eio() {
    over(plugins, |(_plugins, registry)| {
        let mut file = open(&registry, "ready=1");
        for _ in 0..1000 {
            assert_eq!(file.interest(Wanted::READ).unwrap().ready, Wanted::READ);
            assert_eq!(file.try_read(&mut [0; 8]).unwrap(), None);
        }
        breaks(file.interest(Wanted::READ).map(drop), "1000 tries moved nothing");
        // What nobody promised may fail as often as it likes.
        let mut file = open(&registry, "as it should");
        for _ in 0..3000 {
            assert!(file.interest(Wanted::READ).unwrap().ready.is_empty());
            assert_eq!(file.try_read(&mut [0; 8]).unwrap(), None);
        }
    });
}
