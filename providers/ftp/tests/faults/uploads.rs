//! Uploads to a server that breaks, is full or keeps quiet.

use crate::common::*;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;
use vfs_core::{Code, Finish, OpenFlags, OpenOptions};
use zvfs_engines::ftp::{Act, FaultServer};
use zvfs_test_support::{eventually, within};

fn usual() -> FaultServer {
    FaultServer::new(|_, _| Ok(Act::Usual))
}

#[test]
fn an_upload_has_its_name_only_after_commit() {
    let server = usual().with("f", b"old");
    let (registry, descriptor) = (quick(), server.ftp("f"));
    let content = pattern(700_000);
    let written = content.clone();
    let file = within(SLACK, move || {
        let mut file = registry.open(&descriptor, &OpenOptions::new(UPLOAD)).unwrap();
        file.write_all(&written).unwrap();
        file.finish(Finish::End).unwrap();
        file
    });
    assert_eq!(server.file("f").unwrap(), b"old");
    within(SLACK, move || {
        let mut file = file;
        file.finish(Finish::Commit).unwrap();
    });
    assert!(server.file("f").unwrap() == content);
    assert_eq!(server.names(), ["f"]);
}

#[test]
fn what_is_discarded_or_just_closed_leaves_nothing() {
    let server = usual();
    for how in [Some(Finish::Discard), None] {
        let (registry, descriptor) = (quick(), server.ftp("f"));
        within(SLACK, move || {
            let mut file = registry.open(&descriptor, &OpenOptions::new(UPLOAD)).unwrap();
            file.write_all(&pattern(500_000)).unwrap();
            if let Some(how) = how {
                file.finish(how).unwrap();
            }
        });
        eventually("nothing is left", || server.names().is_empty());
    }
    assert_eq!(server.count("STOR"), 2);
}

/// Once a server has set a time, no upload needs a second session to ask for it.
#[test]
fn times_are_asked_for_in_another_session_until_one_is_set() {
    for (word, outcome) in [("213 set", Ok(())), ("550 not now", Err("not now"))] {
        let server = FaultServer::new(move |command, peer| match command.verb.as_str() {
            "FEAT" => peer.reply("211-features\r\n EPSV\r\n SIZE\r\n MFMT\r\n211 end").map(|()| Act::Done),
            "MFMT" => peer.reply(word).map(|()| Act::Done),
            _ => Ok(Act::Usual),
        });
        let registry = quick();
        for number in 0..3 {
            let (registry, descriptor) = (registry.clone(), server.ftp(&format!("f{number}")));
            let committed = within(SLACK, move || {
                let mut file = registry.open(&descriptor, &OpenOptions::new(UPLOAD)).unwrap();
                // It shows nothing of a file that is not whole: a refusal may be for that.
                file.set_modified(SystemTime::now()).unwrap();
                file.write_all(b"content").unwrap();
                file.finish(Finish::Commit)
            });
            match outcome {
                Ok(()) => committed.unwrap(),
                Err(said) => assert!(committed.unwrap_err().chain().contains(said)),
            }
        }
        match outcome {
            Ok(()) => assert_eq!((server.count("MFMT"), server.names().len()), (4, 3)),
            Err(_) => eventually("nothing is left", || server.names().is_empty()),
        }
    }
}

/// A server that takes files and removes none had its DISCARD reported as done, whatever its word for it.
#[test]
fn a_new_file_that_cannot_be_removed_is_told() {
    for word in ["550 Permission denied.", "550 Delete operation failed.", "502 not here"] {
        let server = answering("DELE", word);
        let (registry, descriptor) = (quick(), server.ftp("f"));
        let discarded = within(SLACK, move || {
            let mut file = registry.open(&descriptor, &OpenOptions::new(UPLOAD)).unwrap();
            file.write_all(b"half").unwrap();
            file.finish(Finish::Discard)
        });
        let error = refused(discarded, Code::EIO).chain();
        let left = server.names();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(
            error.contains(&format!("{} is left: ", left[0]))
                && error.contains(word[4..].trim_end_matches('.')),
            "{error}"
        );
    }
}

/// A client took the silence for success, and another one for failure.
#[test]
fn where_the_server_does_not_confirm_the_size_decides() {
    let content = pattern(300_000);
    for lost in [0, 1] {
        let server = spoiling("STOR", move |command, peer| {
            let mut content = peer.receive()?;
            content.truncate(content.len() - lost);
            peer.change(&command.argument, &content);
            peer.stall()
        });
        let registry = registry(&format!("{QUICK}, reply-timeout = \"300ms\""));
        let outcome = upload(&registry, &server.ftp("f"), &content);
        if lost == 0 {
            outcome.unwrap();
            assert!(server.file("f").unwrap() == content);
        } else {
            let text = refused(outcome, Code::EIO).chain();
            assert!(text.contains("299999 of 300000"), "{text}");
            eventually("nothing is left", || server.names().is_empty());
        }
    }
}

/// A client took the right size for success, though the server said that it had lost what it took.
#[test]
fn an_upload_that_the_server_could_not_store_is_an_error_whatever_its_size() {
    for (word, code) in [
        ("451 disk error", Code::EIO),
        ("426 broken", Code::ECONNRESET),
        ("421 going down", Code::EBUSY),
        ("550 virus found", Code::ENOENT),
    ] {
        let server = spoiling("STOR", move |command, peer| {
            let content = peer.receive()?;
            peer.change(&command.argument, &content);
            peer.reply(word)?;
            Ok(Act::Done)
        })
        .with("f", b"old");
        let error = refused(upload(&quick(), &server.ftp("f"), b"new"), code).chain();
        assert!(error.contains(word), "{error}");
        assert_eq!(server.file("f").unwrap(), b"old");
        eventually("nothing is left", || server.names() == ["f"]);
    }
}

