//! How calls end: well, badly, not at all; and many of them.

use crate::{COPIES, gate, ok, until_running};
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};
use zvfs_modules_tests::gate::{Gate, large_program};
use zvfs_modules_tests::redis::{Client, Redis, Reply, manifest};
use zvfs_test_support::eventually;

#[test]
fn a_guest_that_fails_is_an_error_and_writes_nothing() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&["--loglevel", "verbose"], &["value-limit", "100k"]);
    let hasty = format!("Timeout = 1\nCommit = success\n{COPIES}");
    redis.load("hasty", &hasty);
    redis.load("narrow", "Fuel = 10000000\nChannel = redis:reply, /dev/stdout, 0, 0, 0, 9, 90");
    redis.load("wide", "Channel = redis:reply, /dev/stdout, 0, 0, 0, 1000000000, 1g");
    let mut client = redis.client();
    client.call(&["SET", "a", "1"]);
    let mut call = |program: &str, verb: &str| client.call(&["ZVM.CALL", program, "2", "a", "b", verb, "3"]);
    call("hasty", "spin").is_error("ZVM", &["hasty", "timeout"]);
    call("hasty", "trap").is_error("ZVM", &["hasty", "trap"]);
    call("hasty", "fail").is_error("ZVM", &["hasty: the guest exited with 3: last words"]);
    call("narrow", "flood").is_error("ZVM", &["narrow: the guest exited with 3"]);
    call("narrow", "spin").is_error("ZVM", &["fuel"]);
    call("wide", "flood").is_error("ZVM", &["value-limit"]);
    assert_eq!(client.call(&["EXISTS", "b"]), Reply::Integer(0));
    let log = redis.log();
    assert!(log.contains("hasty ") && log.contains(": first\n") && log.contains(": last words\n"), "{log}");
    assert!(log.contains("zvm.call hasty: session=\"1\" exit=4 guest=- seconds="), "{log}");
    let counters = ["unfinished", "running", "timed_out", "trapped", "guest_failed", "failed", "ok"];
    assert_eq!(counters.map(|name| redis.counter(name)), [0, 0, 1, 2, 2, 1, 0]);
}

/// A stranger's report: its compiler went on, and others began after the client had gone.
#[test]
fn a_client_that_leaves_ends_its_load() {
    if !Redis::is_here() {
        return;
    }
    let gate = Gate::new();
    let mut redis = Redis::start(&[], &["worker", &gate.compiler()]);
    let mut leaving = redis.client();
    leaving.send(&["ZVM.LOAD", "large", &manifest(""), "PROGRAM", &large_program()]);
    eventually("it is being compiled", || redis.compilers() == 1);
    drop(leaving);
    eventually("nothing is compiled", || redis.compilers() == 0);
    redis.client().call(&["ZVM.CALL", "large", "0"]).is_error("NOPROGRAM", &["large"]);
}

#[test]
fn a_client_that_leaves_ends_its_call() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &["threads", "1"]);
    redis.load("spins", "Timeout = 1000");
    let mut leaving = redis.client();
    let mut waiting = redis.client();
    leaving.send(&["ZVM.CALL", "spins", "0", "spin"]);
    until_running(&redis, "spins", 1);
    waiting.send(&["ZVM.CALL", "spins", "0", "say", "next"]);
    drop(leaving);
    assert_eq!(waiting.receive(), Reply::bulk("next"));
    assert_eq!(redis.counter("cancelled"), 1);
    // One that has not begun is never run.
    let mut running = redis.client();
    running.send(&["ZVM.CALL", "spins", "0", "spin"]);
    until_running(&redis, "spins", 1);
    let mut leaving = redis.client();
    leaving.send(&["ZVM.CALL", "spins", "0", "spin"]);
    eventually("the call waits", || redis.counter("waiting") == 1);
    drop(leaving);
    eventually("it is cancelled", || redis.counter("cancelled") == 2);
    drop(running);
    eventually("nothing is left", || redis.counter("unfinished") == 0);
}

