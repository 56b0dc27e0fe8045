//! What hostile bytes meet: one function for each parser, for any input.
//!
//! Each panics where the crate breaks a promise, and returns whether it took the input. The test runs them over the stored corpus;
//! `fuzz/` runs them under libFuzzer.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[cfg(feature = "host")]
use serde::{Serialize, de::DeserializeOwned};
#[cfg(feature = "host")]
use std::{fs::File, os::unix::fs::FileExt, os::unix::net::UnixDatagram};
use url::Url;
#[cfg(feature = "host")]
use vfs_core::process::{Connection, Heard, OtherEnd, decoded, encoded, wire};
use vfs_core::{Descriptor, Shown, is_printable};

type Target = fn(&[u8]) -> bool;

/// Each target, and the folder of `tests/corpus` with its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("descriptor", descriptor),
    #[cfg(feature = "host")]
    ("host-messages", host_messages),
    #[cfg(feature = "host")]
    ("process-messages", process_messages),
    #[cfg(feature = "host")]
    ("connection", connection),
];

/// What a provider's process hears of its host. The first byte chooses the kind of message.
#[cfg(feature = "host")]
fn host_messages(data: &[u8]) -> bool {
    match data.split_first() {
        Some((0, message)) => is_said_again::<wire::ToProcess>(message),
        Some((1, message)) => is_said_again::<wire::Call>(message),
        Some((2, message)) => is_said_again::<wire::Reply>(message),
        _ => false,
    }
}

/// What a host hears of a provider's process, and of its supervisor.
#[cfg(feature = "host")]
fn process_messages(data: &[u8]) -> bool {
    match data.split_first() {
        Some((0, message)) => is_said_again::<wire::FromProcess>(message),
        Some((1, message)) => {
            // What a reply says of a file or an error becomes the host's own.
            match decoded::<wire::OnConnection>(message) {
                Ok(wire::OnConnection::Reply(wire::Reply::Stat(stat))) => drop(vfs_core::Stat::from(stat)),
                Ok(wire::OnConnection::Reply(wire::Reply::Failed(failure))) => {
                    drop(vfs_core::Error::from(failure))
                }
                _ => {}
            }
            is_said_again::<wire::OnConnection>(message)
        }
        Some((2, message)) => is_said_again::<wire::FromSupervisor>(message),
        _ => false,
    }
}

/// What a process does with its end of a connection, and its host hears: it writes into its slot from the beginning (0), or sends a packet (1).
/// Each such step is its kind, a count of bytes, and the bytes.
#[cfg(feature = "host")]
fn connection(data: &[u8]) -> bool {
    let (mut host, OtherEnd([socket, _payload, _host, slot])) = Connection::new().unwrap();
    let (socket, slot) = (UnixDatagram::from(socket), File::from(slot));
    let (mut steps, mut messages) = (data, 0);
    while let [kind, count, rest @ ..] = steps {
        let Some((bytes, rest)) = rest.split_at_checked((*count).into()) else { return false };
        match kind {
            0 => slot.write_all_at(bytes, 0).unwrap(),
            1 => drop(socket.send(bytes).unwrap()),
            _ => return false,
        }
        steps = rest;
        loop {
            match host.hear::<wire::OnConnection>() {
                Ok(Heard::Message(..)) => messages += 1,
                Ok(Heard::Nothing) => break,
                Ok(Heard::End) | Err(_) => return false,
            }
        }
    }
    messages > 0 && steps.is_empty()
}

/// Whether bytes are a message. One is said in the same bytes again, but for numbers that were written longer than need be.
#[cfg(feature = "host")]
fn is_said_again<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> bool {
    let Ok(message) = decoded::<T>(bytes) else { return false };
    let again = encoded(&message).unwrap();
    assert!(again.len() <= bytes.len(), "{bytes:?} became {again:?}");
    assert_eq!(encoded(&decoded::<T>(&again).unwrap()).unwrap(), again);
    true
}

/// A descriptor. Its form for messages is short and printable, hides the user and the password of a URL, and names its host.
fn descriptor(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else { return false };
    let shown = Shown(text).to_string();
    assert_eq!(Shown(text).to_cow(), shown);
    assert!(shown.len() < 4096 && shown.chars().all(is_printable), "{shown:?}");
    let Ok(descriptor) = Descriptor::parse(text) else { return false };
    assert_eq!(descriptor.to_string(), shown);
    assert!(text.ends_with(descriptor.rest()));
    if let Ok(url) = descriptor.url()
        && let Some(host) = url.host_str()
        && !shown.ends_with("bytes)")
    {
        let seen = Url::parse(&shown.replacen("***@", "", 1)).unwrap();
        assert_eq!(seen.host_str(), Some(host), "{text} is shown as {shown}");
        assert!(seen.username().is_empty() && seen.password().is_none(), "{text} is shown as {shown}");
    }
    true
}

#[test]
fn what_is_valid_in_the_corpus_is_taken_and_the_rest_refused() {
    for (name, target) in TARGETS {
        let mut taken = 0;
        for file in std::fs::read_dir(format!("tests/corpus/{name}")).unwrap() {
            let path = file.unwrap().path();
            let valid = path.file_name().unwrap().to_string_lossy().starts_with("valid-");
            assert_eq!(target(&std::fs::read(&path).unwrap()), valid, "{}", path.display());
            taken += usize::from(valid);
        }
        assert!(taken >= 2, "{name}");
    }
}
