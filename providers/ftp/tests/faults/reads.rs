//! Reading from a server that breaks, lies or changes its mind.

use crate::common::*;
use std::io::Write;
use std::time::Duration;
use vfs_core::{Code, OpenFlags, OpenOptions};
use zvfs_engines::ftp::{Act, Command, FaultServer, Peer};
use zvfs_test_support::within;

/// Sends so many bytes of what was asked for, and then no more.
fn cut(command: &Command, peer: &mut Peer, content: &[u8], after: usize) -> std::io::Result<Act> {
    let rest = &content[peer.take_rest()..];
    if rest.len() <= after {
        peer.send(rest)?;
        peer.reply("226 done")?;
        return Ok(Act::Done);
    }
    assert_eq!(command.verb, "RETR");
    peer.send(&rest[..after])?;
    Ok(Act::Usual)
}

/// A server whose every transfer breaks after so many bytes, with this as its word on it; "": the session breaks too.
fn breaking(content: &[u8], after: usize, word: &'static str) -> FaultServer {
    let theirs = content.to_owned();
    let server = spoiling("RETR", move |command, peer| match cut(command, peer, &theirs, after)? {
        Act::Done => Ok(Act::Done),
        _ if word.is_empty() => Ok(Act::Close),
        _ => {
            peer.reply(word)?;
            Ok(Act::Done)
        }
    });
    server.with("f", content)
}

#[test]
fn a_transfer_that_breaks_is_resumed_at_the_right_byte() {
    let content = pattern(1_000_000);
    for word in ["426 broken", "451 sorry", ""] {
        let server = breaking(&content, 300_000, word);
        fetch(&quick(), &server.ftp("f")).is(&content);
        let places: Vec<String> = server
            .commands()
            .into_iter()
            .filter(|command| command.verb == "REST")
            .map(|command| command.argument)
            .collect();
        assert_eq!(places, ["300000", "600000", "900000"], "{word}");
    }
}

#[test]
fn a_server_that_brings_nothing_more_is_given_up() {
    let content = pattern(1000);
    let server = breaking(&content, 0, "426 broken");
    let registry = registry(&format!("{QUICK}, retries = 2"));
    fetch(&registry, &server.ftp("f")).failed(Code::ECONNRESET, &content);
    assert_eq!(server.count("RETR"), 3);
}

#[test]
fn a_file_that_changed_is_not_resumed() {
    let content = pattern(1_000_000);
    let (old, new) = (content.clone(), pattern(1_000_000).into_iter().rev().collect::<Vec<_>>());
    let server = spoiling("RETR", move |_, peer| {
        peer.send(&old[..300_000])?;
        peer.change("f", &new);
        Ok(Act::Close)
    })
    .with("f", &content);
    let (registry, descriptor) = (quick(), server.ftp("f"));
    let (first, again) = within(SLACK, move || {
        let mut file = registry.open(&descriptor, &OpenOptions::new(READ)).unwrap();
        (drain(&mut file), file.read(&mut [0; 10]))
    });
    first.failed(Code::ESTALE, &content);
    refused(again, Code::ESTALE);
}

#[test]
fn without_rest_or_a_time_nothing_is_resumed() {
    let content = pattern(500_000);
    for (verb, reply) in [("FEAT", "502 no"), ("MDTM", "502 no")] {
        let theirs = content.clone();
        let server = FaultServer::new(move |command, peer| {
            if command.verb == verb {
                peer.reply(reply)?;
                return Ok(Act::Done);
            }
            if command.verb == "RETR" {
                peer.send(&theirs[..100_000])?;
                return Ok(Act::Close);
            }
            // Without FEAT the older command.
            if command.verb == "PASV" {
                let port = peer.listen()?;
                peer.reply(&format!("227 passive (127,0,0,1,{},{})", port >> 8, port & 255))?;
                return Ok(Act::Done);
            }
            Ok(Act::Usual)
        })
        .with("f", &content);
        let error = fetch(&quick(), &server.ftp("f"));
        let text = error.failed(Code::ECONNRESET, &content).chain();
        assert!(text.contains("cannot be resumed"), "{text}");
    }
}

#[test]
fn a_size_that_is_wrong_is_eproto() {
    let content = pattern(1000);
    for reply in ["213 999", "213 1001"] {
        let server = answering("SIZE", reply).with("f", &content);
        fetch(&quick(), &server.ftp("f")).failed(Code::EPROTO, &content);
    }
}

