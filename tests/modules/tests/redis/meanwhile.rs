//! What else may happen to a server, its keys and its clients while a call runs.

use crate::{GATED, gate, ok, until_running, waits};
use std::fs::File;
use std::io::Write as _;
use zvfs_modules_tests::redis::{Client, Redis, Reply};
use zvfs_test_support::{eventually, free_port};

/// A call that copies key `a` to key `b`, held by a FIFO once it has read the keys.
struct Held {
    redis: Redis,
    gate: File,
    caller: Client,
    other: Client,
}

impl Held {
    fn new(server: &[&str]) -> Held {
        let redis = Redis::start(server, &[]);
        redis.load("gated", GATED);
        let (gate, caller, other) = (gate(&redis), redis.client(), redis.client());
        Held { redis, gate, caller, other }
    }

    fn begin(&mut self) {
        self.caller.send(&["ZVM.CALL", "gated", "2", "a", "b", "wait-copy", "/in", "/out"]);
        eventually("the guest waits", || waits(&self.redis));
    }

    fn end(&mut self) -> Reply {
        self.gate.write_all(b"x").unwrap();
        self.caller.receive()
    }
}

/// A line of INFO.
fn info(client: &mut Client, section: &str, field: &str) -> Option<String> {
    let Reply::Bulk(Some(text)) = client.call(&["INFO", section]) else { panic!("no INFO") };
    let text = String::from_utf8(text).unwrap();
    text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(str::to_owned))
}

#[test]
fn whatever_changes_a_key_that_was_read_is_a_conflict() {
    if !Redis::is_here() {
        return;
    }
    let mut held = Held::new(&[]);
    for change in [
        &[&["FLUSHALL"][..]][..],
        &[&["DEL", "a"]],
        &[&["SET", "a", "text2"]],
        &[&["SET", "a", ""]],
        &[&["RENAME", "a", "c"]],
        &[&["SWAPDB", "0", "1"]],
        &[&["PEXPIREAT", "a", "1"]],
        &[&["DEL", "a"], &["LPUSH", "a", "text"]],
        &[&["MULTI"], &["APPEND", "a", "x"], &["EXEC"]],
        &[&["EVAL", "return redis.call('SETRANGE', KEYS[1], 0, 'T')", "1", "a"]],
    ] {
        held.other.call(&["FLUSHALL"]);
        held.other.call(&["SET", "a", "text"]);
        held.begin();
        for command in change {
            let reply = held.other.call(command);
            assert!(!matches!(reply, Reply::Error(_)), "{command:?}: {reply:?}");
        }
        held.end().is_error("CONFLICT", &["gated", "key 1 changed"]);
        assert_eq!(held.other.call(&["EXISTS", "b"]), Reply::Integer(0), "{change:?}");
    }
    // One that ends by itself meanwhile.
    held.other.call(&["SET", "a", "text", "PX", "1"]);
    held.other.call(&["SET", "a", "text", "PX", "600"]);
    held.begin();
    let mut other = held.redis.client();
    eventually("the key ends", || other.call(&["EXISTS", "a"]) == Reply::Integer(0));
    // If the machine was so slow that it ended before the guest began, the guest has read an absent key.
    if let reply @ Reply::Error(_) = held.end() {
        reply.is_error("CONFLICT", &["key 1 changed"]);
    }
    // Not what was written, but what is there counts.
    held.other.call(&["SET", "a", "text"]);
    held.begin();
    held.other.call(&["SET", "a", "other"]);
    held.other.call(&["SET", "a", "text", "EX", "1000"]);
    assert_eq!(held.end(), Reply::bulk(""));
    assert_eq!(held.other.call(&["GET", "b"]), Reply::bulk("text"));
}

#[test]
fn a_key_that_became_something_else_than_a_string_is_not_replaced() {
    if !Redis::is_here() {
        return;
    }
    let mut held = Held::new(&[]);
    held.other.call(&["SET", "a", "text"]);
    held.begin();
    held.other.call(&["LPUSH", "b", "x"]);
    held.end().is_error("ZVM", &["gated", "key 2", "something else than a string"]);
    assert_eq!(held.other.call(&["LLEN", "b"]), Reply::Integer(1));
}

#[test]
fn a_transaction_of_whoever_watches_a_key_sees_that_a_guest_wrote_it() {
    if !Redis::is_here() {
        return;
    }
    let mut held = Held::new(&[]);
    held.other.call(&["SET", "a", "text"]);
    held.begin();
    assert_eq!(held.other.call(&["WATCH", "b"]), ok());
    assert_eq!(held.end(), Reply::bulk(""));
    held.other.call(&["MULTI"]);
    held.other.call(&["SET", "b", "mine"]);
    assert_eq!(held.other.call(&["EXEC"]), Reply::Array(vec![]));
    assert_eq!(held.other.call(&["GET", "b"]), Reply::bulk("text"));
}

