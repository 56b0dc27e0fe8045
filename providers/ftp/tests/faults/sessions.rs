//! Servers that let nobody in, or speak no FTP; and what must not be sent or shown.

use crate::common::*;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use vfs_core::{Code, OpenOptions};
use zvfs_engines::ftp::{Act, FaultServer};
use zvfs_test_support::{eventually, within};

/// A server that says this first.
fn greeting(words: &'static str) -> FaultServer {
    FaultServer::new(move |_, peer| {
        peer.raw(words.as_bytes())?;
        peer.stall()
    })
}

#[test]
fn a_greeting_that_is_none_is_eproto() {
    let registry = registry(&format!("{QUICK}, retries = 0"));
    for words in ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-x\r\n", "\r\n", "\0\0\0\0\0\0\n"] {
        fetch(&registry, &greeting(words).ftp("f")).failed(Code::EPROTO, b"");
    }
    let full = fetch(&registry, &greeting("421 too many users\r\n").ftp("f"));
    assert!(full.failed(Code::EBUSY, b"").chain().contains("421 too many users"));
}

#[test]
fn a_greeting_of_several_lines_is_read_over() {
    let server = FaultServer::new(|command, peer| {
        if command.verb.is_empty() {
            peer.reply("220-welcome\r\n  220 an indented line is text\r\n220-and\r\n220 end")?;
            return Ok(Act::Done);
        }
        Ok(Act::Usual)
    })
    .with("f", b"content");
    fetch(&quick(), &server.ftp("f")).is(b"content");
}

/// FEAT is optional: a client gave up a server whose answer it could not read.
#[test]
fn a_list_of_features_that_nobody_can_read_is_no_reason_to_leave() {
    let lists =
        ["211-Extensions:\n UTF8\n EPSV\n\r\n211 End\r\n", "211 what?\r\n", "nothing\r\n", "\0\0\r\n"];
    for list in lists {
        let server = FaultServer::new(move |command, peer| match command.verb.as_str() {
            "FEAT" => {
                peer.raw(list.as_bytes())?;
                Ok(Act::Done)
            }
            "PASV" => {
                let port = peer.listen()?;
                peer.reply(&format!("227 passive (127,0,0,1,{},{})", port >> 8, port & 255))?;
                Ok(Act::Done)
            }
            _ => Ok(Act::Usual),
        })
        .with("f", b"content");
        fetch(&quick(), &server.ftp("f")).is(b"content");
        assert_eq!(server.count("EPSV") > 0, list.contains("EPSV"), "{list}");
    }
}

/// One server has no number for an empty file.
#[test]
fn a_size_or_a_time_without_a_number_is_unknown() {
    for verb in ["SIZE", "MDTM"] {
        let server = answering(verb, "213 File status").with("f", b"content");
        fetch(&quick(), &server.ftp("f")).is(b"content");
        upload(&quick(), &server.ftp("f"), b"").unwrap();
        assert_eq!(server.file("f").unwrap(), b"");
        assert_eq!(server.sessions(), 2);
    }
}

/// A client listed `../../etc/passwd` as `passwd`.
#[test]
fn names_with_a_slash_are_left_out_and_counted() {
    let server = FaultServer::new(|command, peer| match command.verb.as_str() {
        "FEAT" => {
            peer.reply("211-\r\n EPSV\r\n MLST type*;\r\n211 end")?;
            Ok(Act::Done)
        }
        "MLSD" => {
            peer.send(
                b"type=file; ../../etc/passwd\r\ntype=file; /abs\r\ntype=file; a/b\r\ntype=file; f\r\n",
            )?;
            peer.reply("226 done")?;
            Ok(Act::Done)
        }
        _ => Ok(Act::Usual),
    });
    let (registry, log) = logging(QUICK);
    let descriptor = server.ftp("folder");
    let names = within(SLACK, move || {
        let mut names = Vec::new();
        let listed = registry.list(&descriptor, &OpenOptions::default(), &mut |entry| {
            names.push(entry.name.to_owned());
            ControlFlow::Continue(())
        });
        listed.map(|()| names)
    });
    assert_eq!(names.unwrap(), ["f"]);
    // Of a provider in a process it may come after the names.
    eventually("the log says how many were not", || log.text().contains("left out 3 of its entries"));
}

#[test]
fn an_answer_without_an_end_takes_no_memory_without_one() {
    for piece in ["220-line\r\n", "220"] {
        let server = FaultServer::new(move |_, peer| {
            peer.raw(b"220-")?;
            let block = piece.repeat(10_000);
            for _ in 0..100 {
                peer.raw(block.as_bytes())?;
            }
            peer.stall()
        });
        fetch(&registry("retries = 0"), &server.ftp("f")).failed(Code::EPROTO, b"");
    }
}