/// A client waited for 226 after the last byte, for ever.
#[test]
fn a_file_is_complete_though_the_server_never_says_so() {
    let content = pattern(100_000);
    let theirs = content.clone();
    let server = spoiling("RETR", move |_, peer| {
        peer.send(&theirs)?;
        Ok(Act::Done)
    })
    .with("f", &content);
    fetch(&registry(r#"reply-timeout = "600s""#), &server.ftp("f")).is(&content);
}

/// A client took the right size for success, though the server said that it could not read the file.
#[test]
fn a_file_that_the_server_could_not_read_is_an_error_though_every_byte_came() {
    let content = pattern(100_000);
    for (word, code) in [("451 disk error", Code::EIO), ("426 broken", Code::ECONNRESET)] {
        let theirs = content.clone();
        let server = spoiling("RETR", move |_, peer| {
            peer.send(&theirs)?;
            peer.reply(word)?;
            Ok(Act::Done)
        })
        .with("f", &content);
        let (registry, descriptor) = (quick(), server.ftp("f"));
        let (first, again) = within(SLACK, move || {
            let mut file = registry.open(&descriptor, &OpenOptions::new(READ)).unwrap();
            (drain(&mut file), file.read(&mut [0; 10]))
        });
        assert!(first.failed(code, &content).chain().contains(word));
        refused(again, code);
        assert_eq!(server.count("RETR"), 1);
    }
}

#[test]
fn a_connection_that_stays_open_after_the_last_byte_is_left() {
    let content = pattern(100_000);
    let theirs = content.clone();
    let server = spoiling("RETR", move |_, peer| {
        let mut data = peer.data()?;
        data.socket.write_all(&theirs)?;
        peer.stall()
    })
    .with("f", &content);
    fetch(&registry(r#"stall-timeout = "600s""#), &server.ftp("f")).is(&content);
}

/// What a failed transfer left in the connection was taken for the next one's answer.
#[test]
fn a_missing_name_does_not_spoil_the_next() {
    let content = pattern(100_000);
    let server = FaultServer::new(|_, _| Ok(Act::Usual)).with("f", &content);
    let registry = quick();
    for _ in 0..3 {
        fetch(&registry, &server.ftp("missing")).failed(Code::ENOENT, b"");
    }
    assert_eq!(server.sessions(), 1);
    for _ in 0..3 {
        fetch(&registry, &server.ftp("f")).is(&content);
        fetch(&registry, &server.ftp("missing")).failed(Code::ENOENT, b"");
    }
}

/// However a server puts the end of a transfer that its client has left, the next one gets its own answers.
#[test]
fn a_transfer_that_was_left_does_not_spoil_the_next() {
    let content = pattern(20_000_000);
    let orders: [&[&str]; 5] = [
        &["426 broken"],
        &["226 done"],
        &["426 broken", "226 aborted"],
        &["225 nothing to abort", "226 done"],
        &[], // it never says anything
    ];
    for words in orders {
        let theirs = content.clone();
        let server = spoiling("RETR", move |command, peer| {
            if command.argument == "small" {
                return Ok(Act::Usual);
            }
            let mut data = peer.data()?;
            data.socket.write_all(&theirs).unwrap_err();
            drop(data);
            words.iter().try_for_each(|word| peer.reply(word))?;
            Ok(Act::Done)
        })
        .with("large", &content)
        .with("small", b"small");
        let registry = quick();
        for _ in 0..2 {
            let (host, descriptor) = (registry.clone(), server.ftp("large"));
            within(SLACK, move || {
                let mut file = host.open(&descriptor, &OpenOptions::new(READ)).unwrap();
                assert!(file.read(&mut [0; 1000]).unwrap() > 0);
            });
            fetch(&registry, &server.ftp("small")).is(b"small");
        }
    }
}

#[test]
fn a_passive_address_of_another_host_is_not_dialled() {
    let content = pattern(100_000);
    let server = FaultServer::new(|command, peer| match command.verb.as_str() {
        "FEAT" => {
            peer.reply("211-\r\n REST STREAM\r\n211 end")?;
            Ok(Act::Done)
        }
        "PASV" => {
            let port = peer.listen()?;
            peer.reply(&format!("227 passive (203,0,113,1,{},{})", port >> 8, port & 255))?;
            Ok(Act::Done)
        }
        _ => Ok(Act::Usual),
    })
    .with("f", &content);
    fetch(&quick(), &server.ftp("f")).is(&content);
}

#[test]
fn a_data_connection_that_cannot_be_made_is_named() {
    let port = zvfs_test_support::free_port();
    let server = spoiling("EPSV", move |_, peer| {
        peer.reply(&format!("229 passive (|||{port}|)"))?;
        Ok(Act::Done)
    })
    .with("f", b"content");
    let registry = registry(&format!("{QUICK}, retries = 1"));
    let text = fetch(&registry, &server.ftp("f")).failed(Code::ECONNREFUSED, b"").chain();
    assert!(text.contains("data connection") && text.contains(&port.to_string()), "{text}");
}

#[test]
fn a_stall_ends_by_its_limit() {
    let content = pattern(1_000_000);
    let theirs = content.clone();
    let server = spoiling("RETR", move |_, peer| {
        let mut data = peer.data()?;
        data.socket.write_all(&theirs[..1000])?;
        peer.stall()
    })
    .with("f", &content);
    let registry = registry(&format!("{QUICK}, stall-timeout = \"100ms\", retries = 0"));
    fetch(&registry, &server.ftp("f")).failed(Code::ETIMEDOUT, &content);
}

#[test]
fn positions_are_read_in_any_order() {
    let content = pattern(2_000_000);
    let server = FaultServer::new(|_, _| Ok(Act::Usual)).with("f", &content);
    let (registry, descriptor, wanted) = (quick(), server.ftp("f"), content.clone());
    within(SLACK, move || {
        let how = OpenOptions::new(READ | OpenFlags::RANDOM);
        let file = registry.open(&descriptor, &how).unwrap();
        for place in [1_999_000, 0, 1_000_000, 1_000_500, 1_000_100, 500, 1_999_999] {
            let mut buf = [0; 500];
            let count = file.read_at(&mut buf, place as u64).unwrap();
            assert!(count > 0 && buf[..count] == wanted[place..place + count], "{place}");
        }
        assert_eq!(file.read_at(&mut [0; 10], 2_000_000).unwrap(), 0);
    });
}

/// Large reads are received where the caller wants them, small ones through a block.
#[test]
fn reads_of_all_sizes_are_of_one_stream() {
    let content = pattern(2_000_000);
    let server = FaultServer::new(|_, _| Ok(Act::Usual)).with("f", &content);
    let (registry, descriptor) = (quick(), server.ftp("f"));
    let bytes = within(SLACK, move || {
        let mut file = registry.open(&descriptor, &OpenOptions::new(READ)).unwrap();
        let (mut bytes, mut buf) = (Vec::new(), vec![0; 300_000]);
        for size in [1, 300_000, 3, 70_000, 10_000, 65_536].into_iter().cycle() {
            match file.read(&mut buf[..size]).unwrap() {
                0 => return bytes,
                count => bytes.extend_from_slice(&buf[..count]),
            }
        }
        unreachable!()
    });
    assert!(bytes == content, "{} bytes, or other ones than the {}", bytes.len(), content.len());
    assert_eq!(server.count("RETR"), 1);
}

#[test]
fn a_session_that_the_server_closed_meanwhile_is_replaced() {
    let server = FaultServer::new(|command, peer| {
        if command.verb == "MDTM" {
            peer.usual(command)?;
            return Ok(Act::Close);
        }
        Ok(Act::Usual)
    })
    .with("f", b"content");
    let (registry, descriptor) = (quick(), server.ftp("f"));
    within(SLACK, move || {
        for _ in 0..3 {
            assert_eq!(registry.stat(&descriptor, &OpenOptions::default()).unwrap().size, Some(7));
        }
    });
    assert_eq!(server.sessions(), 3);
}

#[test]
fn a_slow_answer_ends_by_its_limit() {
    let server = spoiling("SIZE", |_, peer| {
        peer.raw(b"213-not\r\n yet")?;
        peer.stall()
    })
    .with("f", b"content");
    let registry = registry(&format!("{QUICK}, reply-timeout = \"100ms\", retries = 1"));
    let started = std::time::Instant::now();
    fetch(&registry, &server.ftp("f")).failed(Code::ETIMEDOUT, b"");
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(server.sessions(), 2);
}
