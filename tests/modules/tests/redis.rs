//! `modules/redis` in Debian's Redis.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};
use zvfs_abi_tests::project;
use zvfs_modules_tests::guest;
use zvfs_modules_tests::redis::{Client, Redis, Reply, manifest};
use zvfs_test_support::{built, eventually, fifo, free_port};

/// Copies key 1 to key 2.
const COPIES: &str = "Channel = redis:optional/1, /in, 0, 1000000, 1m, 0, 0\nChannel = redis:key/2, /out, 0, 0, 0, 1000000, 1m";

/// The same, and waits for the FIFO `gate` before.
const GATED: &str = "Channel = redis:optional/1, /in, 0, 1000000, 1m, 0, 0\nChannel = redis:key/2, /out, 0, 0, 0, 1000000, 1m\n\
                     Channel = $FOLDER/gate, /wait, 0, 9, 1, 0, 0";

fn ok() -> Reply {
    Reply::Simple("OK".into())
}

/// The writing side of a FIFO that guests wait for. Open for both directions, so that no open waits for the other.
fn gate(redis: &Redis) -> File {
    let path = redis.folder().join("gate");
    fifo(path.clone());
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// Waits until so many calls run.
fn until_running(redis: &Redis, program: &str, count: i64) {
    eventually(format!("{count} calls of {program} run"), || {
        let Reply::Array(fields) = redis.client().call(&["ZVM.INFO", program]) else { panic!("no ZVM.INFO") };
        let at = fields.iter().position(|field| *field == Reply::bulk("running")).unwrap();
        fields[at + 1] == Reply::Integer(count)
    });
}

#[test]
fn the_example_counts() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    let manifest = fs::read(project().join("modules/redis/examples/counter.manifest")).unwrap();
    let program = fs::read(guest("modules/redis/examples/counter.c")).unwrap();
    let mut client = redis.client();
    assert_eq!(client.call_bytes(&[b"ZVM.LOAD", b"counter", &manifest, b"PROGRAM", &program]), ok());
    assert_eq!(client.call(&["ZVM.CALL", "counter", "1", "visits", "5"]), Reply::Integer(5));
    assert_eq!(client.call(&["ZVM.CALL", "counter", "1", "visits", "7"]), Reply::Integer(12));
    assert_eq!(client.call(&["GET", "visits"]), Reply::bulk("12"));
    client
        .call(&["ZVM.CALL", "counter", "1", "visits"])
        .is_error("ZVM", &["counter", "exited with 1", "usage"]);
    assert_eq!(client.call(&["GET", "visits"]), Reply::bulk("12"));
}

#[test]
fn a_program_is_loaded_with_the_module_if_the_operator_allows_it() {
    if !Redis::is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::copy(guest("modules/redis/examples/counter.c"), at("counter.wasm")).unwrap();
    let text = fs::read_to_string(project().join("modules/redis/examples/counter.manifest")).unwrap();
    fs::write(at("manifest"), text.replace("/srv/guests/counter.wasm", &at("counter.wasm"))).unwrap();
    let load = ["load", "counter", &at("manifest")];
    let refused = Redis::try_start(&[], &load).err().unwrap();
    assert!(refused.contains("argument load") && refused.contains("root"), "{refused}");
    let operator = format!("provider-path = [{:?}]\n[provider.file]\n", built());
    fs::write(at("zvfs.toml"), operator).unwrap();
    let redis = Redis::start(&[], &["config", &at("zvfs.toml"), load[0], load[1], load[2]]);
    assert_eq!(redis.client().call(&["ZVM.CALL", "counter", "1", "n", "2"]), Reply::Integer(2));
}

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
    client
        .call(&["ZVM.CALL", "copies", "1", "a", "say"])
        .is_error("ZVM", &["redis:key/2", "the call was given 1 keys"]);
    // What is not the module's is the operator's: here nothing beyond the server's folder.
    redis.load("greedy", "Channel = /etc/passwd, /in, 0, 9, 9, 0, 0");
    client.call(&["ZVM.CALL", "greedy", "0", "say"]).is_error("ZVM", &["/etc/passwd", "root"]);
    for (source, words) in [
        ("redis:key/0", "write redis:key/N"),
        ("redis:key/1x", "write redis:key/N"),
        ("redis:secret", "write redis:key/N"),
        ("redis:argument/7", "was given 1 arguments"),
    ] {
        redis.load("odd", &format!("Channel = {source}, /in, 0, 9, 9, 0, 0"));
        client.call(&["ZVM.CALL", "odd", "1", "a", "say"]).is_error("ZVM", &[words]);
        client.call(&["ZVM.UNLOAD", "odd"]);
    }
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
fn replies_have_any_type_and_what_is_none_is_an_error() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("resp", "Channel = redis:resp, /dev/stdout, 0, 0, 0, 1000000, 1m");
    let mut client = redis.client();
    let mut say = |text: &str| client.call(&["ZVM.CALL", "resp", "0", "say", text]);
    let text = |text: &str| Reply::Simple(text.into());
    assert_eq!(say("+fine\r\n"), text("fine"));
    say("-CODE words\n").is_error("CODE", &["words"]);
    assert_eq!(say(":-42\n"), Reply::Integer(-42));
    assert_eq!(say("$5\r\na\nb\rc\r\n"), Reply::bulk("a\nb\rc"));
    assert_eq!(say("_\n"), Reply::Bulk(None));
    assert_eq!(say("#t\n"), Reply::Integer(1));
    assert_eq!(say(",1.5\n"), Reply::bulk("1.5"));
    let nested = Reply::Array(vec![Reply::Integer(1), Reply::Array(vec![text("x"), Reply::Integer(2)])]);
    assert_eq!(say("*2\n:1\n%1\n+x\n:2\n"), nested);
    for (wrong, words) in [
        ("", "it ends where a value should follow"),
        ("hello\n", "not one of"),
        (":1", "a line without an end"),
        (":1\n:2\n", "something follows"),
        (":1x\n", "not a number"),
        (": 1\n", "not a number"),
        ("$5\nabc\n", "longer than what follows"),
        ("$3\nabcd\n", "no line end"),
        ("*2\n:1\n", "it ends where"),
        ("*999999999\n", "more than what follows"),
        ("*-1\n", "more than what follows"),
        ("#maybe\n", "#t or #f"),
        ("-MOVED 1 evil.example:6379\n", "only the server may use"),
        ("*1\n-ask 1 evil.example:6379\n", "only the server may use"),
        (&"*1\n".repeat(30), "too deep"),
    ] {
        say(wrong).is_error("ZVM", &["resp: the guest wrote no reply", words]);
    }
    // Without a channel for it there is null.
    redis.load("mute", "Channel = redis:log, /dev/stdout, 0, 0, 0, 9, 9");
    assert_eq!(client.call(&["ZVM.CALL", "mute", "0", "say", "x"]), Reply::Bulk(None));
}

