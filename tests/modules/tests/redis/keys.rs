//! What a guest reads and writes of the keys that it was given.

use crate::{COPIES, GATED, gate, ok, until_running, waits};
use std::fs;
use std::io::Write as _;
use zvfs_modules_tests::redis::{Redis, Reply};
use zvfs_test_support::eventually;

#[test]
fn a_guest_reaches_the_keys_it_was_given_and_no_others() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("copies", COPIES);
    let mut client = redis.client();
    client.call(&["SET", "a", "of a"]);
    client.call(&["SET", "secret", "x"]);
    assert_eq!(client.call(&["ZVM.CALL", "copies", "2", "a", "b", "copy", "/in", "/out"]), Reply::bulk(""));
    assert_eq!(client.call(&["GET", "b"]), Reply::bulk("of a"));
    // An absent one reads as empty where the manifest says so.
    assert_eq!(
        client.call(&["ZVM.CALL", "copies", "2", "none", "b", "copy", "/in", "/out"]),
        Reply::bulk("")
    );
    assert_eq!(client.call(&["GET", "b"]), Reply::bulk(""));
    let asked = client.call(&[
        "ZVM.CALL",
        "copies",
        "2",
        "a",
        "b",
        "ask",
        "/in",
        "/secret",
        "/etc/passwd",
        "redis:key/1",
    ]);
    let refused = "No such file or directory";
    let lines = format!("/in: open\n/secret: {refused}\n/etc/passwd: {refused}\nredis:key/1: {refused}\n");
    assert_eq!(asked, Reply::bulk(&lines));
    // What is not the module's is the operator's: here nothing beyond the server's folder.
    redis.load("greedy", "Channel = /etc/passwd, /in, 0, 9, 9, 0, 0");
    client.call(&["ZVM.CALL", "greedy", "0", "say"]).is_error("ZVM", &["/etc/passwd", "root"]);
    client.call(&["LPUSH", "list", "x"]);
    client
        .call(&["ZVM.CALL", "copies", "2", "list", "b", "copy", "/in", "/out"])
        .is_error("ZVM", &["something else than a string"]);
    client
        .call(&["ZVM.CALL", "copies", "2", "a", "list", "copy", "/in", "/out"])
        .is_error("ZVM", &["something else than a string"]);
}

#[test]
fn a_key_has_positions_and_other_databases_are_others() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load(
        "edits",
        "Channel = redis:key/1, /file, 3, 1000, 1m, 1000, 1m\nChannel = redis:argument/4, /text, 3, 9, 9, 0, 0",
    );
    let mut client = redis.client();
    client.call(&["SELECT", "3"]);
    client.call(&["SET", "key", "abcdefgh"]);
    // Opened for writing it is emptied by the guest's own open, then written.
    let call = ["ZVM.CALL", "edits", "1", "key", "copy", "/text", "/file", "0123"];
    assert_eq!(client.call(&call), Reply::bulk(""));
    assert_eq!(client.call(&["GET", "key"]), Reply::bulk("0123"));
    client.call(&["SELECT", "0"]);
    assert_eq!(client.call(&["EXISTS", "key"]), Reply::Integer(0));
}

#[test]
fn a_key_that_changed_meanwhile_is_a_conflict_and_nothing_is_written() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    let mut gate = gate(&redis);
    // A file whose turn would be before the key's, by its alias.
    redis.load("gated", &format!("{GATED}\nChannel = $FOLDER/file, /a, 0, 0, 0, 9, 9"));
    let file = redis.folder().join("file");
    fs::write(&file, "kept").unwrap();
    let mut other = redis.client();
    other.call(&["SET", "a", "old"]);
    other.call(&["SET", "b", "kept"]);
    let mut client = redis.client();
    let call = ["ZVM.CALL", "gated", "2", "a", "b", "wait-copy", "/in", "/out"];
    client.send(&call);
    until_running(&redis, "gated", 1);
    // Channels that are read are opened in the order of their aliases: where the FIFO is open, the keys were read.
    eventually("the guest waits", || other.call(&["SET", "a", "new"]) == ok() && waits(&redis));
    other.call(&["SET", "a", "newer"]);
    gate.write_all(b"x").unwrap();
    client.receive().is_error("CONFLICT", &["gated", "key 1 changed while the guest ran"]);
    assert_eq!(other.call(&["GET", "b"]), Reply::bulk("kept"));
    assert_eq!(fs::read(&file).unwrap(), b"kept");
    client.send(&call);
    gate.write_all(b"x").unwrap();
    assert_eq!(client.receive(), Reply::bulk(""));
    assert_eq!(other.call(&["GET", "b"]), Reply::bulk("newer"));
    assert_eq!(fs::read(&file).unwrap(), b"");
}