/// The server's own threads have none of it.
#[test]
fn guests_are_nicer_than_the_server_unless_somebody_says_otherwise() {
    if !Redis::is_here() {
        return;
    }
    for (said, nice) in [(&[][..], 10), (&["nice", "0"], 0), (&["nice", "19"], 19)] {
        let mut redis = Redis::try_start(&[], &[&["threads", "1"], said].concat()).unwrap();
        redis.load("spins", "Timeout = 1000");
        let mut client = redis.client();
        client.send(&["ZVM.CALL", "spins", "0", "spin"]);
        let mut threads = Vec::new();
        eventually("the guest has a thread", || {
            threads = redis.threads();
            threads.iter().any(|thread| thread.name == "zvm-session")
        });
        let session = threads.iter().find(|thread| thread.name == "zvm-session").unwrap();
        let server = threads.iter().find(|thread| thread.name == "redis-server").unwrap();
        assert_eq!(session.nice, (server.nice + nice).min(19), "{threads:?}");
    }
}

#[test]
fn a_full_queue_is_an_error_at_once() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &["threads", "2", "queue", "1"]);
    let mut gate = gate(&redis);
    redis.load("gated", "Channel = $FOLDER/gate, /wait, 0, 9, 1, 0, 0");
    let mut clients: Vec<Client> = (0..3).map(|_| redis.client()).collect();
    let call = ["ZVM.CALL", "gated", "0", "wait-copy"];
    for (client, running) in clients.iter_mut().zip([1, 2, 2]) {
        client.send(&call);
        until_running(&redis, "gated", running);
    }
    eventually("the third waits", || redis.counter("waiting") == 1);
    redis.client().call(&call).is_error("BUSY", &["1 calls wait already"]);
    redis.client().call(&["ZVM.UNLOAD", "gated"]).is_error("BUSY", &["gated"]);
    redis.client().call(&["MODULE", "UNLOAD", "zvm"]).is_error("ERR", &[]);
    gate.write_all(b"xxx").unwrap();
    for client in &mut clients {
        assert_eq!(client.receive(), Reply::bulk(""));
    }
    assert_eq!(redis.counter("refused"), 1);
    eventually("nothing is left", || redis.counter("unfinished") == 0);
    assert_eq!(redis.client().call(&["ZVM.UNLOAD", "gated"]), ok());
    assert_eq!(redis.client().call(&["MODULE", "UNLOAD", "zvm"]), ok());
    assert!(matches!(redis.client().call(&["ZVM.LIST"]), Reply::Error(_)));
}

#[test]
fn where_the_server_would_stand_still_it_is_refused() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("tool", "");
    let mut client = redis.client();
    let queued = Reply::Simple("QUEUED".into());
    client.call(&["MULTI"]);
    assert_eq!(client.call(&["ZVM.CALL", "tool", "0", "say", "x"]), queued);
    assert_eq!(client.call(&["SET", "a", "1"]), queued);
    let Reply::Array(replies) = client.call(&["EXEC"]) else { panic!("no EXEC") };
    replies[0].is_error("ERR", &["outside of MULTI"]);
    assert_eq!(replies[1], ok());
    let script = "return redis.call('ZVM.CALL', 'tool', 0, 'say', 'x')";
    assert!(matches!(client.call(&["EVAL", script, "0"]), Reply::Error(_)));
    client.call(&["ZVM.CALL", "none", "0"]).is_error("NOPROGRAM", &["none"]);
    client.call(&["ZVM.CALL", "tool", "2", "a"]).is_error("ERR", &["numkeys"]);
    client.call(&["ZVM.CALL", "tool", "-1"]).is_error("ERR", &["numkeys"]);
    client.call(&["ZVM.CALL", "tool"]).is_error("ERR", &["wrong number of arguments"]);
}