#[test]
fn a_client_that_is_killed_ends_its_call_and_none_is_unblocked() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("spins", "Timeout = 1000");
    let (mut caller, mut other) = (redis.client(), redis.client());
    let Reply::Integer(id) = caller.call(&["CLIENT", "ID"]) else { panic!("no id") };
    caller.send(&["ZVM.CALL", "spins", "0", "spin"]);
    until_running(&redis, "spins", 1);
    assert_eq!(other.call(&["CLIENT", "UNBLOCK", &id.to_string()]), Reply::Integer(0));
    assert_eq!(other.call(&["CLIENT", "KILL", "ID", &id.to_string()]), Reply::Integer(1));
    eventually("nothing is left", || redis.counter("unfinished") == 0);
    assert_eq!(redis.counter("cancelled"), 1);
}

#[test]
fn a_server_whose_memory_is_full_refuses_the_writes_of_a_call() {
    if !Redis::is_here() {
        return;
    }
    let mut held = Held::new(&[]);
    held.other.call(&["SET", "a", "text"]);
    held.begin();
    assert_eq!(held.other.call(&["CONFIG", "SET", "maxmemory", "1"]), ok());
    // Redis looks at its memory before each command of a client, and a call's writes go by that.
    held.other.call(&["PING"]);
    held.end().is_error("ZVM", &["gated", "write the keys: redis refuses: OOM"]);
    assert_eq!(held.other.call(&["EXISTS", "b"]), Reply::Integer(0));
    assert_eq!(held.other.call(&["CONFIG", "SET", "maxmemory", "0"]), ok());
    held.begin();
    assert_eq!(held.end(), Reply::bulk(""));
}

#[test]
fn an_append_only_file_that_is_rewritten_meanwhile_has_what_a_call_wrote() {
    if !Redis::is_here() {
        return;
    }
    let mut held = Held::new(&["--appendonly", "yes", "--enable-debug-command", "local"]);
    let rewritten = |client: &mut Client| {
        eventually("the file is rewritten", || {
            info(client, "persistence", "aof_rewrite_in_progress") == Some("0".into())
                && info(client, "persistence", "aof_rewrite_scheduled") == Some("0".into())
        });
    };
    held.other.call(&["SET", "a", "text"]);
    held.begin();
    rewritten(&mut held.other);
    assert!(matches!(held.other.call(&["BGREWRITEAOF"]), Reply::Simple(_)));
    assert_eq!(held.end(), Reply::bulk(""));
    rewritten(&mut held.other);
    assert_eq!(held.other.call(&["DEBUG", "LOADAOF"]), ok());
    assert_eq!(held.other.call(&["GET", "b"]), Reply::bulk("text"));
}

#[test]
fn a_replica_gets_what_a_call_wrote_and_not_the_call() {
    if !Redis::is_here() {
        return;
    }
    let port = free_port().to_string();
    let mut held = Held::new(&["--port", &port]);
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port], &[]);
    let mut reader = replica.client();
    eventually("the replica is in step", || {
        info(&mut reader, "replication", "master_link_status") == Some("up".into())
    });
    held.other.call(&["SET", "a", "text"]);
    held.begin();
    assert_eq!(held.end(), Reply::bulk(""));
    eventually("the replica has it", || reader.call(&["GET", "b"]) == Reply::bulk("text"));
    assert!(info(&mut reader, "commandstats", "cmdstat_mset").is_some());
    assert!(info(&mut reader, "commandstats", "cmdstat_zvm.call").is_none());
}

#[test]
fn a_server_that_becomes_a_replica_ends_its_calls() {
    if !Redis::is_here() {
        return;
    }
    let mut held = Held::new(&[]);
    held.other.call(&["SET", "a", "text"]);
    held.begin();
    // Nobody is there: the data stays what it was.
    assert_eq!(held.other.call(&["REPLICAOF", "127.0.0.1", "1"]), ok());
    held.caller.receive().is_error("UNBLOCKED", &[]);
    eventually("nothing is left", || held.redis.counter("unfinished") == 0);
    assert_eq!(held.other.call(&["EXISTS", "b"]), Reply::Integer(0));
}

#[test]
fn a_server_that_is_shut_down_ends_though_a_guest_spins() {
    if !Redis::is_here() {
        return;
    }
    let mut redis = Redis::start(&[], &[]);
    redis.load("spins", "Timeout = 1000");
    redis.client().send(&["ZVM.CALL", "spins", "0", "spin"]);
    let mut caller = redis.client();
    caller.send(&["ZVM.CALL", "spins", "0", "spin"]);
    eventually("a guest spins", || redis.counter("running") > 0);
    redis.shut_down();
    assert!(!redis.log().contains("crashed"), "{}", redis.log());
}