#[test]
fn a_confirmed_upload_of_the_wrong_size_is_an_error() {
    let server = spoiling("STOR", |command, peer| {
        peer.receive()?;
        peer.change(&command.argument, b"");
        peer.reply("226 all of it")?;
        Ok(Act::Done)
    })
    .with("f", b"old");
    refused(upload(&quick(), &server.ftp("f"), b"new"), Code::EIO);
    assert_eq!(server.file("f").unwrap(), b"old");
    eventually("nothing is left", || server.names() == ["f"]);
}

#[test]
fn a_full_disk_is_enospc_and_leaves_the_old() {
    for word in ["452 insufficient storage", "552 quota exceeded", "426 no space left on device"] {
        let server = spoiling("STOR", move |command, peer| {
            peer.change(&command.argument, b"some");
            let mut data = peer.data()?;
            data.socket.read_exact(&mut [0; 100_000])?;
            drop(data);
            peer.reply(word)?;
            Ok(Act::Done)
        })
        .with("f", b"old");
        let error = refused(upload(&quick(), &server.ftp("f"), &pattern(50_000_000)), Code::ENOSPC);
        assert!(error.chain().contains(word), "{}", error.chain());
        assert_eq!(server.file("f").unwrap(), b"old");
        eventually("nothing is left", || server.names() == ["f"]);
    }
}

#[test]
fn a_lost_connection_ends_an_upload() {
    let server = spoiling("STOR", |command, peer| {
        peer.change(&command.argument, b"some");
        let mut data = peer.data()?;
        data.socket.read_exact(&mut [0; 100_000])?;
        Ok(Act::Close)
    });
    refused(upload(&quick(), &server.ftp("f"), &pattern(50_000_000)), Code::ECONNRESET);
    eventually("nothing is left", || server.names().is_empty());
    assert_eq!(server.count("STOR"), 1);
}

#[test]
fn a_name_that_no_server_takes_is_refused_before_the_upload() {
    let server = usual();
    refused(upload(&quick(), &server.ftp(&"x".repeat(256)), b"new"), Code::ENAMETOOLONG);
    assert_eq!(server.sessions(), 0);
    upload(&quick(), &server.ftp(&"x".repeat(255)), b"new").unwrap();
}

#[test]
fn a_rename_that_is_refused_leaves_the_old() {
    let server = answering("RNTO", "553 not over another one").with("f", b"old");
    refused(upload(&quick(), &server.ftp("f"), b"new"), Code::EACCES);
    assert_eq!(server.file("f").unwrap(), b"old");
    eventually("nothing is left", || server.names() == ["f"]);
}

#[test]
fn a_rename_whose_answer_is_lost_is_looked_at() {
    for is_done in [true, false] {
        let server = spoiling("RNTO", move |command, peer| {
            if is_done {
                peer.usual(command)?;
            }
            Ok(Act::Close)
        });
        // What it answers does not get through either way.
        let outcome = upload(&quick(), &server.ftp("f"), b"new");
        match is_done {
            true => {
                outcome.unwrap();
                assert_eq!(server.names(), ["f"]);
            }
            false => {
                refused(outcome, Code::ECONNRESET);
                eventually("nothing is left", || server.names().is_empty());
            }
        }
    }
}

/// The same was seen of sftp: a session that was kept is lost in the removal, which was asked for once.
#[test]
fn a_new_file_is_removed_though_sessions_are_lost_in_its_removal() {
    let losses = AtomicUsize::new(0);
    let server = spoiling("DELE", move |_, _| match losses.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Ok(Act::Close),
        _ => Ok(Act::Usual),
    });
    let (registry, descriptor) = (quick(), server.ftp("f"));
    within(SLACK, move || {
        let mut file = registry.open(&descriptor, &OpenOptions::new(UPLOAD)).unwrap();
        file.write_all(b"content").unwrap();
        file.finish(Finish::Discard).unwrap();
    });
    assert_eq!((server.names(), server.count("DELE")), (Vec::new(), 3));
}

#[test]
fn exclusive_asks_again_before_the_rename() {
    let server = spoiling("STOR", |command, peer| {
        peer.usual(command)?;
        peer.change("f", b"theirs");
        Ok(Act::Done)
    });
    let (registry, descriptor) = (quick(), server.ftp("f"));
    let outcome = within(SLACK, move || {
        let how = OpenOptions::new(OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE);
        let mut file = registry.open(&descriptor, &how)?;
        file.write_all(b"ours")?;
        file.finish(Finish::Commit)
    });
    refused(outcome, Code::EEXIST);
    assert_eq!(server.file("f").unwrap(), b"theirs");
    eventually("nothing is left", || server.names() == ["f"]);
}

#[test]
fn an_upload_that_is_not_taken_ends_by_the_stall_limit() {
    let server = spoiling("STOR", |_, peer| {
        let _data = peer.data()?;
        peer.stall()
    });
    let registry = registry(&format!("{QUICK}, stall-timeout = \"200ms\""));
    refused(upload(&registry, &server.ftp("f"), &pattern(50_000_000)), Code::ECONNRESET);
}