#[test]
fn five_hundred_calls_at_once_are_all_answered() {
    if !Redis::is_here() {
        return;
    }
    let mut redis = Redis::start(&[], &["threads", "8"]);
    redis.load("tool", "");
    let mut first = redis.client();
    assert_eq!(first.call(&["ZVM.CALL", "tool", "0", "say", "warm"]), Reply::bulk("warm"));
    drop(first);
    let before = redis.descriptors();
    let mut clients: Vec<Client> = (0..500).map(|_| redis.client()).collect();
    for (i, client) in clients.iter_mut().enumerate() {
        client.send(&["ZVM.CALL", "tool", "0", "say", &i.to_string()]);
    }
    // The server answers others meanwhile.
    let start = Instant::now();
    assert_eq!(redis.client().call(&["PING"]), Reply::Simple("PONG".into()));
    assert!(start.elapsed() < Duration::from_secs(10));
    for (i, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.receive(), Reply::bulk(&i.to_string()));
    }
    drop(clients);
    eventually("every descriptor is closed", || redis.descriptors() <= before);
    assert_eq!((redis.counter("unfinished"), redis.counter("started")), (0, 501));
}

/// One condition variable woke the thread that had slept longest, so that the calls of one client went round all of them.
#[test]
fn calls_one_after_the_other_leave_most_threads_asleep() {
    if !Redis::is_here() {
        return;
    }
    const THREADS: usize = 8;
    let mut redis = Redis::start(&[], &["threads", &THREADS.to_string()]);
    redis.load("tool", "");
    let mut client = redis.client();
    let mut say = |words: &str| {
        assert_eq!(client.call(&["ZVM.CALL", "tool", "0", "say", words]), Reply::bulk(words));
    };
    say("warm");
    // The server's first, and the module's, which have its name.
    let mut sleeps = || {
        let threads = redis.threads();
        let ours = threads.iter().filter(|thread| thread.name == "redis-server");
        ours.map(|thread| thread.sleeps).collect::<Vec<_>>()
    };
    let before = sleeps();
    assert_eq!(before.len(), 1 + THREADS);
    for round in 0..20 * THREADS {
        say(&round.to_string());
    }
    let after = sleeps();
    let undisturbed = before.iter().zip(&after).filter(|(before, after)| before == after).count();
    assert!(undisturbed >= THREADS / 2, "{before:?} {after:?}");
}

#[test]
fn the_sanitizers_find_nothing_in_some_hundred_calls() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::sanitized();
    redis.load("copies", COPIES);
    redis.load("resp", "Channel = redis:resp, /dev/stdout, 0, 0, 0, 1000, 1m");
    redis.load("fails", "Timeout = 100\nFuel = 1000000\nChannel = redis:reply, /dev/stdout, 0, 0, 0, 9, 90");
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                let mut client = redis.client();
                for i in 0..10 {
                    let value = "x".repeat(i * 1000);
                    client.call(&["SET", "a", &value]);
                    // A conflict with another thread's SET is as good.
                    client.call(&["ZVM.CALL", "copies", "2", "a", "b", "copy", "/in", "/out"]);
                    client.call(&["ZVM.CALL", "copies", "1", "a", "copy", "/in", "/out"]);
                    let nested = client.call(&["ZVM.CALL", "resp", "0", "say", "*2\n:1\n%1\n+x\n_\n"]);
                    assert!(matches!(nested, Reply::Array(_)), "{nested:?}");
                    client.call(&["ZVM.CALL", "resp", "0", "say", "*2\n$9\nx"]).is_error("ZVM", &[]);
                    for verb in ["trap", "fail", "flood", "spin"] {
                        client.call(&["ZVM.CALL", "fails", "0", verb]).is_error("ZVM", &[]);
                    }
                    redis.client().send(&["ZVM.CALL", "fails", "0", "spin"]);
                }
            });
        }
    });
    eventually("nothing is left", || redis.counter("unfinished") == 0);
    let mut client = redis.client();
    assert_eq!(client.call(&["ZVM.UNLOAD", "fails"]), ok());
    assert_eq!(client.call(&["MODULE", "UNLOAD", "zvm"]), ok());
    let found = redis.findings();
    assert!(found.is_empty(), "{found}");
}