#[test]
fn arguments_reach_the_guest_whole_one_way_or_the_other() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("both", "Channel = redis:argument/2, /second, 0, 1000000, 1m, 0, 0");
    let mut client = redis.client();
    let odd = b"a\0b\r\n\xff".to_vec();
    let call = |verb: &str, odd: &[u8], last: &str| {
        let words = [&b"ZVM.CALL"[..], b"both", b"0", verb.as_bytes(), odd, last.as_bytes()];
        redis.client().call_bytes(&words)
    };
    assert_eq!(call("arguments", &odd, "\u{e4}\n"), Reply::bulk("0,3,"));
    let large = vec![b'x'; 100_000];
    assert_eq!(call("arguments", &large, "y"), Reply::bulk("0,1,"));
    let words = [&b"ZVM.CALL"[..], b"both", b"0", b"copy", b"/second"];
    assert_eq!(client.call_bytes(&words), Reply::bulk("/second"));
}

#[test]
fn a_key_that_changed_meanwhile_is_a_conflict_and_nothing_is_written() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    let mut gate = gate(&redis);
    redis.load("gated", GATED);
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
    client.send(&call);
    gate.write_all(b"x").unwrap();
    assert_eq!(client.receive(), Reply::bulk(""));
    assert_eq!(other.call(&["GET", "b"]), Reply::bulk("newer"));
}

/// Whether a guest of this server has the FIFO open.
fn waits(redis: &Redis) -> bool {
    let mut client = redis.client();
    let Reply::Bulk(Some(info)) = client.call(&["INFO", "server"]) else { panic!("no INFO") };
    let info = String::from_utf8(info).unwrap();
    let process = info.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap();
    let gate = redis.folder().join("gate");
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    descriptors.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|path| path == gate))
}