#[test]
fn who_is_not_let_in_is_eacces_and_no_password_is_shown() {
    let server = FaultServer::new(|command, peer| match command.verb.as_str() {
        "PASS" => {
            peer.reply(&format!("530 user secret with {} is unknown", command.argument))?;
            Ok(Act::Done)
        }
        _ => Ok(Act::Usual),
    });
    let descriptor = server.ftp("f").replace("ftp://", "ftp://somebody:sw%6Frdfish@");
    let (registry, log) = logging(QUICK);
    let error = fetch(&registry, &descriptor);
    let text = error.failed(Code::EACCES, b"").chain();
    assert!(text.contains("530 user secret with ***"), "{text}");
    assert!(
        !text.contains("swordfish") && !text.contains("sw%6F") && !log.text().contains("swordfish"),
        "{text}"
    );
    assert_eq!(server.count("PASS"), 1);
}

#[test]
fn the_operators_login_goes_where_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("login");
    fs::write(&file, "somebody:swordfish\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let server = FaultServer::new(|_, _| Ok(Act::Usual)).with("f", b"content");
    let users = || -> Vec<String> {
        let commands = server.commands().into_iter();
        commands.filter(|command| command.verb == "USER").map(|command| command.argument).collect()
    };
    let login = format!("login-file = {file:?}");
    fetch(&registry(&format!("{login}, credentials-for = [\"127.0.0.1\"]")), &server.ftp("f")).is(b"content");
    fetch(&registry(&format!("{login}, credentials-for = [\"other.example\"]")), &server.ftp("f"))
        .is(b"content");
    let own = server.ftp("f").replace("ftp://", "ftp://me:mine@");
    fetch(&registry(&format!("{login}, credentials-for = [\"127.0.0.1\"]")), &own).is(b"content");
    assert_eq!(users(), ["somebody", "anonymous", "me"]);
    // Not over the network in the clear, unless the operator says so.
    let by_name = server.ftp("f").replace("127.0.0.1", "localhost");
    let error = fetch(&registry(&format!("{login}, credentials-for = [\"localhost\"]")), &by_name);
    assert!(error.failed(Code::EACCES, b"").chain().contains("in the clear"));
    fetch(&registry(&format!("{login}, credentials-for = [\"ftp://localhost\"]")), &by_name).is(b"content");
    assert_eq!(users().len(), 4);
}

#[test]
fn ftps_sends_nothing_in_the_clear() {
    let server = FaultServer::new(|_, _| Ok(Act::Usual)).with("f", b"content");
    let descriptor = server.ftp("f").replace("ftp://", "ftps://me:mine@");
    fetch(&quick(), &descriptor).failed(Code::EPROTO, b"");
    let verbs: Vec<String> = server.commands().into_iter().map(|command| command.verb).collect();
    assert_eq!(verbs, ["AUTH"]);
    // A server that says yes, and then has no TLS.
    let server = answering("AUTH", "234 go on\r\n220 in the clear").with("f", b"content");
    let descriptor = server.ftp("f").replace("ftp://", "ftps://me:mine@");
    fetch(&registry(&format!("{QUICK}, retries = 0, connect-timeout = \"500ms\"")), &descriptor)
        .error
        .unwrap();
    assert_eq!(server.count("USER"), 0);
}

#[test]
fn the_policy_holds() {
    let server = FaultServer::new(|_, _| Ok(Act::Usual)).with("f", b"content");
    for (settings, named) in
        [("addresses = \"public\"", "addresses"), ("allowed-hosts = [\"other.example\"]", "allowed-hosts")]
    {
        let text = fetch(&registry(settings), &server.ftp("f")).failed(Code::EACCES, b"").chain();
        assert!(text.contains(named), "{text}");
    }
    assert_eq!(server.sessions(), 0);
}

#[test]
fn nobody_there_is_econnrefused_at_once() {
    let port = zvfs_test_support::free_port();
    fetch(&registry("retry-delay = \"600s\""), &format!("ftp://127.0.0.1:{port}/f"))
        .failed(Code::ECONNREFUSED, b"");
}

#[test]
fn a_listing_that_nobody_can_read_is_eproto() {
    for line in ["garbage\r\n".to_owned(), "x".repeat(1 << 20)] {
        let server = spoiling("LIST", move |_, peer| {
            peer.send(line.as_bytes())?;
            peer.reply("226 done")?;
            Ok(Act::Done)
        });
        let (registry, descriptor) = (quick(), server.ftp(""));
        let listed = within(SLACK, move || {
            registry.list(&descriptor, &OpenOptions::default(), &mut |_| ControlFlow::Continue(()))
        });
        refused(listed, Code::EPROTO);
    }
}