#[test]
fn a_key_that_is_only_written_begins_empty_and_one_that_is_read_too_is_left_alone() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("writes", "Channel = redis:key/1, /out, 0, 0, 0, 9, 9");
    redis.load("keeps", "Channel = redis:key/1, /file, 3, 9, 9, 9, 9");
    let mut client = redis.client();
    client.call(&["SET", "key", "old", "EX", "1000"]);
    for key in ["key", "none"] {
        assert_eq!(client.call(&["ZVM.CALL", "keeps", "1", key, "say", "x"]), Reply::bulk("x"));
    }
    assert_eq!(client.call(&["GET", "key"]), Reply::bulk("old"));
    assert_ne!(client.call(&["TTL", "key"]), Reply::Integer(-1));
    assert_eq!(client.call(&["EXISTS", "none"]), Reply::Integer(0));
    for key in ["key", "none"] {
        assert_eq!(client.call(&["ZVM.CALL", "writes", "1", key, "say", "x"]), Reply::bulk("x"));
        assert_eq!(client.call(&["GET", key]), Reply::bulk(""));
    }
}

/// A stranger's report: the work of a call that ended within a pause was lost.
#[test]
fn a_call_waits_for_the_end_of_a_pause() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    let mut gate = gate(&redis);
    redis.load("gated", GATED);
    let (mut client, mut other) = (redis.client(), redis.client());
    other.call(&["SET", "a", "text"]);
    client.send(&["ZVM.CALL", "gated", "2", "a", "b", "wait-copy", "/in", "/out"]);
    eventually("the guest waits", || waits(&redis));
    assert_eq!(other.call(&["CLIENT", "PAUSE", "1000000", "WRITE"]), ok());
    gate.write_all(b"x").unwrap();
    eventually("the guest is over", || !waits(&redis));
    assert_eq!(other.call(&["EXISTS", "b"]), Reply::Integer(0));
    assert_eq!(other.call(&["CLIENT", "UNPAUSE"]), ok());
    assert_eq!(client.receive(), Reply::bulk(""));
    assert_eq!(other.call(&["GET", "b"]), Reply::bulk("text"));
}

/// What a guest wrote is in the append-only file as a command that needs no module, and in one piece.
#[test]
fn writes_replicate_as_their_effects() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"], &[]);
    redis.load("twice", "Channel = redis:key/1, /in, 0, 99, 99, 0, 0\nChannel = redis:key/2;redis:key/3, /out, 0, 0, 0, 99, 99");
    let mut client = redis.client();
    client.call(&["SET", "a", "payload"]);
    client.call(&["SET", "b", "x", "EX", "1000"]);
    assert_eq!(
        client.call(&["ZVM.CALL", "twice", "3", "a", "b", "c", "copy", "/in", "/out"]),
        Reply::bulk("")
    );
    assert_eq!(client.call(&["TTL", "b"]), Reply::Integer(-1));
    let folder = redis.folder().join("appendonlydir");
    let written = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let written = written.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect::<String>();
    let effect = "*5\r\n$4\r\nMSET\r\n$1\r\nb\r\n$7\r\npayload\r\n$1\r\nc\r\n$7\r\npayload\r\n";
    assert!(written.contains(effect) && !written.contains("zvm") && !written.contains("ZVM"), "{written}");
}