#[test]
fn a_guest_that_fails_is_an_error_and_writes_nothing() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &["value-limit", "100k"]);
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
    assert_eq!(redis.counter("unfinished"), 0);
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
fn programs_are_checked_when_they_are_loaded() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("tool", "");
    let mut client = redis.client();
    let text = manifest("");
    client.call(&["ZVM.LOAD", "tool", &text, "PROGRAM", "x"]).is_error("ERR", &["tool is loaded", "REPLACE"]);
    client.call(&["ZVM.LOAD", "new", "Version = 1"]).is_error("ERR", &["MANIFEST"]);
    client.call(&["ZVM.LOAD", "new", &text, "PROGRAM", "no program"]).is_error("ERR", &["bad program"]);
    client.call(&["ZVM.LOAD", "new", &text]).is_error("ERR", &["/given"]);
    client.call(&["ZVM.LOAD", "a name", &text]).is_error("ERR", &["a name has 1 to 64"]);
    client.call(&["ZVM.LOAD", "new", &text, "PROGRAMM", "x"]).is_error("ERR", &["write ZVM.LOAD"]);
    assert_eq!(client.call(&["ZVM.LIST"]), Reply::Array(vec![Reply::bulk("tool")]));
    // A replaced one keeps its running calls.
    let empty = "(module (memory (export \"memory\") 1) (func (export \"_start\")))";
    assert_eq!(client.call(&["ZVM.LOAD", "tool", &text, "REPLACE", "PROGRAM", empty]), ok());
    assert_eq!(client.call(&["ZVM.CALL", "tool", "0", "say", "x"]), Reply::bulk(""));
    let Reply::Array(info) = client.call(&["ZVM.INFO", "tool"]) else { panic!("no ZVM.INFO") };
    assert_eq!(info[1], Reply::bulk(&text));
    assert_eq!(client.call(&["ZVM.UNLOAD", "tool"]), ok());
    client.call(&["ZVM.UNLOAD", "tool"]).is_error("NOPROGRAM", &[]);
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

#[test]
fn a_replica_runs_what_only_reads() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("copies", COPIES);
    redis.load("reads", "Channel = redis:key/1, /in, 0, 99, 99, 0, 0");
    let mut client = redis.client();
    client.call(&["SET", "a", "text"]);
    // Nobody is there: the data stays what it was.
    assert_eq!(client.call(&["REPLICAOF", "127.0.0.1", "1"]), ok());
    client.call(&["ZVM.CALL", "reads", "1", "a", "copy", "/in"]).is_error("READONLY", &[]);
    assert_eq!(client.call(&["ZVM.CALL_RO", "reads", "1", "a", "copy", "/in"]), Reply::bulk("text"));
    client
        .call(&["ZVM.CALL_RO", "copies", "2", "a", "b", "copy", "/in", "/out"])
        .is_error("ZVM", &["zvm.call_ro writes no keys"]);
}

#[test]
fn a_cluster_and_its_clients_know_the_keys() {
    if !Redis::is_here() {
        return;
    }
    let (port, bus) = (free_port().to_string(), free_port().to_string());
    let server = ["--port", &port, "--cluster-enabled", "yes", "--cluster-port", &bus];
    let redis = Redis::start(&server, &[]);
    let mut client = redis.client();
    assert_eq!(client.call(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), ok());
    eventually("the cluster is up", || client.call(&["SET", "{x}a", "1"]) == ok());
    redis.load("copies", COPIES);
    let keys = client.call(&["COMMAND", "GETKEYS", "ZVM.CALL", "copies", "2", "{x}a", "{x}b", "copy"]);
    assert_eq!(keys, Reply::Array(vec![Reply::bulk("{x}a"), Reply::bulk("{x}b")]));
    let one = ["ZVM.CALL", "copies", "2", "{x}a", "{x}b", "copy", "/in", "/out"];
    assert_eq!(client.call(&one), Reply::bulk(""));
    assert_eq!(client.call(&["GET", "{x}b"]), Reply::bulk("1"));
    client.call(&["ZVM.CALL", "copies", "2", "a", "b", "copy", "/in", "/out"]).is_error("CROSSSLOT", &[]);
}

#[test]
fn a_user_reaches_through_a_guest_what_he_reaches_without() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("copies", COPIES);
    let mut client = redis.client();
    assert_eq!(
        client.call(&["ACL", "SETUSER", "guest", "on", "nopass", "~mine:*", "+zvm.call", "+get"]),
        ok()
    );
    assert_eq!(client.call(&["AUTH", "guest", "x"]), ok());
    let mut call =
        |from: &str, to: &str| client.call(&["ZVM.CALL", "copies", "2", from, to, "copy", "/in", "/out"]);
    assert_eq!(call("mine:a", "mine:b"), Reply::bulk(""));
    call("mine:a", "other").is_error("NOPERM", &[]);
    call("other", "mine:a").is_error("NOPERM", &[]);
    client.call(&["ZVM.LOAD", "new", "x"]).is_error("NOPERM", &[]);
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

#[test]
fn arguments_of_the_module_are_checked() {
    if !Redis::is_here() {
        return;
    }
    for (arguments, words) in [
        (&["threads", "0"][..], "`0` is not a number from 1 to 1024"),
        (&["threads"], "its value is missing"),
        (&["value-limit", "1t"], "`1t` is not a number"),
        (&["colour", "red"], "argument `colour`: unknown"),
        (&["worker", "zvfs"], "not an absolute path"),
        (&["load", "x"], "load NAME FILE"),
        (&["load", "x", "/does/not/exist"], "read /does/not/exist"),
        (&["cache-folder", "/tmp/x"], "cache_folder and cache_key go together"),
    ] {
        let text = Redis::try_start(&[], arguments).err().unwrap();
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
}
